"""Arithmetic from bar to bar in one pass: quotients that mean something where nothing moved, and what a bar says together with the one before it.

In: float64 columns ``[rows]``, and ``offsets [symbols + 1]`` where the bar before counts. Out: float64 ``[rows]``. Numpy would write a column for
every operation in between; here a value is read once and written once. It knows no window and no feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

_FLOAT64 = np.dtype(np.float64)


def ratio(a: Any, b: Any, *, floor: float = 0.0, empty: float = 0.0, plus: float = 0.0, times: float = 1.0) -> np.ndarray:
    """``(a / b + plus) * times``, with ``a / b`` replaced by ``empty`` where ``b`` is not above ``floor`` (a flat or untraded stretch).

    NaN in either stays NaN.
    """
    a, b = _columns(a, b)
    return _ratio(a, b, floor, empty, plus, times)


def place(value: Any, low: Any, high: Any, *, empty: float = 0.5, plus: float = 0.0, times: float = 1.0) -> np.ndarray:
    """Where ``value`` stands between ``low`` (0) and ``high`` (1), as :func:`ratio` writes it; ``empty`` where the two meet."""
    value, low, high = _columns(value, low, high)
    return _place(value, low, high, empty, plus, times)


def balance(up: Any, down: Any) -> np.ndarray:
    """``(up - down) / (up + down)``, -1..1; 0 where both are."""
    up, down = _columns(up, down)
    return _balance(up, down)


def linear(value: Any, *, plus: float, times: float) -> np.ndarray:
    """``(value + plus) * times``."""
    (value,) = _columns(value)
    return _linear(value, plus, times)


def _columns(*values: Any) -> Sequence[np.ndarray]:
    shape = np.shape(values[0])
    for value in values:
        if not (type(value) is np.ndarray and value.dtype == _FLOAT64 and value.shape == shape and value.flags.c_contiguous):
            return [np.ascontiguousarray(part) for part in np.broadcast_arrays(*(np.asarray(part, dtype=np.float64) for part in values))]
    return values


@njit(cache=True, nogil=True, error_model="numpy")
def _quotient(a, b, floor, empty):
    unknown = (a != a) | (b != b)
    return a / b if b > floor else (np.nan if unknown else empty)


@njit(cache=True, nogil=True, error_model="numpy")
def _ratio(a, b, floor, empty, plus, times):
    out = np.empty(a.size)
    for t in range(a.size):
        out[t] = (_quotient(a[t], b[t], floor, empty) + plus) * times
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _place(value, low, high, empty, plus, times):
    out = np.empty(value.size)
    for t in range(value.size):
        out[t] = (_quotient(value[t] - low[t], high[t] - low[t], 0.0, empty) + plus) * times
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _balance(up, down):
    out = np.empty(up.size)
    for t in range(up.size):
        out[t] = _quotient(up[t] - down[t], up[t] + down[t], 0.0, 0.0)
    return out


@njit(cache=True, nogil=True)
def _linear(x, plus, times):
    out = np.empty(x.size)
    for t in range(x.size):
        out[t] = (x[t] + plus) * times
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def finite(x, y):
    """``x / y``, 0 where that is not finite."""
    out = np.empty(x.size)
    for t in range(x.size):
        v = x[t] / y[t]
        out[t] = v if v - v == 0.0 else 0.0
    return out


@njit(cache=True, nogil=True)
def root(x, times):
    """Square root of ``x * times``."""
    out = np.empty(x.size)
    for t in range(x.size):
        out[t] = np.sqrt(x[t] * times)
    return out


@njit(cache=True, nogil=True)
def middle(high, low):
    """Half way between ``high`` and ``low``."""
    out = np.empty(high.size)
    for t in range(high.size):
        out[t] = (high[t] + low[t]) * 0.5
    return out


@njit(cache=True, nogil=True)
def typical(high, low, close):
    """Mean of high, low and close."""
    out = np.empty(high.size)
    for t in range(high.size):
        out[t] = (high[t] + low[t] + close[t]) / 3.0
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def ultimate(pressure, span, offsets, n):
    """Ultimate oscillator, 0..1, from sums over ``n`` bars of buying pressure and true range: the shares of both over ``n``, ``2 n`` and ``4 n`` bars
    with the weights 4, 2 and 1; a half where nothing moved."""
    out = np.empty(span.size)
    for s in range(offsets.size - 1):
        a, b = offsets[s], offsets[s + 1]
        out[a:min(a + 3 * n, b)] = np.nan
        if b - a <= 3 * n:
            continue
        to, p, r = out[a + 3 * n:b], pressure[a:b], span[a:b]
        p1, p2, p3, p4 = p[3 * n:], p[2 * n:], p[n:], p
        r1, r2, r3, r4 = r[3 * n:], r[2 * n:], r[n:], r
        for i in range(to.size):
            above, below = p1[i] + p2[i], r1[i] + r2[i]
            short, middle = _quotient(p1[i], r1[i], 0.0, 0.5), _quotient(above, below, 0.0, 0.5)
            long = _quotient(above + (p3[i] + p4[i]), below + (r3[i] + r4[i]), 0.0, 0.5)
            to[i] = (4.0 * short + 2.0 * middle + long) / 7.0
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def accumulation(high, low, close, volume):
    """Volume times the place of the close in the bar's range, -1 at the low to 1 at the high (Chaikin); 0 on a bar without range."""
    out = np.empty(high.size)
    for t in range(high.size):
        out[t] = _quotient(2.0 * close[t] - high[t] - low[t], high[t] - low[t], 0.0, 0.0) * volume[t]
    return out
