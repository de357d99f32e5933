"""Comparisons among the names of one date: their ranks.

In: values ``[rows]`` or ``[rows, columns]`` of a packed panel and their times; names of different markets can be kept apart.
Out: float32 of the same shape. A value depends on its own date alone, so nothing here can look ahead. It knows no feature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

MINIMUM_NAMES = 5
"""Fewer names than this on a date say nothing about each other."""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Rows gathered by date (and market): rows of group ``g`` are ``order[starts[g]:starts[g + 1]]``."""

    code: np.ndarray
    """int64 [rows]: group of each row."""
    order: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1


def group_by_date(time: np.ndarray, market: np.ndarray | None = None) -> Groups:
    """Groups of equal ``time`` and, where given, equal ``market`` (small non-negative integers ``[rows]``); dates ascend."""
    import pandas as pd

    dates = np.sort(pd.unique(np.asarray(time)))
    code = positions(time, dates)
    groups = len(dates)
    if market is not None and len(market):
        markets = int(market.max()) + 1
        code, groups = code * markets + market, groups * markets
    starts = np.concatenate([[0], np.cumsum(np.bincount(code, minlength=groups))]).astype(np.int64)
    return Groups(code=code, order=_order(code, starts), starts=starts)


def positions(time: np.ndarray, dates: np.ndarray) -> np.ndarray:
    """int64 [rows]: where each time stands in the ascending ``dates``, of which it must be one."""
    return _codes(np.ascontiguousarray(time), dates)


def rank_by_date(values: np.ndarray, time: np.ndarray, market: np.ndarray | None = None) -> np.ndarray:
    """Rank of each value among those of its date, evenly spread inside -0.5..0.5 with mean 0; equal values share the mean rank.

    NaN stays NaN, and a date with fewer than five known values is NaN. ``values`` [rows] or [rows, columns]; float32 of the same shape.
    """
    table = np.array(values, dtype=np.float32, order="C").reshape(len(values), -1)
    groups = group_by_date(time, market)
    rank(table, table, np.arange(table.shape[1]), groups, thin=np.nan)
    return table.reshape(np.shape(values))


def rank(values: np.ndarray, table: np.ndarray, columns: np.ndarray, groups: Groups, *, thin: float, minimum: int = MINIMUM_NAMES, first: int = 0,
         last: int | None = None) -> None:
    """Write the ranks of float32 ``values [rows, k]`` within groups ``first`` to ``last - 1`` into the ``columns [k]`` of the float32 ``table``.

    ``values`` may be ``table``, where ``columns`` are all of its own. A value that is not finite becomes NaN; values of a date with fewer than
    ``minimum`` known ones become ``thin``.
    """
    last = len(groups) if last is None else last
    _rank(values.view(np.uint32), table, np.asarray(columns, dtype=np.int64), groups.order, groups.starts, first, last, minimum, np.float32(thin))


@njit(cache=True, nogil=True)
def _codes(time, dates):
    """Position of every time in the sorted ``dates``: bars of a symbol mostly follow each other, so the next date is tried first."""
    out = np.empty(time.size, np.int64)
    at = -1
    for t in range(time.size):
        at += 1
        if at >= dates.size or dates[at] != time[t]:
            at = np.searchsorted(dates, time[t])
        out[t] = at
    return out


@njit(cache=True, nogil=True)
def _order(code, starts):
    """Rows sorted by group, ascending inside each (counting sort)."""
    following = starts[:-1].copy()
    out = np.empty(code.size, np.int64)
    for t in range(code.size):
        out[following[code[t]]] = t
        following[code[t]] += 1
    return out


@njit(cache=True, nogil=True)
def _sort(keys, items, other_keys, other_items, count, n):
    """Sort ``keys [n]`` ascending and ``items`` along: by each of four bytes in turn, stable; the result is back in the first two arrays.

    ``count`` int64 [4, 256] is scratch. Several times faster than comparing, and equal keys keep the order of their rows.
    """
    count[:] = 0
    for i in range(n):
        k = keys[i]
        count[0, k & 255] += 1
        count[1, (k >> 8) & 255] += 1
        count[2, (k >> 16) & 255] += 1
        count[3, k >> 24] += 1
    for step in range(4):
        place = 0
        for d in range(256):
            here = count[step, d]
            count[step, d] = place
            place += here
        bits = np.uint32(8 * step)
        for i in range(n):
            d = (keys[i] >> bits) & np.uint32(255)
            to = count[step, d]
            count[step, d] = to + 1
            other_keys[to] = keys[i]
            other_items[to] = items[i]
        keys, other_keys = other_keys, keys
        items, other_items = other_items, items


@njit(cache=True, nogil=True)
def _rank(bits, table, columns, order, starts, first, last, minimum, thin):
    """``bits`` are the values seen as uint32: with the sign bit turned, floats sort as integers."""
    widest = 0
    for g in range(first, last):
        widest = max(widest, starts[g + 1] - starts[g])
    keys, other_keys = np.empty(widest, np.uint32), np.empty(widest, np.uint32)
    items, other_items = np.empty(widest, np.int64), np.empty(widest, np.int64)
    count = np.empty((4, 256), np.int64)
    sign, exponent = np.uint32(0x80000000), np.uint32(0x7F800000)
    for g in range(first, last):
        for source in range(columns.size):
            n, column = 0, columns[source]
            for i in range(starts[g], starts[g + 1]):
                row = order[i]
                b = bits[row, source]
                if (b & exponent) == exponent:
                    table[row, column] = np.float32(np.nan)
                else:
                    if b == sign:  # minus zero is zero
                        b = np.uint32(0)
                    keys[n] = ~b if b & sign else b | sign
                    items[n] = row
                    n += 1
            if n < minimum:
                for i in range(n):
                    table[items[i], column] = thin
                continue
            _sort(keys, items, other_keys, other_items, count, n)
            i = 0
            while i < n:
                j = i + 1
                while j < n and keys[j] == keys[i]:
                    j += 1
                place = np.float32((i + j) / (2.0 * n) - 0.5)  # mean of the 1-based ranks, less a half, over n
                for k in range(i, j):
                    table[items[k], column] = place
                i = j
