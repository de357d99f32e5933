"""Two columns over trailing windows: joint moments of the pairs that are known.

In: float64 ``x``, ``y`` ``[rows]`` of many symbols end to end and ``offsets [symbols + 1]``. Out: one line of figures a row. It knows no prices.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _take(state, k, vx, vy, share):
    """Take one pair into ``state[k] = (count, mean x, mean y, square x, square y, product)``; a pair with a NaN leaves it as it is."""
    if vx == vx and vy == vy:
        state[k, 0] += 1.0
        w = share[int(state[k, 0])]
        dx, dy = vx - state[k, 1], vy - state[k, 2]
        state[k, 1] += dx * w
        state[k, 2] += dy * w
        state[k, 3] += dx * (vx - state[k, 1])
        state[k, 4] += dy * (vy - state[k, 2])
        state[k, 5] += dx * (vy - state[k, 2])


@njit(cache=True, nogil=True)
def window_pair(x, y, offsets, n):
    """Joint moments of the pairs among the last ``n`` bars in which neither is NaN; windows at a symbol's start are shorter.

    Returns ``[rows, 6]``: count, mean of x, mean of y, variance of x, variance of y, covariance (population; 0 where nothing counts).
    """
    out = np.empty((x.size, 6))
    tail = np.zeros((n + 1, 6))
    head = np.zeros((1, 6))
    share = np.ones(n + 1)
    for k in range(1, n + 1):
        share[k] = 1.0 / k
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        tail[:] = 0.0
        for start in range(first, end, n):
            head[:] = 0.0
            for t in range(start, min(start + n, end)):
                _take(head, 0, x[t], y[t], share)
                other = tail[min(t - start + 1, n)]
                count = head[0, 0] + other[0]
                out[t, 0] = count
                if count == 0.0:
                    out[t, 1:] = 0.0
                    continue
                w = share[int(count)]
                gx, gy = head[0, 1] - other[1], head[0, 2] - other[2]
                part = head[0, 0] * w
                cross = part * other[0]
                out[t, 1] = other[1] + gx * part
                out[t, 2] = other[2] + gy * part
                out[t, 3] = (head[0, 3] + other[3] + gx * gx * cross) * w
                out[t, 4] = (head[0, 4] + other[4] + gy * gy * cross) * w
                out[t, 5] = (head[0, 5] + other[5] + gx * gy * cross) * w
            if start + n <= end:
                tail[n] = 0.0
                for p in range(n - 1, 0, -1):
                    tail[p] = tail[p + 1]
                    _take(tail, p, x[start + p], y[start + p], share)
                tail[n] = 0.0
    return out
