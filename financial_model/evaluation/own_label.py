"""A forecast of something that is no return, judged in its own unit beside the baselines on the same rows.

In: predictions of a run that was asked another label, and its panel. Out: plain figures with intervals at the full horizon. There is no direction, no
class, no portfolio: those mean something for returns alone. It knows no files, no models and no page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import RunConfig
from financial_model.errors import DataError
from financial_model.evaluation import metrics, significance
from financial_model.evaluation.metrics import DateStatistic
from financial_model.evaluation.sample import Sample, aligned, build_sample
from financial_model.evaluation.tasks import value_statistics
from financial_model.training.plain import plain

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.prediction import Prediction

BASELINES = ("ridge", "lightgbm", "persistence", "train_mean")
"""Baselines that mean something for any number: the rules of thumb among the others are about prices."""
FIGURES = ("mae", "rmse", "ic", "rank_ic", "icir", "time_ic", "time_rank_ic", "pinball", "coverage_80")
QUICK = ("mae", "ic", "rank_ic", "icir", "time_ic")


def evaluate_label(prediction: Prediction, panel: Panel, config: RunConfig, baselines: Mapping[str, Prediction], *, trials: int = 1,
                   draws: int = significance.DRAWS, seed: int = 0) -> dict[str, Any]:
    """Every figure of ``prediction`` beside ``baselines``. ``mae rmse pinball`` are in the unit of the label. ``DataError`` when no row's label is
    known."""
    horizon = prediction.expected.shape[1]
    sample = build_sample(prediction.end, panel, config.label, horizon)
    model = _statistics(prediction, sample, "model")
    expected = prediction.expected[aligned(prediction, sample, "model"), -1].astype(np.float64)
    overlap = significance.signal_overlap(sample.symbol, sample.day, expected, config.features.context_length)
    block = significance.block_length(horizon, overlap, sample.days)
    bootstrap = significance.DateBootstrap.plan(sample.days, block, draws=draws, seed=seed)
    result = {
        **_figures(model, bootstrap), "own_label": config.label.target, "horizon": horizon, "entry": config.label.entry, "trials": trials,
        "sample": {"rows": len(sample.end), "dates": sample.days, "symbols": len(np.unique(sample.symbol)), "first": int(sample.time[0]),
                   "names_per_date": sample.names_per_date(), "last": int(sample.time[-1]), "block": block, "signal_overlap": overlap,
                   "effective_dates": None, "synthetic": bool(panel.synthetic),
                   "dates_needed": significance.MINIMUM_BLOCKS * block, "fingerprint": panel.fingerprint},
        "baselines": {name: _beside(model, _statistics(other, sample, name), bootstrap) for name, other in baselines.items()},
    }
    return plain({**result, "verdict": _verdict(result)})


def quick_label_score(prediction: Prediction, sample: Sample) -> dict[str, float | None]:
    """``mae ic rank_ic icir`` at the full horizon, for the evaluations inside a training."""
    found = _statistics(prediction, sample, "model")
    return plain({name: found[name].value() for name in QUICK if name in found})


def _statistics(prediction: Prediction, sample: Sample, name: str) -> dict[str, DateStatistic]:
    rows = aligned(prediction, sample, name)
    expected, actual = prediction.expected[rows, -1].astype(np.float64), sample.actual[:, -1]
    if not np.isfinite(expected).all():
        raise DataError("evaluation.not_finite", name=name, count=int((~np.isfinite(expected)).sum()), rows=len(rows))
    found = value_statistics(sample, expected, actual)
    if prediction.quantiles is not None:
        quantiles = prediction.quantiles[rows, -1].astype(np.float64)
        known = metrics.quantile_statistics(sample.day, sample.days, prediction.levels, quantiles, actual)
        loss = known["pinball"]
        found["pinball"] = DateStatistic(loss.sums, lambda totals: loss.figure(totals) / 100, loss.bounds)  # that of returns is in percent
        found |= {key: known[key] for key in ("coverage_80",) if key in known}
    return found


def _figures(statistics: Mapping[str, DateStatistic], bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in FIGURES:
        if name in statistics:
            found |= {name: statistics[name].value(), f"{name}_interval": None if bootstrap is None else bootstrap.interval(statistics[name])}
    return found


def _beside(model: Mapping[str, DateStatistic], other: Mapping[str, DateStatistic], bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    paired = {name: model[name].minus(other[name]) for name in FIGURES if name in model and name in other}
    difference = {name: {"value": statistic.value(), "interval": None if bootstrap is None else bootstrap.interval(statistic)}
                  for name, statistic in paired.items()}
    return {**_figures(other, bootstrap), "difference": difference}


def _verdict(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How the error compares with that of the best baseline, chosen with hindsight."""
    label = {"label": result["own_label"]}
    said: list[dict[str, Any]] = []
    if result["baselines"]:
        name = min(result["baselines"], key=lambda other: result["baselines"][other]["mae"])
        paired = result["baselines"][name]["difference"]["mae"]
        fields = {**label, "name": name, "mae": result["mae"], "other": result["baselines"][name]["mae"]}
        if paired["interval"] is None:
            said.append({"key": "evaluation.own.few_dates", "level": "warning", "fields": {**fields, "dates": result["sample"]["dates"],
                                                                                          "needed": result["sample"]["dates_needed"]}})
        else:
            low, high = paired["interval"]
            key, level = ("better", "good") if high < 0 else ("worse", "bad") if low > 0 else ("alike", "none")
            said.append({"key": f"evaluation.own.{key}", "level": level, "fields": {**fields, "low": low, "high": high}})
    said.append({"key": "evaluation.own.no_return", "level": "note", "fields": label})
    if result["sample"]["synthetic"]:
        said.append({"key": "evaluation.verdict.synthetic", "level": "note", "fields": {}})
    return said
