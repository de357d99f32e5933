"""Real sources in a real browser: a download whose server is killed and goes on, and files that are looked at before they are taken."""

from __future__ import annotations

import os
import re
import signal
import sys
import time

import pytest

from financial_model.market.store import Store
from tests.e2e import browser
from tests.fakes.tdx import TdxServer
from tests.fakes.tdx_market import make_market
from tests.market.builders import bars
from tests.market.truth import difference, shares_of, symbol_of

pytestmark = [pytest.mark.browser, pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")]
SLOW = 90_000
COUNT = 60


def begin(page, address: str, server: TdxServer) -> None:
    """The download form, filled in and sent."""
    page.goto(address)
    page.get_by_role("tab", name="下载行情", exact=True).click(timeout=SLOW)
    page.locator("#download-server textarea, #download-server input").first.fill(f"127.0.0.1:{server.port}")
    page.locator("#download-count input[type=number]").fill("0")
    page.locator("#download-count input[type=number]").press("Enter")
    page.locator("#download-begin").click()


def test_a_download_outlives_its_server_and_a_file_is_shown_before_it_is_taken(chromium, tmp_path):
    market = make_market(COUNT, 700, noise=1)
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1360, "height": 900})
    page = context.new_page()
    stored = tmp_path / "data" / "training_data"
    with TdxServer(market) as server:
        with browser.serving(tmp_path) as (address, number):
            begin(page, address, server)
            deadline = time.monotonic() + 60
            while len(list(stored.glob("[!.]*.csv"))) < 5:
                assert time.monotonic() < deadline, "the download did not begin"
                time.sleep(0.01)
            os.kill(number, signal.SIGKILL)
        left = [entry for entry in shares_of(market) if Store(tmp_path / "data").has(symbol_of(entry))]
        assert 5 <= len(left) < COUNT and {difference(Store(tmp_path / "data"), entry) for entry in left} == {""}

        with browser.serving(tmp_path) as (address, _):
            begin(page, address, server)
            page.locator("#data-card").get_by_text(re.compile(rf"\b{COUNT}\b")).first.wait_for(timeout=SLOW)
            page.locator("#data-stop").wait_for(state="hidden", timeout=SLOW)
            store = Store(tmp_path / "data")
            assert {difference(store, entry) for entry in shares_of(market)} == {""}

            watcher = browser.Watcher(page, address)
            good, bad = tmp_path / "600999.csv", tmp_path / "601999.csv"
            bars(40).rename(columns={"date": "日期", "close": "收盘"}).to_csv(good, index=False)
            bars(40).drop(columns="close").to_csv(bad, index=False)
            page.get_by_role("tab", name="导入文件", exact=True).click()
            page.locator("#data-upload input[type=file]").set_input_files([good, bad])
            page.locator("#data-upload").get_by_text(re.compile("601999")).first.wait_for(timeout=SLOW)
            page.locator("#data-look").click()
            for text in ("收盘", "600999", "601999", "close"):
                page.locator("#data-plan").get_by_text(re.compile(text)).first.wait_for(timeout=SLOW)
            assert not store.has("600999.SH"), "looking stores nothing"
            assert watcher.errors == [] and watcher.strangers == []
    context.close()
