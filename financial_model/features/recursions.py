"""Indicators with a memory: each bar's value grows out of the bar before it.

In: float64 arrays ``[rows]`` and ``offsets [symbols + 1]``. Out: float64 ``[rows]``, NaN while warming up.
Every recursion starts at a symbol's first bar and runs forward, so cutting the series short changes no earlier value.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_contracted = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
"""A multiplication and the addition after it may be one instruction: the next bar waits for this one, so every cycle of a step counts."""


@_contracted
def _kept(kept, step, keep):
    """How far the newest value stands from its exponential mean, after a ``step`` from the value before, which stood ``kept`` from it.

    The mean itself would have to wait for a difference and then for a product; this waits for one instruction, and fades to exactly nothing
    where the values stand still.
    """
    return kept * keep + step * keep


@_contracted
def exponential(x, offsets, rate, seed):
    """Exponential mean with weight ``rate`` for the newest bar, started at the plain mean of the first ``seed`` known values.

    ``rate = 2 / (n + 1)`` is the usual EMA, ``1 / n`` Wilder's. A NaN in between leaves the mean where it is.
    """
    out = np.empty(x.size)
    keep = 1.0 - rate
    for s in range(offsets.size - 1):
        t, end = offsets[s], offsets[s + 1]
        total, before, known = 0.0, 0.0, 0
        while t < end and known < seed:
            v = x[t]
            if v == v:
                known += 1
                total += v
                before = v
            out[t] = np.nan
            t += 1
        if known < seed:
            continue
        mean = total / seed
        kept = before - mean
        out[t - 1] = mean
        for i in range(t, end):
            v = x[i]
            if v == v:
                kept = _kept(kept, v - before, keep)
                before = v
                mean = v - kept
            out[i] = mean
    return out


@_contracted
def relative_strength(x, offsets, n):
    """Wilder's mean of the rises less that of the falls over ``n`` bars, over their sum: -1..1, 0 where nothing moved (RSI is 50 times that + 50)."""
    out = np.empty(x.size)
    rate = 1.0 / n
    keep = 1.0 - rate
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        up, down, known = 0.0, 0.0, 0
        if first < end:
            out[first] = np.nan
        for t in range(first + 1, end):
            step = x[t] - x[t - 1]
            if step == step:
                rise, fall = max(step, 0.0), max(-step, 0.0)
                known += 1
                if known > n:
                    up = up * keep + rise * rate
                    down = down * keep + fall * rate
                else:
                    up += rise
                    down += fall
                    if known == n:
                        up /= n
                        down /= n
            both = up + down
            out[t] = np.nan if known < n else ((up - down) / both if both > 0.0 else 0.0)
    return out


@_contracted
def _next(kept, total, v, step, known, n):
    """``(kept, total)`` of an exponential mean of ``n`` bars after its ``known``-th value ``v``: a sum until the ``n``-th, there the plain mean."""
    if known > n:
        return _kept(kept, step, 1.0 - 2.0 / (n + 1.0)), total
    return v - (total + v) / n, total + v


@_contracted
def convergence(x, offsets, fast, slow, smooth):
    """MACD: exponential mean of ``fast`` bars less that of ``slow`` ones, and the exponential mean of ``smooth`` bars of that difference."""
    line, signal = np.empty(x.size), np.empty(x.size)
    for s in range(offsets.size - 1):
        quick = calm = kept = quick_total = calm_total = total = before = gap = 0.0
        known, seen = 0, 0
        for t in range(offsets[s], offsets[s + 1]):
            v = x[t]
            line[t] = signal[t] = np.nan
            if v == v:
                known += 1
                quick, quick_total = _next(quick, quick_total, v, v - before, known, fast)
                calm, calm_total = _next(calm, calm_total, v, v - before, known, slow)
                before = v
            if known >= max(fast, slow):
                seen += 1
                step = calm - quick - gap
                gap = calm - quick
                line[t] = gap
                kept, total = _next(kept, total, gap, step, seen, smooth)
                if seen >= smooth:
                    signal[t] = gap - kept
    return line, signal


@_contracted
def triple(x, offsets, n):
    """Exponential mean of ``n`` bars, taken three times over."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        kept_1 = kept_2 = kept_3 = total_1 = total_2 = total_3 = before = one = two = 0.0
        first, second, third = 0, 0, 0
        for t in range(offsets[s], offsets[s + 1]):
            v = x[t]
            old_one, old_two = one, two
            if v == v:
                first += 1
                kept_1, total_1 = _next(kept_1, total_1, v, v - before, first, n)
                before, one = v, v - kept_1
            if first >= n:
                second += 1
                kept_2, total_2 = _next(kept_2, total_2, one, one - old_one, second, n)
                two = one - kept_2
            if second >= n:
                third += 1
                kept_3, total_3 = _next(kept_3, total_3, two, two - old_two, third, n)
            out[t] = two - kept_3 if third >= n else np.nan
    return out


@njit(cache=True, nogil=True)
def adaptive(x, rate, offsets):
    """Exponential mean whose weight changes with every bar (Kaufman); starts at the bar before the first known ``rate``."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        first = offsets[s]
        mean, started = 0.0, False
        for t in range(first, offsets[s + 1]):
            if rate[t] == rate[t]:
                if not started:
                    mean = x[t - 1] if t > first else x[t]
                    started = True
                mean += (x[t] - mean) * rate[t]
            out[t] = mean if started else np.nan
    return out


@njit(cache=True, nogil=True)
def streak(x, offsets):
    """Length of the present run of gains (positive) or losses (negative); 0 on an unchanged or unknown bar."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        run = 0.0
        for t in range(offsets[s], offsets[s + 1]):
            if x[t] > 0:
                run = run + 1.0 if run > 0 else 1.0
            elif x[t] < 0:
                run = run - 1.0 if run < 0 else -1.0
            else:
                run = 0.0
            out[t] = run
    return out


@_contracted
def directional(high, low, true_range, offsets, n):
    """Wilder's directional movement over ``n`` bars: plus less minus index, -1..1, and ADX, 0..1."""
    difference, adx = np.empty(high.size), np.empty(high.size)
    rate = 1.0 / n
    for s in range(offsets.size - 1):
        first = offsets[s]
        up = down = span = mean = 0.0
        for t in range(first, offsets[s + 1]):
            k = t - first
            difference[t] = adx[t] = np.nan
            if k == 0:
                continue
            rise, fall = high[t] - high[t - 1], low[t - 1] - low[t]
            keep = 1.0 if k < n else 1.0 - rate  # plain sums first, then Wilder's fading sums
            up = up * keep + (rise if rise > 0 and rise > fall else 0.0)
            down = down * keep + (fall if fall > 0 and fall > rise else 0.0)
            span = span * keep + true_range[t]
            if k < n:
                continue
            gap, both = up - down, up + down
            difference[t] = gap / span if span > 0 else 0.0
            strength = abs(gap) / both if both > 0 else 0.0
            if k < 2 * n:
                mean += strength * rate
            elif both > 0:
                mean = mean * (1.0 - rate) + strength * rate
            if k >= 2 * n - 1:
                adx[t] = mean
    return difference, adx


@njit(cache=True, nogil=True)
def parabolic(high, low, offsets, step, limit):
    """Wilder's parabolic stop (SAR), known from a symbol's second bar."""
    out = np.empty(high.size)
    for s in range(offsets.size - 1):
        first, end = offsets[s], offsets[s + 1]
        if first < end:
            out[first] = np.nan
        if end - first < 2:
            continue
        fall = low[first] - low[first + 1]
        long = not (fall > 0 and fall > high[first + 1] - high[first])
        stop = low[first] if long else high[first]
        far = high[first + 1] if long else low[first + 1]
        pace = step
        for t in range(first + 1, end):
            before = max(t - 1, first + 1)  # the first bar with a stop has only itself to look back on
            if (long and low[t] <= stop) or (not long and high[t] >= stop):
                stop = max(far, high[before], high[t]) if long else min(far, low[before], low[t])
                long = not long
                out[t] = stop
                pace, far = step, low[t] if not long else high[t]
            else:
                out[t] = stop
                beyond = high[t] if long else low[t]
                if (long and beyond > far) or (not long and beyond < far):
                    far = beyond
                    pace = min(pace + step, limit)
            stop += pace * (far - stop)
            stop = min(stop, low[before], low[t]) if long else max(stop, high[before], high[t])
    return out


@njit(cache=True, nogil=True)
def supertrend(close, upper, lower, offsets):
    """SuperTrend line from the raw bands ``upper`` and ``lower``: the lower band while rising, the upper one while falling.

    A band only tightens, until a close beyond it sets it free; a close beyond the line turns the trend.
    """
    out = np.empty(close.size)
    for s in range(offsets.size - 1):
        top = bottom = np.nan
        rising = True
        for t in range(offsets[s], offsets[s + 1]):
            if not (upper[t] == upper[t]):
                out[t] = np.nan
                continue
            if not (top == top) or upper[t] < top or close[t - 1] > top:
                top = upper[t]
            if not (bottom == bottom) or lower[t] > bottom or close[t - 1] < bottom:
                bottom = lower[t]
            rising = close[t] >= bottom if rising else close[t] > top
            out[t] = bottom if rising else top
    return out
