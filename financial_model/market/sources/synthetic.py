"""The return process of the demo market: a factor model whose conditional expectation is known exactly.

    r[i,t+1] = beta_i m[t+1] + industry[g(i),t+1] + style_i . f[t+1] + sqrt(h[i,t+1]) (k_t s[i,t] + sqrt(1 - k_t^2) z[i,t+1])

m follows a four-state Markov chain with its own mean and volatility per state, h is GARCH(1,1) on the idiosyncratic part, z Student-t(5) with
variance 1, s a signal standardised over the stocks of a date that depends on past prices and volumes only, k_t = kappa x a regime multiplier.
In: a variant, sizes, a seed. Out: arrays [days, stocks] and the truth E[log return over 1..10 days | the past]. It knows no prices and no files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from financial_model.config import INDUSTRIES, REGIMES

HORIZONS = 10
WINDOW = 5
"""Days of idiosyncratic return the signal looks back on."""
BURN_IN = 60
Spreads = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
RETURN_LIMIT = 0.093
"""Log return of a day, both ways: inside the 10 % price limit after rounding to 0.01."""

TRANSITION = np.array([
    [0.984, 0.003, 0.010, 0.003],
    [0.008, 0.976, 0.008, 0.008],
    [0.009, 0.005, 0.983, 0.003],
    [0.015, 0.012, 0.010, 0.963],
])
"""Rows and columns in the order of ``config.REGIMES``: bull, bear, sideways, volatile."""
MARKET_MEAN = np.array([0.0009, -0.0011, 0.0002, 0.0001])
MARKET_VOLATILITY = np.array([0.009, 0.012, 0.006, 0.021])
INDUSTRY_VOLATILITY = 0.004
STYLE_VOLATILITY = 0.0015
ACTIVITY_MEMORY = 0.8
"""First-order autocorrelation of a stock's abnormal log volume."""
SUSPENSION_START = 0.0004
SUSPENSION_DAYS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """What is planted. ``kappa`` is chosen so that the one-day oracle IC is 0.06 (mean over four seeds, 300 stocks, ten years)."""

    signal: str = "none"
    kappa: float = 0.0
    multipliers: tuple[float, float, float, float] = (1.0, 0.6, 1.2, -0.5)
    drift: bool = True
    garch: tuple[float, float] = (0.08, 0.87)


VARIANTS: dict[str, Variant] = {
    "linear": Variant(signal="linear", kappa=0.056),
    "null": Variant(drift=False),
    "interaction": Variant(signal="interaction", kappa=0.05),
    "sign_flip": Variant(signal="linear", kappa=0.053, multipliers=(1.0, -1.0, 1.0, -1.0)),
    "industry_lead_lag": Variant(signal="industry_lead_lag", kappa=0.064),
    "one_style": Variant(signal="one_style", kappa=0.0745),
    "volatility_only": Variant(drift=False, garch=(0.12, 0.85)),
}
"""linear: 5-day reversal plus abnormal volume. interaction: their product. sign_flip: linear, its sign turns with the regime. industry_lead_lag: an
industry follows another one's last week. one_style: linear, small stocks only. volatility_only, null: nothing to forecast in returns."""


@dataclass(frozen=True, kw_only=True)
class Path:
    """One simulated market. Arrays are [days] or [days, stocks]; returns are log returns including dividends."""

    regime: NDArray[np.int8]
    market: NDArray[np.float64]
    returns: NDArray[np.float64]
    volatility: NDArray[np.float64]
    """sqrt(h): what the idiosyncratic volatility of the day was known to be."""
    activity: NDArray[np.float64]
    """Abnormal log volume in its own standard deviations."""
    suspended: NDArray[np.bool_]
    industry: NDArray[np.int64]
    """[stocks] index into ``config.INDUSTRIES``."""
    style: NDArray[np.float64]
    """[stocks, 3] size, value, volatility loadings: standardised, positive for large, cheap and volatile."""
    expected: NDArray[np.float32]
    """[days, stocks, HORIZONS] E[sum of the next 1..HORIZONS returns | everything up to this day's close]."""


def simulate(variant: Variant, *, stocks: int, days: int, seed: int, kappa: float) -> Path:
    """A market of ``days`` sessions, the same for the same arguments on every machine with the same numpy.

    Every quantity has a random stream of its own, drawn day by day: a longer market begins with the shorter one.
    """
    chain, index, sectors, factors, noise, volume, halts, lengths, traits = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(9))
    total = days + BURN_IN
    industry, style, beta, variance = _traits(traits, stocks)
    regime = _regimes(chain, total)
    mean = MARKET_MEAN if variant.drift else np.zeros(len(REGIMES))
    market = mean[regime] + MARKET_VOLATILITY[regime] * _student(index, total)
    industries = INDUSTRY_VOLATILITY * _student(sectors, (total, len(INDUSTRIES)))
    styles = STYLE_VOLATILITY * _student(factors, (total, style.shape[1]))
    common = beta * market[:, None] + industries[:, industry] + styles @ style.T
    activity = _autoregression(volume, total, stocks)
    suspended = _suspensions(halts, lengths, total, stocks)
    strength = kappa * np.array(variant.multipliers)
    signal = Signal(variant.signal, industry, style)

    shocks = _student(noise, (total, stocks))
    own = np.zeros((total, stocks))
    h = np.zeros((total + 1, stocks))
    h[0] = variance
    alpha, beta_h = variant.garch
    for t in range(total):
        k = strength[regime[t - 1]] if t > 0 else 0.0
        recent = slice(max(t - WINDOW, 0), t)
        push = k * signal(own[recent].sum(0), activity[t - 1], industries[recent].sum(0))[0] if k else 0.0
        own[t] = np.sqrt(h[t]) * (push + np.sqrt(1 - k * k) * shocks[t])
        own[t] = np.clip(own[t] + common[t], -RETURN_LIMIT, RETURN_LIMIT) - common[t]
        own[t, suspended[t]] = 0.0
        h[t + 1] = np.where(suspended[t], h[t], (1 - alpha - beta_h) * variance + alpha * own[t] ** 2 + beta_h * h[t])
    expected = _truth(signal, own, activity, industries, regime, h, variance, alpha + beta_h, strength, mean, beta)
    returns = np.where(suspended, 0.0, common + own)
    keep = slice(BURN_IN, None)
    return Path(regime=regime[keep].astype(np.int8), market=market[keep], returns=returns[keep], volatility=np.sqrt(h[:-1][keep]),
                activity=activity[keep], suspended=suspended[keep], industry=industry, style=style, expected=expected[keep])


class Signal:
    """s[t] of a variant as a function of what is observable at the close of day t."""

    def __init__(self, kind: str, industry: NDArray[np.int64], style: NDArray[np.float64]):
        self.kind, self.industry = kind, industry
        self.small = style[:, 0] < np.median(style[:, 0])

    def __call__(self, own: NDArray, activity: NDArray, industries: NDArray, spreads: Spreads | None = None) -> tuple[NDArray, Spreads]:
        """The signal [..., stocks], standardised over the stocks, and the spreads that standardised it.

        ``own`` [..., stocks] and ``industries`` [..., industries] are sums over the window, ``activity`` [..., stocks] is the day's.
        Expectations of a later day are given with today's ``spreads``.
        """
        given = spreads or (None, None, None, None)
        reversal, first = _standard(-own, given[0])
        volume, second = _standard(activity, given[1])
        lead, third = _standard(np.roll(industries, 1, axis=-1)[..., self.industry], given[2])
        mixed = lead if self.kind == "industry_lead_lag" else reversal * volume if self.kind == "interaction" else reversal + volume
        signal, fourth = _standard(mixed, given[3])
        if self.kind == "one_style":
            signal = np.where(self.small, signal, 0.0)
        return signal, (first, second, third, fourth)


def _standard(values: NDArray, spread: NDArray | None) -> tuple[NDArray, NDArray]:
    """(values minus their mean over the last axis, in units of the spread; the spread)."""
    if spread is None:
        spread = np.maximum(values.std(-1, keepdims=True), 1e-12)
    return (values - values.mean(-1, keepdims=True)) / spread, spread


def _truth(signal: Signal, own: NDArray, activity: NDArray, industries: NDArray, regime: NDArray, h: NDArray, variance: NDArray,
           persistence: float, strength: NDArray, mean: NDArray, beta: NDArray) -> NDArray[np.float32]:
    """[days, stocks, HORIZONS] by recursion over the days ahead.

    n days on, the window of the signal still holds WINDOW - n known days; the unknown ones enter with their own expectation. The regime
    multiplier and the market's mean are averaged with the n-th power of the transition matrix, h reverts geometrically to its mean.
    Neglected: clipping at the price limit, suspensions (unforeseeable), E[sqrt h] < sqrt(E h).
    """
    days, stocks = own.shape
    out = np.zeros((days, stocks, HORIZONS), np.float32)
    if not strength.any() and not mean.any():
        return out
    own_sums, industry_sums = _trailing(own), _trailing(industries)
    _, spreads = signal(own_sums[0], activity, industry_sums[0])
    power = np.eye(len(REGIMES))
    total = np.zeros((days, stocks))
    coming: list[NDArray] = []  # E[own return] of t + 1, t + 2, ...
    for n in range(HORIZONS):
        window = own_sums[n] + sum(coming[max(0, n - WINDOW) : n])
        ahead, _ = signal(window, activity * ACTIVITY_MEMORY**n, industry_sums[n], spreads)
        spread = np.sqrt(variance + persistence**n * (h[1:] - variance))
        coming.append(spread * (power @ strength)[regime][:, None] * ahead)
        power = power @ TRANSITION
        total = total + coming[-1] + (power @ mean)[regime][:, None] * beta
        out[:, :, n] = total
    return out


def _trailing(values: NDArray) -> list[NDArray]:
    """For n = 0 .. HORIZONS - 1, the part of the window of day t + n that is known at t: the sum of the last WINDOW - n rows, or 0."""
    sums = np.vstack([np.zeros_like(values[:1]), np.cumsum(values, 0)])
    rows = np.arange(1, len(sums))
    return [sums[rows] - sums[np.maximum(rows - max(WINDOW - n, 0), 0)] for n in range(HORIZONS)]


def _traits(random: np.random.Generator, stocks: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """What never changes: industry [stocks], style [stocks, 3], market beta [stocks], mean idiosyncratic variance [stocks]."""
    weights = np.array([0.06, 0.16, 0.17, 0.09, 0.20, 0.13, 0.03, 0.04, 0.04, 0.03, 0.05])
    industry = random.choice(len(INDUSTRIES), size=stocks, p=weights)
    everywhere = min(stocks, 2 * len(INDUSTRIES))
    industry[:everywhere] = np.arange(everywhere) % len(INDUSTRIES)
    style = random.standard_normal((stocks, 3))
    beta = np.clip(1 + 0.2 * random.standard_normal(stocks) + 0.05 * style[:, 2], 0.4, 1.7)
    volatility = 0.017 * np.exp(0.22 * style[:, 2] - 0.08 * style[:, 0])
    return industry, style, beta, volatility**2


def _regimes(random: np.random.Generator, days: int) -> NDArray[np.int64]:
    draws, steps = random.random(days), np.cumsum(TRANSITION, axis=1)
    states = np.empty(days, np.int64)
    state = REGIMES.index("sideways")
    for t in range(days):
        state = min(int(np.searchsorted(steps[state], draws[t], side="right")), len(REGIMES) - 1)
        states[t] = state
    return states


def _student(random: np.random.Generator, size: int | tuple[int, ...]) -> NDArray[np.float64]:
    """Student-t with 5 degrees of freedom, scaled to variance 1."""
    return random.standard_t(5, size) * np.sqrt(3 / 5)


def _autoregression(random: np.random.Generator, days: int, stocks: int) -> NDArray[np.float64]:
    shocks = random.standard_normal((days, stocks))
    out = np.empty_like(shocks)
    out[0] = shocks[0]
    for t in range(1, days):
        out[t] = ACTIVITY_MEMORY * out[t - 1] + np.sqrt(1 - ACTIVITY_MEMORY**2) * shocks[t]
    return out


def _suspensions(random: np.random.Generator, spans: np.random.Generator, days: int, stocks: int) -> NDArray[np.bool_]:
    """Rare halts of one to SUSPENSION_DAYS sessions, announced by nothing."""
    starts = random.random((days, stocks)) < SUSPENSION_START
    lengths = spans.integers(1, SUSPENSION_DAYS + 1, (days, stocks))
    out = np.zeros((days, stocks), bool)
    for t, i in np.argwhere(starts):
        out[t : t + lengths[t, i], i] = True
    return out
