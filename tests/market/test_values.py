"""Cells as people write them: dates in one format a column, numbers with their marks, and what is neither."""

import numpy as np
import pyarrow as pa
import pytest

from financial_model.market.sources.values import numbers, texts, times


def column(values, kind=None):
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2024-01-31", "2024-01-31T00:00:00"),
        (" 2024/01/31", "2024-01-31T00:00:00"),
        ("2024/1/5", "2024-01-05T00:00:00"),
        ("20240131", "2024-01-31T00:00:00"),
        ("20240131.0", "2024-01-31T00:00:00"),
        ("2024.01.31", "2024-01-31T00:00:00"),
        ("2024年1月31日", "2024-01-31T00:00:00"),
        ("2024-01-31 09:45:00", "2024-01-31T09:45:00"),
        ("2024-01-31T09:45:00", "2024-01-31T09:45:00"),
        ("2024/01/31 09:45", "2024-01-31T09:45:00"),
        ("2024-01-31 00:00:00-05:00", "2024-01-31T00:00:00"),
        ("Jan 31, 2024", "2024-01-31T00:00:00"),
        ("1/31/2024", "2024-01-31T00:00:00"),
        ("31/01/2024", "2024-01-31T00:00:00"),
        ("1706659200", "2024-01-31T00:00:00"),
        ("1706659200000", "2024-01-31T00:00:00"),
    ],
)
def test_dates_as_people_write_them(written, expected):
    found, bad = times(column([written]))
    assert not bad and str(found[0]) == expected


@pytest.mark.parametrize("written", ["2024-02-30", "2023-02-29", "20241301", "abc", "", "31", "2024-1", "99999999"])
def test_what_is_no_date_is_reported_by_row(written):
    found, bad = times(column(["2024-01-30", written, "2024-01-31"]) if "-" in written or not written.isdigit() else column([written]))
    row = 1 if len(found) == 3 else 0
    assert np.isnat(found[row]) and bad[row] == written


def test_month_and_day_that_could_be_exchanged_are_refused():
    found, bad = times(column(["01/02/2024", "02/03/2024"]))
    assert np.isnat(found).all() and len(bad) == 2
    found, bad = times(column(["01/02/2024", "02/13/2024"]))
    assert not bad and str(found[0])[:10] == "2024-01-02"


def test_dates_with_a_clock_beside_them_and_typed_dates():
    found, bad = times(column(["2024-01-31", "2024-01-31"]), column(["09:35:00", "09:40:00"]))
    assert not bad and str(found[1]) == "2024-01-31T09:40:00"
    typed = column(np.array(["2024-01-31T00:00", "NaT"], "datetime64[ms]"))
    found, bad = times(typed)
    assert str(found[0]) == "2024-01-31T00:00:00" and list(bad) == [1]
    zoned = column([1706677200], pa.timestamp("s", "America/New_York"))
    assert str(times(zoned)[0][0]) == "2024-01-31T00:00:00"  # the exchange's own time
    assert str(times(column([20240131]))[0][0])[:10] == "2024-01-31"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1234.5", 1234.5),
        (" 12 ", 12),
        ("1,234,567", 1234567),
        ("3.5%", 3.5),
        ("1.2亿", 1.2e8),
        ("3万", 3e4),
        ("1.5M", 1.5e6),
        ("2e3", 2000),
        ("-0.5", -0.5),
    ],
)
def test_numbers_as_people_write_them(written, expected):
    values, bad = numbers(column([written, "1"]))
    assert not bad and values[0] == pytest.approx(expected)


@pytest.mark.parametrize("written", ["abc", "1.2.3", "12a", "1 2", "--5", "=A1", "1e"])
def test_what_is_no_number_is_reported_by_row(written):
    values, bad = numbers(column(["1", written, None]))
    assert np.isnan(values[1:]).all() and bad == {1: written}


def test_single_precision_becomes_the_decimal_it_stands_for():
    wanted = [1145.06, 2.31, 0.1, 12345.678, 3e-5]
    values, _ = numbers(column(np.array(wanted, np.float32)))
    assert values.tolist() == wanted
    assert np.isnan(numbers(column(np.array([np.nan], np.float32)))[0][0])


def test_labels_keep_zeros_and_lose_decimals():
    assert texts(column(["000001", None, " 600519 "])) == ["000001", "", "600519"]
    assert texts(column([600519.0, 1.0])) == ["600519", "1"]
