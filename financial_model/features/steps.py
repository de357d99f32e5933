"""What a bar says together with earlier bars of the same symbol: differences, ranges with the gap, volume by direction.

In: float64 columns ``[rows]`` of many symbols end to end, ``offsets [symbols + 1]``. Out: float64 ``[rows]``, NaN where the earlier bar is missing.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _begin(out, first, end, n):
    """NaN where the symbol ``first:end`` has no bar ``n`` bars ago; returns whether a bar is left."""
    out[first:min(first + n, end)] = np.nan
    return end - first > n


@njit(cache=True, nogil=True)
def shift(x, offsets, n):
    """``x`` of ``n`` bars ago in the same symbol."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        a, b = offsets[s], offsets[s + 1]
        if _begin(out, a, b, n):
            out[a + n:b] = x[a:b - n]
    return out


@njit(cache=True, nogil=True)
def change(x, offsets, n):
    """``x`` less its value of ``n`` bars ago in the same symbol."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        a, b = offsets[s], offsets[s + 1]
        if _begin(out, a, b, n):
            to, new, old = out[a + n:b], x[a + n:b], x[a:b - n]
            for i in range(to.size):
                to[i] = new[i] - old[i]
    return out


@njit(cache=True, nogil=True)
def true_range(high, low, close, offsets):
    """Range of a bar including the gap from the close before; NaN on a symbol's first bar."""
    out = np.empty(high.size)
    for s in range(offsets.size - 1):
        a, b = offsets[s], offsets[s + 1]
        if not _begin(out, a, b, 1):
            continue
        to, h, lo, before = out[a + 1:b], high[a + 1:b], low[a + 1:b], close[a:b - 1]
        for i in range(to.size):
            c = before[i]
            to[i] = (h[i] if (h[i] > c) | (h[i] != h[i]) else c) - (lo[i] if (lo[i] < c) | (lo[i] != lo[i]) else c)
    return out


@njit(cache=True, nogil=True)
def buying_pressure(low, close, offsets):
    """Close over the lower of low and the close before; NaN on a symbol's first bar."""
    out = np.empty(low.size)
    for s in range(offsets.size - 1):
        a, b = offsets[s], offsets[s + 1]
        if not _begin(out, a, b, 1):
            continue
        to, c, lo, before = out[a + 1:b], close[a + 1:b], low[a + 1:b], close[a:b - 1]
        for i in range(to.size):
            to[i] = c[i] - (lo[i] if (lo[i] < before[i]) | (lo[i] != lo[i]) else before[i])
    return out


@njit(cache=True, nogil=True)
def signed(size, x, offsets):
    """``size`` with the sign of the change of ``x`` from the bar before, 0 where it stood still; NaN on a symbol's first bar."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        a, b = offsets[s], offsets[s + 1]
        if not _begin(out, a, b, 1):
            continue
        to, volume, new, old = out[a + 1:b], size[a + 1:b], x[a + 1:b], x[a:b - 1]
        for i in range(to.size):
            step = new[i] - old[i]
            to[i] = (volume[i] if step > 0 else (-volume[i] if step < 0 else step * volume[i]))
    return out


@njit(cache=True, nogil=True)
def flows(size, x, offsets):
    """``size`` on bars on which ``x`` rose, and on those on which it fell, as two columns; 0 elsewhere, NaN on a symbol's first bar."""
    up, down = np.empty(x.size), np.empty(x.size)
    for s in range(offsets.size - 1):
        a, b = offsets[s], offsets[s + 1]
        if not (_begin(up, a, b, 1) and _begin(down, a, b, 1)):
            continue
        above, below, part, new, old = up[a + 1:b], down[a + 1:b], size[a + 1:b], x[a + 1:b], x[a:b - 1]
        for i in range(part.size):
            step = new[i] - old[i]
            still = step * 0.0  # 0, or NaN where the change is unknown
            above[i] = part[i] if step > 0 else still
            below[i] = part[i] if step < 0 else still
    return up, down
