"""Many symbols end to end: the only form in which features see bars.

In: a store and symbols. Out: ``PackedBars``, flat arrays with one offset per symbol, and the market series beside them.
It reads bar files directly (thousands of them, so threads and no tables); it knows no features and no labels.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from financial_model.errors import DataError
from financial_model.market.barfile import Columns, decode

if TYPE_CHECKING:
    from financial_model.market.store import Store

_CORE = ("open", "high", "low", "close", "volume", "amount", "factor")
INDICES = {"CN": ("000300.SH", "000001.SH"), "US": ("^GSPC",)}
"""Index that stands for the market, in order of preference."""
EQUAL_WEIGHT = "equal_weight"
DAILY_FLAGS = ("trade_status", "is_st")
"""Extra columns that the rules of trading read."""
_COVERAGE = 0.95


@dataclass(frozen=True, kw_only=True)
class PackedBars:
    """Bars of many symbols. Rows of one symbol are contiguous and ascending in time; symbols keep the order asked for."""

    symbols: tuple[str, ...]
    offsets: NDArray[np.int64]
    """[symbols + 1]"""
    time: NDArray[np.int64]
    """[rows] seconds since 1970, exchange time; daily bars at midnight."""
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    """[rows] shares; 0 on suspended days."""
    amount: NDArray[np.float64]
    """[rows] currency; NaN where unknown."""
    factor: NDArray[np.float64]
    extra: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """name -> [rows], NaN where a symbol lacks the column. ``tradable`` (1 or 0) is always there."""
    market_time: NDArray[np.int64]
    market_close: NDArray[np.float64]
    market_name: str
    industries: tuple[str, ...] = ()
    """Name of each symbol's industry, "" where unknown; nothing at all where nobody said."""

    def adjusted(self, name: str) -> NDArray[np.float64]:
        """[rows] open, high, low or close times factor."""
        return getattr(self, name) * self.factor

    def rows(self, symbol: str) -> slice:
        """Rows of one symbol. Raises ``DataError`` when it is not among them."""
        try:
            index = self.symbols.index(symbol)
        except ValueError:
            raise DataError("bars.not_packed", symbol=symbol) from None
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))


def pack(store: Store, symbols: Sequence[str], *, start: str = "", end: str = "", columns: Collection[str] | None = None) -> PackedBars:
    """Bars of ``symbols`` from ``start`` to ``end`` (ISO dates, both included; empty: all).

    Symbols without a bar in the range are left out. ``columns`` limits the extra columns read (None: all of them).
    Raises ``NotFoundError`` for an unknown symbol, ``DataError`` for damaged files, mixed bar lengths, or when nothing is left.
    """
    paths = [store.bar_path(symbol) for symbol in symbols]
    store.check_intervals(symbols)
    wanted = None if columns is None else {"date", *_CORE, *columns}
    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        tables = list(pool.map(lambda path: _cut(_checked(path, wanted), start, end), paths))
    kept = [index for index, table in enumerate(tables) if len(table["date"])]
    if not kept:
        raise DataError("bars.nothing_in_range", start=start or "-", end=end or "-", count=len(paths))
    names = tuple(str(symbols[index]) for index in kept)
    tables = [tables[index] for index in kept]
    lengths = [len(table["date"]) for table in tables]
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)

    def joined(name: str) -> NDArray[np.float64]:
        return np.concatenate([table[name] if name in table else np.full(length, np.nan) for table, length in zip(tables, lengths, strict=True)])

    core = {name: joined(name) for name in _CORE}
    extra = {name: joined(name) for name in sorted({name for table in tables for name in table} - {"date", *_CORE})}
    extra["tradable"] = ((core["volume"] > 0) & ~(extra["trade_status"] == 0 if "trade_status" in extra else False)).astype(np.float64)
    time = np.concatenate([table["date"] for table in tables])
    market_time, market_close, market_name = _market(store, names, offsets, time, core, extra["tradable"] > 0, end)
    industries = store.industries()
    return PackedBars(symbols=names, offsets=offsets, time=time, extra=extra, **core, industries=tuple(industries.get(name, "") for name in names),
                      market_time=market_time, market_close=market_close, market_name=market_name)


def _checked(path: Path, wanted: Collection[str] | None) -> Columns:
    """A bar file that still keeps the schema; people may edit these files, so what arithmetic relies on is looked at again."""
    table = decode(path, wanted)
    table.setdefault("amount", np.full(len(table["date"]), np.nan))
    table.setdefault("factor", np.ones(len(table["date"])))
    for name in _CORE:
        if name not in table:
            raise DataError("bars.damaged", name=path.name, reason=name)
        if name in ("open", "high", "low", "close", "factor") and not (np.isfinite(table[name]) & (table[name] > 0)).all():
            raise DataError("bars.damaged", name=path.name, reason=name)
    if (np.diff(table["date"]) <= 0).any():
        raise DataError("bars.damaged", name=path.name, reason="date")
    return table


def _cut(table: Columns, start: str, end: str) -> Columns:
    if not start and not end:
        return table
    low = np.searchsorted(table["date"], _second(start)) if start else 0
    high = np.searchsorted(table["date"], _second(end, after=1)) if end else len(table["date"])
    return {name: values[low:high] for name, values in table.items()}


def _second(day: str, after: int = 0) -> int:
    try:
        return int((np.datetime64(day, "D") + after).astype("datetime64[s]").astype(np.int64))
    except ValueError:
        raise DataError("bars.bad_range", value=str(day)[:40]) from None


def _market(store: Store, symbols: tuple[str, ...], offsets: NDArray, time: NDArray, core: dict[str, NDArray], traded: NDArray,
            end: str) -> tuple[NDArray[np.int64], NDArray[np.float64], str]:
    """Time, close and name of the market series: the index of the store if it covers the universe's days, else the equal-weight chain.

    Earlier index history than the universe's is kept: a regime needs a year before the first bar.
    """
    codes, days = _day_numbers(time)
    chinese = sum(symbol.endswith((".SH", ".SZ", ".BJ")) for symbol in symbols)
    for name in INDICES["CN" if 2 * chinese >= len(symbols) else "US"]:
        if store.has(name):
            table = _cut(_checked(store.bar_path(name), {"date", *_CORE}), "", end)
            covered = np.isin(days, table["date"], assume_unique=True).mean()
            if covered >= _COVERAGE and len(table["date"]) and table["date"][-1] >= days[-1]:
                return table["date"], table["close"] * table["factor"], name
    return days, _equal_weight(offsets, codes, len(days), core["close"] * core["factor"], traded), EQUAL_WEIGHT


def _day_numbers(time: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(number of each row's time among the sorted distinct times, those times). Hashing beats sorting ten million rows."""
    codes, uniques = pd.factorize(time)
    order = np.argsort(uniques)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[codes], uniques[order]


def _equal_weight(offsets: NDArray, day: NDArray, days: int, close: NDArray, traded: NDArray) -> NDArray[np.float64]:
    """[days] level, 1000 on the first day, moved by the mean log return of the stocks traded on a day and on the day before it."""
    step = np.diff(np.log(close), prepend=np.log(close[0]))
    usable = traded & np.roll(traded, 1) & (np.diff(day, prepend=-2) == 1)
    usable[offsets[:-1]] = False
    total = np.bincount(day[usable], step[usable], minlength=days)
    count = np.bincount(day[usable], minlength=days)
    return 1000 * np.exp(np.cumsum(total / np.maximum(count, 1)))
