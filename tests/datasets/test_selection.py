"""Limits of a universe: what is left, what was left out and why, and what is said when nothing is."""

import numpy as np
import pytest

from financial_model.config import UniverseConfig
from financial_model.datasets.selection import keep_rows, named, select
from financial_model.errors import DataError, NotFoundError
from tests.datasets.builders import make_bars

LENGTHS = {"600000.SH": 900, "600036.SH": 500, "600519.SH": 900, "AAPL": 100, "300750.SZ": 0}
INDUSTRIES = {"600000.SH": "finance", "600036.SH": "finance", "600519.SH": "consumer"}


def chosen(**limits):
    return select(LENGTHS, INDUSTRIES, UniverseConfig(**limits))


def test_everything_with_enough_history():
    selection = chosen(min_history=120)
    assert selection.symbols == ("600000.SH", "600036.SH", "600519.SH")
    assert selection.left_out == {"AAPL": "short", "300750.SZ": "no_bars"}


def test_symbols_in_any_spelling_once():
    assert chosen(symbols=("sh600519", "600519", "600000.SS")).symbols == ("600000.SH", "600519.SH")


def test_unknown_symbols_are_all_named():
    with pytest.raises(NotFoundError, match="000001.SZ, MSFT"):
        chosen(symbols=("600519", "000001.SZ", "MSFT"))


def test_industry():
    selection = chosen(industry="finance")
    assert selection.symbols == ("600000.SH", "600036.SH") and selection.left_out["600519.SH"] == "industry"
    with pytest.raises(DataError, match="energy"):
        chosen(industry="energy")
    assert chosen(industry="other", min_history=50).symbols == ("AAPL",), "without an industry is other"


def test_max_symbols_keeps_the_longest_history():
    selection = chosen(max_symbols=2)
    assert selection.symbols == ("600000.SH", "600519.SH") and selection.left_out["600036.SH"] == "limit"


def test_all_too_short_names_the_longest():
    with pytest.raises(DataError) as caught:
        chosen(symbols=("AAPL",), min_history=120)
    assert "AAPL" in str(caught.value) and "100 bars" in str(caught.value) and "120" in str(caught.value)


def test_an_empty_store_says_what_to_do():
    for lengths in ({}, {"600000.SH": 0}):
        with pytest.raises(DataError, match="Download"):
            select(lengths, {}, UniverseConfig())


def test_rows_between_the_dates_of_stocks_with_enough_of_them():
    bars, left_out = make_bars((80, 50, 10)), {}
    keep = keep_rows(bars.symbols, bars.offsets, bars.time, UniverseConfig(start="2020-02-10", end="2020-03-10", min_history=20), left_out)
    assert keep[:80].sum() == 30 and keep[80:130].sum() == 30 and keep[130:].sum() == 0
    assert left_out == {"S2": "short"}
    kept = bars.time[keep]
    assert kept.min() == np.datetime64("2020-02-10", "s").astype(np.int64) and kept.max() == np.datetime64("2020-03-10", "s").astype(np.int64)


def test_no_row_between_the_dates_is_an_error():
    bars = make_bars()
    with pytest.raises(DataError, match="between 2030-01-01 and …"):
        keep_rows(bars.symbols, bars.offsets, bars.time, UniverseConfig(start="2030-01-01"), {})


def test_long_lists_are_shortened_in_sentences():
    assert named([f"S{i}" for i in range(13)]).endswith("S9 … (+3)")
