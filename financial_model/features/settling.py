"""The last step of a feature: from float64 values of a few symbols to float32 columns of the table, without gaps and without giants.

In: values as a feature function returned them. Out: columns in which a symbol's warm-up is NaN (or 0 where the bars may lack what is needed), later
gaps read 0, and nothing lies beyond the limit. It knows no feature.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_TILE = 64
"""Rows turned at once from columns into lines of the table."""


@njit(cache=True, nogil=True)
def settle_column(values, to, offsets, optional, limit):
    """One column ``values [rows]`` settled into the float32 ``to [rows]``; see :func:`settle`."""
    top, bottom = np.float32(limit), np.float32(-limit)
    for s in range(offsets.size - 1):
        start, end = offsets[s], offsets[s + 1]
        while start < end:
            v = np.float32(values[start])
            if v - v == 0.0:  # finite
                break
            to[start] = np.float32(0.0) if optional else np.float32(np.nan)
            start += 1
        part, goal = values[start:end], to[start:end]
        for i in range(part.size):
            v = np.float32(part[i])
            kept = min(max(v, bottom), top)
            goal[i] = kept if v - v == np.float32(0.0) else np.float32(0.0)


@njit(cache=True, nogil=True)
def lay_down(columns, chosen, table, first_row, places):
    """Write the ``chosen [k]`` of the float32 ``columns [any, rows]`` into ``table`` as its columns ``places [k]``, a few rows at a time."""
    for start in range(0, columns.shape[1], _TILE):
        stop = min(start + _TILE, columns.shape[1])
        for t in range(start, stop):
            line = table[first_row + t]
            for i in range(chosen.size):
                line[places[i]] = columns[chosen[i], t]


@njit(cache=True, nogil=True)
def settle(table, columns, optional, offsets, first, last, limit):
    """Finish ``columns`` of the float32 ``table`` in place for symbols ``first`` to ``last - 1``.

    Before a column's first finite value a symbol is warming up: NaN stays, or reads 0 where ``optional``. Later gaps read 0, and anything beyond
    ``limit`` is cut off.
    """
    seen = np.empty(columns.size, np.bool_)
    for s in range(first, last):
        for i in range(columns.size):
            seen[i] = optional[columns[i]]
        for t in range(offsets[s], offsets[s + 1]):
            for i in range(columns.size):
                v = table[t, columns[i]]
                if v - v == 0.0:  # finite
                    seen[i] = True
                    table[t, columns[i]] = min(max(v, -limit), limit)
                else:
                    table[t, columns[i]] = np.float32(0.0) if seen[i] else np.float32(np.nan)
