"""What a stock turned over of late, read from the ends of the files: the figure of the bars, and nothing after the date."""

import math

import pytest

from financial_model.market.store import Store
from financial_model.serving.liquidity import BARS, amounts
from tests.serving.builders import bars, trading_days, workspace_in


@pytest.fixture
def store(tmp_path):
    store = Store(workspace_in(tmp_path).data_dir)
    store.write_bars("600519.SH", bars(1, trading_days(60)), source="files")
    return store


def test_it_is_the_mean_of_the_last_bars_up_to_the_date(store):
    stored = store.read_bars("600519.SH")
    for row in (40, 59):
        day = str(stored["date"].iloc[row].date())
        part = stored.iloc[row + 1 - BARS : row + 1]
        expected = part["amount"].fillna(part["close"] * part["volume"]).mean()
        assert amounts(store, ["600519.SH"], day)[0] == pytest.approx(expected, rel=1e-6)
    assert amounts(store, ["600519.SH"], "2100-01-01") == amounts(store, ["600519.SH"], day), "a later date than the last bar is the last bar"


def test_where_nothing_is_known_there_is_no_figure(store):
    assert all(map(math.isnan, amounts(store, ["600519.SH", "000001.SZ"], "1980-01-01")))
