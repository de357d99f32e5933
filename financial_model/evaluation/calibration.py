"""Making a forecast keep its promises: quantiles, class probabilities and confidence gates adjusted on validation dates alone.

In: a Prediction on validation rows and the Panel. Out: adjustments as plain JSON that turn any later Prediction into a recalibrated one, and a
before/after table. Nothing here may see a test date: the caller fits on validation and compares on test.

A guarantee it is not: the textbook one needs days that are exchangeable, and markets change. What holds is measured, before and after.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

from financial_model.config import LabelConfig
from financial_model.errors import DataError
from financial_model.evaluation import classification
from financial_model.evaluation.evaluate import judge
from financial_model.evaluation.sample import Sample, aligned, build_sample
from financial_model.features.labels import last_bar
from financial_model.training.plain import plain

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.prediction import Prediction

Array = np.ndarray
MINIMUM_DATES = 20
"""With fewer validation dates an adjustment would fit their market, not the model."""
FACTORS = (0.2, 5.0)
"""Limits of a stretch, so that a degenerate forecast cannot blow up."""
COMPARED = ("coverage_50", "coverage_80", "coverage_95", "pinball", "width_80_percent", "brier", "log_loss", "mark_score")
SCALES = (0.8, 1.25)
"""How far volatility may move a gate's thresholds."""


@dataclass(frozen=True, slots=True)
class QuantileStretch:
    """Each quantile's distance from the median times a factor of its own."""

    levels: tuple[float, ...]
    factors: tuple[tuple[float, ...], ...]
    """[horizon][level]"""

    def apply(self, prediction: Prediction) -> Prediction:
        """The same forecast with recalibrated quantiles, never crossing. ``DataError`` when levels or horizon are others than those fitted."""
        if prediction.quantiles is None or tuple(prediction.levels) != self.levels or prediction.quantiles.shape[1] != len(self.factors):
            raise DataError("evaluation.calibration_other", levels=", ".join(map(str, self.levels)), horizon=len(self.factors))
        middle = prediction.quantiles[..., self.levels.index(0.5), None]
        stretched = middle + (prediction.quantiles - middle) * np.asarray(self.factors, prediction.quantiles.dtype)
        return replace(prediction, quantiles=np.sort(stretched, axis=-1))


@dataclass(frozen=True, slots=True)
class ClassSoftening:
    """Probabilities as ``p ** (1 / temperature) * exp(bias)``, normalised."""

    temperature: float
    bias: tuple[float, float, float]

    def apply(self, probabilities: Array) -> Array:
        """[rows, 3] -> [rows, 3]"""
        return _softened(np.log(np.clip(probabilities, 1e-6, 1.0)), self.temperature, np.asarray(self.bias))


@dataclass(frozen=True, slots=True)
class Gate:
    """A rise is announced only when it is likely and clearly likelier than a fall, and the other way round; otherwise flat."""

    up: float = 0.6
    up_over_down: float = 2.0
    down: float = 0.7
    down_over_up: float = 3.0
    scaling: float = 0.0
    """Power of (volatility over ``usual``) that multiplies ``up`` and ``down``, between SCALES: positive asks for more where prices swing more."""
    usual: float = 0.02
    """Median daily volatility of the validation rows."""

    def apply(self, probabilities: Array, volatility: Array) -> Array:
        """Class number per row of probabilities [rows, 3] and the stocks' trailing daily volatility [rows]."""
        rise, fall = probabilities[:, classification.UP], probabilities[:, classification.DOWN]
        scale = np.clip((volatility / self.usual) ** self.scaling, *SCALES)
        up = (rise > self.up * scale) & (rise > self.up_over_down * fall)
        down = (fall > self.down * scale) & (fall > self.down_over_up * rise)
        return np.where(up, classification.UP, np.where(down, classification.DOWN, classification.FLAT))


def fit_quantiles(validation: Prediction, panel: Panel, label: LabelConfig) -> QuantileStretch:
    """Factors that put the promised share of validation outcomes below each quantile, at every horizon.

    For a level ``a`` the factor is the ``a`` (or ``1 - a``) quantile of ``(outcome - median) / (quantile - median)``, with the conformal
    ``(n + 1) / n``. The median is left alone: its error on validation is mostly the market of those months.
    Raises ``DataError`` without quantiles, without a median, or with fewer than ``MINIMUM_DATES`` dates.
    """
    sample, rows = _validation(validation, panel, label)
    if validation.quantiles is None or 0.5 not in validation.levels:
        raise DataError("evaluation.calibration_no_quantiles")
    middle = validation.levels.index(0.5)
    quantiles = validation.quantiles[rows].astype(np.float64)
    factors = np.ones(quantiles.shape[1:])
    for day in range(quantiles.shape[1]):
        outcome = sample.actual[:, day] - quantiles[:, day, middle]
        for column, level in enumerate(validation.levels):
            distance = quantiles[:, day, column] - quantiles[:, day, middle]
            away = np.abs(distance) > 1e-12
            if column == middle or away.sum() < MINIMUM_DATES:
                continue
            share = min((level if level > 0.5 else 1 - level) * (1 + 1 / away.sum()), 1.0)
            factors[day, column] = np.clip(np.quantile(outcome[away] / distance[away], share), *FACTORS)
    return QuantileStretch(levels=tuple(validation.levels), factors=tuple(tuple(row) for row in factors.tolist()))


def fit_classes(probabilities: Array, label: Array) -> ClassSoftening:
    """Temperature and class biases of least log loss on validation rows: probabilities [rows, 3], label [rows]."""
    logs = np.log(np.clip(probabilities, 1e-6, 1.0))
    rows = np.arange(len(label))

    def loss(parameters: Array) -> float:
        bias = np.array([parameters[1], 0.0, parameters[2]])
        chosen = _softened(logs, math.exp(parameters[0]), bias)[rows, label]
        return float(-np.log(np.clip(chosen, 1e-9, 1.0)).mean()) + 1e-4 * float(parameters @ parameters)

    found = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"maxiter": 400, "xatol": 1e-4, "fatol": 1e-7}).x
    return ClassSoftening(temperature=float(np.clip(math.exp(found[0]), *FACTORS)), bias=(float(found[1]), 0.0, float(found[2])))


def _softened(logs: Array, temperature: float, bias: Array) -> Array:
    score = logs / temperature + bias
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)


def choose_gate(probabilities: Array, label: Array, volatility: Array) -> Gate:
    """The gate of highest mark score on validation rows; the stricter one where two score the same. One that never speaks is allowed to win."""
    usual = float(np.median(volatility))
    best, best_score = Gate(usual=usual), -math.inf
    for scaling, up, up_ratio, down in itertools.product(
            (0.0, 0.25, -0.25), (0.8, 0.7, 0.6, 0.5, 0.4, 0.3), (3.0, 2.0, 1.5, 1.0), (0.8, 0.7, 0.6, 0.5, 0.4)):
        gate = Gate(up=up, up_over_down=up_ratio, down=down, down_over_up=3.0, scaling=scaling, usual=usual)
        score = mark_score(gate.apply(probabilities, volatility), label)
        if score > best_score + 1e-12:
            best, best_score = gate, score
    return best


def mark_score(predicted: Array, label: Array) -> float:
    """Mean mark: +1 right, -1 a missed rise, -2 a rise predicted for a fall, else 0."""
    return float(classification.MARKS[label, predicted].mean())


def class_rows(prediction: Prediction, panel: Panel, label: LabelConfig) -> tuple[Array, Array, Array]:
    """Probabilities [rows, 3] (given, or implied by the quantiles), realised classes [rows] and daily volatility [rows] of the judged rows.

    Raises ``DataError`` when the forecast has neither probabilities nor quantiles, or too few dates.
    """
    sample, _ = _validation(prediction, panel, label)
    found = judge(prediction, sample, label, "model").probabilities
    if found is None:
        raise DataError("evaluation.calibration_no_quantiles")
    return found, sample.label, panel.volatility[sample.end]


def compare(before: Prediction, after: Prediction, panel: Panel, label: LabelConfig) -> dict[str, Any]:
    """``{"rows": [{"name", "before", "after"}]}`` on (test) rows, for the figures that recalibration is about; correlations do not change."""
    sample = build_sample(before.end, panel, label, before.expected.shape[1])
    sides = [judge(prediction, sample, label, "model") for prediction in (before, after)]
    rows = [{"name": name, **{side: judged.statistics[name].value() for side, judged in zip(("before", "after"), sides, strict=True)}}
            for name in COMPARED if all(name in judged.statistics for judged in sides)]
    if all(judged.probabilities is not None for judged in sides):
        errors = [classification.class_calibration(judged.probabilities, sample.label)[1] for judged in sides]  # type: ignore[arg-type]
        rows.append({"name": "ece", "before": errors[0], "after": errors[1]})
    return plain({"rows": rows})


def compare_gates(forecasts: Sequence[Prediction], gates: Sequence[Mapping[str, float]], panel: Panel, label: LabelConfig) -> dict[str, Any]:
    """``{"name", "before", "after"}``: mean mark on (test) rows when the likeliest class is announced, and when the gate of each forecast decides."""
    marks: list[tuple[Array, Array]] = []
    for prediction, gate in zip(forecasts, gates, strict=True):
        known = prediction.end + last_bar(prediction.expected.shape[1], label.entry) < panel.offsets[1:][panel.symbol_index(prediction.end)]
        if not known.any():
            continue
        sample = build_sample(prediction.end, panel, label, prediction.expected.shape[1])
        probabilities = judge(prediction, sample, label, "model").probabilities
        if probabilities is None:
            raise DataError("evaluation.calibration_no_quantiles")
        marks.append((classification.MARKS[sample.label, probabilities.argmax(axis=1)],
                      classification.MARKS[sample.label, Gate(**gate).apply(probabilities, panel.volatility[sample.end])]))
    before, after = (float(np.concatenate(side).mean()) if marks else None for side in zip(*marks, strict=True)) if marks else (None, None)
    return {"name": "mark_score_gated", "before": before, "after": after}


def to_json(adjustment: QuantileStretch | ClassSoftening | Gate) -> dict[str, Any]:
    """Plain data for a checkpoint header."""
    return plain(asdict(adjustment))


def quantiles_from_json(data: Mapping[str, Any]) -> QuantileStretch:
    return QuantileStretch(levels=tuple(data["levels"]), factors=tuple(tuple(row) for row in data["factors"]))


def _validation(prediction: Prediction, panel: Panel, label: LabelConfig) -> tuple[Sample, Array]:
    sample = build_sample(prediction.end, panel, label, prediction.expected.shape[1])
    if sample.days < MINIMUM_DATES:
        raise DataError("evaluation.calibration_few_dates", dates=sample.days, needed=MINIMUM_DATES)
    return sample, aligned(prediction, sample, "model")
