"""Price limits and fees, each on the day before and the day of a change."""

import numpy as np
import pytest

from financial_model.market.rules import at_limit, fees, limit_prices, price_limit, round_half_up


@pytest.mark.parametrize(
    ("board", "day", "st", "expected"),
    [
        ("main", "1996-12-13", False, np.inf),
        ("main", "1996-12-16", False, 0.10),
        ("main", "2026-11-20", False, 0.10),
        ("main", "2026-07-03", True, 0.05),
        ("main", "2026-07-06", True, 0.10),
        ("main", "1997-01-02", True, 0.10),
        ("chinext", "2020-08-21", False, 0.10),
        ("chinext", "2020-08-24", False, 0.20),
        ("chinext", "2020-08-24", True, 0.20),
        ("star", "2019-07-22", False, 0.20),
        ("bse", "2021-11-15", False, 0.30),
        ("us", "2024-01-02", False, np.inf),
        ("index", "2024-01-02", False, np.inf),
    ],
)
def test_the_limit_of_a_board_on_a_day(board, day, st, expected):
    assert price_limit(board, [day], st=st)[0] == expected


@pytest.mark.parametrize(
    ("board", "day", "age", "up", "down"),
    [
        ("main", "2013-12-31", 1, np.inf, np.inf),
        ("main", "2014-01-02", 1, 0.44, 0.36),
        ("main", "2014-01-03", 2, 0.10, 0.10),
        ("main", "2023-04-07", 1, 0.44, 0.36),
        ("main", "2023-04-10", 5, np.inf, np.inf),
        ("main", "2023-04-10", 6, 0.10, 0.10),
        ("chinext", "2020-08-24", 5, np.inf, np.inf),
        ("star", "2020-01-02", 5, np.inf, np.inf),
        ("star", "2020-01-02", 6, 0.20, 0.20),
        ("bse", "2022-01-04", 1, np.inf, np.inf),
        ("bse", "2022-01-04", 2, 0.30, 0.30),
    ],
)
def test_first_days_after_listing(board, day, age, up, down):
    assert price_limit(board, [day], listed_days=age)[0] == up
    assert price_limit(board, [day], listed_days=age, side="down")[0] == down


def test_many_days_at_once_in_seconds_or_dates():
    days = np.array(["2020-08-21", "2020-08-24"], "datetime64[D]")
    seconds = days.astype("datetime64[s]").astype(np.int64)
    assert price_limit("chinext", days).tolist() == price_limit("chinext", seconds).tolist() == [0.10, 0.20]
    assert price_limit("main", days, st=[True, False]).tolist() == [0.05, 0.10]


@pytest.mark.parametrize(
    ("symbol", "day", "previous", "expected"),
    [
        ("600519.SH", "2024-01-02", 10.05, (9.05, 11.06)),  # 11.055 and 9.045 round half up
        ("600519.SH", "2024-01-02", 1726.0, (1553.4, 1898.6)),
        ("300750.SZ", "2024-01-02", 10.05, (8.04, 12.06)),
        ("688981.SH", "2024-01-02", 0.97, (0.78, 1.16)),
        ("AAPL", "2024-01-02", 190.0, (0.0, np.inf)),
    ],
)
def test_limit_prices_round_half_up(symbol, day, previous, expected):
    assert limit_prices(symbol, day, previous) == pytest.approx(expected, abs=1e-9)


def test_halves_go_up_however_binary_holds_them():
    assert round_half_up([11.055, 2.675, 0.005, 1.0]).tolist() == [11.06, 2.68, 0.01, 1.0]


def test_a_price_in_cents_is_at_its_limit_to_the_cent():
    assert at_limit([11.06, 11.05, 11.07], 10.05, 0.1).tolist() == [True, False, True]
    assert at_limit([9.05, 9.06], 10.05, 0.1, "down").tolist() == [True, False]
    assert at_limit(11.0, [10.0, 10.0], [0.1, np.inf]).tolist() == [True, False]


def test_a_price_that_was_a_32_bit_float_is_at_its_limit():
    """41.37 as such a float is 41.369999: on 2024-10-08 many stocks opened at such limits."""
    assert at_limit(np.float64(np.float32(41.37)), np.float64(np.float32(37.61)), 0.1)
    assert at_limit(np.float64(np.float32(284.34)), np.float64(np.float32(258.49)), 0.1)
    assert not at_limit(np.float64(np.float32(284.33)), np.float64(np.float32(258.49)), 0.1)


@pytest.mark.parametrize("share", [0.9137246, 0.30771, 5.81234])
def test_an_adjusted_price_is_at_the_limit_its_raw_price_was_at(share):
    """The limit was rounded to a cent before the adjustment took the cents away; the price one per cent below it is not at the limit."""
    raw = np.round(np.random.default_rng(0).uniform(4, 60, 500), 2)
    upper, lower = round_half_up(raw * 1.1), round_half_up(raw * 0.9)
    assert at_limit(upper * share, raw * share, 0.1).mean() > 0.95 and at_limit(lower * share, raw * share, 0.1, "down").mean() > 0.95
    assert at_limit(upper * share * 0.99, raw * share, 0.1).mean() < 0.02 and at_limit(lower * share * 1.01, raw * share, 0.1, "down").mean() < 0.02


@pytest.mark.parametrize(
    ("day", "buy", "sell", "transfer"),
    [
        ("1999-01-04", 0.004, 0.004, 0.0),  # where a download begins, unless it is told otherwise
        ("2001-11-15", 0.004, 0.004, 0.0),
        ("2001-11-16", 0.002, 0.002, 0.0),
        ("2005-01-24", 0.001, 0.001, 0.0),
        ("2007-05-30", 0.003, 0.003, 0.0),
        ("2008-04-24", 0.001, 0.001, 0.0),
        ("2008-09-18", 0.001, 0.001, 0.0),
        ("2008-09-19", 0.0, 0.001, 0.0),
        ("2015-08-01", 0.0, 0.001, 0.00002),
        ("2022-04-29", 0.0, 0.001, 0.00001),
        ("2023-08-25", 0.0, 0.001, 0.00001),
        ("2023-08-28", 0.0, 0.0005, 0.00001),
    ],
)
def test_fees_by_date(day, buy, sell, transfer):
    found = fees(day)
    assert (found.stamp_buy, found.stamp_sell, found.transfer) == (buy, sell, transfer)


@pytest.mark.real
def test_limits_hold_in_real_bars(real_data):
    """With the exchange's own reference close, hardly any bar lies outside the limits of its day."""
    import pandas as pd

    bars = pd.read_parquet(
        real_data / "a_share_daily_unadjusted" / "all.parquet", filters=[("symbol", "in", ["600519.SH", "300122.SZ", "000100.SZ"])]
    )
    for symbol, part in bars.groupby("symbol"):
        name = "chinext" if symbol.startswith("300") else "main"
        limit = price_limit(name, part["date"].to_numpy())
        top = round_half_up(part["preclose"].to_numpy(np.float64) * (1 + limit))
        assert (part["high"].to_numpy(np.float64) <= top + 1e-3).all(), symbol
