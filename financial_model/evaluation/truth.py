"""What a perfect forecaster would score, and how much of it a model reaches: figures that exist where a market's truth is known.

In: a Sample of the demo market and forecasts of it, one market or several drawn with different seeds. Out: `DateStatistic` for one market, plain
JSON rows for the comparison of forecasters over all of them. It makes no market and no forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.evaluation import metrics, significance
from financial_model.evaluation.metrics import DateStatistic
from financial_model.evaluation.sample import Sample
from financial_model.training.plain import plain

if TYPE_CHECKING:
    from financial_model.config import RunConfig
    from financial_model.datasets.panel import Panel
    from financial_model.models.prediction import Prediction

Array = np.ndarray
Statistics = dict[str, DateStatistic]
SHOWN = ("ic", "rank_ic", "direction", "direction_base_rate", "direction_edge", "mae_percent", "coverage_80")


def truth_statistics(sample: Sample, expected: Array) -> Statistics:
    """``oracle_ic`` and ``recovery`` of the forecast ``expected`` [rows] at the full horizon; empty where the truth is not known.

    Recovery is the mean IC of the forecast over that of the true expectation, on the dates where both exist.
    """
    if sample.oracle is None or sample.oracle.shape[1] < sample.horizon:
        return {}
    expectation = sample.oracle[:, sample.horizon - 1]
    known = np.isfinite(expectation)
    day, actual = sample.day[known], sample.actual[known, -1]
    truth = metrics.daily_ic(day, sample.days, expectation[known], actual)
    model = metrics.daily_ic(day, sample.days, expected[known], actual)
    both = np.isfinite(truth) & np.isfinite(model)
    columns = np.stack([np.where(both, model, 0.0), np.where(both, truth, 0.0)], axis=1)
    return {"oracle_ic": metrics.series_mean(truth),
            "recovery": DateStatistic(columns, lambda s: s[..., 0] / np.where(s[..., 1] > 0, s[..., 1], np.nan))}


@dataclass(frozen=True, slots=True)
class Measured:
    """Several forecasters on the test dates of one market."""

    forecasters: dict[str, Statistics]
    """name -> figure -> sums per date; the first one is the model"""
    block: int
    """Dates one block of the bootstrap must hold"""
    dates: int


def measure(forecasts: Mapping[str, Prediction], panel: Panel, config: RunConfig) -> Measured:
    """The figures of each forecast on the rows of the first one. ``DataError`` as in ``evaluate``."""
    from financial_model.evaluation.evaluate import judge
    from financial_model.evaluation.sample import build_sample

    first = next(iter(forecasts.values()))
    sample = build_sample(first.end, panel, config.label, first.expected.shape[1])
    found: dict[str, Statistics] = {}
    overlap = 1
    for name, prediction in forecasts.items():
        judged = judge(prediction, sample, config.label, name)
        found[name] = {figure: judged.statistics[figure] for figure in SHOWN if figure in judged.statistics}
        found[name] |= truth_statistics(sample, judged.expected[:, -1])
        overlap = max(overlap, significance.signal_overlap(sample.symbol, sample.day, judged.expected[:, -1], config.features.context_length))
    return Measured(forecasters=found, block=significance.block_length(sample.horizon, overlap, sample.days), dates=sample.days)


def compare(markets: Sequence[Measured], *, draws: int = significance.DRAWS, seed: int = 0) -> dict[str, Any]:
    """One row over all ``markets`` of a kind: their dates stand one after the other, so each counts by its dates.

    Keys: every figure of the model with its ``_interval``; ``rivals``: name -> the same, and ``difference`` (model minus rival in IC) with a paired
    interval; ``dates``, ``markets``; ``outside``: markets whose own IC interval excludes zero. None where there is nothing to say.
    """
    names = list(markets[0].forecasters)
    pooled = {name: {figure: _joined([market.forecasters[name][figure] for market in markets]) for figure in markets[0].forecasters[name]}
              for name in names}
    dates, block = sum(market.dates for market in markets), max(market.block for market in markets)
    bootstrap = significance.DateBootstrap.plan(dates, block, draws=draws, seed=seed)
    model, *rivals = names
    row = {**_figures(pooled[model], bootstrap), "dates": dates, "markets": len(markets), "block": block,
           "outside": sum(_excludes_zero(market, model, draws, seed) for market in markets), "rivals": {}}
    for rival in rivals:
        paired = pooled[model]["ic"].minus(pooled[rival]["ic"])
        row["rivals"][rival] = {**_figures(pooled[rival], bootstrap), "difference": paired.value(),
                                "difference_interval": None if bootstrap is None else bootstrap.interval(paired)}
    return plain(row)


def _joined(parts: Sequence[DateStatistic]) -> DateStatistic:
    return DateStatistic(np.concatenate([part.sums for part in parts]), parts[0].figure, parts[0].bounds)


def _figures(statistics: Statistics, bootstrap: significance.DateBootstrap | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, statistic in statistics.items():
        found[name] = statistic.value()
        found[f"{name}_interval"] = None if bootstrap is None else bootstrap.interval(statistic)
    return found


def _excludes_zero(market: Measured, name: str, draws: int, seed: int) -> bool:
    bootstrap = significance.DateBootstrap.plan(market.dates, market.block, draws=draws, seed=seed)
    interval = None if bootstrap is None else bootstrap.interval(market.forecasters[name]["ic"])
    return interval is not None and not interval[0] <= 0 <= interval[1]
