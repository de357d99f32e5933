"""Trailing windows over many symbols laid end to end: the arithmetic below every indicator.

In: float64 ``x [rows]`` and ``offsets [symbols + 1]``; window ``n`` bars. Out: float64 ``[rows]``, NaN until a symbol has ``n`` bars.
It knows no prices and no names.

Two rules make a value depend on its own window and on nothing else, bit for bit:

- No running sum that adds the new bar and subtracts the old one: it drifts, and one NaN poisons it to the end. A symbol is cut into blocks
  of ``n`` bars; a window is the tail of one block and the head of the next, so each value is a sum of exactly its ``n`` bars at O(1) a bar
  (van Herk 1992, Gil and Werman 1993, for any associative operation).
- Spread is accumulated around a running mean (Welford) and merged by Chan's formula, so that a constant window gives exactly zero.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_TILE = 512
"""Rows a weighted sum handles at once: the output tile stays in the first-level cache."""


@njit(cache=True, nogil=True)
def shift(x, offsets, n):
    """``x`` of ``n`` bars ago in the same symbol."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        a, b = offsets[s], offsets[s + 1]
        for t in range(a, min(a + n, b)):
            out[t] = np.nan
        for t in range(a + n, b):
            out[t] = x[t - n]
    return out


@njit(cache=True, nogil=True)
def window_sum(x, offsets, n):
    """Sum of the last ``n`` bars."""
    out = np.empty(x.size)
    tail = np.zeros(n)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        for start in range(first, end, n):
            head = 0.0
            for t in range(start, min(start + n, end)):
                head += x[t]
                p = t - start
                out[t] = head if p == n - 1 else (np.nan if start == first else tail[p + 1] + head)
            if start + n <= end:
                run = 0.0
                for p in range(n - 1, 0, -1):
                    run += x[start + p]
                    tail[p] = run
    return out


@njit(cache=True, nogil=True)
def window_extreme(x, offsets, n, sign):
    """Largest (``sign`` 1.0) or smallest (-1.0) value of the last ``n`` bars; NaN where one of them is NaN."""
    out = np.empty(x.size)
    tail = np.zeros(n)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        for start in range(first, end, n):
            head = -np.inf
            for t in range(start, min(start + n, end)):
                v = sign * x[t]
                if v > head or v != v:
                    head = v
                p = t - start
                if p == n - 1:
                    out[t] = sign * head
                elif start == first:
                    out[t] = np.nan
                else:
                    other = tail[p + 1]
                    out[t] = sign * (other if other > head or other != other else head)
            if start + n <= end:
                run = -np.inf
                for p in range(n - 1, 0, -1):
                    v = sign * x[start + p]
                    if v > run or v != v:
                        run = v
                    tail[p] = run
    return out


@njit(cache=True, nogil=True)
def window_moments(x, offsets, n):
    """Mean and population variance of the last ``n`` bars, as two arrays."""
    mean, variance = np.empty(x.size), np.empty(x.size)
    tail_mean, tail_square = np.zeros(n), np.zeros(n)
    share = np.ones(n + 1)
    for k in range(1, n + 1):
        share[k] = 1.0 / k
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        for start in range(first, end, n):
            m, q = 0.0, 0.0
            for t in range(start, min(start + n, end)):
                p = t - start
                d = x[t] - m
                m += d * share[p + 1]
                q += d * (x[t] - m)
                if p == n - 1:
                    mean[t], variance[t] = m, q / n
                elif start == first:
                    mean[t], variance[t] = np.nan, np.nan
                else:
                    gap = m - tail_mean[p + 1]
                    weight = (p + 1) * share[n]
                    mean[t] = tail_mean[p + 1] + gap * weight
                    variance[t] = (q + tail_square[p + 1] + gap * gap * weight * (n - 1 - p)) / n
            if start + n <= end:
                m, q = 0.0, 0.0
                for p in range(n - 1, 0, -1):
                    d = x[start + p] - m
                    m += d * share[n - p]
                    q += d * (x[start + p] - m)
                    tail_mean[p], tail_square[p] = m, q
    return mean, variance


@njit(cache=True, nogil=True)
def _add(state, k, vx, vy, share):
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
                _add(head, 0, x[t], y[t], share)
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
                    _add(tail, p, x[start + p], y[start + p], share)
                tail[n] = 0.0
    return out


@njit(cache=True, nogil=True)
def weighted(x, offsets, weights):
    """Sum of the last bars times ``weights [n]``, the newest bar last: regression slopes, linearly weighted means."""
    n = weights.size
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        out[first:min(first + n - 1, end)] = np.nan
        for start in range(first + n - 1, end, _TILE):
            stop = min(start + _TILE, end)
            to = out[start:stop]
            to[:] = 0.0
            for j in range(n):  # over the window outside, over bars inside: the inner loop fills vector lanes
                w = weights[j]
                part = x[start - n + 1 + j:stop - n + 1 + j]
                for i in range(to.size):
                    to[i] += w * part[i]
    return out


@njit(cache=True, nogil=True)
def absolute_deviation(x, mean, offsets, n):
    """Mean absolute deviation of the last ``n`` bars from ``mean[t]``, their own mean."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        out[first:min(first + n - 1, end)] = np.nan
        for start in range(first + n - 1, end, _TILE):
            stop = min(start + _TILE, end)
            to, middle = out[start:stop], mean[start:stop]
            to[:] = 0.0
            for j in range(n):
                part = x[start - n + 1 + j:stop - n + 1 + j]
                for i in range(to.size):
                    to[i] += abs(part[i] - middle[i])
            for i in range(to.size):
                to[i] /= n
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
def bars_since_extreme(x, offsets, n, sign):
    """Bars since the largest (``sign`` 1.0) or smallest (-1.0) of the last ``n`` bars; the newest among equals."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        best = first
        for t in range(first, end):
            if sign * x[t] >= sign * x[best]:
                best = t
            elif best <= t - n:
                best = t - n + 1
                for j in range(t - n + 2, t + 1):
                    if sign * x[j] >= sign * x[best]:
                        best = j
            out[t] = np.nan if t - first < n - 1 else float(t - best)
    return out


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
