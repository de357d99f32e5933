"""Figures of a universe as plain tables: stocks, industries, coverage, gaps, correlations.

In: packed bars and, per row, what ``universe.conditions`` says. Out: lists and dictionaries of plain numbers, ready for JSON.
It reads no store and knows no sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from financial_model.config import CONDITIONS, INDUSTRIES, REGIMES
from financial_model.features import symbol_sums
from financial_model.features.cross_section import positions
from financial_model.features.series import Series
from financial_model.features.style import market_value

POINTS, TOP_STOCKS, TOP_GAPS = 300, 30, 60
"""Dates of a curve, stocks of the correlation matrix, stocks of the table of gaps."""
CORRELATION_DAYS, CORRELATION_LEAST = 504, 40
FRESH_DAYS = 30
"""A stock whose last bar is older than this, counted from the last date, no longer trades."""
_YEAR = 365.25 * 86_400
LABELS = {name: (*labels, "unknown") for name, labels in CONDITIONS.items()}


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Packed bars and the part of them that is looked at: rows from ``start`` (seconds) on."""

    bars: Any
    codes: np.ndarray
    """int8 [rows, 6] of ``universe.conditions``."""
    start: int

    @cached_property
    def series(self) -> Series:
        return Series(self.bars)

    @cached_property
    def inside(self) -> np.ndarray:
        return self.bars.time >= self.start

    @cached_property
    def dates(self) -> np.ndarray:
        """Times that occur in the stretch, ascending."""
        return np.sort(_unique(self.bars.time[self.inside]))

    @cached_property
    def date_of(self) -> np.ndarray:
        """int64 [rows]: position of the row's time in ``dates``; without meaning outside the stretch."""
        return positions(self.bars.time, self.dates)

    @cached_property
    def steps(self) -> np.ndarray:
        """bool [rows]: inside, and with a return from a bar inside."""
        known = self.inside & np.isfinite(self.series.log_return)
        known[1:] &= self.inside[:-1]
        return known

    @cached_property
    def last(self) -> np.ndarray:
        """int64 [symbols]: last row of each symbol."""
        return self.bars.offsets[1:] - 1

    @cached_property
    def fresh(self) -> np.ndarray:
        """bool [symbols]: still trading on the last date."""
        return self.bars.time[self.last] > self.bars.time.max() - FRESH_DAYS * 86_400

    @cached_property
    def bars_per_year(self) -> float:
        return (len(self.dates) - 1) / self.years if self.years > 0.2 else 252.0

    @cached_property
    def years(self) -> float:
        """From the first to the last date."""
        return float(self.dates[-1] - self.dates[0]) / _YEAR


def _unique(values: np.ndarray) -> np.ndarray:
    import pandas as pd

    return pd.unique(values)


def day(seconds: int) -> str:
    return str(np.datetime64(int(seconds), "s").astype("datetime64[D]"))


def plain(values: Any, digits: int = 6) -> Any:
    """Nested lists of numbers for JSON; what is not finite becomes None."""
    if isinstance(values, np.ndarray):
        return [plain(item, digits) for item in values.tolist()]
    if isinstance(values, list):
        return [plain(item, digits) for item in values]
    return None if isinstance(values, float) and not np.isfinite(values) else (round(values, digits) if isinstance(values, float) else values)


def weights(stretch: Stretch) -> tuple[np.ndarray, str]:
    """``[symbols]`` market value on the last bar, or money traded a day over the last 60 bars where fewer than half are known; and which."""
    value = np.exp(market_value(stretch.series)[stretch.last])
    if np.isfinite(value).mean() > 0.5:
        return np.where(np.isfinite(value), value, np.nanmedian(value)), "market_value"
    recent = [slice(max(first, last - 59), last + 1) for first, last in zip(stretch.bars.offsets[:-1].tolist(), stretch.last.tolist(), strict=True)]
    return np.array([stretch.series.amount[rows].mean() for rows in recent]), "traded"


def stock_table(stretch: Stretch, weight: np.ndarray, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """One entry per symbol: size weight, return over the stretch and the last 21 bars, yearly figures, labels on its last date."""
    bars, close = stretch.bars, stretch.series.log_close
    count, total, square = symbol_sums.return_sums(stretch.series.log_return, stretch.steps, bars.offsets)
    mean, spread = total / np.maximum(count, 1), np.sqrt(square / np.maximum(count - 1, 1))
    month = close[stretch.last] - close[np.maximum(stretch.last - 21, bars.offsets[:-1])]
    inside = symbol_sums.count(stretch.inside, bars.offsets)
    sessions = np.searchsorted(stretch.dates, bars.time[stretch.last], side="right") - np.searchsorted(stretch.dates, bars.time[bars.offsets[:-1]])
    year = stretch.bars_per_year
    rows = []
    for s, symbol in enumerate(bars.symbols):
        labels = {name: LABELS[name][stretch.codes[stretch.last[s], column]] for column, name in enumerate(CONDITIONS) if name != "regime"}
        rows.append({
            "symbol": symbol, "name": names.get(symbol, ""), **labels, "weight": plain(float(weight[s])),
            "change": plain(float(np.expm1(total[s]))), "change_month": plain(float(np.expm1(month[s]))),
            "annual_return": plain(float(np.expm1(mean[s] * year))), "annual_volatility": plain(float(spread[s] * np.sqrt(year))),
            "close": plain(float(bars.close[stretch.last[s]])), "rows": int(inside[s]), "first": day(bars.time[bars.offsets[s]]),
            "last": day(bars.time[stretch.last[s]]), "missing": plain(float(max(1 - inside[s] / max(sessions[s], 1), 0.0))),
            "trading": bool(stretch.fresh[s]),
        })
    return rows


def industry_table(stocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Industries by size: number of stocks, share of the weight, weighted returns."""
    everything = sum(stock["weight"] or 0.0 for stock in stocks) or 1.0
    rows = []
    for name in LABELS["industry"]:
        own = [stock for stock in stocks if stock["industry"] == name]
        weight = np.array([stock["weight"] or 0.0 for stock in own])
        if own:
            share = weight / weight.sum() if weight.sum() > 0 else np.full(len(own), 1 / len(own))
            rows.append({"industry": name, "stocks": len(own), "share": plain(float(weight.sum() / everything)), **{
                key: plain(float(np.nansum(share * [stock[key] if stock[key] is not None else np.nan for stock in own])))
                for key in ("change", "change_month", "annual_volatility")}})
    return sorted(rows, key=lambda row: -row["share"])


def coverage(stretch: Stretch) -> dict[str, list]:
    """Number of stocks with a bar on each date (at most ``POINTS`` of them)."""
    names = np.bincount(stretch.date_of[stretch.inside], minlength=len(stretch.dates))
    keep = _thin(len(names))
    return {"dates": [day(t) for t in stretch.dates[keep]], "stocks": names[keep].tolist()}


def style_counts(stretch: Stretch) -> dict[str, dict[str, int]]:
    """How many trading stocks carry each label on the last date, per condition; for the regime, how many dates of the stretch."""
    now = stretch.codes[stretch.last[stretch.fresh]]
    counts = {name: np.bincount(now[:, column], minlength=len(LABELS[name])) for column, name in enumerate(CONDITIONS) if name != "regime"}
    return {name: dict(zip(LABELS[name], map(int, values), strict=True)) for name, values in counts.items()}


def regime_ribbon(stretch: Stretch, regimes: np.ndarray) -> dict[str, list]:
    """Index and regime per market date of the stretch: ``dates``, ``close``, ``regime`` (index into REGIMES, beyond it unknown)."""
    days = stretch.bars.market_time >= stretch.start
    return {"dates": [day(t) for t in stretch.bars.market_time[days]], "close": plain(stretch.bars.market_close[days], 4),
            "regime": regimes[days].tolist(), "names": list(REGIMES)}


def correlations(stretch: Stretch, weight: np.ndarray) -> dict[str, dict[str, list]]:
    """Correlation of daily returns over the last two years: industries (equal weight within) and the largest trading stocks, alike ones together."""
    bars, change = stretch.bars, stretch.series.log_return
    dates = stretch.dates[-CORRELATION_DAYS:]
    rows = np.flatnonzero(stretch.steps & (bars.time >= dates[0]))
    day_of, industry = stretch.date_of[rows] - (len(stretch.dates) - len(dates)), stretch.codes[rows, 0].astype(np.int64)
    cell = day_of * len(LABELS["industry"]) + industry
    size = len(dates) * len(LABELS["industry"])
    count = np.bincount(cell, minlength=size)
    with np.errstate(invalid="ignore"):
        daily = (np.bincount(cell, change[rows], size) / count).reshape(len(dates), -1)
    present = [i for i in range(len(INDUSTRIES)) if np.isfinite(daily[:, i]).sum() >= CORRELATION_LEAST]
    largest = np.flatnonzero(stretch.fresh)
    largest = largest[np.argsort(-weight[largest], kind="stable")[:TOP_STOCKS]]
    column = np.full(len(bars.symbols), -1)
    column[largest] = np.arange(len(largest))
    column_of = np.repeat(column, np.diff(np.searchsorted(rows, bars.offsets)))
    chosen = column_of >= 0
    own = np.full((len(dates), len(largest)), np.nan)
    own[day_of[chosen], column_of[chosen]] = change[rows[chosen]]
    return {"industries": _together([INDUSTRIES[i] for i in present], correlation_matrix(daily[:, present])),
            "stocks": _together([bars.symbols[s] for s in largest], correlation_matrix(own))}


def _together(names: list[str], matrix: np.ndarray) -> dict[str, list]:
    order = clustered(matrix)
    return {"names": [names[place] for place in order], "matrix": plain(matrix[np.ix_(order, order)], 4)}


def clustered(matrix: np.ndarray) -> np.ndarray:
    """The order in which columns of a correlation matrix that move alike stand beside each other: average linkage on one minus the correlation.

    A pair whose correlation is not known counts as unrelated.
    """
    if len(matrix) < 3:
        return np.arange(len(matrix))
    from scipy.cluster.hierarchy import leaves_list, linkage

    distance = 1.0 - np.nan_to_num(matrix)
    return leaves_list(linkage(distance[np.triu_indices(len(matrix), 1)], "average", optimal_ordering=True))


def correlation_matrix(values: np.ndarray) -> np.ndarray:
    """Pairwise correlation of columns over the rows both know; NaN below ``CORRELATION_LEAST`` of them or where one does not vary."""
    known = np.isfinite(values).astype(float)
    filled = np.where(known > 0, values - np.nanmean(values, axis=0) if len(values) else values, 0.0)
    count = known.T @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (filled.T @ known) / count  # of the row's column, over the rows the pair shares
        square = (filled**2).T @ known / count - mean**2
        value = (filled.T @ filled / count - mean * mean.T) / np.sqrt(square * square.T)
    return np.where(count >= CORRELATION_LEAST, np.clip(value, -1, 1), np.nan)


def missing_by_month(stretch: Stretch) -> dict[str, list]:
    """Share of sessions without a trade per month, for the stocks that miss most; None before a stock's first and after its last month."""
    bars = stretch.bars
    months = stretch.dates.astype("datetime64[s]").astype("datetime64[M]")
    calendar, month_of = np.unique(months, return_inverse=True)
    width = len(calendar)
    traded = symbol_sums.count_by_bin(stretch.inside & (bars.volume > 0), month_of, stretch.date_of, bars.offsets, width)
    begin = np.searchsorted(stretch.dates, bars.time[bars.offsets[:-1]])
    end = np.searchsorted(stretch.dates, bars.time[stretch.last], side="right")
    edges = np.searchsorted(month_of, np.arange(width + 1))
    expected = np.clip(np.minimum(edges[None, 1:], end[:, None]) - np.maximum(edges[None, :-1], begin[:, None]), 0, None)
    absent = np.maximum(expected - traded, 0)
    order = np.argsort(-absent.sum(axis=1) / np.maximum(expected.sum(axis=1), 1), kind="stable")[:TOP_GAPS]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(expected > 0, absent / expected, np.nan)
        overall = absent.sum(axis=0) / expected.sum(axis=0)
    return {"symbols": [bars.symbols[s] for s in order], "months": [str(month) for month in calendar], "share": plain(share[order], 4),
            "all": plain(overall, 4)}


def _thin(count: int) -> np.ndarray:
    """Positions of at most ``POINTS`` evenly spread points, the last one kept."""
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(np.int64))
