"""Trailing windows over many symbols laid end to end: the arithmetic below every indicator.

In: float64 ``x [rows]`` and ``offsets [symbols + 1]``; window ``n`` bars. Out: float64 ``[rows]``, NaN until a symbol has ``n`` bars.
It knows no prices and no names.

A value depends on its own window and on nothing else, bit for bit: no running sum adds the new bar and subtracts the old one, which drifts, and
which one NaN poisons to the end. A window is put together from halves instead: sums of 2 bars give sums of 4, those sums of 8, and the powers of
two in ``n`` give the sum of ``n``: about log2(n) additions a bar, each a loop over a whole symbol that fills vector lanes. Extremes and moments
go the same way. Spread is merged around means (Chan's formula), so that a constant window gives exactly zero.

Inside a kernel, entry ``k`` of a symbol's scratch stands for the window that *starts* at its bar ``k``: every step then reads ahead only.
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
        out[a:min(a + n, b)] = np.nan
        if b - a > n:
            out[a + n:b] = x[a:b - n]
    return out


@njit(cache=True, nogil=True)
def change(x, offsets, n):
    """``x`` less its value of ``n`` bars ago in the same symbol."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        a, b = offsets[s], offsets[s + 1]
        out[a:min(a + n, b)] = np.nan
        if b - a > n:
            to, new, old = out[a + n:b], x[a + n:b], x[a:b - n]
            for i in range(to.size):
                to[i] = new[i] - old[i]
    return out


@njit(cache=True, nogil=True)
def _longest(offsets):
    longest = 0
    for s in range(offsets.size - 1):
        longest = max(longest, offsets[s + 1] - offsets[s])
    return longest


@njit(cache=True, nogil=True)
def _add(to, x, y):
    for i in range(to.size):
        to[i] = x[i] + y[i]


@njit(cache=True, nogil=True)
def window_sum(x, offsets, n):
    """Sum of the last ``n`` bars."""
    out = np.empty(x.size)
    longest = _longest(offsets)
    scratch = np.empty((4, longest))
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        out[first:min(first + n - 1, end)] = np.nan
        count = end - first - n + 1  # windows
        if count <= 0:
            continue
        to, power = out[end - count:end], x[first:end]  # sums of the last ``width`` bars, a power of two
        width, done, at = 1, 0, 0
        total = power
        while True:
            if n & width:
                rest = n - done - width
                goal = to if rest == 0 else scratch[2 + (at & 1), :count + rest]
                if done:
                    _add(goal, total, power[done:])
                else:
                    goal[:] = power[:goal.size]
                total = goal
                done += width
                at += 1
            if done == n:
                break
            other = scratch[0] if width & 0x55555555 else scratch[1]
            size = power.size - width
            _add(other[:size], power, power[width:])
            power = other[:size]
            width *= 2
    return out


@njit(cache=True, nogil=True)
def _larger(to, x, y):
    for i in range(to.size):
        a, b = x[i], y[i]
        to[i] = a if (a >= b) | (a != a) else b


@njit(cache=True, nogil=True)
def window_extreme(x, offsets, n, sign):
    """Largest (``sign`` 1.0) or smallest (-1.0) value of the last ``n`` bars; NaN where one of them is NaN."""
    out = np.empty(x.size)
    scratch = np.empty((2, _longest(offsets)))
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        out[first:min(first + n - 1, end)] = np.nan
        count = end - first - n + 1
        if count <= 0:
            continue
        power, at, width = scratch[0, :end - first], 1, 1
        for i in range(power.size):
            power[i] = sign * x[first + i]
        while 2 * width <= n:
            size = power.size - width
            _larger(scratch[at, :size], power, power[width:])
            power = scratch[at, :size]
            at, width = 1 - at, 2 * width
        to, ahead = out[end - count:end], power[n - width:]  # two windows of ``width`` that overlap
        _larger(to, power, ahead)
        for i in range(count):
            to[i] *= sign
    return out


@njit(cache=True, nogil=True)
def _between(to, x, y, weight):
    for i in range(to.size):
        to[i] = x[i] + (y[i] - x[i]) * weight


@njit(cache=True, nogil=True)
def window_mean(x, offsets, n):
    """Mean of the last ``n`` bars; exactly their value where they are all equal."""
    out = np.empty(x.size)
    scratch = np.empty((4, _longest(offsets)))
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        out[first:min(first + n - 1, end)] = np.nan
        count = end - first - n + 1
        if count <= 0:
            continue
        power = x[first:end]
        total = power
        width, done, turn, at = 1, 0, 0, 2
        while True:
            if n & width:
                rest = n - done - width
                goal = out[end - count:end] if rest == 0 else scratch[at, :count + rest]
                if done:
                    _between(goal, total, power[done:], width / (done + width))
                else:
                    goal[:] = power[:goal.size]
                total, at = goal, 5 - at
                done += width
            if done == n:
                break
            size = power.size - width
            _between(scratch[turn, :size], power, power[width:], 0.5)
            power, turn, width = scratch[turn, :size], 1 - turn, 2 * width
    return out


@njit(cache=True, nogil=True)
def _merge(mean, square, m, q, other_m, other_q, bars, other_bars):
    """Moments of ``bars`` bars and of the ``other_bars`` after them, as those of all of them (Chan, Golub and LeVeque 1979)."""
    weight = other_bars / (bars + other_bars)
    cross = bars * weight
    for i in range(mean.size):
        gap = other_m[i] - m[i]
        mean[i] = m[i] + gap * weight
        square[i] = (q[i] + other_q[i]) + gap * gap * cross


@njit(cache=True, nogil=True)
def _first_four(mean, square, x):
    """Moments of every four bars in a row."""
    a, b, c, d = x[:mean.size], x[1:], x[2:], x[3:]
    for i in range(mean.size):
        gap, other = b[i] - a[i], d[i] - c[i]
        left, right = a[i] + gap * 0.5, c[i] + other * 0.5
        between = right - left
        mean[i] = left + between * 0.5
        square[i] = (gap * gap + other * other) * 0.5 + between * between


@njit(cache=True, nogil=True)
def window_moments(x, offsets, n):
    """Mean and population variance of the last ``n`` bars, as two arrays."""
    mean, variance = np.empty(x.size), np.empty(x.size)
    scratch = np.empty((9, _longest(offsets)))
    scratch[8] = 0.0
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        mean[first:min(first + n - 1, end)] = np.nan
        variance[first:min(first + n - 1, end)] = np.nan
        count = end - first - n + 1
        if count <= 0:
            continue
        m, q = x[first:end], scratch[8, :end - first]
        total_m, total_q = m, q
        width, done, at, turn = 1, 0, 0, 0
        while True:
            if n & width:
                rest = n - done - width
                if rest == 0:
                    to_m, to_q = mean[end - count:end], variance[end - count:end]
                else:
                    to_m, to_q = scratch[4 + at, :count + rest], scratch[6 + at, :count + rest]
                if done:
                    _merge(to_m, to_q, total_m, total_q, m[done:], q[done:], done, width)
                else:
                    to_m[:] = m[:to_m.size]
                    to_q[:] = q[:to_q.size]
                total_m, total_q = to_m, to_q
                done += width
                at = 1 - at
            if done == n:
                break
            if width == 1 and n >= 4 and n & 2 == 0:
                size, step = m.size - 3, 4
                to_m, to_q = scratch[turn, :size], scratch[2 + turn, :size]
                _first_four(to_m, to_q, m)
            else:
                size, step = m.size - width, 2
                to_m, to_q = scratch[turn, :size], scratch[2 + turn, :size]
                _merge(to_m, to_q, m, q, m[width:], q[width:], width, width)
            m, q = to_m, to_q
            turn, width = 1 - turn, step * width
        spread = variance[end - count:end]
        for i in range(count):
            spread[i] /= n
    return mean, variance


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


@njit(cache=True, nogil=True)
def weighted(x, offsets, weights):
    """Sum of the last bars times ``weights [n]``, the newest bar last: regression slopes, linearly weighted means."""
    n = weights.size
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        out[first:min(first + n - 1, end)] = np.nan
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
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        out[first:min(first + n - 1, end)] = np.nan
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
def _larger_at(to, place, x, at, y, y_at):
    for i in range(to.size):
        a, b = x[i], y[i]
        older = (a > b) | (a != a)
        to[i] = a if older else b
        place[i] = at[i] if older else y_at[i]


@njit(cache=True, nogil=True)
def bars_since_extreme(x, offsets, n, sign):
    """Bars since the largest (``sign`` 1.0) or smallest (-1.0) of the last ``n`` bars; the newest among equals, NaN where one of them is NaN."""
    out = np.empty(x.size)
    longest = _longest(offsets)
    scratch, places = np.empty((2, longest)), np.empty((2, longest))
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        out[first:min(first + n - 1, end)] = np.nan
        count = end - first - n + 1
        if count <= 0:
            continue
        power, place, turn, width = scratch[0, :end - first], places[0, :end - first], 1, 1
        for i in range(power.size):
            power[i] = sign * x[first + i]
            place[i] = float(i)
        while 2 * width <= n:
            size = power.size - width
            _larger_at(scratch[turn, :size], places[turn, :size], power, place, power[width:], place[width:])
            power, place = scratch[turn, :size], places[turn, :size]
            turn, width = 1 - turn, 2 * width
        best, found = scratch[turn, :count], places[turn, :count]
        _larger_at(best, found, power, place, power[n - width:], place[n - width:])
        to = out[end - count:end]
        for i in range(count):
            to[i] = float(i + n - 1) - found[i] if best[i] == best[i] else np.nan
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
