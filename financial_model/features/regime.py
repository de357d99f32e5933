"""Market regime per date from closes of the index: bull, bear, sideways, volatile. A rule, causal and explainable.

In: closes ``[days]``. Out: int8 ``[days]`` index into ``REGIMES``, the index after the last where unknown.

The rule: volatile where 20-day volatility is above the 85 % quantile of its own last 756 days (at least 252 of them); else bear where the
close is more than 15 % below the 252-day high and under its 120-day mean; else bull where it is over that mean and up more than 3 % in 60
days; else sideways. A regime begins when the rule has said the same for five days running.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from financial_model.config import REGIMES
from financial_model.features import steps, trees

UNKNOWN = len(REGIMES)
MEAN, YEAR, MEMORY, CONFIRMATION = 120, 252, 756, 5
_BULL, _BEAR, _SIDEWAYS, _VOLATILE = (REGIMES.index(name) for name in ("bull", "bear", "sideways", "volatile"))


def regime(close: np.ndarray) -> np.ndarray:
    """int8 ``[days]``. Unknown until the 120-day mean exists and five days agree. A longer series changes no earlier day."""
    return _confirmed(daily_verdict(np.ascontiguousarray(close, dtype=np.float64)), CONFIRMATION, UNKNOWN)


def daily_verdict(close: np.ndarray) -> np.ndarray:
    """What the rule says of each day alone, before confirmation: int8 ``[days]``."""
    days = len(close)
    whole = np.array([0, days], dtype=np.int64)
    log_close = np.log(close)
    moves = np.diff(log_close, prepend=np.nan)
    volatility = np.sqrt(trees.window_moments(moves, whole, 20)[1] * 20 / 19)
    wild = volatility > _trailing_quantile(volatility, MEMORY, YEAR, 0.85)
    mean = trees.window_sum(close, whole, MEAN) / MEAN
    gain = log_close - steps.shift(log_close, whole, 60)
    high = _trailing_high(close, YEAR)
    verdict = np.select(
        [wild, (close / high - 1 < -0.15) & (close < mean), (close > mean) & (np.expm1(gain) > 0.03)], [_VOLATILE, _BEAR, _BULL], _SIDEWAYS)
    return np.where(np.isnan(mean), UNKNOWN, verdict).astype(np.int8)


@njit(cache=True, nogil=True)
def _trailing_high(close, n):
    out = np.empty(close.size)
    for t in range(close.size):
        out[t] = np.max(close[max(0, t - n + 1):t + 1])
    return out


@njit(cache=True, nogil=True)
def _trailing_quantile(x, n, least, share):
    """Quantile of the known values among the last ``n``, the present one included; NaN before ``least`` of them."""
    out = np.empty(x.size)
    for t in range(x.size):
        part = x[max(0, t - n + 1):t + 1]
        known = np.sort(part[~np.isnan(part)])
        if known.size < least:
            out[t] = np.nan
            continue
        place = share * (known.size - 1)
        below = int(place)
        above = min(below + 1, known.size - 1)
        out[t] = known[below] + (known[above] - known[below]) * (place - below)
    return out


@njit(cache=True, nogil=True)
def _confirmed(verdict, days, unknown):
    out = np.empty(verdict.size, np.int8)
    now, last, run = unknown, unknown, 0
    for t in range(verdict.size):
        run = run + 1 if verdict[t] == last else 1
        last = verdict[t]
        if run >= days:
            now = last
        out[t] = now
    return out
