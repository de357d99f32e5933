"""The market a portfolio trades in, as matrices over days and stocks.

In: packed bars, or the matrices themselves. Out: `MarketDays`, and a forecast's scores on the same grid. Prices are raw, as traded.
It knows no portfolio and no cost; price limits come from the dated rules of the market layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from financial_model.config import INDUSTRIES
from financial_model.errors import DataError
from financial_model.features.labels import OPENS_AT_LIMIT_DOWN, OPENS_AT_LIMIT_UP, TRADES
from financial_model.market.packing import EQUAL_WEIGHT
from financial_model.market.symbols import board

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.market.bars import PackedBars
    from financial_model.models.prediction import Prediction

Array = np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class MarketDays:
    """Bars on a grid: [days, stocks], NaN where a stock has no bar."""

    time: Array
    """int64 [days] seconds"""
    symbols: tuple[str, ...]
    open: Array
    close: Array
    """float64 raw prices"""
    factor: Array
    """float64 cumulative backward adjustment"""
    amount: Array
    """float64 traded value of the day in currency; inf where it limits nothing"""
    flags: Array
    """uint8 bits TRADES, OPENS_AT_LIMIT_UP, OPENS_AT_LIMIT_DOWN of the panel; 0 without a bar"""
    index: Array | None = None
    """float64 [days] level of the market index"""
    index_name: str = ""
    st_known: bool = False
    """Whether the source marks the days of special treatment; ``flags`` then follow its narrower limit"""
    industries: tuple[int, ...] = ()
    """[stocks] number of each stock's industry; empty where they are not known"""

    def boards(self) -> list[str]:
        return [board(symbol) for symbol in self.symbols]

    def trades(self, day: int, stock: int) -> bool:
        return bool(self.flags[day, stock] & TRADES)

    def opens_at_limit(self, day: int, stock: int, side: str) -> bool:
        return bool(self.flags[day, stock] & (OPENS_AT_LIMIT_UP if side == "buy" else OPENS_AT_LIMIT_DOWN))

    def equal_weight(self) -> Array:
        """Mean return over the stocks with a bar, each against its last close before: float64 [days], 0 on the first.

        So a stock that comes back from a suspension brings the whole step, as it does to a portfolio that holds it.
        """
        adjusted = self.close * self.factor
        row = np.where(np.isfinite(adjusted), np.arange(len(adjusted))[:, None], 0)
        before = np.take_along_axis(adjusted, np.maximum.accumulate(row, axis=0), axis=0)[:-1]
        change = adjusted[1:] / before - 1
        known = np.isfinite(change)
        mean = np.where(known, change, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        return np.concatenate([[0.0], mean])

    def index_returns(self) -> Array | None:
        """Close-to-close return of the index: float64 [days], 0 on the first; None without an index."""
        return None if self.index is None else np.concatenate([[0.0], self.index[1:] / self.index[:-1] - 1])


def market_days(bars: PackedBars, *, first: int | None = None, last: int | None = None, industries: Mapping[str, str] | None = None) -> MarketDays:
    """The sessions from ``first`` to ``last`` (seconds, inclusive) of ``bars``. ``DataError`` when there is none.

    ``industries``: symbol -> name out of config.INDUSTRIES; a symbol without one belongs to ``other``.
    """
    from financial_model.datasets.row_facts import tradable_flags

    inside = np.ones(len(bars.time), bool)
    if first is not None:
        inside &= bars.time >= first
    if last is not None:
        inside &= bars.time <= last
    rows = np.flatnonzero(inside)
    if not len(rows):
        raise DataError("evaluation.no_sessions")
    time, day = np.unique(bars.time[rows], return_inverse=True)
    stock = np.searchsorted(bars.offsets, rows, side="right") - 1
    shape = (len(time), len(bars.symbols))

    def grid(values: Array, missing: float = np.nan) -> Array:
        matrix = np.full(shape, missing, values.dtype)
        matrix[day, stock] = values[rows]
        return matrix

    amount = np.where(np.isfinite(bars.amount), bars.amount, bars.volume * (bars.open + bars.close) / 2)
    return MarketDays(
        time=time, symbols=tuple(bars.symbols), open=grid(bars.open), close=grid(bars.close), factor=grid(bars.factor), amount=grid(amount),
        flags=grid(tradable_flags(bars), 0), index=_index_levels(bars, time), index_name=bars.market_name,
        st_known=bool(np.isfinite(bars.extra.get("is_st", np.array([np.nan]))).any()),
        industries=tuple(INDUSTRIES.index(industries.get(symbol, "other")) for symbol in bars.symbols) if industries else ())


def _index_levels(bars: PackedBars, time: Array) -> Array | None:
    """Level of the index on each session, its last known one where it has no bar; None when it begins later, or when there is none and the mean
    of the stocks stands for it: they are beside the portfolio anyway."""
    if bars.market_name == EQUAL_WEIGHT:
        return None
    position = np.searchsorted(bars.market_time, time, side="right") - 1
    return None if not len(bars.market_time) or position[0] < 0 else bars.market_close[position]


def scores(prediction: Prediction, panel: Panel, days: MarketDays, *, horizon: int | None = None) -> Array:
    """Expected log return at ``horizon`` (default: the full one) on the grid of ``days``: float64 [days, stocks], NaN without a forecast.

    The score stands on the day its window ends; it can be traded on the next.
    """
    column = (prediction.expected.shape[1] if horizon is None else horizon) - 1
    position = {symbol: i for i, symbol in enumerate(days.symbols)}
    stock_of = np.array([position.get(symbol, -1) for symbol in panel.symbols], np.int64)
    stock, time = stock_of[panel.symbol_index(prediction.end)], panel.time[prediction.end]
    day = np.minimum(np.searchsorted(days.time, time), len(days.time) - 1)
    known = (days.time[day] == time) & (stock >= 0)
    matrix = np.full((len(days.time), len(days.symbols)), np.nan)
    matrix[day[known], stock[known]] = prediction.expected[known, column]
    return matrix
