"""From forecast to action in a real browser: an order list from typed holdings, a published ranking, its record and its score, both languages."""

from __future__ import annotations

import pytest

from financial_model.serving import sweep as sweeping
from financial_model.training.events import read_events
from tests.e2e.browser import Watcher, downloaded
from tests.e2e.test_main_job import SLOW, Person

pytestmark = pytest.mark.browser


def test_orders_and_journal(chromium, furnished, tmp_path):
    address, workspace = furnished
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1360, "height": 900}, accept_downloads=True)
    page = context.new_page()
    watcher, person = Watcher(page, address), Person(page)
    person.open(address)
    person.tab("推理")
    symbol = sorted(path.stem for path in (workspace.data_dir / "training_data").glob("*.csv"))[0]

    # the order list: one holding uploaded, the money typed
    person.tab("明日委托")
    person.see("orders-card", "还没有委托清单")
    held = tmp_path / "held.csv"
    held.write_text(f"证券代码,数量\n{symbol},500\n", "utf-8")
    page.locator("#orders-upload input[type=file]").set_input_files(str(held))
    person.see("orders-holdings", symbol)
    person.fill("orders-money", 500_000)
    person.press("orders-ask")
    person.see("orders-card", "买入金额")
    person.see("orders-card", "排名第 1")
    assert downloaded(page, "#orders-csv").path().read_bytes().startswith(b"\xef\xbb\xbf")

    # publish, see the record, score it
    person.tab("预测日志")
    person.see("journal-list", "尚未发布任何预测")
    person.press("journal-publish")
    person.see("journal-list", "链条完整")
    person.see("journal-list", "逾期")  # the demo market ends in the past, and that is said
    person.press("journal-score")
    person.see("journal-card", "尚无结果")

    # the pool and the single stock have the same button
    person.tab("股票池排名")
    day = page.locator("#pool-as-of").locator("input, textarea")
    day.fill("2025-13-45")
    person.press("pool-ask")
    person.see("pool-refused", "“2025-13-45”不是日期")
    day.fill("")
    person.press("pool-ask")
    page.locator("#pool-publish").click(timeout=SLOW)
    assert not page.locator("#pool-refused").inner_text().strip()
    page.get_by_text("该预测已是日志第 1 条").first.wait_for(timeout=SLOW)

    # the other language, headers of the table included
    page.locator("#k-language").get_by_text("English").click()
    person.tab("Orders")
    person.see("orders-holdings", "Symbol")
    person.see("orders-holdings", symbol)
    person.tab("Journal")
    person.see("journal-list", "chain unbroken")
    assert not watcher.errors and not watcher.strangers
    context.close()


def test_a_search_of_settings_is_stopped_and_goes_on(chromium, furnished):
    address, workspace = furnished
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1360, "height": 900})
    page = context.new_page()
    watcher, person = Watcher(page, address), Person(page)
    person.open(address)
    person.tab("模型")
    page.locator("#sweep button.label-wrap").click()
    page.locator("#sweep-space textarea").fill("epochs=60,61")  # seconds a trial: long enough to be stopped, short enough to be gone on with
    person.fill("sweep-count", 2)
    page.locator("#sweep-like input").click()
    page.locator("#sweep-like [role=option]", has_text="tiny").click()
    person.press("sweep-start")
    person.see("sweep-card", "sweep-t000")
    for _ in range(300):  # before its first evaluation there is nothing to go on from
        trials = [trial for sweep in sweeping.listed(workspace) for trial in sweeping.table_of(sweep)["trials"] if trial["run"]]
        if trials and "epoch" in {event["kind"] for event in read_events(workspace.checkpoint_dir / trials[0]["run"] / "events.jsonl")[0]}:
            break
        page.wait_for_timeout(200)
    person.press("sweep-stop")
    person.see("sweep-status", "已停止")
    person.see("sweep-card", "测试集不会打开")
    (sweep,) = sweeping.listed(workspace)
    (begun,) = sweeping.table_of(sweep)["trials"]
    assert begun["state"] == "running" and begun["run"], "the trial waits for somebody to go on with it"

    person.press("sweep-resume")
    person.see("sweep-card", "测试集只为")
    table = sweeping.table_of(sweep)
    assert [row["state"] for row in table["trials"]] == ["complete"] * 2 and table["trials"][0]["run"] == begun["run"] and table["test"]
    kinds = [event["kind"] for event in read_events(workspace.checkpoint_dir / begun["run"] / "events.jsonl")[0]]
    assert "resume" in kinds, "it went on from where it was"
    assert not watcher.errors and not watcher.strangers
    context.close()
