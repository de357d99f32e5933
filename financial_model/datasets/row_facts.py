"""What each row of a panel knows beyond its features: prices, trailing volatility and turnover, whether it could be traded, the demo market's truth.

In: packed bars. Out: one array per fact, row by row. Causal: no row knows a later bar, not even in its last bit. It writes nothing.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import NDArray

from financial_model.datasets.panel import ORACLE_HORIZONS
from financial_model.datasets.splits import iso
from financial_model.errors import DataError
from financial_model.features.labels import OPENS_AT_LIMIT_DOWN, OPENS_AT_LIMIT_UP, TRADES
from financial_model.market.bars import interval
from financial_model.market.rules import LIMITS, at_limit, price_limit
from financial_model.market.symbols import board

if TYPE_CHECKING:
    from financial_model.market.bars import PackedBars

VOLATILITY_BARS, VOLATILITY_FLOOR = 21, 0.002
"""Bars it is measured over; the least there is for daily bars."""
_FIRST_RETURNS, _TYPICAL_VOLATILITY = 5, 0.02
AMOUNT_BARS = 20
_SPACING_BARS = 500
"""Bars of the first stock that tell how far bars lie apart."""


def price_columns(bars: PackedBars) -> NDArray[np.float64]:
    """[rows, 4] log adjusted close, log adjusted open, raw close, raw open. ``DataError`` for a price that is not positive and finite."""
    adjusted = np.stack([bars.close * bars.factor, bars.open * bars.factor], 1)
    wrong = ~(np.isfinite(adjusted) & (adjusted > 0)).all(1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        stock = int(np.searchsorted(bars.offsets, row, side="right")) - 1
        raise DataError("panel.bad_price", symbol=bars.symbols[stock], date=iso(bars.time[row]), open=float(bars.open[row]),
                        close=float(bars.close[row]), factor=float(bars.factor[row]))
    return np.column_stack([np.log(adjusted), bars.close, bars.open])


def volatility_scale(time: NDArray[np.int64], offsets: NDArray[np.int64]) -> float:
    """What the floor of a volatility is multiplied with: 1 for daily bars, the square root of the share of a day for shorter ones.

    A one-minute return is about a thirtieth of a daily one: with the daily floor every quiet minute would look alike.
    """
    seconds = interval(time[:min(int(offsets[1]), _SPACING_BARS)].astype("datetime64[s]")) if len(offsets) > 1 else 0
    return (seconds / 86_400) ** 0.5 if seconds else 1.0


@numba.njit(cache=True, nogil=True)
def trailing_volatility(log_close, offsets, scale=1.0):
    """[rows] float32 standard deviation of the last 21 log returns (of those there are; 0.02 before the fifth), at least 0.002.

    ``scale`` multiplies these two figures for bars that are not daily (:func:`volatility_scale`). Each row is summed on its own: later bars cannot
    change it, not even in the last bit.
    """
    result = np.empty(log_close.shape[0], np.float32)
    for stock in range(offsets.shape[0] - 1):
        first = offsets[stock]
        for row in range(first, offsets[stock + 1]):
            count = min(row - first, VOLATILITY_BARS)
            if count < _FIRST_RETURNS:
                result[row] = _TYPICAL_VOLATILITY * scale
                continue
            mean = (log_close[row] - log_close[row - count]) / count
            total = 0.0
            for k in range(row - count + 1, row + 1):
                distance = log_close[k] - log_close[k - 1] - mean
                total += distance * distance
            result[row] = max(np.sqrt(total / (count - 1)), VOLATILITY_FLOOR * scale)
    return result


@numba.njit(cache=True, nogil=True)
def trailing_amount(amount, close, volume, offsets):
    """[rows] float32 money traded a bar, in the currency of the prices: mean of the last 20 bars (of those there are) for which it is known.

    Where a source names no amount it is close x volume; NaN where none of these bars has either. Each row is summed on its own.
    """
    result = np.empty(amount.shape[0], np.float32)
    for stock in range(offsets.shape[0] - 1):
        first = offsets[stock]
        for row in range(first, offsets[stock + 1]):
            total, known = 0.0, 0
            for k in range(max(first, row - AMOUNT_BARS + 1), row + 1):
                money = close[k] * volume[k] if np.isnan(amount[k]) else amount[k]
                if np.isfinite(money):
                    total += money
                    known += 1
            result[row] = total / known if known else np.nan
    return result


def tradable_flags(bars: PackedBars) -> NDArray[np.uint8]:
    """[rows] TRADES where there was volume and no suspension, and whether the bar opened at its upper or lower price limit.

    Special treatment narrows the limit on the days the source marks (``is_st``); days it says nothing of count as ordinary ones.
    """
    trades = bars.volume > 0
    if "tradable" in bars.extra:
        trades &= ~(bars.extra["tradable"] == 0)
    flags = np.zeros(len(trades), np.uint8)
    flags[trades] = TRADES
    special = bars.extra["is_st"] == 1 if "is_st" in bars.extra else np.zeros(len(trades), bool)
    for stock, symbol in enumerate(bars.symbols):
        rows = slice(int(bars.offsets[stock]), int(bars.offsets[stock + 1]))
        np.bitwise_or(flags[rows], _limit_flags(symbol, bars.time[rows], bars.open[rows], bars.close[rows], bars.factor[rows], special[rows]),
                      out=flags[rows])
    return flags


def _limit_flags(symbol: str, time: NDArray, opened: NDArray, close: NDArray, factor: NDArray, special: NDArray) -> NDArray[np.uint8]:
    flags, kind = np.zeros(len(time), np.uint8), board(symbol)
    if len(time) < 2 or kind not in LIMITS:
        return flags
    reference = close[:-1] * factor[:-1] / factor[1:]  # on an ex-day the ex-reference price
    age = np.arange(2, len(time) + 1)
    for side, bit in (("up", OPENS_AT_LIMIT_UP), ("down", OPENS_AT_LIMIT_DOWN)):
        flags[1:][at_limit(opened[1:], reference, price_limit(kind, time[1:], st=special[1:], listed_days=age, side=side), side)] |= bit
    return flags


def oracle_rows(bars: PackedBars, truth: Path) -> NDArray[np.float32]:
    """[rows, 10] the demo market's true expectations by symbol and date, NaN where it has none. ``DataError`` when the file cannot be read."""
    try:
        with np.load(truth, allow_pickle=False) as archive:
            symbols, time, expected = archive["symbols"].astype(str), archive["time"].astype(np.int64), archive["expected"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError("panel.bad_truth", path=str(truth), reason=str(error)[:200]) from error
    column = {symbol: i for i, symbol in enumerate(symbols)}
    result = np.full((len(bars.time), ORACLE_HORIZONS), np.nan, np.float32)
    for stock, symbol in enumerate(bars.symbols):
        if symbol not in column:
            continue
        rows = np.arange(bars.offsets[stock], bars.offsets[stock + 1])
        day = np.minimum(np.searchsorted(time, bars.time[rows]), len(time) - 1)
        known = time[day] == bars.time[rows]
        result[rows[known]] = expected[day[known], column[symbol], :ORACLE_HORIZONS]
    return result


@numba.njit(cache=True, nogil=True)
def finite_rows(values):
    """uint8 ``[rows]``: 1 where all of the float32 ``values [rows, features]`` are finite."""
    out = np.empty(values.shape[0], np.uint8)
    for t in range(values.shape[0]):
        line, gaps = values[t], 0
        for i in range(line.size):
            gaps += line[i] - line[i] != 0.0
        out[t] = gaps == 0
    return out


@numba.njit(cache=True, nogil=True)
def fill_gaps(values):
    """Put 0 where the float32 ``values [rows, features]`` are not finite."""
    for t in range(values.shape[0]):
        line = values[t]
        for i in range(line.size):
            v = line[i]
            line[i] = v if v - v == 0.0 else np.float32(0.0)
