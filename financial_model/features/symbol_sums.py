"""Sums over the rows of each symbol of a packed panel, in one pass over memory and without a column of symbol numbers.

In: columns ``[rows]`` and offsets. Out: one figure, or one row of figures, per symbol. It knows no table and no sentence.
"""

from __future__ import annotations

import numpy as np
from numba import njit

Sums = tuple[np.ndarray, np.ndarray, np.ndarray]


@njit(cache=True, nogil=True)
def return_sums(change: np.ndarray, known: np.ndarray, offsets: np.ndarray) -> Sums:
    """Per symbol, over the rows that are ``known``: how many, the sum of ``change``, and the sum of squared deviations from its mean."""
    symbols = offsets.size - 1
    count, total, square = np.zeros(symbols, np.int64), np.zeros(symbols), np.zeros(symbols)
    for s in range(symbols):
        for t in range(offsets[s], offsets[s + 1]):
            if known[t]:
                count[s] += 1
                total[s] += change[t]
        mean = total[s] / max(count[s], 1)
        for t in range(offsets[s], offsets[s + 1]):
            if known[t]:
                square[s] += (change[t] - mean) ** 2
    return count, total, square


@njit(cache=True, nogil=True)
def count(chosen: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """int64 ``[symbols]``: how many rows of each symbol are ``chosen``."""
    out = np.zeros(offsets.size - 1, np.int64)
    for s in range(out.size):
        for t in range(offsets[s], offsets[s + 1]):
            out[s] += chosen[t]
    return out


@njit(cache=True, nogil=True)
def count_by_bin(chosen: np.ndarray, bin_of: np.ndarray, date_of: np.ndarray, offsets: np.ndarray, bins: int) -> np.ndarray:
    """int64 ``[symbols, bins]``: how many chosen rows fall into each bin of dates. ``bin_of`` [dates], ``date_of`` [rows]."""
    out = np.zeros((offsets.size - 1, bins), np.int64)
    for s in range(offsets.size - 1):
        for t in range(offsets[s], offsets[s + 1]):
            if chosen[t]:
                out[s, bin_of[date_of[t]]] += 1
    return out
