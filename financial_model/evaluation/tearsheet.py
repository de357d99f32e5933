"""A score as a factor: what its five groups earned, how fast it fades, how much it trades, what industry, size and volatility leave of it.

In: a score per row of a Sample (a model's forecast, or any feature), the style ranks of the same rows. Out: plain JSON data for a page and a report;
``{"why": ...}`` where dates hold too few names to be cut into groups. It knows no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import INDUSTRIES, RANKS
from financial_model.evaluation import significance
from financial_model.evaluation.grouping import Groups, correlation
from financial_model.evaluation.metrics import DateStatistic, by_date, daily_rank_ic, ratio, series_mean
from financial_model.evaluation.sample import Sample, build_sample

if TYPE_CHECKING:
    from financial_model.config import RunConfig
    from financial_model.datasets.panel import Panel

Array = np.ndarray
GROUPS = 5
ROUNDING = 1e-9
"""Share of its variance below which a remainder is rounding, not a score."""
LEAST_NAMES = 2 * GROUPS
"""A date with fewer names is not cut into groups."""
NEUTRAL = {"industry": (True, ()), "size": (False, ("size",)), "volatility": (False, ("volatility",)), "all": (True, ("size", "volatility"))}
"""What is taken out of the score: industry means or not, and which style ranks."""


def factor_sheet(score: Array, ends: Array, panel: Panel, config: RunConfig) -> dict[str, Any]:
    """The sheet of any ``score`` [n] known at the panel rows ``ends`` [n], as a feature's values. ``DataError`` when no outcome is known."""
    sample = build_sample(ends, panel, config.label, config.label.horizon)
    order = np.argsort(ends, kind="stable")
    values = np.asarray(score, np.float64)[order[np.searchsorted(np.asarray(ends)[order], sample.end)]]
    overlap = significance.signal_overlap(sample.symbol, sample.day, values, config.features.context_length)
    bootstrap = significance.DateBootstrap.plan(sample.days, significance.block_length(sample.horizon, overlap, sample.days))
    return tear_sheet(values, sample, panel.ranks[sample.end], bootstrap)


def tear_sheet(score: Array, sample: Sample, ranks: Array, bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    """The sheet of ``score`` [rows] on ``sample``; ``ranks`` float [rows, 4] of config.RANKS.

    Returns are log returns at the sample's horizon; curves add up the return per day of a book that renews 1/horizon of itself every day.
    """
    if sample.names_per_date() < LEAST_NAMES or np.ptp(score) == 0:
        key = "constant" if len(score) and np.ptp(score) == 0 else "few_names"
        return {"why": {"key": f"evaluation.tear.{key}", "fields": {"names": sample.names_per_date(), "needed": LEAST_NAMES}}}
    place, known = quantile_groups(score, sample)
    return {
        **_earned(place, known, sample, bootstrap), "decay": _decay(score, sample, bootstrap),
        "turnover": _turnover(place, known, sample), "autocorrelation": {lag: _autocorrelation(score, sample, lag) for lag in _lags(sample.horizon)},
        "neutral": _neutral(score, sample, ranks, bootstrap), "horizon": sample.horizon,
    }


def quantile_groups(score: Array, sample: Sample) -> tuple[Array, Array]:
    """(group 0..4 of each row by its score among the names of its date, whether its date has names enough); equal scores share a group."""
    groups = Groups.of(sample.day)
    share = (groups.ranks(score) - 0.5) / groups.spread(groups.sizes)
    place = np.empty(len(score), np.int64)
    place[groups.order] = np.minimum((share * GROUPS).astype(np.int64), GROUPS - 1)
    enough = np.empty(len(score), bool)
    enough[groups.order] = groups.spread((groups.sizes >= LEAST_NAMES) & ~groups.constant(score[groups.order]))
    return place, enough


# ---------------------------------------------------------------- what the groups earned
def _earned(place: Array, known: Array, sample: Sample, bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    """Mean return, interval and curve of each group; top minus bottom; whether more score means more return."""
    daily = np.full((sample.days, GROUPS), np.nan)
    for group in range(GROUPS):
        rows = known & (place == group)
        totals = by_date(sample.day[rows], sample.days, sample.actual[rows, -1], np.ones(rows.sum()))
        with np.errstate(invalid="ignore"):
            daily[:, group] = ratio(totals)
    spread = daily[:, -1] - daily[:, 0]
    means = [_stated(series_mean(daily[:, group]), bootstrap) for group in range(GROUPS)]
    curves = np.cumsum(np.nan_to_num(daily) / sample.horizon, axis=0)
    values = np.array([entry["value"] if entry["value"] is not None else np.nan for entry in means])
    finite = spread[np.isfinite(spread)]
    return {
        "groups": means, "long_short": _stated(series_mean(spread), bootstrap), "monotonicity": _rank_correlation(np.arange(GROUPS), values),
        "right_days": float((finite > 0).mean()) if len(finite) else None,
        "curves": {"time": sample.time.tolist(), "groups": curves.T.tolist(),
                   "long_short": np.cumsum(np.nan_to_num(spread) / sample.horizon).tolist()},
    }


def _rank_correlation(x: Array, y: Array) -> float | None:
    """Spearman's, of a few numbers; None where one is missing or all are equal."""
    if not np.isfinite(y).all() or np.ptp(y) == 0:
        return None
    one = Groups.of(np.zeros(len(x), np.int64))
    return float(correlation(one, one.ranks(x.astype(np.float64)), one.ranks(y), 2)[0])


def _stated(statistic: DateStatistic, bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    value = statistic.value()
    return {"value": value if np.isfinite(value) else None, "interval": None if bootstrap is None else bootstrap.interval(statistic)}


# ---------------------------------------------------------------- how it fades and trades
def _decay(score: Array, sample: Sample, bootstrap: significance.DateBootstrap | None) -> list[dict[str, Any]]:
    """RankIC against the return of each later day alone, and against the return up to it."""
    rows = []
    steps = np.diff(np.concatenate([np.zeros((len(score), 1)), sample.actual], axis=1), axis=1)
    for day in range(sample.horizon):
        alone, upto = (series_mean(daily_rank_ic(sample.day, sample.days, score, values[:, day])) for values in (steps, sample.actual))
        rows.append({"day": day + 1, **_stated(alone, bootstrap), "cumulative": _stated(upto, bootstrap)})
    return rows


def _lags(horizon: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys((1, horizon)))


def _before(sample: Sample, lag: int) -> tuple[Array, Array]:
    """(rows, the row of the same stock ``lag`` dates earlier) where there is one."""
    order = np.lexsort((sample.day, sample.symbol))
    later, earlier = order[lag:], order[:-lag]
    same = (sample.symbol[later] == sample.symbol[earlier]) & (sample.day[later] - sample.day[earlier] == lag)
    return later[same], earlier[same]


def _turnover(place: Array, known: Array, sample: Sample) -> dict[str, float | None]:
    """Share of the best and of the worst group that was not in it the day before, mean over dates."""
    now, then = _before(sample, 1)
    good = known[now] & known[then]
    now, then = now[good], then[good]
    found = {}
    for name, group in (("top", GROUPS - 1), ("bottom", 0)):
        inside = place[now] == group
        fresh = series_mean(ratio(by_date(sample.day[now][inside], sample.days, place[then][inside] != group, np.ones(inside.sum()))))
        value = fresh.value()
        found[name] = value if np.isfinite(value) else None
    return found


def _autocorrelation(score: Array, sample: Sample, lag: int) -> float | None:
    """Mean over dates of the rank correlation across stocks between the score and the score ``lag`` dates before."""
    if lag >= sample.days:
        return None
    now, then = _before(sample, lag)
    value = float(series_mean(daily_rank_ic(sample.day[now], sample.days, score[now], score[then])).value())
    return value if np.isfinite(value) else None


# ---------------------------------------------------------------- what is left without the usual suspects
def _neutral(score: Array, sample: Sample, ranks: Array, bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    """RankIC of the score as it is (``none``), and of what industry, size and volatility do not explain of it on each date."""
    found = {"none": _stated(series_mean(daily_rank_ic(sample.day, sample.days, score, sample.actual[:, -1])), bootstrap)}
    for name, (by_industry, styles) in NEUTRAL.items():
        industry = np.minimum(sample.conditions["industry"], len(INDUSTRIES)) if by_industry else None
        rest = residual(score, sample.day, industry, ranks[:, [RANKS.index(style) for style in styles]])
        found[name] = _stated(series_mean(daily_rank_ic(sample.day, sample.days, rest, sample.actual[:, -1])), bootstrap)
    return found


def residual(score: Array, day: Array, industry: Array | None, styles: Array) -> Array:
    """``score`` [rows] less its least-squares fit on each date by industry means (``industry`` int [rows] or None) and ``styles`` [rows, columns]."""
    cell = day if industry is None else day * (len(INDUSTRIES) + 1) + industry
    columns = [_demeaned(values, cell) for values in (np.asarray(score, np.float64), *np.asarray(styles, np.float64).T)]
    rest, others = columns[0], columns[1:]
    if not others:
        return rest
    groups = Groups.of(day)
    x = np.stack(others, axis=1)[groups.order]
    y = rest[groups.order]
    gram = np.add.reduceat(x[:, :, None] * x[:, None, :], groups.starts) + 1e-12 * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, np.add.reduceat(x * y[:, None], groups.starts)[..., None])[..., 0]
    left = y - (x * np.repeat(weights, groups.sizes, axis=0)).sum(axis=1)
    nothing = groups.sums(left**2) <= ROUNDING * groups.sums(y**2)
    result = np.empty(len(score))
    result[groups.order] = np.where(groups.spread(nothing), 0.0, left)
    return result


def _demeaned(values: Array, cell: Array) -> Array:
    groups = Groups.of(cell)
    ordered = values[groups.order]
    result = np.empty(len(values))
    result[groups.order] = np.where(groups.spread(groups.constant(ordered)), 0.0, ordered - groups.spread(groups.sums(ordered) / groups.sizes))
    return result


