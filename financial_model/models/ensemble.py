"""Several forecasters as one: the average of what they say.

In: forecasters of one shape that were trained from different seeds. Out: a module that answers as any one of them does. Averages are taken where
they mean something: points as they are, quantiles level by level (so they stay in order), classes as probabilities. It knows no training.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from financial_model.models.forecaster import Forecaster


class Ensemble(nn.Module):
    """``forward`` as :meth:`Forecaster.forward`.

    ``scale`` [N, H], stored with the weights: what a member's points are multiplied with first. An objective that compares the stocks of a date
    leaves the size of a forecast open, so one member's scores may be many times another's, and would drown it.
    """

    scale: Tensor

    def __init__(self, members: Iterable[Forecaster | Ensemble], scale: Tensor | None = None) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        first: Forecaster = self.members[0]  # type: ignore[assignment]
        self.horizon, self.head_name, self.levels = first.horizon, first.head_name, first.levels
        self.register_buffer("scale", torch.ones(len(self.members), self.horizon) if scale is None else scale)

    def forward(self, x: Tensor, condition: Tensor, ranks: Tensor, date: Tensor | None = None) -> dict[str, Tensor]:
        said = [member(x, condition, ranks, date) for member in self.members]
        return {name: self._average(name, torch.stack([outputs[name] for outputs in said])) for name in said[0]}

    def _average(self, name: str, parts: Tensor) -> Tensor:
        """``parts`` [N, B, ...] of the members -> [B, ...]."""
        if name == "point":
            return (parts * self.scale[:, None]).mean(0)
        if name == "logits":
            return parts.softmax(-1).mean(0).clamp(min=torch.finfo(parts.dtype).tiny).log()
        return parts.mean(0)
