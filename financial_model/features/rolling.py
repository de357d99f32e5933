"""Figures of trailing windows over many symbols laid end to end that look at every bar of a window: weighted sums, shapes, places, quantiles.

In: float64 ``x [rows]`` and ``offsets [symbols + 1]``; window ``n`` bars. Out: float64 ``[rows]``, NaN until a symbol has ``n`` bars; a value depends
on its own window alone. Sums, means, spreads and extremes are in ``trees``, two columns together in ``pairs``. It knows no prices and no names.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_TILE = 512
"""Rows a weighted sum handles at once: the output tile stays in the first-level cache."""


@njit(cache=True, nogil=True)
def _begin(out, first, end, n):
    """NaN where the symbol ``first:end`` has fewer than ``n`` bars. Each file has its own: stored machine code notices no change of another file."""
    out[first:min(first + n - 1, end)] = np.nan


@njit(cache=True, nogil=True)
def weighted(x, offsets, weights):
    """Sum of the last bars times ``weights [n]``, the newest bar last: regression slopes, linearly weighted means."""
    n = weights.size
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        _begin(out, first, end, n)
        for start in range(first + n - 1, end, _TILE):
            to = out[start:min(start + _TILE, end)]
            to[:] = 0.0
            part = x[start - n + 1:start + to.size]
            j = 0
            while j + 4 <= n:  # over the window outside, over bars inside: the inner loop fills vector lanes
                u, v, w, z = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
                a, b, c, d = part[j:], part[j + 1:], part[j + 2:], part[j + 3:]
                for i in range(to.size):
                    to[i] += (u * a[i] + v * b[i]) + (w * c[i] + z * d[i])
                j += 4
            while j < n:
                w, a = weights[j], part[j:]
                for i in range(to.size):
                    to[i] += w * a[i]
                j += 1
    return out


@njit(cache=True, nogil=True)
def absolute_deviation(x, mean, offsets, n):
    """Mean absolute deviation of the last ``n`` bars from ``mean[t]``, their own mean."""
    out, share = np.empty(x.size), 1.0 / n
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        _begin(out, first, end, n)
        for start in range(first + n - 1, end, _TILE):
            to = out[start:min(start + _TILE, end)]
            middle = mean[start:start + to.size]
            to[:] = 0.0
            part = x[start - n + 1:start + to.size]
            j = 0
            while j + 4 <= n:
                a, b, c, d = part[j:], part[j + 1:], part[j + 2:], part[j + 3:]
                for i in range(to.size):
                    m = middle[i]
                    to[i] += (abs(a[i] - m) + abs(b[i] - m)) + (abs(c[i] - m) + abs(d[i] - m))
                j += 4
            while j < n:
                a = part[j:]
                for i in range(to.size):
                    to[i] += abs(a[i] - middle[i])
                j += 1
            for i in range(to.size):
                to[i] *= share
    return out


@njit(cache=True, nogil=True)
def shape(x, mean, offsets, n):
    """Skewness and excess kurtosis of the last ``n`` bars, corrected for sample size as in the field; 0 where nothing varies."""
    skew, kurtosis = np.empty(x.size), np.empty(x.size)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        for t in range(first, min(first + n - 1, end)):
            skew[t] = kurtosis[t] = np.nan
        for t in range(first + n - 1, end):
            m, m2, m3, m4 = mean[t], 0.0, 0.0, 0.0
            for j in range(t - n + 1, t + 1):
                d = x[j] - m
                m2 += d * d
                m3 += d * d * d
                m4 += d * d * d * d
            m2, m3, m4 = m2 / n, m3 / n, m4 / n
            if m2 <= 1e-20 * m * m:  # constant up to rounding
                skew[t] = kurtosis[t] = 0.0
            else:
                skew[t] = m3 / m2**1.5 * np.sqrt(n * (n - 1.0)) / (n - 2.0)
                kurtosis[t] = (n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * (m4 / (m2 * m2) - 3.0) + 6.0)
    return skew, kurtosis


@njit(cache=True, nogil=True)
def window_rank(x, offsets, n):
    """Place of the newest of the last ``n`` bars among them, 0 (lowest) to 1 (highest), equal ones in the middle; NaN where one of them is NaN."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        for t in range(first, end):
            out[t] = np.nan
            if t - first < n - 1:
                continue
            below, equal, known = 0, 0, True
            for j in range(t - n + 1, t + 1):
                v = x[j]
                if v != v:
                    known = False
                    break
                below += v < x[t]
                equal += v == x[t]
            if known:
                out[t] = (below + 0.5 * (equal - 1)) / (n - 1)
    return out


@njit(cache=True, nogil=True)
def window_quantile(x, offsets, n, share):
    """Quantile ``share`` of the last ``n`` bars, linear between neighbours; NaN where one of them is NaN.

    The window stays sorted from bar to bar: the oldest is taken out and the newest put in its place.
    """
    out = np.empty(x.size)
    kept = np.empty(n)
    place = share * (n - 1)
    below = int(place)
    above, weight = min(below + 1, n - 1), place - int(place)
    for s in range(offsets.size - 1):
        count = 0  # of known bars since the last NaN, at most n
        for t in range(offsets[s], offsets[s + 1]):
            v = x[t]
            if v != v:
                count = 0
                out[t] = np.nan
                continue
            if count == n:
                at = np.searchsorted(kept, x[t - n])
                for j in range(at, n - 1):
                    kept[j] = kept[j + 1]
                count -= 1
            at = count
            while at > 0 and kept[at - 1] > v:
                kept[at] = kept[at - 1]
                at -= 1
            kept[at] = v
            count += 1
            out[t] = kept[below] + (kept[above] - kept[below]) * weight if count == n else np.nan
    return out
