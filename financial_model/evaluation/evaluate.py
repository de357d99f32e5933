"""One forecast, judged: every metric beside every baseline, with an interval, by horizon and by group, and the verdict in plain words.

In: a Prediction, the Panel it was made on, the run's configuration, the baselines' Predictions. Out: plain JSON data with the metric names
that every table, checkpoint header and report uses. An undefined figure is None.
It knows no files, no models and no page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import CLASSES, CONDITIONS, LabelConfig, RunConfig
from financial_model.errors import DataError
from financial_model.evaluation import classification, metrics, significance, verdict
from financial_model.evaluation.metrics import DateStatistic
from financial_model.evaluation.own_label import evaluate_label, quick_label_score
from financial_model.evaluation.sample import Sample, aligned, build_sample
from financial_model.evaluation.tasks import judge_tasks
from financial_model.evaluation.tearsheet import tear_sheet
from financial_model.evaluation.truth import truth_statistics
from financial_model.training.plain import plain

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.prediction import Prediction

Array = np.ndarray
HEADLINE = ("ic", "rank_ic", "icir", "direction", "direction_base_rate", "balanced_accuracy", "mae_percent", "rmse_percent", "coverage_80", "pinball")
"""Figures every table shows; each has ``<name>_interval`` where there are dates enough."""
PAIRED = ("ic", "rank_ic", "icir", "time_ic", "time_rank_ic", "direction", "balanced_accuracy", "macro_f1", "mae_percent", "rmse_percent", "pinball",
          "brier")
"""Figures compared with each baseline on the same dates."""
QUICK = ("ic", "rank_ic", "icir", "direction", "direction_base_rate", "mae_percent")
HORIZONS = (1, 2, 3, 5, 10, 20, 30)
SCATTER_POINTS = 800


@dataclass(frozen=True, slots=True)
class Judged:
    """One forecaster on a sample: its figures and the arrays that groups and calibration need."""

    statistics: dict[str, DateStatistic]
    series: dict[str, Array]
    expected: Array
    """float64 [rows, horizon]"""
    quantiles: Array | None
    """float64 [rows, levels] at the full horizon"""
    levels: tuple[float, ...]
    probabilities: Array | None
    """float64 [rows, 3]"""


def evaluate(prediction: Prediction, panel: Panel, config: RunConfig, baselines: Mapping[str, Prediction] | None = None, *,
             trials: int = 1, draws: int = significance.DRAWS, seed: int = 0) -> dict[str, Any]:
    """Every figure of ``prediction`` at the full horizon beside ``baselines`` (predictions for at least the same rows).

    ``trials``: configurations tried on this data so far, this one included; it is recorded. Raises ``DataError`` when no row has a known return,
    or when a baseline lacks rows.
    """
    if config.label.own:
        return evaluate_label(prediction, panel, config, baselines or {}, trials=trials, draws=draws, seed=seed)
    horizon = prediction.expected.shape[1]
    sample = build_sample(prediction.end, panel, config.label, horizon)
    judged = judge(prediction, sample, config.label, "model")
    rivals = {name: judge(other, sample, config.label, name) for name, other in (baselines or {}).items()}
    hardest = _hardest(rivals)
    overlap = significance.signal_overlap(sample.symbol, sample.day, judged.expected[:, -1], config.features.context_length)
    block = significance.block_length(horizon, overlap, sample.days)
    bootstrap = significance.DateBootstrap.plan(sample.days, block, draws=draws, seed=seed)
    result = {
        **figures(judged.statistics, bootstrap), "horizon": horizon, "entry": config.label.entry, "class_horizon": sample.class_horizon,
        "sample": _describe(sample, panel, judged, block, overlap), "trials": trials,
        "rank_ic_t": _t_value(judged.series["rank_ic"], block), "ic_t": _t_value(judged.series["ic"], block),
        "baselines": {name: _compare(judged, other, bootstrap) for name, other in rivals.items()},
        "constant_classes": {name: _constant_class(sample, number) for number, name in enumerate(CLASSES)},
        "confusion": classification.confusion(judged.statistics["balanced_accuracy"]).tolist(),
        "horizons": {h: _at_horizon(prediction, sample, h, bootstrap, hardest) for h in sorted({h for h in HORIZONS if h < horizon} | {horizon})},
        "groups": by_group(judged, sample, bootstrap, hardest), "calibration": _calibration(judged, sample, bootstrap),
        "tear_sheet": tear_sheet(judged.expected[:, -1], sample, panel.ranks[sample.end], bootstrap),
        "buyable": _buyable_only(judged, sample, bootstrap), "series": _series(judged, sample),
        "scatter": _scatter(judged, sample), "tasks": judge_tasks(prediction, sample, panel, config.label, bootstrap),
        **_oracle(judged, sample, bootstrap),
    }
    result["verdict"] = verdict.verdict(result)
    return plain(result)


def quick_score(prediction: Prediction, panel: Panel, label: LabelConfig | None = None) -> dict[str, float | None]:
    """``ic rank_ic icir direction mae_percent`` (and ``time_ic`` for a few stocks) at the full horizon, for the evaluations inside a training.

    A model that has diverged scores None everywhere: it is the trainer's business to stop.
    """
    sample = build_sample(prediction.end, panel, label or LabelConfig(), prediction.expected.shape[1])
    expected = prediction.expected[aligned(prediction, sample, "model"), -1].astype(np.float64)
    if not np.isfinite(expected).all():
        return dict.fromkeys(QUICK)
    if label is not None and label.own:
        return quick_label_score(prediction, sample)
    actual, day, days = sample.actual[:, -1], sample.day, sample.days
    found, _ = metrics.correlation_statistics(day, days, expected, actual)
    found |= metrics.direction_statistics(day, days, expected, actual)
    found |= metrics.error_statistics(day, days, expected, actual)
    if sample.names_per_date() < metrics.MINIMUM_NAMES:
        found |= metrics.time_statistics(day, days, sample.symbol, expected, actual)
    return {name: _number(found[name].value()) for name in (*QUICK, "time_ic") if name in found}


def fold_scores(prediction: Prediction, rivals: Mapping[str, Prediction], panel: Panel, config: RunConfig) -> dict[str, Any]:
    """``rank_ic_interval`` of a part of a test and ``baselines``: the RankIC of each rival on its rows."""
    sample = build_sample(prediction.end, panel, config.label, prediction.expected.shape[1])
    day, days, actual = sample.day, sample.days, sample.actual[:, -1]

    def series(of: Prediction, name: str) -> DateStatistic:
        return metrics.series_mean(metrics.daily_rank_ic(day, days, of.expected[aligned(of, sample, name), -1].astype(np.float64), actual))

    expected = prediction.expected[aligned(prediction, sample, "model"), -1].astype(np.float64)
    overlap = significance.signal_overlap(sample.symbol, day, expected, config.features.context_length)
    bootstrap = significance.DateBootstrap.plan(days, significance.block_length(sample.horizon, overlap, days))
    return plain({"rank_ic_interval": None if bootstrap is None else bootstrap.interval(series(prediction, "model")),
                  "baselines": {name: series(other, name).value() for name, other in rivals.items()}})


# ---------------------------------------------------------------- one forecaster
def judge(prediction: Prediction, sample: Sample, label: LabelConfig, name: str) -> Judged:
    """Every statistic of one forecaster at the full horizon of the sample. ``DataError`` for a forecast that is not a number."""
    rows = aligned(prediction, sample, name)
    expected = prediction.expected[rows, : sample.horizon].astype(np.float64)
    if not np.isfinite(expected).all():
        raise DataError("evaluation.not_finite", name=name, count=int((~np.isfinite(expected)).any(axis=1).sum()), rows=len(rows))
    quantiles = None if prediction.quantiles is None else prediction.quantiles[rows, : sample.horizon].astype(np.float64)
    last = None if quantiles is None else quantiles[:, -1]
    if prediction.probabilities is not None:
        probabilities = prediction.probabilities[rows].astype(np.float64)
    elif quantiles is not None:
        probabilities = classification.class_probabilities(prediction.levels, quantiles[:, sample.class_horizon - 1], label.up, label.down)
    else:
        probabilities = None
    day, days, actual = sample.day, sample.days, sample.actual[:, -1]
    found, series = metrics.correlation_statistics(day, days, expected[:, -1], actual)
    found |= metrics.direction_statistics(day, days, expected[:, -1], actual)
    found |= metrics.error_statistics(day, days, expected[:, -1], actual)
    found["best_capture"] = metrics.best_capture(day, days, expected[:, -1], actual)
    if sample.names_per_date() < metrics.MINIMUM_NAMES:
        found |= metrics.time_statistics(day, days, sample.symbol, expected[:, -1], actual)
    found |= classification.class_statistics(day, days, _classes(probabilities, expected, sample, label), sample.label)
    if probabilities is not None:
        found |= classification.probability_statistics(day, days, probabilities, sample.label)
    if last is not None:
        found |= metrics.quantile_statistics(day, days, prediction.levels, last, actual)
    return Judged(statistics=found, series=series, expected=expected, quantiles=last, levels=tuple(prediction.levels), probabilities=probabilities)


def _classes(probabilities: Array | None, expected: Array, sample: Sample, label: LabelConfig) -> Array:
    """The likeliest class; without probabilities, the class of the expected return."""
    if probabilities is not None:
        return probabilities.argmax(axis=1)
    value = expected[:, sample.class_horizon - 1]
    return np.where(value >= math.log1p(label.up), 0, np.where(value <= math.log1p(label.down), 2, 1))


def figures(statistics: Mapping[str, DateStatistic], bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    """name -> value and ``<name>_interval`` -> [low, high] or None. Headline names are always there."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys((*HEADLINE, *statistics)):
        statistic = statistics.get(name)
        found[name] = None if statistic is None else statistic.value()
        found[f"{name}_interval"] = None if statistic is None or bootstrap is None else bootstrap.interval(statistic)
    return found


def _values(statistics: Mapping[str, DateStatistic]) -> dict[str, Any]:
    return {name: statistic.value() for name, statistic in statistics.items()}


def _constant_class(sample: Sample, number: int) -> dict[str, Any]:
    """What always giving the same answer scores; flat says nothing about direction."""
    found = classification.class_statistics(sample.day, sample.days, np.full(len(sample.end), number), sample.label)
    constant = np.full(len(sample.end), 1.0 - number)
    direction = metrics.direction_statistics(sample.day, sample.days, constant, sample.actual[:, -1])["direction"]
    return {"direction": direction.value(), **_values(found)}


def _compare(model: Judged, baseline: Judged, bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    """The baseline's figures and, per figure, model minus baseline with its paired interval."""
    difference = {}
    for name in PAIRED:
        if name in model.statistics and name in baseline.statistics:
            paired = model.statistics[name].minus(baseline.statistics[name])
            difference[name] = {"value": paired.value(), "interval": None if bootstrap is None else bootstrap.interval(paired)}
    return {**figures(baseline.statistics, bootstrap), "difference": difference}


def _at_horizon(prediction: Prediction, sample: Sample, horizon: int, bootstrap: significance.DateBootstrap | None,
                rivals: Mapping[str, Judged]) -> dict[str, Any]:
    """The figures of one shorter horizon that depend on it; ``baselines``: the RankIC of each rival at that horizon."""
    rows = aligned(prediction, sample, "model")
    expected, actual = prediction.expected[rows, horizon - 1].astype(np.float64), sample.actual[:, horizon - 1]
    found, _ = metrics.correlation_statistics(sample.day, sample.days, expected, actual)
    found |= metrics.direction_statistics(sample.day, sample.days, expected, actual)
    found |= metrics.error_statistics(sample.day, sample.days, expected, actual)
    if prediction.quantiles is not None:
        quantiles = prediction.quantiles[rows, horizon - 1].astype(np.float64)
        found |= metrics.quantile_statistics(sample.day, sample.days, prediction.levels, quantiles, actual)
    return {**figures(found, bootstrap), "baselines": _rank_ics(rivals, sample, np.ones(len(actual), bool), horizon)}


def _rank_ics(rivals: Mapping[str, Judged], sample: Sample, rows: Array, horizon: int) -> dict[str, float]:
    """RankIC of each rival at ``horizon`` on some rows [rows] of the sample."""
    return {name: metrics.series_mean(metrics.daily_rank_ic(sample.day[rows], sample.days, other.expected[rows, horizon - 1],
                                                            sample.actual[rows, horizon - 1])).value() for name, other in rivals.items()}


def _hardest(rivals: Mapping[str, Judged]) -> dict[str, Judged]:
    """The ``verdict.RIVALS`` baselines of highest RankIC; one without any is none of them."""
    known = {name: other.statistics["rank_ic"].value() for name, other in rivals.items()}
    best = sorted((name for name, value in known.items() if math.isfinite(value)), key=lambda name: known[name], reverse=True)
    return {name: rivals[name] for name in best[:verdict.RIVALS]}


# ---------------------------------------------------------------- parts of the sample
def by_group(judged: Judged, sample: Sample, bootstrap: significance.DateBootstrap | None,
             rivals: Mapping[str, Judged] | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """condition -> name (and ``unknown``) -> counts and figures of the rows in it; ``baselines``: the RankIC of each rival on the same rows."""
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for condition, names in CONDITIONS.items():
        index = np.minimum(sample.conditions[condition], len(names))
        result[condition] = {name: _subset(judged, sample, index == number, bootstrap, rivals)
                             for number, name in enumerate((*names, "unknown")) if (index == number).any()}
    return result


def _subset(judged: Judged, sample: Sample, rows: Array, bootstrap: significance.DateBootstrap | None,
            rivals: Mapping[str, Judged] | None = None) -> dict[str, Any]:
    day, days, expected, actual = sample.day[rows], sample.days, judged.expected[rows, -1], sample.actual[rows, -1]
    found, series = metrics.correlation_statistics(day, days, expected, actual)
    direction = metrics.direction_statistics(day, days, expected, actual)
    found |= {name: direction[name] for name in ("direction", "direction_base_rate")}
    found["mae_percent"] = metrics.error_statistics(day, days, expected, actual)["mae_percent"]
    if judged.quantiles is not None:
        quantile = metrics.quantile_statistics(day, days, judged.levels, judged.quantiles[rows], actual)
        found |= {name: statistic for name, statistic in quantile.items() if name.startswith(("coverage", "pinball"))}
    values = _values(found)
    for name in ("rank_ic", "coverage_80"):
        values[f"{name}_interval"] = None if bootstrap is None or name not in found else bootstrap.interval(found[name])
    if rivals:
        values["baselines"] = _rank_ics(rivals, sample, rows, sample.horizon)
    return {"rows": int(rows.sum()), "dates": len(np.unique(day)), "names": len(np.unique(sample.symbol[rows])),
            "dates_with_ic": int(np.isfinite(series["rank_ic"]).sum()), **values}


def _buyable_only(judged: Judged, sample: Sample, bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    """The same forecast without rows nobody could have bought at the next open (suspended, or opening at the upper limit)."""
    share = float(sample.buyable.mean())
    return {"share": share, **(_subset(judged, sample, sample.buyable, bootstrap) if 0 < share < 1 else {})}


def _calibration(judged: Judged, sample: Sample, bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    """Reliability of the class probabilities, share of outcomes below each quantile, coverage of every central interval the levels allow."""
    result: dict[str, Any] = {"reliability": {}, "ece": None, "coverage": [], "quantiles": {}}
    if judged.probabilities is not None:
        result["reliability"], result["ece"] = classification.class_calibration(judged.probabilities, sample.label)
    if judged.quantiles is not None:
        below = (sample.actual[:, -1:] <= judged.quantiles).mean(axis=0)
        result["quantiles"] = {"level": list(judged.levels), "below": below.tolist()}
    for percent in (50, 80, 95):
        statistic = judged.statistics.get(f"coverage_{percent}")
        if statistic is not None:
            result["coverage"].append({"level": percent / 100, "covered": statistic.value(),
                                       "interval": None if bootstrap is None else bootstrap.interval(statistic)})
    return result


def _oracle(judged: Judged, sample: Sample, bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    """``oracle_ic recovery`` where the market's truth is known at this horizon: what a perfect forecaster scores, and the share of it reached."""
    found: dict[str, Any] = {}
    for name, statistic in truth_statistics(sample, judged.expected[:, -1]).items():
        found |= {name: statistic.value(), f"{name}_interval": None if bootstrap is None else bootstrap.interval(statistic)}
    return found


def _describe(sample: Sample, panel: Panel, judged: Judged, block: int, overlap: int) -> dict[str, Any]:
    """What the figures rest on."""
    daily = judged.series["rank_ic"]  # a few stocks have no correlation across a date: then the share of right directions is the series
    test = significance.newey_west(daily if np.isfinite(daily).any() else _direction_series(judged), block)
    return {
        "rows": len(sample.end), "dates": sample.days, "symbols": len(np.unique(sample.symbol)), "names_per_date": sample.names_per_date(),
        "first": int(sample.time[0]), "last": int(sample.time[-1]), "dates_with_ic": int(np.isfinite(judged.series["ic"]).sum()),
        "block": block, "signal_overlap": overlap, "dates_needed": significance.MINIMUM_BLOCKS * block,
        "effective_dates": None if test is None else test.effective, "synthetic": bool(panel.synthetic), "fingerprint": panel.fingerprint,
        "constant": bool(np.ptp(judged.expected[:, -1]) == 0),
    }


def _series(judged: Judged, sample: Sample) -> dict[str, list[Any]]:
    regime = np.full(len(sample.time), len(CONDITIONS["regime"]), np.int64)
    regime[sample.day] = sample.conditions["regime"]  # the market's: one for all stocks of a date
    return {"time": sample.time.tolist(), "ic": judged.series["ic"].tolist(), "rank_ic": judged.series["rank_ic"].tolist(),
            "direction": _direction_series(judged).tolist(), "regime": regime.tolist()}


def _direction_series(judged: Judged) -> Array:
    """Share of right directions on each date, NaN where nothing moved."""
    direction = judged.statistics["direction"].sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return direction[:, 0] / direction[:, 1]


def _scatter(judged: Judged, sample: Sample) -> dict[str, list[float]]:
    """Predicted and realised log return of every n-th row, for a picture."""
    step = max(1, len(sample.end) // SCATTER_POINTS)
    return {"predicted": judged.expected[::step, -1].tolist(), "actual": sample.actual[::step, -1].tolist()}


def _t_value(series: Array, lag: int) -> float | None:
    test = significance.newey_west(series, lag)
    return None if test is None else test.t


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
