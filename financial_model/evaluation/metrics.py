"""What a forecast of returns is worth, date by date.

In: flat arrays of predicted and realised log returns with a date number per row. Out: `DateStatistic`: sums per date and the figure they add up
to, so that one bootstrap over dates serves every metric and every difference of two metrics.
An undefined figure (constant predictions, too few names) is NaN here and None in every result; it is never 0 or 1.
It knows no models, no prices and no intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from financial_model.evaluation.grouping import Groups, correlation

Array = np.ndarray
MINIMUM_NAMES = 5
"""A date with fewer names has no cross-sectional correlation."""
CAPTURE = 0.05
"""Share of names that `best_capture` calls the best."""
UNBOUNDED = (-np.inf, np.inf)
SHARE = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class DateStatistic:
    """A figure computed from sums over dates. Resampling dates means resampling rows of ``sums``."""

    sums: Array
    """float64 [dates, columns]"""
    figure: Callable[[Array], Array]
    """[..., columns] -> [...]; NaN where undefined"""
    bounds: tuple[float, float] = UNBOUNDED

    def value(self) -> float:
        return float(self.of(self.sums.sum(axis=0)))

    def of(self, totals: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.figure(totals))

    def minus(self, other: DateStatistic) -> DateStatistic:
        """The paired difference: both sides see the same dates in every resample."""
        split = self.sums.shape[1]
        return DateStatistic(np.hstack([self.sums, other.sums]), lambda s: self.of(s[..., :split]) - other.of(s[..., split:]))


def ratio(totals: Array) -> Array:
    """First column over second."""
    return totals[..., 0] / np.where(totals[..., 1] > 0, totals[..., 1], np.nan)


def root_ratio(totals: Array) -> Array:
    return np.sqrt(ratio(totals))


def by_date(day: Array, days: int, *columns: Array) -> Array:
    """Sums per date: float64 [days, columns]."""
    return np.stack([np.bincount(day, weights=np.asarray(column, np.float64), minlength=days) for column in columns], axis=1)


# ---------------------------------------------------------------- correlation across names
def daily_ic(day: Array, days: int, predicted: Array, actual: Array, minimum: int = MINIMUM_NAMES) -> Array:
    """Pearson correlation across the names of each date: float64 [days], NaN where undefined."""
    groups = Groups.of(day)
    return _scatter(groups, days, correlation(groups, predicted[groups.order], actual[groups.order], minimum))


def daily_rank_ic(day: Array, days: int, predicted: Array, actual: Array, minimum: int = MINIMUM_NAMES) -> Array:
    """Spearman correlation across the names of each date (ties share their mean rank): float64 [days], NaN where undefined."""
    groups = Groups.of(day)
    return _scatter(groups, days, correlation(groups, groups.ranks(predicted), groups.ranks(actual), minimum))


def _scatter(groups: Groups, days: int, values: Array) -> Array:
    result = np.full(days, np.nan)
    result[groups.keys] = values
    return result


def series_mean(series: Array) -> DateStatistic:
    """Mean of a figure per date over the dates that have it."""
    known = np.isfinite(series)
    return DateStatistic(np.stack([np.where(known, series, 0.0), known], axis=1), ratio)


def series_ratio(series: Array) -> DateStatistic:
    """Mean over standard deviation of a figure per date (ICIR, not annualised)."""
    known = np.isfinite(series)
    value = np.where(known, series, 0.0)
    return DateStatistic(np.stack([value, value**2, known], axis=1), _mean_over_deviation)


def _mean_over_deviation(totals: Array) -> Array:
    count = np.where(totals[..., 2] > 1, totals[..., 2], np.nan)
    mean = totals[..., 0] / count
    variance = (totals[..., 1] / count - mean**2) * count / (count - 1)
    return mean / np.sqrt(np.where(variance > 1e-18, variance, np.nan))


def correlation_statistics(day: Array, days: int, predicted: Array, actual: Array) -> tuple[dict[str, DateStatistic], dict[str, Array]]:
    """``ic rank_ic icir rank_icir`` and the two daily series behind them."""
    series = {"ic": daily_ic(day, days, predicted, actual), "rank_ic": daily_rank_ic(day, days, predicted, actual)}
    found = {name: series_mean(values) for name, values in series.items()}
    return {**found, "icir": series_ratio(series["ic"]), "rank_icir": series_ratio(series["rank_ic"])}, series


# ---------------------------------------------------------------- correlation over time, for one stock or a few
def time_statistics(day: Array, days: int, symbol: Array, predicted: Array, actual: Array) -> dict[str, DateStatistic]:
    """``time_ic time_rank_ic``: correlation along time, each symbol standardised by itself; for universes too small for a daily one."""
    groups = Groups.of(symbol)
    ordered_day = day[groups.order]
    found = {}
    for name, x, y in (("time_ic", predicted[groups.order], actual[groups.order]), ("time_rank_ic", groups.ranks(predicted), groups.ranks(actual))):
        x, y = _standardised(groups, x), _standardised(groups, y)
        known = np.isfinite(x) & np.isfinite(y)
        x, y, when = x[known], y[known], ordered_day[known]
        found[name] = DateStatistic(by_date(when, days, x, y, x * x, y * y, x * y, np.ones(len(x))), _pooled_correlation, (-1.0, 1.0))
    return found


def _standardised(groups: Groups, ordered: Array) -> Array:
    """Each group to mean 0 and variance 1, in group order; NaN where the group is constant."""
    centred = ordered - groups.spread(groups.sums(ordered) / groups.sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = centred / groups.spread(np.sqrt(groups.sums(centred**2) / groups.sizes))
    return np.where(groups.spread(groups.constant(ordered)), np.nan, scaled)


def _pooled_correlation(totals: Array) -> Array:
    x, y, xx, yy, xy, raw = (totals[..., i] for i in range(6))
    count = np.where(raw >= 3, raw, np.nan)
    spread = (xx / count - (x / count) ** 2) * (yy / count - (y / count) ** 2)
    return (xy / count - x * y / count**2) / np.sqrt(np.where(spread > 1e-18, spread, np.nan))


# ---------------------------------------------------------------- direction
def direction_statistics(day: Array, days: int, predicted: Array, actual: Array) -> dict[str, DateStatistic]:
    """Sign of the return against its base rate, and sign of the return minus its date's mean.

    Rows whose realised return is exactly zero are left out; a prediction of exactly zero counts half; nothing but zeros is undefined.
    ``direction_base_rate`` is what the better constant answer scores, ``direction_edge`` the distance to it.
    """
    moved = actual != 0
    right, said, count = _hits(predicted[moved], actual[moved])
    up = (actual[moved] > 0).astype(np.float64)
    sums = by_date(day[moved], days, right, count, said, up)
    groups = Groups.of(day)
    demeaned_right, demeaned_said, demeaned_count = _hits(_demeaned(groups, predicted), _demeaned(groups, actual))
    demeaned = by_date(day[groups.order], days, demeaned_right, demeaned_count, demeaned_said)
    return {
        "direction": DateStatistic(sums, _accuracy, SHARE),
        "direction_base_rate": DateStatistic(sums, _base_rate, SHARE),
        "direction_edge": DateStatistic(sums, lambda s: _accuracy(s) - _base_rate(s), (-1.0, 1.0)),
        "direction_demeaned": DateStatistic(demeaned, _accuracy, SHARE),
    }


def _hits(predicted: Array, actual: Array) -> tuple[Array, Array, Array]:
    said = predicted != 0
    right = np.where(said, (predicted > 0) == (actual > 0), 0.5)
    return right, said.astype(np.float64), np.ones(len(right))


def _demeaned(groups: Groups, values: Array) -> Array:
    """Minus the group's mean, in group order; exactly zero where the whole group is the same."""
    ordered = np.asarray(values[groups.order], np.float64)
    centred = ordered - groups.spread(groups.sums(ordered) / groups.sizes)
    return np.where(groups.spread(groups.constant(ordered)), 0.0, centred)


def _accuracy(totals: Array) -> Array:
    return np.where(totals[..., 2] > 0, ratio(totals), np.nan)


def _base_rate(totals: Array) -> Array:
    share = totals[..., 3] / np.where(totals[..., 1] > 0, totals[..., 1], np.nan)
    return np.maximum(share, 1 - share)


def best_capture(day: Array, days: int, predicted: Array, actual: Array) -> DateStatistic:
    """Share of each date's best 5 % that the model put among its own best 5 %; dates with at least 20 names. By chance 5 %."""
    groups = Groups.of(day)
    if not len(groups.keys):
        return DateStatistic(np.zeros((days, 2)), ratio, SHARE)
    take = np.where(groups.sizes * CAPTURE >= 1, np.floor(groups.sizes * CAPTURE), 0)
    cut = groups.spread(groups.sizes - take)
    flat = groups.spread(groups.constant(predicted[groups.order]))
    truly = groups.ranks(actual) > cut
    chosen = (groups.ranks(predicted) > cut) & ~flat
    return DateStatistic(by_date(day[groups.order], days, truly & chosen, truly & ~flat), ratio, SHARE)


# ---------------------------------------------------------------- size of the error
def error_statistics(day: Array, days: int, predicted: Array, actual: Array) -> dict[str, DateStatistic]:
    """``mae_percent rmse_percent`` of the simple return in percent; inputs are log returns."""
    error = 100 * (np.expm1(predicted) - np.expm1(actual))
    count = np.ones(len(error))
    return {
        "mae_percent": DateStatistic(by_date(day, days, np.abs(error), count), ratio, (0.0, np.inf)),
        "rmse_percent": DateStatistic(by_date(day, days, error**2, count), root_ratio, (0.0, np.inf)),
    }


# ---------------------------------------------------------------- quantiles
def interval_columns(levels: Sequence[float], share: float) -> tuple[int, int] | None:
    """Positions of the two levels around the central ``share``, or None where they are not among ``levels``."""
    ends = [int(np.argmin(np.abs(np.asarray(levels) - side))) for side in ((1 - share) / 2, (1 + share) / 2)] if len(levels) else []
    good = [abs(levels[i] - side) < 1e-6 for i, side in zip(ends, ((1 - share) / 2, (1 + share) / 2), strict=False)]
    return (ends[0], ends[1]) if len(good) == 2 and all(good) else None


def quantile_statistics(day: Array, days: int, levels: Sequence[float], quantiles: Array, actual: Array) -> dict[str, DateStatistic]:
    """``pinball`` (percent log return, mean over levels), ``coverage_50/80/95`` and ``width_80_percent`` where the levels are there.

    ``quantiles`` [rows, levels], ``actual`` [rows], both log return.
    """
    below = actual[:, None] - quantiles
    loss = 100 * np.maximum(np.asarray(levels) * below, (np.asarray(levels) - 1) * below).mean(axis=1)
    count = np.ones(len(actual))
    found = {"pinball": DateStatistic(by_date(day, days, loss, count), ratio, (0.0, np.inf))}
    for percent in (50, 80, 95):
        columns = interval_columns(levels, percent / 100)
        if columns:
            low, high = quantiles[:, columns[0]], quantiles[:, columns[1]]
            inside = (actual >= low) & (actual <= high)
            found[f"coverage_{percent}"] = DateStatistic(by_date(day, days, inside, count), ratio, SHARE)
            if percent == 80:
                width = 100 * (np.expm1(high) - np.expm1(low))
                found["width_80_percent"] = DateStatistic(by_date(day, days, width, count), ratio, (0.0, np.inf))
    return found
