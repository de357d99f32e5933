"""Bars beyond reproach in one pass, and the checksum of a file."""

from __future__ import annotations

import numpy as np
import pytest

from financial_model.errors import DataError
from financial_model.kernels.bar_rows import checksum
from financial_model.market import bars
from tests.market import builders


def columns():
    table = builders.bars(50)
    values = {name: table[name].to_numpy(np.float64, copy=True) for name in table if name != "date"}
    return table["date"].to_numpy().astype("datetime64[s]"), values


def test_good_bars_are_good():
    assert bars.faultless(*columns())


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume", "amount", "factor"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-3, 1e9])
@pytest.mark.parametrize("row", [0, 49])
def test_where_all_is_good_the_full_check_changes_nothing(name, value, row, monkeypatch):
    time, values = columns()
    values.setdefault("factor", np.ones(50))
    values[name][row] = value
    good = bars.faultless(time, values)
    monkeypatch.setattr(bars, "faultless", lambda *_: False)
    try:
        checked = bars.check(time, values, "X", np.arange(50))
    except DataError:
        assert not good
    else:
        same = all(np.array_equal(checked[column], array, equal_nan=True) for column, array in values.items())
        assert same or not good
    assert good == (name in ("volume", "amount") and value >= 0 and np.isfinite(value) or name == "amount" and np.isnan(value)
                    or name == "factor" and 0 < value < np.inf or name == "high" and value == 1e9 or name == "low" and value == 1e-3)


@pytest.mark.parametrize("change", [lambda time: time[::-1], lambda time: np.where(np.arange(50) == 7, time[6], time),
                                    lambda time: np.where(np.arange(50) == 49, np.datetime64("2300-01-01", "s"), time),
                                    lambda time: np.where(np.arange(50) == 3, np.datetime64("NaT"), time)])
def test_times_out_of_order_or_range_are_left_to_the_full_check(change):
    time, values = columns()
    assert not bars.faultless(change(time), values)


@pytest.mark.parametrize("content, expected", [
    (b"", "ef46db3751d8e999"), (b"a", "d24ec4f1a98c6e5b"), (b"abc", "44bc2cf5ad770999"),
    (b"Nobody inspects the spammish repetition", "fbcea83c8a378bf1")])
def test_the_checksum_is_the_published_one(content, expected):
    assert checksum(content) == expected


def test_one_changed_byte_changes_the_checksum():
    content = bytes(range(256)) * 3
    found = {checksum(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]) for at in range(len(content))}
    assert len(found) == len(content) and checksum(content) not in found
