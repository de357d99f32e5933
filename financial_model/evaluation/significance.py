"""How much of a figure is luck: bootstrap over blocks of dates, Newey-West, the price of having tried often.

In: `DateStatistic` or a plain series per date. Out: intervals, t values, probabilities; None where there are too few dates to say.
It resamples dates, never rows: the stocks of one date share its market, and counting them as independent makes every interval far too narrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit  # what scipy.stats would call; importing that takes a start of the page 1.5 seconds longer

from financial_model.evaluation.metrics import MINIMUM_NAMES, DateStatistic

Array = np.ndarray
DRAWS = 1000
MINIMUM_BLOCKS = 8
"""With fewer blocks an interval would be a guess."""
_EULER = 0.5772156649015329


# ---------------------------------------------------------------- how far dates depend on each other
def signal_overlap(symbol: Array, day: Array, predicted: Array, limit: int, threshold: float = 0.1) -> int:
    """Dates until a forecast has forgotten itself: the first lag at which its correlation with its own past is below ``threshold``.

    ``symbol``, ``day`` int [rows], ``predicted`` [rows], taken relative to the mean of its date, or of its stock where dates hold few names.
    At least 1, at most ``limit``.
    """
    order = np.lexsort((day, symbol))
    owner, when = symbol[order], day[order]
    within = when if np.median(np.bincount(day)) >= MINIMUM_NAMES else owner
    value = predicted[order] - (np.bincount(within, weights=predicted[order]) / np.maximum(np.bincount(within), 1))[within]
    total = float(value @ value) / max(len(value), 1)
    if not total > 1e-30:
        return 1
    for lag in range(1, limit):
        pairs = (owner[lag:] == owner[:-lag]) & (when[lag:] - when[:-lag] == lag)
        if not pairs.any() or float(np.mean(value[lag:][pairs] * value[:-lag][pairs])) / total < threshold:
            return lag
    return max(limit, 1)


def block_length(horizon: int, overlap: int, dates: int) -> int:
    """Dates per block: labels and signals overlap over ``horizon + overlap - 1`` dates, never below ``2 * horizon``.

    A slow signal may not use up the data: beyond twice the horizon the block leaves at least ``MINIMUM_BLOCKS`` of them.
    """
    return max(2 * horizon, min(horizon + overlap - 1, dates // MINIMUM_BLOCKS))


# ---------------------------------------------------------------- bootstrap
@dataclass(frozen=True, slots=True)
class DateBootstrap:
    """Circular moving-block resamples of dates, drawn once, so that every metric and every difference sees the same ones."""

    starts: Array
    """int64 [draws, blocks]: first date of each block."""
    dates: int
    block: int

    @classmethod
    def plan(cls, dates: int, block: int, *, draws: int = DRAWS, seed: int = 0) -> DateBootstrap | None:
        """None with fewer than ``MINIMUM_BLOCKS`` blocks of dates."""
        if dates < MINIMUM_BLOCKS * block:
            return None
        blocks = -(-dates // block)
        return cls(starts=np.random.default_rng(seed).integers(0, dates, (draws, blocks)), dates=dates, block=block)

    def totals(self, sums: Array) -> Array:
        """Sums over each resample: [dates, columns] -> [draws, columns]; a difference of two running sums per block."""
        running = np.concatenate([np.zeros((1, sums.shape[1])), np.cumsum(np.concatenate([sums, sums[: self.block]]), axis=0)])
        whole, rest = divmod(self.dates, self.block)
        first = self.starts[:, :whole]
        total = (running[first + self.block] - running[first]).sum(axis=1)
        if rest:
            total += running[self.starts[:, whole] + rest] - running[self.starts[:, whole]]
        return total

    def interval(self, statistic: DateStatistic, level: float = 0.95) -> tuple[float, float] | None:
        """Percentile interval around the figure, widened by Student's t for the number of blocks; None where the figure is undefined.

        A few blocks know their own spread badly: t with ``blocks - 1`` degrees over normal is the usual small-sample factor, and on noise
        it brings the coverage from below to about the nominal one.
        """
        value = statistic.value()
        draws = statistic.of(self.totals(statistic.sums))
        draws = draws[np.isfinite(draws)]
        if not math.isfinite(value) or len(draws) < 0.95 * len(self.starts):
            return None
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        tail = (1 + level) / 2
        factor = float(stdtrit(self.dates / self.block - 1, tail) / ndtri(tail))
        middle = float(np.median(draws))
        return tuple(float(np.clip(middle + factor * (end - middle), *statistic.bounds)) for end in (low, high))  # type: ignore[return-value]


# ---------------------------------------------------------------- Newey-West
@dataclass(frozen=True, slots=True)
class MeanTest:
    """The mean of a serially dependent series."""

    mean: float
    error: float
    t: float
    effective: float
    """Independent observations that would give the same error."""


def newey_west(series: Array, lag: int) -> MeanTest | None:
    """Mean with a Bartlett-weighted long-run variance (Newey and West, 1987); NaN entries are left out, None below 3 observations.

    ``lag`` must cover the overlap of labels *and* of the signal: with an overlapping label a naive t calls noise significant half of the time.
    """
    values = np.asarray(series, np.float64)
    values = values[np.isfinite(values)]
    count = len(values)
    if count < 3:
        return None
    centred = values - values.mean()
    own = float(centred @ centred) / count
    variance = own
    for step in range(1, min(lag, count - 1) + 1):
        variance += 2 * (1 - step / (lag + 1)) * float(centred[step:] @ centred[:-step]) / count
    if not (own > 0 and variance > 0):
        return None
    variance *= count / (count - 1)
    error = math.sqrt(variance / count)
    return MeanTest(mean=float(values.mean()), error=error, t=float(values.mean()) / error, effective=min(float(count), own / (variance / count)))


# ---------------------------------------------------------------- having tried often
def expected_best_sharpe(trials: int, variance: float) -> float:
    """Sharpe ratio (per period) that the best of ``trials`` worthless strategies is expected to show; ``variance`` is that of their ratios.

    Bailey and Lopez de Prado, "The Deflated Sharpe Ratio", 2014.
    """
    if trials < 2 or variance <= 0:
        return 0.0
    return math.sqrt(variance) * ((1 - _EULER) * float(ndtri(1 - 1 / trials)) + _EULER * float(ndtri(1 - 1 / (trials * math.e))))


def deflated_sharpe(returns: Array, trials: int, variance: float) -> float | None:
    """Probability that the true Sharpe ratio beats what luck gives the best of ``trials``; ``returns`` per period, ``variance`` of trial ratios.

    With one trial this is the probabilistic Sharpe ratio against zero. None for fewer than 10 periods or a constant series.
    """
    values = np.asarray(returns, np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 10 or values.std() < 1e-15:
        return None
    sharpe = float(values.mean() / values.std(ddof=1))
    standard = (values - values.mean()) / values.std()
    skew, kurtosis = float((standard**3).mean()), float((standard**4).mean())
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if spread <= 0:
        return None
    return float(ndtr((sharpe - expected_best_sharpe(trials, variance)) * math.sqrt((len(values) - 1) / spread)))


def overfitting_probability(returns: Array, blocks: int = 16) -> float | None:
    """Probability that the configuration best in one half of time is below the median in the other half: CSCV.

    ``returns`` [periods, configurations]. Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest Overfitting", 2017.
    None with fewer than two configurations or fewer than two periods per block.
    """
    values = np.asarray(returns, np.float64)
    if values.ndim != 2 or values.shape[1] < 2 or len(values) < 2 * blocks or blocks % 2:
        return None
    size = len(values) // blocks
    parts = values[: size * blocks].reshape(blocks, size, -1)
    halves = np.array([np.isin(np.arange(blocks), chosen) for chosen in combinations(range(blocks), blocks // 2)], np.float64)
    inside, outside = (_sharpe(half, parts.sum(axis=1), (parts**2).sum(axis=1), size) for half in (halves, 1 - halves))
    best = inside.argmax(axis=1)
    chosen = outside[np.arange(len(best)), best]
    below, equal = (outside < chosen[:, None]).sum(axis=1), (outside == chosen[:, None]).sum(axis=1)
    return float(np.mean((below + (equal + 1) / 2) / (values.shape[1] + 1) <= 0.5))


def _sharpe(half: Array, sums: Array, squares: Array, size: int) -> Array:
    """Sharpe ratio of every configuration over the blocks of each half: [halves, configurations]."""
    count = half.sum(axis=1, keepdims=True) * size
    mean = half @ sums / count
    deviation = np.sqrt(np.maximum(half @ squares / count - mean**2, 1e-30))
    return mean / deviation
