"""What a model is worth on the validation part, and what is measured there for later use.

In: a model and the loader of validation windows. Out: the loss, the forecasts, and the extras of the checkpoint. The loss is computed from the
forecasts themselves, in the units of the objective, so that what is scored is what a user gets.
It knows no test part and changes no weight.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from financial_model.config import CLASSES, DATE_OBJECTIVES, RunConfig
from financial_model.datasets.loader import WindowLoader
from financial_model.datasets.splits import label_bars
from financial_model.datasets.targets import label_returns, label_spread, label_unit
from financial_model.models.decode import expected_from_classes
from financial_model.models.forecaster import Forecaster, Prediction, predict
from financial_model.models.linear_start import supported_share
from financial_model.training.constants import mean_loss
from financial_model.training.preparation import Preparation, compared_dates, targets

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.ensemble import Ensemble

SMALLEST_SCALE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    loss: float
    prediction: Prediction
    share: float | None
    """How much of the network's correction of a linear start these windows support; None where there is no such start."""
    extras: dict[str, Any]
    """``residual_quantiles`` [H, Q] in spreads, ``class_means`` [H, 3] in units and ``scale`` [H], where head and objective need them to give
    quantiles and returns."""


def validation_loader(config: RunConfig, panel: Panel, prepared: Preparation, device: torch.device) -> WindowLoader:
    """The windows of every evaluation, always the same ones in the same order whatever the seed: runs of different seeds can be compared."""
    return WindowLoader(
        panel, prepared.validation, config, prepared.table, batch_size=config.training.batch_size, shuffle=False, seed=0,
        device=device, limit=prepared.validation_limit, label_scale=prepared.label_scale, by_date=config.by_date())


def evaluate(model: Forecaster | Ensemble, loader: WindowLoader, objective: Callable[..., torch.Tensor], config: RunConfig,
             label_scale: NDArray[np.float32], stop: threading.Event | None = None, line: NDArray[np.float32] | None = None) -> Evaluation:
    """Forecast every window of ``loader`` and score it. Raises ``Stopped`` on ``stop``.

    ``line`` [n, H]: what the model's linear start says of these windows. Its ``share`` is then measured here and stays in the model.
    """
    horizon = config.label.horizon
    with _whole_correction(model if line is not None else None):
        prediction = predict(model, loader, extras={}, stop=stop)
    z, label = targets(config, loader.panel, prediction.end, label_scale)
    returns = label_returns(loader.panel, prediction.end, config.label)
    unit = label_unit(loader.panel, prediction.end, config.label, label_scale)
    spread = label_spread(loader.panel, prediction.end, horizon)
    outputs = in_units(prediction, unit, spread, config.head())
    share = None
    if line is not None:
        session = np.unique(loader.panel.time[prediction.end], return_inverse=True)[1]
        missed = z[:, :horizon] - line
        share = supported_share(outputs["point"] - line, missed, session // (2 * label_bars(horizon, config.label.entry)))
        model.start.share.fill_(share)  # type: ignore[union-attr, operator]
        outputs |= {"point": line + share * (outputs["point"] - line)}
        prediction = replace(prediction, expected=(outputs["point"] * unit).astype(np.float32))
    loss = mean_loss(objective, outputs, z, label, loader.batch_size, compared_dates(config, loader.panel, prediction.end))
    scale: dict[str, Any] = {}
    if config.objective() in DATE_OBJECTIVES:
        scale = {"scale": fit_scale(outputs["point"], returns / unit)}
        outputs = {"point": outputs["point"] * scale["scale"]}
        prediction = replace(prediction, expected=(outputs["point"] * unit).astype(np.float32))
    extras = scale | fit_extras(outputs, returns, unit, spread, label, config.model.quantile_levels)
    return Evaluation(loss=loss, prediction=prediction, share=share, extras=extras)


@contextmanager
def _whole_correction(model: Any) -> Iterator[None]:
    """All of the network's correction counts inside; when the block is left by a stop, the share is what it was."""
    if model is None:
        yield
        return
    before = model.start.share.clone()
    model.start.share.fill_(1.0)
    try:
        yield
    except BaseException:
        model.start.share.copy_(before)
        raise


def in_units(prediction: Prediction, unit: NDArray[np.float32], spread: NDArray[np.float32], head: str) -> dict[str, NDArray[np.float32]]:
    """The forecasts as an objective sees the outputs of ``head`` (``models/heads.py``)."""
    outputs: dict[str, NDArray[np.float32]] = {}
    if head in ("point", "multi"):
        outputs["point"] = prediction.expected / unit
    if head == "quantile" and prediction.quantiles is not None:
        outputs["quantiles"] = prediction.quantiles / unit[..., None]
    if head in ("classes", "multi"):
        if prediction.probabilities is None:
            raise ValueError(f"a {head} head gave no probabilities")
        outputs["logits"] = np.log(np.maximum(prediction.probabilities, 1e-30)).astype(np.float32)  # up to a constant per window
    if prediction.volatility is not None and prediction.momentum is not None:
        outputs |= {"volatility": np.log(prediction.volatility / spread[:, 0]), "momentum": prediction.momentum}
    return outputs


def fit_scale(scores: NDArray, truth: NDArray) -> NDArray[np.float32]:
    """[H]: what scores [n, H] of a loss that leaves their size open are multiplied with to become expected returns in units: least squares,
    never below a small positive number, so that the order of the scores stays."""
    fitted = (scores * truth).sum(0) / np.maximum(np.square(scores).sum(0), 1e-12)
    return np.maximum(fitted, SMALLEST_SCALE).astype(np.float32)


def fit_extras(outputs: dict[str, NDArray], returns: NDArray, unit: NDArray, spread: NDArray, label: NDArray,
               levels: Sequence[float]) -> dict[str, Any]:
    """How far and in which classes the truth (log ``returns`` [n, H]) lay around these forecasts. A quantile head says so itself."""
    if "quantiles" in outputs:
        return {}
    if "point" in outputs:
        return {"residual_quantiles": _residual_quantiles((returns - outputs["point"] * unit) / spread, levels)}
    z = returns / unit
    means = np.stack([z[label == name].mean(0) if (label == name).any() else np.zeros(z.shape[1]) for name in range(len(CLASSES))], axis=1)
    expected = expected_from_classes(np.exp(outputs["logits"]), means, z.shape[1])
    return {"class_means": means, "residual_quantiles": _residual_quantiles((returns - expected * unit) / spread, levels)}


def _residual_quantiles(residual: NDArray, levels: Sequence[float]) -> NDArray:
    """[H, Q]"""
    return np.quantile(residual, levels, axis=0).T
