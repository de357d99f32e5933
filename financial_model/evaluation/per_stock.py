"""The table other projects print, one row per stock, with what they leave out: base rate, interval, and the same figures of doing nothing.

In: out-of-sample forecasts of a model and of baselines on the same rows. Out: plain rows. Errors are those of the simple return over the whole
horizon in percent, never of price levels: repeating the last close is nearly perfect there. It knows no run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import LabelConfig
from financial_model.evaluation import metrics, significance
from financial_model.evaluation.sample import Sample, aligned, build_sample
from financial_model.training.plain import plain

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.prediction import Prediction

Array = np.ndarray
ALL = "all"
DRAWN = 250
"""Points of a stock's picture."""


def per_stock(model: Prediction, baselines: Mapping[str, Prediction], panel: Panel, label: LabelConfig, context_length: int, *,
              draws: int = significance.DRAWS) -> list[dict[str, Any]]:
    """A row per stock and one for all: ``symbol rows mse rmse mae direction direction_interval base_rate direction_edge_interval`` and per baseline
    ``{"mae", "rmse", "direction", "difference", "difference_interval"}`` (MAE of the model minus the baseline's, paired)."""
    sample = build_sample(model.end, panel, label, model.expected.shape[1])
    own = model.expected[aligned(model, sample, "model"), -1].astype(np.float64)
    others = {name: other.expected[aligned(other, sample, name), -1].astype(np.float64) for name, other in baselines.items()}
    parts = [(panel.symbols[stock], sample.symbol == stock) for stock in np.unique(sample.symbol)]
    parts.append((ALL, np.ones(len(sample.end), bool)))
    return plain([{"symbol": symbol, **_row(sample, rows, own, others, context_length, draws), **_picture(sample, rows, own, symbol)}
                  for symbol, rows in parts])


def _row(sample: Sample, rows: Array, own: Array, others: Mapping[str, Array], context_length: int, draws: int) -> dict[str, Any]:
    time, day = np.unique(sample.time[sample.day[rows]], return_inverse=True)
    actual, days = sample.actual[rows, -1], len(time)
    overlap = significance.signal_overlap(sample.symbol[rows], day, own[rows], context_length)
    plan = significance.DateBootstrap.plan(days, significance.block_length(sample.horizon, overlap, days), draws=draws)

    def interval(statistic: metrics.DateStatistic) -> Any:
        return None if plan is None else plan.interval(statistic)

    error = metrics.error_statistics(day, days, own[rows], actual)
    direction = metrics.direction_statistics(day, days, own[rows], actual)
    found = {
        "rows": int(rows.sum()), "dates": days, "mse": error["rmse_percent"].value() ** 2, "rmse": error["rmse_percent"].value(),
        "mae": error["mae_percent"].value(), "direction": direction["direction"].value(), "direction_interval": interval(direction["direction"]),
        "base_rate": direction["direction_base_rate"].value(), "direction_edge": direction["direction_edge"].value(),
        "direction_edge_interval": interval(direction["direction_edge"]), "baselines": {},
    }
    for name, values in others.items():
        rival = metrics.error_statistics(day, days, values[rows], actual)
        paired = error["mae_percent"].minus(rival["mae_percent"])
        found["baselines"][name] = {
            "mae": rival["mae_percent"].value(), "rmse": rival["rmse_percent"].value(), "difference": paired.value(),
            "difference_interval": interval(paired),
            "direction": metrics.direction_statistics(day, days, values[rows], actual)["direction"].value()}
    return found


def _picture(sample: Sample, rows: Array, own: Array, symbol: str) -> dict[str, Any]:
    """Forecast and outcome of one stock over time, thinned; nothing for all of them together."""
    if symbol == ALL:
        return {"series": None}
    keep = np.flatnonzero(rows)
    keep = keep[np.unique(np.linspace(0, len(keep) - 1, min(len(keep), DRAWN)).astype(int))]
    return {"series": {"time": sample.time[sample.day[keep]].tolist(), "forecast": (100 * np.expm1(own[keep])).tolist(),
                       "outcome": (100 * np.expm1(sample.actual[keep, -1])).tolist()}}
