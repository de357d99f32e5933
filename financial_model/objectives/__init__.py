"""What a run minimises.

In: the name of an objective and a configuration. Out: a function (outputs of a forecaster, target z [B, H] in units, label [B]) -> scalar.
The layer knows heads by the keys of their outputs, and no model, panel or trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from financial_model.config import OBJECTIVES, RunConfig
from financial_model.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

Objective = Callable[[Mapping[str, "Tensor"], "Tensor", "Tensor"], "Tensor"]


def objective(name: str, config: RunConfig) -> Objective:
    """The objective ``name`` (config.OBJECTIVES) as ``loss(outputs, z, label)``; ``ConfigError`` for an unknown name.

    ``outputs`` is what the forecaster returned, ``z`` [B, H] = log return / Batch.unit, ``label`` int64 [B] an index into config.CLASSES.
    """
    if name not in OBJECTIVES:
        raise ConfigError("models.unknown_objective", name=name, known=", ".join(OBJECTIVES))
    return {"point": _point, "quantile": _quantile, "classes": _classes}[OBJECTIVES[name]](name, config)


def _point(name: str, config: RunConfig) -> Objective:
    from financial_model.objectives.point import POINT_LOSSES

    loss = POINT_LOSSES[name]
    return lambda outputs, z, label: loss(outputs["point"], z)


def _quantile(name: str, config: RunConfig) -> Objective:
    import torch

    from financial_model.objectives.quantile import pinball

    levels = torch.tensor(config.model.quantile_levels)
    on_device: dict[torch.device, Tensor] = {}  # copied once: a copy in every step would stop a CUDA graph

    def loss(outputs: Mapping[str, Tensor], z: Tensor, label: Tensor) -> Tensor:
        if z.device not in on_device:
            on_device[z.device] = levels.to(z.device)
        return pinball(outputs["quantiles"], z, on_device[z.device])

    return loss


def _classes(name: str, config: RunConfig) -> Objective:
    from financial_model.objectives import classes

    loss = {"cross_entropy": classes.cross_entropy, "focal": classes.focal}[name]
    smoothing, balanced = config.training.label_smoothing, config.training.class_weights == "balanced"
    return lambda outputs, z, label: loss(outputs["logits"], label, smoothing=smoothing, balanced=balanced)
