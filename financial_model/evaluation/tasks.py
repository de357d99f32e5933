"""What the head multi says besides returns and classes, judged beside what costs nothing to say.

In: a Prediction with volatility and momentum, the sample it is judged on, the panel. Out: plain figures per task, of the model and of naive
forecasts, with the paired difference. Volatility is in percent per bar, momentum in -1..1. The naive ones read bars up to the window's end alone:
the trailing volatility (21 bars) and the exponentially weighted one of RiskMetrics (1996); no momentum, and that of the last days.
It knows no model and no page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from financial_model.config import LabelConfig
from financial_model.datasets.panel import LOG_CLOSE
from financial_model.evaluation import metrics
from financial_model.evaluation.metrics import DateStatistic
from financial_model.evaluation.sample import Sample, aligned
from financial_model.evaluation.significance import DateBootstrap
from financial_model.features.labels import future_momentum, future_volatility

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.prediction import Prediction

Array = np.ndarray
MEMORY = 0.94
"""Weight of the variance of before in the exponentially weighted one, per bar."""
FIGURES = ("mae", "rmse", "rank_ic", "time_rank_ic")
"""Figures of a task, in its own unit; the correlation along time where dates hold few names."""
PERCENT = 100.0


def judge_tasks(prediction: Prediction, sample: Sample, panel: Panel, label: LabelConfig, bootstrap: DateBootstrap | None) -> dict[str, Any]:
    """task -> ``{figure, figure_interval, "baselines": {name: {figure, figure_interval, "difference"}}}``; empty for any other head."""
    if prediction.volatility is None or prediction.momentum is None:
        return {}
    rows = aligned(prediction, sample, "model")
    log_close, ends = np.ascontiguousarray(panel.prices[:, LOG_CLOSE]), sample.end
    ahead = (log_close, ends, sample.horizon)
    volatility = {"model": PERCENT * prediction.volatility[rows], "trailing": PERCENT * panel.volatility[ends],
                  "ewma": PERCENT * weighted_volatility(log_close, panel.offsets, panel.volatility, MEMORY)[ends]}
    momentum = {"model": prediction.momentum[rows], "zero": np.zeros(len(ends)),
                "persistence": _past_momentum(panel, log_close, ends, sample.horizon)}
    return {"volatility": _compared(volatility, PERCENT * future_volatility(*ahead, entry=label.entry), sample, bootstrap),
            "momentum": _compared(momentum, future_momentum(*ahead, entry=label.entry), sample, bootstrap)}


def value_statistics(sample: Sample, predicted: Array, actual: Array) -> dict[str, DateStatistic]:
    """``mae rmse ic rank_ic icir`` of any figure in its own unit, and the correlations along time where dates hold few names."""
    day, days = sample.day, sample.days
    error, count = np.asarray(predicted, np.float64) - actual, np.ones(len(actual))
    found, _ = metrics.correlation_statistics(day, days, np.asarray(predicted, np.float64), actual)
    found |= {"mae": DateStatistic(metrics.by_date(day, days, np.abs(error), count), metrics.ratio, (0.0, np.inf)),
              "rmse": DateStatistic(metrics.by_date(day, days, error**2, count), metrics.root_ratio, (0.0, np.inf))}
    if sample.names_per_date() < metrics.MINIMUM_NAMES:
        found |= metrics.time_statistics(day, days, sample.symbol, np.asarray(predicted, np.float64), actual)
    return found


def _compared(forecasts: Mapping[str, Array], actual: Array, sample: Sample, bootstrap: DateBootstrap | None) -> dict[str, Any]:
    """The model's figures, and each baseline's with model minus baseline."""
    statistics = {name: value_statistics(sample, values, actual) for name, values in forecasts.items()}
    model = statistics.pop("model")
    return {**_figures(model, bootstrap),
            "baselines": {name: {**_figures(other, bootstrap), "difference": _figures(
                {figure: model[figure].minus(other[figure]) for figure in FIGURES if figure in model}, bootstrap)}
                for name, other in statistics.items()}}


def _figures(statistics: Mapping[str, DateStatistic], bootstrap: DateBootstrap | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in FIGURES:
        if name in statistics:
            found |= {name: statistics[name].value(), f"{name}_interval": None if bootstrap is None else bootstrap.interval(statistics[name])}
    return found


def _past_momentum(panel: Panel, log_close: Array, ends: Array, horizon: int) -> Array:
    """The momentum of the last ``horizon`` bars; 0 where a stock has fewer."""
    begun = ends - horizon >= panel.offsets[panel.symbol_index(ends)]
    found = np.zeros(len(ends))
    found[begun] = future_momentum(log_close, ends[begun] - horizon, horizon)
    return found


@numba.njit(cache=True, nogil=True)
def weighted_volatility(log_close, offsets, start, memory):
    """[rows] root of the variance ``memory`` x before + (1 - memory) x squared log return, from the trailing one of a stock's first bar on."""
    result = np.empty(log_close.shape[0])
    for stock in range(offsets.shape[0] - 1):
        variance = start[offsets[stock]] ** 2 if offsets[stock] < offsets[stock + 1] else 0.0
        for row in range(offsets[stock], offsets[stock + 1]):
            if row > offsets[stock]:
                move = log_close[row] - log_close[row - 1]
                variance = memory * variance + (1 - memory) * move * move
            result[row] = np.sqrt(variance)
    return result
