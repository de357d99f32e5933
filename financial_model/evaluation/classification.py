"""What a forecast of up / flat / down is worth: confusion, constant answers, probabilities.

In: class numbers and probabilities (indices into ``CLASSES``), a date number per row. Out: `DateStatistic` and plain tables.
It knows no prices and no dates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from financial_model.config import CLASSES
from financial_model.evaluation.metrics import SHARE, DateStatistic, by_date, ratio
from financial_model.models.decode import probability_above

Array = np.ndarray
UP, FLAT, DOWN = range(3)
MARKS = np.array([[1.0, -1.0, -1.0], [0.0, 1.0, 0.0], [-2.0, 0.0, 1.0]])
"""Mark score [actual, predicted]: right +1, a missed rise -1, a rise predicted for a fall -2, anything else 0."""
BINS = 10


def class_statistics(day: Array, days: int, predicted: Array, actual: Array) -> dict[str, DateStatistic]:
    """Figures of the confusion matrix: ``balanced_accuracy macro_f1 up_recall false_rise_rate mark_score class_accuracy``."""
    cell = day.astype(np.int64) * 9 + actual * 3 + predicted
    sums = np.bincount(cell, minlength=days * 9).reshape(days, 9).astype(np.float64)
    figures = {
        "balanced_accuracy": _balanced_accuracy, "macro_f1": _macro_f1, "up_recall": _up_recall, "false_rise_rate": _false_rise_rate,
        "class_accuracy": _class_accuracy,
    }
    found = {name: DateStatistic(sums, figure, SHARE) for name, figure in figures.items()}
    return {**found, "mark_score": DateStatistic(sums, _mark_score, (-2.0, 1.0))}


def confusion(statistic: DateStatistic) -> Array:
    """Counts int64 [actual, predicted] behind a figure of :func:`class_statistics`."""
    return statistic.sums.sum(axis=0).reshape(3, 3).astype(np.int64)


def _matrix(totals: Array) -> Array:
    return totals.reshape(*totals.shape[:-1], 3, 3)


def _safe(value: Array) -> Array:
    return np.where(value > 0, value, np.nan)


def _balanced_accuracy(totals: Array) -> Array:
    """Mean recall over the classes that occur; one class alone says nothing."""
    matrix = _matrix(totals)
    present = matrix.sum(axis=-1) > 0
    recall = np.where(present, np.diagonal(matrix, axis1=-2, axis2=-1) / _safe(matrix.sum(axis=-1)), 0.0)
    count = present.sum(axis=-1)
    return np.where(count > 1, recall.sum(axis=-1) / np.maximum(count, 1), np.nan)


def _macro_f1(totals: Array) -> Array:
    """Mean F1 over the classes that occur; a class never predicted has F1 0."""
    matrix = _matrix(totals)
    present = matrix.sum(axis=-1) > 0
    f1 = 2 * np.diagonal(matrix, axis1=-2, axis2=-1) / _safe(matrix.sum(axis=-1) + matrix.sum(axis=-2))
    count = present.sum(axis=-1)
    return np.where(count > 1, np.where(present, f1, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def _up_recall(totals: Array) -> Array:
    matrix = _matrix(totals)
    return matrix[..., UP, UP] / _safe(matrix[..., UP, :].sum(axis=-1))


def _false_rise_rate(totals: Array) -> Array:
    """Of the rises predicted, the share that fell; undefined when none was predicted."""
    matrix = _matrix(totals)
    return matrix[..., DOWN, UP] / _safe(matrix[..., :, UP].sum(axis=-1))


def _class_accuracy(totals: Array) -> Array:
    matrix = _matrix(totals)
    return np.trace(matrix, axis1=-2, axis2=-1) / _safe(matrix.sum(axis=(-2, -1)))


def _mark_score(totals: Array) -> Array:
    matrix = _matrix(totals)
    return (matrix * MARKS).sum(axis=(-2, -1)) / _safe(matrix.sum(axis=(-2, -1)))


# ---------------------------------------------------------------- probabilities
def class_probabilities(levels: Sequence[float], quantiles: Array, up: float, down: float) -> Array:
    """Probability of up, flat, down [rows, 3] implied by quantiles [rows, levels] of the log return; ``up``, ``down`` simple returns."""
    rise = probability_above(levels, quantiles, float(np.log1p(up)))
    fall = 1 - probability_above(levels, quantiles, float(np.log1p(down)))
    return np.stack([rise, np.maximum(1 - rise - fall, 0.0), fall], axis=1)


def probability_statistics(day: Array, days: int, probabilities: Array, actual: Array) -> dict[str, DateStatistic]:
    """``brier`` (sum over the three classes, 0 best, 2 worst), ``brier_skill`` over the class shares of these very dates, ``log_loss``.

    The reference knows the shares of the test itself, which no forecaster does: a positive skill is hard to get by luck.
    """
    truth = np.eye(3)[actual]
    squared = ((probabilities - truth) ** 2).sum(axis=1)
    count = np.ones(len(actual))
    loss = -np.log(np.clip(probabilities[np.arange(len(actual)), actual], 1e-6, 1.0))
    return {
        "brier": DateStatistic(by_date(day, days, squared, count), ratio, (0.0, 2.0)),
        "brier_skill": DateStatistic(by_date(day, days, squared, count, *truth.T), _brier_skill),
        "log_loss": DateStatistic(by_date(day, days, loss, count), ratio, (0.0, np.inf)),
    }


def _brier_skill(totals: Array) -> Array:
    shares = totals[..., 2:] / _safe(totals[..., 1:2])
    reference = 1 - (shares**2).sum(axis=-1)
    return 1 - ratio(totals) / np.where(reference > 1e-12, reference, np.nan)


def reliability(probability: Array, happened: Array, bins: int = BINS) -> list[dict[str, float]]:
    """Equal-count bins by predicted probability: mean predicted, share that happened, count; equal predictions stay in one bin."""
    if not len(probability):
        return []
    order = np.argsort(probability, kind="stable")
    predicted, outcome = probability[order], happened[order].astype(np.float64)
    cuts = np.linspace(0, len(predicted), bins + 1)[:-1].astype(np.int64)
    edges = np.unique(np.searchsorted(predicted, predicted[cuts], side="left"))
    table = []
    for low, high in zip(edges, [*edges[1:], len(predicted)], strict=True):
        table.append({"predicted": float(predicted[low:high].mean()), "observed": float(outcome[low:high].mean()), "count": int(high - low)})
    return table


def calibration_error(table: list[dict[str, float]]) -> float:
    """ECE: distance between predicted and observed share, weighted by the counts of :func:`reliability`; NaN when empty."""
    total = sum(row["count"] for row in table)
    return sum(row["count"] * abs(row["predicted"] - row["observed"]) for row in table) / total if total else float("nan")


def class_calibration(probabilities: Array, actual: Array, bins: int = BINS) -> tuple[dict[str, list[dict[str, float]]], float]:
    """Reliability table per class and the mean ECE over classes."""
    tables = {name: reliability(probabilities[:, number], actual == number, bins) for number, name in enumerate(CLASSES)}
    return tables, float(np.mean([calibration_error(table) for table in tables.values()]))
