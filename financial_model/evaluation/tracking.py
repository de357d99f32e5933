"""How published forecasts have turned out, date by date and month by month.

In: flat arrays of what was forecast and what came, with the date each row was published for. Out: plain data: figures with intervals beside naive
rivals, the same per month, and sentences. A date with its stocks is one observation, never many. It knows no journal and no price.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from financial_model.evaluation import metrics, significance
from financial_model.evaluation.metrics import DateStatistic

Array = np.ndarray
SHOWN = ("ic", "rank_ic", "direction", "direction_base_rate", "mae_percent", "coverage_80")
MONTHLY = ("rank_ic", "direction", "coverage_80", "mae_percent")
NOMINAL = 0.8
Z = 1.96


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """One row per stock and date that is known by now."""

    time: Array
    """int64 [rows] seconds of the as-of date"""
    predicted: Array
    actual: Array
    """float64 [rows] log return"""
    low: Array
    high: Array
    """float64 [rows] the 80 % interval in log return, NaN where there is none"""
    rivals: Mapping[str, Array]
    """name -> float64 [rows]: what a naive rule would have forecast; NaN where it knows too little"""


def track(found: Outcomes, horizon: int, promised: Mapping[str, float] | None = None) -> dict[str, Any]:
    """``dates``, ``rows``, every figure of ``SHOWN`` with ``<name>_interval`` (None for too few dates), ``baselines``, ``months``, ``notes``.

    ``promised``: what the checkpoint's test said; a figure whose interval excludes it is named in the notes.
    """
    dates, day = np.unique(found.time, return_inverse=True)
    plan = significance.DateBootstrap.plan(len(dates), 2 * horizon, draws=400)
    own = _statistics(day, len(dates), found.predicted, found.actual, found.low, found.high)
    result: dict[str, Any] = {"dates": len(dates), "rows": len(found.predicted), **_told(own, plan)}
    nothing = metrics.error_statistics(day, len(dates), np.zeros(len(day)), found.actual)["mae_percent"]
    result["baselines"] = {"zero": {"mae_percent": _plain(nothing.value())},
                           **{name: _rival(day, found, values, plan) for name, values in found.rivals.items()}}
    result["months"] = _months(dates, day, found, horizon)
    result["notes"] = _notes(result, promised or {})
    return result


def _statistics(day: Array, days: int, predicted: Array, actual: Array, low: Array, high: Array) -> dict[str, DateStatistic]:
    found, _ = metrics.correlation_statistics(day, days, predicted, actual)
    found |= metrics.direction_statistics(day, days, predicted, actual) | metrics.error_statistics(day, days, predicted, actual)
    known = np.isfinite(low) & np.isfinite(high)
    inside = ((actual >= low) & (actual <= high))[known]
    found["coverage_80"] = DateStatistic(metrics.by_date(day[known], days, inside, np.ones(int(known.sum()))), metrics.ratio, metrics.SHARE)
    return {name: found[name] for name in SHOWN}


def _rival(day: Array, found: Outcomes, values: Array, plan: significance.DateBootstrap | None) -> dict[str, Any]:
    known = np.isfinite(values)
    count = int(day.max()) + 1
    own, _ = metrics.correlation_statistics(day[known], count, values[known], found.actual[known])
    own |= metrics.direction_statistics(day[known], count, values[known], found.actual[known])
    return _told({name: own[name] for name in ("ic", "rank_ic", "direction")}, plan)


def _told(found: Mapping[str, DateStatistic], plan: significance.DateBootstrap | None) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, statistic in found.items():
        told[name] = _plain(statistic.value())
        interval = None if plan is None else plan.interval(statistic)
        told[f"{name}_interval"] = None if interval is None else list(interval)
    return told


def _months(dates: Array, day: Array, found: Outcomes, horizon: int) -> list[dict[str, Any]]:
    """Each month's mean over its dates; the interval allows for labels that overlap (Newey-West over the horizon)."""
    series = _daily(day, len(dates), found)
    month = dates.astype("datetime64[s]").astype("datetime64[M]")
    told = []
    for name in np.unique(month):
        inside = month == name
        row: dict[str, Any] = {"month": str(name), "dates": int(inside.sum())}
        for figure in MONTHLY:
            values = series[figure][inside]
            values = values[np.isfinite(values)]
            test = significance.newey_west(values, horizon - 1) if len(values) > 2 * horizon else None
            row[figure] = _plain(float(values.mean())) if len(values) else None
            row[f"{figure}_interval"] = None if test is None or not math.isfinite(test.error) else [
                test.mean - Z * test.error, test.mean + Z * test.error]
        told.append(row)
    return told


def _daily(day: Array, days: int, found: Outcomes) -> dict[str, Array]:
    def mean(values: Array) -> Array:
        known = np.isfinite(values)
        sums = metrics.by_date(day[known], days, values[known], np.ones(int(known.sum())))
        return np.asarray(metrics.ratio(sums), np.float64)

    moved, said = found.actual != 0, found.predicted != 0
    hit = np.where(moved, np.where(said, (found.predicted > 0) == (found.actual > 0), 0.5), np.nan)
    inside = np.where(np.isfinite(found.low) & np.isfinite(found.high), (found.actual >= found.low) & (found.actual <= found.high), np.nan)
    return {"rank_ic": metrics.daily_rank_ic(day, days, found.predicted, found.actual), "direction": mean(hit.astype(np.float64)),
            "coverage_80": mean(inside.astype(np.float64)), "mae_percent": mean(100 * np.abs(np.expm1(found.predicted) - np.expm1(found.actual)))}


def _notes(result: Mapping[str, Any], promised: Mapping[str, float]) -> list[dict[str, Any]]:
    """What the figures say, each with its level."""
    rank, coverage, notes = result["rank_ic_interval"], result["coverage_80_interval"], []
    if rank is None:
        notes.append(("few_dates", "none", {"dates": result["dates"]}))
    else:
        side, level = ("above", "good") if rank[0] > 0 else ("below", "bad") if rank[1] < 0 else ("around", "none")
        notes.append((f"rank_ic_{side}", level, {"value": f"{result['rank_ic']:.3f}", "low": f"{rank[0]:.3f}", "high": f"{rank[1]:.3f}"}))
        if "rank_ic" in promised and not rank[0] <= promised["rank_ic"] <= rank[1]:
            notes.append(("not_as_promised", "warning", {"value": f"{result['rank_ic']:.3f}", "promised": f"{promised['rank_ic']:.3f}"}))
    if coverage is not None and not coverage[0] <= NOMINAL <= coverage[1]:
        notes.append(("coverage_off", "warning", {"value": f"{100 * result['coverage_80']:.0f}"}))
    return [{"key": f"journal.{name}", "level": level, "fields": fields} for name, level, fields in notes]


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
