"""Sums, means, spreads and extremes of trailing windows, each put together as a tree of fours.

In: float64 ``x [rows]`` of many symbols end to end and ``offsets [symbols + 1]``; window ``n`` bars. Out: float64 ``[rows]``, NaN until a symbol has
``n`` bars. It knows no prices and no names.

A value depends on its own window and on nothing else, bit for bit: no running sum adds the new bar and subtracts the old one, which drifts, and
which one NaN poisons to the end. Sums of 4 bars give sums of 16, those sums of 64, and the digits of ``n`` to the base of four say which of them make
up the sum of ``n``: about log4(n) passes over a symbol, each a loop that fills vector lanes. Spread is merged around means (Chan's formula), so that
a constant window gives exactly zero.

Inside a kernel, entry ``k`` of a symbol's scratch stands for the window that *starts* at its bar ``k``: every step then reads ahead only.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _begin(out, first, end, n):
    """NaN where the symbol ``first:end`` has fewer than ``n`` bars; returns how many windows it has."""
    out[first:min(first + n - 1, end)] = np.nan
    return end - first - n + 1


@njit(cache=True, nogil=True)
def _scratch(offsets, n, columns):
    """Rows for ``columns`` figures of each power of four up to ``n``, and of two sums that grow; each as long as the longest symbol."""
    levels, width = 2, 1
    while 4 * width <= n:
        levels, width = levels + 1, 4 * width
    longest = 0
    for s in range(offsets.size - 1):
        longest = max(longest, offsets[s + 1] - offsets[s])
    return np.empty((levels * columns, longest))


@njit(cache=True, nogil=True)
def _add(to, total, part, parts, width):
    """``total`` and the ``parts`` (1 to 3) sums of ``width`` bars that follow it."""
    a, b, c = part, part[(parts > 1) * width:], part[(parts > 2) * 2 * width:]
    if parts == 1:
        for i in range(to.size):
            to[i] = total[i] + a[i]
    elif parts == 2:
        for i in range(to.size):
            to[i] = total[i] + (a[i] + b[i])
    else:
        for i in range(to.size):
            to[i] = (total[i] + a[i]) + (b[i] + c[i])


@njit(cache=True, nogil=True)
def window_sum(x, offsets, n):
    """Sum of the last ``n`` bars."""
    out, scratch = np.empty(x.size), _scratch(offsets, n, 1)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        count = _begin(out, first, end, n)
        if count <= 0:
            continue
        to, power = out[end - count:end], x[first:end]
        total, width, done, level, turn = power, 1, 0, 2, 0
        while done < n:
            parts = n // width & 3
            if parts and not done:
                total, done, parts = power, width, parts - 1
            if parts or done == n:
                rest = n - done - parts * width
                goal = to if rest == 0 else scratch[turn, :count + rest]
                if parts:
                    _add(goal, total, power[done:], parts, width)
                else:
                    goal[:] = total[:count]
                total, done, turn = goal, n - rest, 1 - turn
            if done < n:
                bigger = scratch[level, :power.size - 3 * width]
                _add(bigger, power, power[width:], 3, width)
                power, width, level = bigger, 4 * width, level + 1
    return out


@njit(cache=True, nogil=True)
def _blend(to, total, part, parts, width, done):
    """Mean of the ``done`` bars of which ``total`` is the mean, and of the ``parts`` (1 to 3) times ``width`` bars that follow them."""
    a, b, c = part, part[(parts > 1) * width:], part[(parts > 2) * 2 * width:]
    one, two, three = width / (done + width), 2.0 * width / (done + 2 * width), 2.0 * width / (done + 3 * width)
    if parts == 1:
        for i in range(to.size):
            to[i] = total[i] + (a[i] - total[i]) * one
    elif parts == 2:
        for i in range(to.size):
            right = a[i] + (b[i] - a[i]) * 0.5
            to[i] = total[i] + (right - total[i]) * two
    else:
        for i in range(to.size):
            left, right = total[i] + (a[i] - total[i]) * one, b[i] + (c[i] - b[i]) * 0.5
            to[i] = left + (right - left) * three


@njit(cache=True, nogil=True)
def window_mean(x, offsets, n):
    """Mean of the last ``n`` bars; exactly their value where they are all equal."""
    out, scratch = np.empty(x.size), _scratch(offsets, n, 1)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        count = _begin(out, first, end, n)
        if count <= 0:
            continue
        to, power = out[end - count:end], x[first:end]
        total, width, done, level, turn = power, 1, 0, 2, 0
        while done < n:
            parts = n // width & 3
            if parts and not done:
                total, done, parts = power, width, parts - 1
            if parts or done == n:
                rest = n - done - parts * width
                goal = to if rest == 0 else scratch[turn, :count + rest]
                if parts:
                    _blend(goal, total, power[done:], parts, width, done)
                else:
                    goal[:] = total[:count]
                total, done, turn = goal, n - rest, 1 - turn
            if done < n:
                bigger = scratch[level, :power.size - 3 * width]
                _blend(bigger, power, power[width:], 3, width, width)
                power, width, level = bigger, 4 * width, level + 1
    return out


@njit(cache=True, nogil=True)
def _join(m, q, bars, other_m, other_q, other_bars):
    """Mean and summed squared deviations of ``bars`` bars and of the ``other_bars`` after them, as those of all (Chan, Golub and LeVeque 1979)."""
    weight = other_bars / (bars + other_bars)
    gap = other_m - m
    return m + gap * weight, (q + other_q) + gap * gap * (bars * weight)


@njit(cache=True, nogil=True)
def _merge(mean, square, m, q, part_m, part_q, parts, width, done):
    """Moments of ``done`` bars and of the ``parts`` (1 to 3) times ``width`` bars that follow them."""
    second, third = (parts > 1) * width, (parts > 2) * 2 * width
    am, bm, cm = part_m, part_m[second:], part_m[third:]
    aq, bq, cq = part_q, part_q[second:], part_q[third:]
    w, d = float(width), float(done)
    if parts == 1:
        for i in range(mean.size):
            mean[i], square[i] = _join(m[i], q[i], d, am[i], aq[i], w)
    elif parts == 2:
        for i in range(mean.size):
            right, spread = _join(am[i], aq[i], w, bm[i], bq[i], w)
            mean[i], square[i] = _join(m[i], q[i], d, right, spread, 2.0 * w)
    else:
        for i in range(mean.size):
            left, near = _join(m[i], q[i], d, am[i], aq[i], w)
            right, far = _join(bm[i], bq[i], w, cm[i], cq[i], w)
            mean[i], square[i] = _join(left, near, d + w, right, far, 2.0 * w)


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
    mean, variance, scratch = np.empty(x.size), np.empty(x.size), _scratch(offsets, n, 2)
    half = scratch.shape[0] // 2
    means, squares, nothing = scratch[:half], scratch[half:], np.zeros(scratch.shape[1])
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        _begin(variance, first, end, n)
        count = _begin(mean, first, end, n)
        if count <= 0:
            continue
        m, q = x[first:end], nothing[:end - first]
        total_m, total_q, width, done, level, turn = m, q, 1, 0, 2, 0
        while done < n:
            parts = n // width & 3
            if parts and not done:
                total_m, total_q, done, parts = m, q, width, parts - 1
            if parts or done == n:
                rest = n - done - parts * width
                to_m = mean[end - count:end] if rest == 0 else means[turn, :count + rest]
                to_q = variance[end - count:end] if rest == 0 else squares[turn, :count + rest]
                if parts:
                    _merge(to_m, to_q, total_m, total_q, m[done:], q[done:], parts, width, done)
                else:
                    to_m[:] = total_m[:count]
                    to_q[:] = total_q[:count]
                total_m, total_q, done, turn = to_m, to_q, n - rest, 1 - turn
            if done < n:
                size = m.size - 3 * width
                to_m, to_q = means[level, :size], squares[level, :size]
                if width == 1:
                    _first_four(to_m, to_q, m)
                else:
                    _merge(to_m, to_q, m, q, m[width:], q[width:], 3, width, width)
                m, q, width, level = to_m, to_q, 4 * width, level + 1
        spread, share = variance[end - count:end], 1.0 / n
        for i in range(count):
            spread[i] *= share
    return mean, variance


@njit(cache=True, nogil=True)
def _farthest(to, x, width, last, up, known):
    """Largest (``up``) or smallest of ``x`` at a window's start and ``width``, twice ``width`` and thrice ``width`` later, none beyond ``last``.

    ``known``: none of ``x`` is NaN, which a single instruction can then compare.
    """
    a, b, c, d = x, x[min(width, last):], x[min(2 * width, last):], x[min(3 * width, last):]
    if known and up:
        for i in range(to.size):
            left, right = a[i] if a[i] > b[i] else b[i], c[i] if c[i] > d[i] else d[i]
            to[i] = left if left > right else right
    elif known:
        for i in range(to.size):
            left, right = a[i] if a[i] < b[i] else b[i], c[i] if c[i] < d[i] else d[i]
            to[i] = left if left < right else right
    elif up:
        for i in range(to.size):
            left = a[i] if (a[i] >= b[i]) | (a[i] != a[i]) else b[i]
            right = c[i] if (c[i] >= d[i]) | (c[i] != c[i]) else d[i]
            to[i] = left if (left >= right) | (left != left) else right
    else:
        for i in range(to.size):
            left = a[i] if (a[i] <= b[i]) | (a[i] != a[i]) else b[i]
            right = c[i] if (c[i] <= d[i]) | (c[i] != c[i]) else d[i]
            to[i] = left if (left <= right) | (left != left) else right


@njit(cache=True, nogil=True)
def window_extreme(x, offsets, n, sign):
    """Largest (``sign`` 1.0) or smallest (-1.0) value of the last ``n`` bars; NaN where one of them is NaN."""
    out, scratch = np.empty(x.size), _scratch(offsets, n, 1)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        count = _begin(out, first, end, n)
        if count <= 0:
            continue
        power, width, level, gaps = x[first:end], 1, 2, 0
        for i in range(power.size):
            gaps += power[i] != power[i]
        while 4 * width < n:
            bigger = scratch[level, :power.size - 3 * width]
            _farthest(bigger, power, width, 3 * width, sign > 0, gaps == 0)
            power, width, level = bigger, 4 * width, level + 1
        _farthest(out[end - count:end], power, width, n - width, sign > 0, gaps == 0)  # windows of ``width`` that may overlap
    return out


@njit(cache=True, nogil=True)
def _larger_at(x, at, y, y_at):
    older = (x > y) | (x != x)
    return (x if older else y), (at if older else y_at)


@njit(cache=True, nogil=True)
def _farthest_at(to, place, x, at, width, last):
    """:func:`_farthest` with the place of what it found; the newest among equals."""
    second, third, fourth = min(width, last), min(2 * width, last), min(3 * width, last)
    a, b, c, d = x, x[second:], x[third:], x[fourth:]
    a_at, b_at, c_at, d_at = at, at[second:], at[third:], at[fourth:]
    for i in range(to.size):
        left, left_at = _larger_at(a[i], a_at[i], b[i], b_at[i])
        right, right_at = _larger_at(c[i], c_at[i], d[i], d_at[i])
        to[i], place[i] = _larger_at(left, left_at, right, right_at)


@njit(cache=True, nogil=True)
def bars_since_extreme(x, offsets, n, sign):
    """Bars since the largest (``sign`` 1.0) or smallest (-1.0) of the last ``n`` bars; the newest among equals, NaN where one of them is NaN."""
    out, scratch = np.empty(x.size), _scratch(offsets, n, 2)
    half = scratch.shape[0] // 2
    tops, places = scratch[:half], scratch[half:]
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        count = _begin(out, first, end, n)
        if count <= 0:
            continue
        power, place, width, level = tops[0, :end - first], places[0, :end - first], 1, 2
        for i in range(power.size):
            power[i] = sign * x[first + i]
            place[i] = float(i)
        while 4 * width < n:
            size = power.size - 3 * width
            _farthest_at(tops[level, :size], places[level, :size], power, place, width, 3 * width)
            power, place = tops[level, :size], places[level, :size]
            width, level = 4 * width, level + 1
        best, found = tops[1, :count], places[1, :count]
        _farthest_at(best, found, power, place, width, n - width)
        to = out[end - count:end]
        for i in range(count):
            to[i] = float(i + n - 1) - found[i] if best[i] == best[i] else np.nan
    return out
