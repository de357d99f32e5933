"""What a stock turned over of late, read from the ends of the files: the figure of the bars, and nothing after the date."""

import math

import numpy as np
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


def test_a_file_damaged_meanwhile_has_no_figure_and_breaks_no_ranking(store):
    store.write_bars("000001.SZ", bars(2, trading_days(60)), source="files")
    path = store.bar_path("000001.SZ")
    path.write_text(path.read_text("utf-8") + "2024-07-01,20", "utf-8")
    damaged, whole = amounts(store, ["000001.SZ", "600519.SH"], "2024-07-01")
    assert math.isnan(damaged) and whole > 0


def test_the_end_of_a_file_says_what_the_whole_file_says(tmp_path):
    store = Store(workspace_in(tmp_path).data_dir)
    lengths = {"600519.SH": 900, "000001.SZ": 700, "300750.SZ": 60, "688981.SH": 7}
    for seed, (symbol, count) in enumerate(lengths.items()):
        frame = bars(seed, trading_days(count))
        known = np.random.default_rng(seed).random(count) < 0.7
        store.write_bars(symbol, frame.assign(amount=np.where(known, (frame["close"] * frame["volume"]).round(2), np.nan)), source="files")
    days = ["2100-01-01", *(str(day)[:10] for day in trading_days(900)[[899, 895, 893, 880, 840, 500, 205, 25, 19, 5, 0]]), "1995-01-01"]
    for day in days:
        found = amounts(store, list(lengths), day)
        assert str(found) == str([_of_all_bars(store, symbol, day) for symbol in lengths]), day
        assert day < "2000" or math.isfinite(found[0])


def _of_all_bars(store: Store, symbol: str, day: str) -> float:
    stored = store.read_bars(symbol)
    part = stored[stored["date"] <= day].tail(BARS)
    money = part["amount"].fillna(part["close"] * part["volume"]).tolist()
    return sum(money) / len(money) if money else math.nan
