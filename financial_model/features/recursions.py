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
def exponential(x, offsets, rate, seed):
    """Exponential mean with weight ``rate`` for the newest bar, started at the plain mean of the first ``seed`` known values.

    ``rate = 2 / (n + 1)`` is the usual EMA, ``1 / n`` Wilder's. A NaN in between leaves the mean where it is.
    """
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        mean, known = 0.0, 0
        for t in range(offsets[s], offsets[s + 1]):
            v = x[t]
            if v == v:
                known += 1
                if known <= seed:
                    mean += v
                    if known == seed:
                        mean /= seed
                else:
                    mean += (v - mean) * rate
            out[t] = mean if known >= seed else np.nan
    return out


@_contracted
def _next(mean, v, known, n):
    """The exponential mean after its ``known``-th value ``v``: a sum before the ``n``-th, there the plain mean."""
    if known > n:
        return mean + (v - mean) * (2.0 / (n + 1.0))
    return (mean + v) / n if known == n else mean + v


@_contracted
def relative_strength(x, offsets, n):
    """Wilder's mean of the rises less that of the falls over ``n`` bars, over their sum: -1..1, 0 where nothing moved (RSI is 50 times that + 50)."""
    out = np.empty(x.size)
    rate = 1.0 / n
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
                    up += (rise - up) * rate
                    down += (fall - down) * rate
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
def convergence(x, offsets, fast, slow, smooth):
    """MACD: exponential mean of ``fast`` bars less that of ``slow`` ones, and the exponential mean of ``smooth`` bars of that difference."""
    line, signal = np.empty(x.size), np.empty(x.size)
    for s in range(offsets.size - 1):
        quick, calm, mean, known, seen = 0.0, 0.0, 0.0, 0, 0
        for t in range(offsets[s], offsets[s + 1]):
            v = x[t]
            line[t] = signal[t] = np.nan
            if v == v:
                known += 1
                quick = _next(quick, v, known, fast)
                calm = _next(calm, v, known, slow)
            if known >= max(fast, slow):
                gap = quick - calm
                line[t] = gap
                seen += 1
                mean = _next(mean, gap, seen, smooth)
                if seen >= smooth:
                    signal[t] = mean
    return line, signal


@_contracted
def triple(x, offsets, n):
    """Exponential mean of ``n`` bars, taken three times over."""
    out = np.empty(x.size)
    for s in range(offsets.size - 1):
        one, two, three = 0.0, 0.0, 0.0
        first, second, third = 0, 0, 0
        for t in range(offsets[s], offsets[s + 1]):
            v = x[t]
            if v == v:
                first += 1
                one = _next(one, v, first, n)
            if first >= n:
                second += 1
                two = _next(two, one, second, n)
            if second >= n:
                third += 1
                three = _next(three, two, third, n)
            out[t] = three if third >= n else np.nan
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
    """Wilder's directional movement over ``n`` bars: plus index, minus index and ADX, each 0..1."""
    plus, minus, adx = np.empty(high.size), np.empty(high.size), np.empty(high.size)
    for s in range(offsets.size - 1):
        first = offsets[s]
        up = down = span = total = mean = 0.0
        for t in range(first, offsets[s + 1]):
            k = t - first
            plus[t] = minus[t] = adx[t] = np.nan
            if k == 0:
                continue
            rise, fall = high[t] - high[t - 1], low[t - 1] - low[t]
            keep = 1.0 if k < n else 1.0 - 1.0 / n  # plain sums first, then Wilder's fading sums
            up = up * keep + (rise if rise > 0 and rise > fall else 0.0)
            down = down * keep + (fall if fall > 0 and fall > rise else 0.0)
            span = span * keep + true_range[t]
            if k < n:
                continue
            plus[t], minus[t] = (up / span, down / span) if span > 0 else (0.0, 0.0)
            both = plus[t] + minus[t]
            strength = abs(plus[t] - minus[t]) / both if both > 0 else 0.0
            if k < 2 * n:
                total += strength
                mean = total / n
            elif both > 0:
                mean += (strength - mean) / n
            if k >= 2 * n - 1:
                adx[t] = mean
    return plus, minus, adx


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
