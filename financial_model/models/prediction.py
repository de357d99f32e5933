"""Forecasts as arrays in log return, and how a trained model makes them from a loader.

In: a model and batches. Out: :class:`Prediction`. It knows neither prices nor metrics. torch is imported by :func:`predict` alone, so that
baselines and evaluation can pass predictions around without it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from financial_model.errors import Stopped
from financial_model.models.decode import expected_from_classes, expected_from_quantiles, probability_above

if TYPE_CHECKING:
    from financial_model.models.ensemble import Ensemble
    from financial_model.models.forecaster import Forecaster


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Forecasts for n windows over H days, all in log return, in the order of ``end``."""

    end: NDArray[np.int64]
    """[n] panel row each window ends on."""
    expected: NDArray[np.float32]
    """[n, H] expected cumulative log return over 1..H days."""
    levels: tuple[float, ...] = ()
    quantiles: NDArray[np.float32] | None = None
    """[n, H, Q] cumulative log return at ``levels``."""
    probabilities: NDArray[np.float32] | None = None
    """[n, 3] of config.CLASSES; only from a classes head."""

    def __len__(self) -> int:
        return len(self.end)

    def at(self, ends: NDArray[np.int64]) -> Prediction:
        """The forecasts of the windows that end on these rows, in this order; all of them must be there."""
        order = np.argsort(self.end, kind="stable")
        rows = order[np.searchsorted(self.end[order], ends)]
        return replace(self, end=self.end[rows], expected=self.expected[rows], quantiles=None if self.quantiles is None else self.quantiles[rows],
                       probabilities=None if self.probabilities is None else self.probabilities[rows])

    def probability_up(self) -> NDArray[np.float64] | None:
        """[n, H] chance of a positive return, from the quantiles; None where there are none."""
        return None if self.quantiles is None else probability_above(self.levels, self.quantiles)


def predict(model: Forecaster | Ensemble, loader: Iterable[Any], *, extras: Mapping[str, Any] | None = None,
            stop: threading.Event | None = None) -> Prediction:
    """Forecast every window of ``loader``, in its order. The model's mode (training or evaluation) is restored; ``Stopped`` on stop.

    ``extras`` is what training measured and stored in the checkpoint: ``residual_quantiles`` [H, Q] (return minus expected, in spreads)
    gives a point or classes head its quantiles, ``class_means`` [H, 3] in units gives a classes head its expected return, ``scale`` [H] turns
    the scores of an objective that leaves the size open into units.
    """
    import torch

    kept: dict[str, list[Any]] = {"output": [], "unit": [], "spread": [], "end": []}
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in loader:
                if stop is not None and stop.is_set():
                    raise Stopped
                (output,) = model(batch.x, batch.condition, batch.ranks, batch.date).values()
                kept["output"].append(output)
                kept["unit"].append(batch.unit.clone())  # the loader reuses its buffers
                kept["spread"].append(batch.spread.clone())
                kept["end"].append(batch.end.clone())
    finally:
        model.train(was_training)
    if not kept["end"]:
        nothing = np.zeros((0, model.horizon), np.float32)
        return _decode(model, np.zeros((0, *_output_shape(model)), np.float32), nothing, nothing, np.zeros(0, np.int64), extras or {})
    # one transfer at the end: on a GPU nothing waits inside the loop
    arrays = {name: torch.cat(parts).cpu().numpy() for name, parts in kept.items()}
    return _decode(model, arrays["output"], arrays["unit"], arrays["spread"], arrays["end"], extras or {})


def _output_shape(model: Forecaster | Ensemble) -> tuple[int, ...]:
    return {"point": (model.horizon,), "quantile": (model.horizon, len(model.levels)), "classes": (3,)}[model.head_name]


def _decode(model: Forecaster | Ensemble, output: NDArray, unit: NDArray, spread: NDArray, end: NDArray, extras: Mapping[str, Any]) -> Prediction:
    """A head's numbers [n, ...] in units, the size of a unit and of a spread [n, H] -> log returns."""
    probabilities, quantiles = None, None
    if model.head_name == "quantile":
        quantiles, expected = output * unit[..., None], expected_from_quantiles(model.levels, output)
    elif model.head_name == "point":
        expected = output * np.asarray(extras.get("scale", 1.0), np.float32)
    else:
        weights = np.exp(output - output.max(axis=1, keepdims=True))
        probabilities = weights / weights.sum(axis=1, keepdims=True)
        expected = expected_from_classes(probabilities, extras.get("class_means"), model.horizon)
    if quantiles is None and extras.get("residual_quantiles") is not None:
        quantiles = (expected * unit)[..., None] + np.asarray(extras["residual_quantiles"], np.float32) * spread[..., None]
    return Prediction(
        end=end.astype(np.int64), expected=(expected * unit).astype(np.float32), levels=model.levels if quantiles is not None else (),
        quantiles=None if quantiles is None else quantiles.astype(np.float32), probabilities=probabilities)
