"""Forecasts as arrays in log return, and how a trained model makes them from a loader.

In: a model and batches. Out: :class:`Prediction`. It knows neither prices nor metrics. torch is imported by :func:`predict` alone, so that
baselines and evaluation can pass predictions around without it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from financial_model.config import CLASSES, FIGURES
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
    """[n, 3] of config.CLASSES; only from a head that says classes."""
    volatility: NDArray[np.float32] | None = None
    """[n] root mean square of the one-bar log returns within the horizon; only from the head multi."""
    momentum: NDArray[np.float32] | None = None
    """[n] their mean over it, -1 to 1; only from the head multi."""

    def __len__(self) -> int:
        return len(self.end)

    def at(self, ends: NDArray[np.int64]) -> Prediction:
        """The forecasts of the windows that end on these rows, in this order; all of them must be there."""
        order = np.argsort(self.end, kind="stable")
        rows = order[np.searchsorted(self.end[order], ends)]
        return replace(self, **{name: array[rows] for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, Any]:
        """The arrays there are, by name; the first axis of each is the windows."""
        found = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}

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

    kept: dict[str, list[Any]] = {name: [] for name in (*_shapes(model), "unit", "spread", "end")}
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in loader:
                if stop is not None and stop.is_set():
                    raise Stopped
                for name, output in model(batch.x, batch.condition, batch.ranks, batch.date).items():
                    kept[name].append(output)
                kept["unit"].append(batch.unit.clone())  # the loader reuses its buffers
                kept["spread"].append(batch.spread.clone())
                kept["end"].append(batch.end.clone())
    finally:
        model.train(was_training)
    if not kept["end"]:
        nothing = np.zeros((0, model.horizon), np.float32)
        empty = {name: np.zeros((0, *shape), np.float32) for name, shape in _shapes(model).items()}
        return _decode(model, empty, nothing, nothing, np.zeros(0, np.int64), extras or {})
    # one transfer at the end: on a GPU nothing waits inside the loop
    arrays = {name: torch.cat(parts).cpu().numpy() for name, parts in kept.items()}
    unit, spread, end = (arrays.pop(name) for name in ("unit", "spread", "end"))
    return _decode(model, arrays, unit, spread, end, extras or {})


def _shapes(model: Forecaster | Ensemble) -> dict[str, tuple[int, ...]]:
    """What a head says of one window: name -> shape."""
    shapes: dict[str, tuple[int, ...]] = {
        "point": (model.horizon,), "quantiles": (model.horizon, len(model.levels)), "logits": (len(CLASSES),), **{name: () for name in FIGURES}}
    said = {"point": ("point",), "quantile": ("quantiles",), "classes": ("logits",), "multi": ("point", "logits", *FIGURES)}
    return {name: shapes[name] for name in said[model.head_name]}


def _decode(model: Forecaster | Ensemble, outputs: Mapping[str, NDArray], unit: NDArray, spread: NDArray, end: NDArray,
            extras: Mapping[str, Any]) -> Prediction:
    """A head's numbers [n, ...] in units, the size of a unit and of a spread [n, H] -> log returns."""
    probabilities: NDArray | None = None
    quantiles: NDArray | None = None
    if "logits" in outputs:
        weights = np.exp(outputs["logits"] - outputs["logits"].max(axis=1, keepdims=True))
        probabilities = weights / weights.sum(axis=1, keepdims=True)
    if "quantiles" in outputs:
        quantiles, expected = outputs["quantiles"] * unit[..., None], expected_from_quantiles(model.levels, outputs["quantiles"])
    elif "point" in outputs:
        expected = outputs["point"] * np.asarray(extras.get("scale", 1.0), np.float32)
    elif probabilities is not None:
        expected = expected_from_classes(probabilities, extras.get("class_means"), model.horizon)
    else:
        raise ValueError(f"nothing to forecast with: {', '.join(outputs)}")
    if quantiles is None and extras.get("residual_quantiles") is not None:
        quantiles = (expected * unit)[..., None] + np.asarray(extras["residual_quantiles"], np.float32) * spread[..., None]
    return Prediction(
        end=end.astype(np.int64), expected=(expected * unit).astype(np.float32), levels=model.levels if quantiles is not None else (),
        quantiles=None if quantiles is None else quantiles.astype(np.float32), probabilities=probabilities,
        volatility=spread[:, 0] * np.exp(outputs["volatility"]) if "volatility" in outputs else None, momentum=outputs.get("momentum"))
