"""Style of every stock on every date: size, value, volatility, momentum, each relative to the names of its date and market.

In: packed bars. Out: labels for people (int8 ``[rows, 4]``, the index after the last name where unknown) and continuous ranks for models
(float32 ``[rows, 4]`` in -0.5..0.5, 0 where unknown). Only bars up to the date count: there is no "today's style" carried back.
Thresholds are shares of names, because a fixed sum of money or a fixed percentage drifts with the level of the market.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from financial_model.config import MOMENTA, SIZES, VALUES, VOLATILITIES
from financial_model.features.blocks import blocks, date_parts, evaluation, groups_by_date, run
from financial_model.features.cross_section import rank
from financial_model.features.indicators.momentum import momentum_between
from financial_model.features.series import TURNOVER, Series, ratio

MINIMUM_NAMES = 50
"""With fewer known names on a date nothing can be said about shares of names."""
CUTS: dict[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "size": (SIZES, (0.05, 0.10, 0.20, 0.35, 0.30)),
    "value": (VALUES, (0.10, 0.20, 0.40, 0.30)),
    "volatility": (VOLATILITIES[::-1], (1 / 3, 1 / 3, 1 / 3)),
    "momentum": (MOMENTA[:4], (0.2, 0.2, 0.2, 0.4)),
}
"""Names from the top of the ranking down, and the share of names that carries each."""
OUTER = 0.3
"""A rank above this is in the best fifth, below minus this in the worst."""


def market_value(bars: Series) -> np.ndarray:
    """Log of market value ``[rows]``: raw close x total shares, else x float shares, else traded money over turnover of 20 bars; NaN if none."""
    close = bars.raw("close")
    found = np.full(len(bars), np.nan)
    for name in ("total_shares", "float_shares"):
        shares = bars.extra(name)
        if shares is not None:
            found = np.where(np.isnan(found), close * shares, found)
    turnover = bars.extra(*TURNOVER)
    if turnover is not None:
        implied = 100.0 * ratio(bars.sum("amount", 20), bars.sum(np.nan_to_num(turnover), 20), empty=np.nan)
        found = np.where(np.isnan(found), implied, found)
    return np.log(np.where(found > 0, found, np.nan))


def book_to_price(bars: Series) -> np.ndarray:
    """Book value over price ``[rows]``: book per share over raw close, else 1 / P/B; NaN where unknown or not positive."""
    found = np.full(len(bars), np.nan)
    book, pb = bars.extra("book_per_share"), bars.extra("pb", "pb_mrq")
    if book is not None:
        found = book / bars.raw("close")
    if pb is not None:
        found = np.where(np.isnan(found), ratio(1.0, pb, empty=np.nan), found)
    return np.where(found > 0, found, np.nan)


def residual_volatility(bars: Series) -> np.ndarray:
    """Standard deviation of what the market does not explain of 60 log returns; NaN before 40 bars with trades."""
    traded = bars.extra("tradable")
    own = np.where((bars.volume > 0) & (True if traded is None else traded != 0), bars.log_return, np.nan)
    pair = bars.pair(own, "market_return", 60)
    explained = ratio(pair[:, 5] ** 2, pair[:, 4], floor=1e-16)
    return np.where(pair[:, 0] >= 40, np.sqrt(np.maximum(pair[:, 3] - explained, 0.0)), np.nan)


DESCRIPTORS: tuple[tuple[str, Callable[[Series], np.ndarray]], ...] = (
    ("size", market_value),
    ("value", book_to_price),
    ("volatility", residual_volatility),
    ("momentum", lambda bars: momentum_between(bars, 252, 21)),
    ("last_month", lambda bars: bars.change("log_close", 21)),
)
"""The four of ``config.RANKS`` in order, and the month that decides on a reversal."""


def style(bars: Any, progress: Callable[[int, int], object] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """``(labels int8 [rows, 4], ranks float32 [rows, 4])`` for size, value, volatility, momentum of PackedBars."""
    table = np.empty((len(bars.time), len(DESCRIPTORS)), dtype=np.float32)
    labels, ranks = np.empty((len(bars.time), len(CUTS)), dtype=np.int8), np.empty((len(bars.time), len(CUTS)), dtype=np.float32)
    groups = groups_by_date(bars)
    columns = np.arange(len(DESCRIPTORS))

    def label(block: tuple[int, int]) -> None:
        rows = slice(int(bars.offsets[block[0]]), int(bars.offsets[block[1]]))
        for column, name in enumerate(CUTS):
            _cut(table[rows, column], *_CODES[name], labels[rows, column])
        _finish(table[rows], labels[rows], ranks[rows], np.float32(OUTER), MOMENTA.index("reversal"))

    run([evaluation(bars, DESCRIPTORS, table),
         (lambda part: rank(table, table, columns, groups, thin=np.nan, minimum=MINIMUM_NAMES, first=part[0], last=part[1]), date_parts(groups)),
         (label, blocks(bars.offsets))], progress)
    return labels, ranks


def cut(ranks: np.ndarray, name: str) -> np.ndarray:
    """int8 labels ``[rows]`` of ranks in -0.5..0.5 by the shares of ``CUTS[name]``; the index after the last name where the rank is NaN."""
    labels = np.empty(len(ranks), dtype=np.int8)
    _cut(np.asarray(ranks), *_CODES[name], labels)
    return labels


def _codes_of(name: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Where one label ends and the next begins, counted from the top of the ranking; the index of each label; the index of the unknown."""
    names, shares = CUTS[name]
    order = {"size": SIZES, "value": VALUES, "volatility": VOLATILITIES, "momentum": MOMENTA}[name]
    return np.cumsum(shares)[:-1], np.array([order.index(label) for label in names], dtype=np.int8), len(order)


_CODES = {name: _codes_of(name) for name in CUTS}


@njit(cache=True, nogil=True)
def _cut(ranks, edges, codes, unknown, labels):
    for t in range(ranks.size):
        labels[t] = unknown
        if ranks[t] == ranks[t]:
            place, k = 0.5 - np.float64(ranks[t]), 0  # 0 at the top of the ranking
            while k < edges.size and place > edges[k]:
                k += 1
            labels[t] = codes[k]


@njit(cache=True, nogil=True)
def _finish(table, labels, ranks, outer, reversal):
    """Ranks for models, 0 where unknown; and the reversals: momentum at one end of its ranking, the last month at the other."""
    for t in range(table.shape[0]):
        long, short = table[t, 3], table[t, 4]
        if abs(long) > outer and abs(short) > outer and (long > 0.0) != (short > 0.0):
            labels[t, 3] = reversal
        for column in range(ranks.shape[1]):
            ranks[t, column] = table[t, column] if table[t, column] == table[t, column] else np.float32(0.0)
