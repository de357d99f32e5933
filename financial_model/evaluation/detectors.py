"""Alarms: functions that ring when a figure knows the future, and that stay silent when it does not.

In: arrays and small functions. Out: `Finding`: did it ring, the numbers, a sentence by key. Every one is shown in tests/canaries to ring on a leak
built on purpose and to stay silent on honest noise. They detect; they repair nothing, and silence is no proof.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from financial_model.evaluation.metrics import daily_rank_ic
from financial_model.evaluation.significance import newey_west
from financial_model.text import translate

Array = np.ndarray
INPUT_LIMIT = 0.3
"""Mean per-date rank correlation with the outcome that no honest input of daily bars reaches."""
SHIFT_JUMP = 0.1
CHANGED_UNIVERSE = 0.2


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector saw."""

    fired: bool
    key: str
    fields: dict[str, Any] = field(default_factory=dict)

    def sentence(self, language: str = "en") -> str:
        return translate(self.key, language, **self.fields)


# ---------------------------------------------------------------- is the evaluator itself right?
def shuffle_within_date(values: Array, day: Array, rng: np.random.Generator) -> Array:
    """``values`` [rows] permuted among the rows of their own date: all that links them to a stock is gone, all that belongs to the date stays."""
    order = np.lexsort((rng.random(len(values)), day))
    target = np.argsort(day, kind="stable")
    shuffled = np.empty_like(values)
    shuffled[target] = values[order]
    return shuffled


def shuffle_check(predicted: Array, actual: Array, day: Array, *, shuffles: int = 20, seed: int = 0) -> Finding:
    """Rings when a forecast still correlates with outcomes shuffled within each date: then the evaluation leaks, not the model."""
    rng, days = np.random.default_rng(seed), int(day.max()) + 1
    means = np.array([np.nanmean(daily_rank_ic(day, days, predicted, shuffle_within_date(actual, day, rng))) for _ in range(shuffles)])
    error = float(means.std(ddof=1) / np.sqrt(shuffles))
    return Finding(bool(abs(means.mean()) > 4 * error), "evaluation.detector.shuffle", {"value": float(means.mean()), "error": error})


def label_shift_check(honest: float, shifted: float) -> Finding:
    """Rings when labels one day in the past are far easier to forecast than the right ones: ``honest`` and ``shifted`` are the two RankICs.

    The inputs contain the last day, so a pipeline whose labels start one day early scores high. Silence on deliberately shifted labels means
    that the inputs are misaligned; ringing on the pipeline's own labels (``shifted`` its result, ``honest`` one day later) means a leak.
    """
    return Finding(shifted - honest > SHIFT_JUMP, "evaluation.detector.label_shift", {"honest": honest, "shifted": shifted})


# ---------------------------------------------------------------- do the inputs know the outcome?
def input_check(values: Array, names: Sequence[str], actual: Array, day: Array, limit: float = INPUT_LIMIT) -> Finding:
    """Rings when an input [rows, inputs] follows the outcome [rows] as no honest one can: a label among the inputs, or a feature that looks ahead."""
    days = int(day.max()) + 1
    guilty = {}
    for column, name in enumerate(names):
        series = daily_rank_ic(day, days, np.asarray(values[:, column], np.float64), actual)
        if np.isfinite(series).any() and abs(float(np.nanmean(series))) > limit:
            guilty[name] = float(np.nanmean(series))
    return Finding(bool(guilty), "evaluation.detector.inputs", {"names": ", ".join(f"{name} ({value:.2f})" for name, value in guilty.items())})


def future_check(forecast: Callable[[Array], Array], prices: Array, cut: int, *, seed: int = 0) -> Finding:
    """Rings when replacing every price after ``cut`` by noise changes anything at or before it.

    ``forecast``: log prices [stocks, days] -> numbers [stocks, days, ...] (features, scaled inputs or forecasts); compared bit for bit.
    """
    changed = prices.copy()
    steps = 0.05 * np.random.default_rng(seed).standard_normal(changed[:, cut + 1:].shape)
    changed[:, cut + 1:] = changed[:, cut, None] + np.cumsum(steps, axis=1)
    before, after = forecast(prices)[:, : cut + 1], forecast(changed)[:, : cut + 1]
    different = ~((before == after) | (np.isnan(before) & np.isnan(after)))
    return Finding(bool(different.any()), "evaluation.detector.future", {"count": int(different.sum()), "total": int(different.size)})


# ---------------------------------------------------------------- do training and test share anything?
def split_check(train_time: Array, train_label_end: Array, test_time: Array) -> Finding:
    """Rings when a training row, or the last bar of its label, lies at or after the first test date (all int64 seconds).

    Catches splits by row, by stock and by shuffled dates, and a missing purge.
    """
    first = test_time.min() if len(test_time) else np.iinfo(np.int64).max
    overlapping = int(((train_time >= first) | (train_label_end >= first)).sum())
    return Finding(overlapping > 0, "evaluation.detector.split", {"rows": overlapping, "total": len(train_time)})


def universe_check(train: Collection[str], test: Collection[str], limit: float = CHANGED_UNIVERSE) -> Finding:
    """Rings when a large share of the tested symbols was never trained on: the figures then describe other stocks."""
    fresh = sorted(set(test) - set(train))
    share = len(fresh) / max(len(set(test)), 1)
    return Finding(share > limit, "evaluation.detector.universe", {"share": share, "examples": ", ".join(fresh[:5])})


# ---------------------------------------------------------------- is a t value worth its name?
def overlap_check(series: Array, overlap: int, threshold: float = 2.0) -> Finding:
    """Rings when a series per date looks significant naively but not with its overlap taken into account."""
    naive, honest = newey_west(series, 0), newey_west(series, overlap)
    if naive is None or honest is None:
        return Finding(False, "evaluation.detector.overlap", {"naive": 0.0, "honest": 0.0})
    return Finding(abs(naive.t) > threshold >= abs(honest.t), "evaluation.detector.overlap", {"naive": naive.t, "honest": honest.t})
