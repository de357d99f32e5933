"""What a run minimises.

In: the name of an objective and a configuration. Out: a function (outputs of a forecaster, target z [B, H] in units (for the head multi two
columns more), label [B], date [B]) -> scalar. The date matters to the objectives of config.DATE_OBJECTIVES alone, which compare the stocks of one
date.
The layer knows heads by the keys of their outputs, and no model, panel or trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from financial_model.config import CLASSES, DATE_OBJECTIVES, DEFAULT_OBJECTIVE, FIGURES, OBJECTIVES, TASKS, RunConfig
from financial_model.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Objective(Protocol):
    """``loss(outputs, z, label, date)``; ``date`` may be left out where the objective compares no stocks."""

    def __call__(self, outputs: Mapping[str, Tensor], z: Tensor, label: Tensor, date: Tensor | None = None, /) -> Tensor: ...


def objective(name: str, config: RunConfig) -> Objective:
    """The objective ``name`` (config.OBJECTIVES); ``ConfigError`` for an unknown name.

    ``outputs`` is what the forecaster returned, ``z`` [B, H] = log return / Batch.unit (or places), ``label`` int64 [B] an index into
    config.CLASSES, or [B, C] the chances of the classes, ``date`` int64 [B].
    """
    if name not in OBJECTIVES:
        raise ConfigError("models.unknown_objective", name=name, known=", ".join(OBJECTIVES))
    if name in DATE_OBJECTIVES:
        return _by_date(name)
    return {"point": _point, "quantile": _quantile, "classes": _classes, "multi": _multi}[OBJECTIVES[name]](name, config)


def _by_date(name: str) -> Objective:
    from financial_model.objectives.ranking import DATE_LOSSES

    compare = DATE_LOSSES[name]

    def loss(outputs: Mapping[str, Tensor], z: Tensor, label: Tensor, date: Tensor | None = None, /) -> Tensor:
        if date is None:
            raise ValueError(f"the objective {name} compares the stocks of a date and needs the dates")
        return compare(outputs["point"], z, date)

    return loss


def _point(name: str, config: RunConfig) -> Objective:
    from financial_model.objectives.point import POINT_LOSSES

    loss = POINT_LOSSES[name]
    return lambda outputs, z, label, date=None, /: loss(outputs["point"], z)


def _quantile(name: str, config: RunConfig) -> Objective:
    from financial_model.objectives.quantile import pinball

    levels = _constant(config.model.quantile_levels)
    return lambda outputs, z, label, date=None, /: pinball(outputs["quantiles"], z, levels(z.device))


def _classes(name: str, config: RunConfig) -> Objective:
    from financial_model.objectives import classes

    smoothing, balanced = config.training.label_smoothing, config.training.class_weights == "balanced"
    if name == "cost_matrix":
        costs = _constant(config.training.cost_matrix, len(CLASSES), len(CLASSES))
        return lambda outputs, z, label, date=None, /: classes.expected_cost(
            outputs["logits"], label, costs(label.device), smoothing=smoothing, balanced=balanced)
    loss = {"cross_entropy": classes.cross_entropy, "focal": classes.focal}[name]
    return lambda outputs, z, label, date=None, /: loss(outputs["logits"], label, smoothing=smoothing, balanced=balanced)


def _multi(name: str, config: RunConfig) -> Objective:
    """The weighted sum of what the parts would minimise alone; the two figures by their squared error, so that they forecast a mean."""
    from torch.nn import functional as F

    classes, point = (_classes(DEFAULT_OBJECTIVE["classes"], config), _point(DEFAULT_OBJECTIVE["point"], config))
    weights = dict(zip(TASKS, config.training.task_weights, strict=True))

    def loss(outputs: Mapping[str, Tensor], z: Tensor, label: Tensor, date: Tensor | None = None, /) -> Tensor:
        days = outputs["point"].shape[1]
        total = weights["classes"] * classes(outputs, z, label) + weights["return"] * point(outputs, z[:, :days], label)
        for place, figure in enumerate(FIGURES):
            total = total + weights[figure] * F.mse_loss(outputs[figure], z[:, days + place])
        return total

    return loss


def _constant(values: tuple[float, ...], *shape: int) -> Callable[[torch.device], Tensor]:
    """Numbers as a tensor that is copied to a device once: a copy in every step would stop a CUDA graph."""
    import torch

    tensor, on_device = torch.tensor(values).view(shape or (-1,)), dict[torch.device, torch.Tensor]()

    def on(device: torch.device) -> Tensor:
        if device not in on_device:
            on_device[device] = tensor.to(device)
        return on_device[device]

    return on
