"""Looking at what is stored, in a real browser: the integrity report with its CSV, the universe, and the candles of a row."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from financial_model.market.store import Store
from tests.e2e import browser

pytestmark = pytest.mark.browser
SLOW = 90_000


def test_stored_data_is_judged_and_looked_at(chromium, furnished):
    address, workspace = furnished
    store = Store(workspace.data_dir)
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1360, "height": 900}, accept_downloads=True)
    page = context.new_page()
    watcher = browser.Watcher(page, address)
    page.goto(address)
    page.locator("#integrity-begin").click(timeout=SLOW)
    page.locator("#integrity-head").get_by_text("停牌日").wait_for(timeout=SLOW)
    content = Path(browser.downloaded(page, "#integrity-csv").path()).read_bytes()
    assert content.startswith(b"\xef\xbb\xbfsymbol,") and content.count(b"\n") == 41

    page.get_by_role("tab", name="股票池分析", exact=True).click()
    page.locator("#universe-coverage .js-plotly-plot").wait_for(timeout=SLOW)
    brought = browser.downloaded(page, "#universe-csv")
    file = brought.path()
    table = pd.read_csv(file, dtype=str)
    assert Path(file).read_bytes().startswith(b"\xef\xbb\xbf") and len(table) == 40
    assert set(table.iloc[:, 0]) == set(store.symbols()["symbol"]) and brought.suggested_filename.startswith("universe_")
    page.locator("#universe-correlated").get_by_text("最大的 30 只").click(timeout=SLOW)
    page.locator("#universe-correlation .ytick text").nth(14).wait_for(timeout=SLOW)  # eleven industries have fewer
    chosen = page.locator("#universe-table [role=gridcell][data-row='3']").first  # the table's only <tbody> measures widths and is never seen
    symbol = chosen.inner_text(timeout=SLOW)
    price = page.locator("#universe-table [role=gridcell][data-row='3'][data-col='7']").first
    assert re.fullmatch(r"[\d,]+\.\d\d", price.inner_text(timeout=SLOW).strip())
    left, right = price.evaluate("""cell => { const text = document.createRange(), outer = cell.getBoundingClientRect();
        text.selectNodeContents(cell.querySelector("span"));
        return [text.getBoundingClientRect().left - outer.left, outer.right - text.getBoundingClientRect().right]; }""")
    assert 0 <= right < left, "numbers stand to the right"
    chosen.click(timeout=SLOW)
    page.locator("#universe-stock").get_by_text(re.compile(re.escape(symbol))).wait_for(timeout=SLOW)
    page.locator("#universe-candles .js-plotly-plot").wait_for(timeout=SLOW)
    drawn = page.locator("#universe-candles .js-plotly-plot").evaluate("plot => Array.from(plot.data[0].close).at(-1)")
    assert drawn == pytest.approx(store.read_bars(symbol)["close"].iloc[-1], abs=1e-3)
    page.wait_for_function("() => document.querySelector('#universe-candles').getBoundingClientRect().bottom <= innerHeight + 1", timeout=SLOW)
    assert watcher.errors == [] and watcher.strangers == []
    context.close()
