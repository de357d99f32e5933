"""The one composition: backbone -> condition -> head. Any backbone with any condition and any head.

In: windows x [B, T, F], condition int64 [B, 6], ranks [B, 4]. Out: a dict of tensors in units of ``Batch.unit``.
It knows no panel, no loss and no optimiser; what each part is stands in its own file.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from financial_model.config import ModelConfig
from financial_model.models.backbones.mlp import Crossed, LastRow
from financial_model.models.condition import build_condition
from financial_model.models.cross_section import CrossSection
from financial_model.models.heads import build_head, return_readout
from financial_model.models.linear_start import LinearStart
from financial_model.models.prediction import Prediction, predict
from financial_model.models.registry import backbone, backbone_class, build_backbone

__all__ = ["AUXILIARY", "Forecaster", "Prediction", "backbone", "build_forecaster", "parameters", "predict"]

AUXILIARY = "auxiliary"
"""Key of a loss that a backbone adds to the objective, in training only."""
SKIP_SIZE = 64
"""Width of the small network on the last row."""
CROSS_RANK = 16
"""Waist of the products of the last row's features."""


class Forecaster(nn.Module):
    """A forecast from a window alone: no row of a batch sees another one, unless ``cross_section`` lets the stocks of a date see each other.

    With ``skip`` the window's last row joins the backbone's state three times: as it is, as products of its features and through a small
    network, and the condition acts on all of it. The first makes every forecaster contain the linear model of today's features, which a
    recurrent network otherwise has to rediscover through all its gates. A point forecast moreover begins at the fitted line (``start``).
    """

    def __init__(self, config: ModelConfig, *, head: str, inputs: int, context_length: int, horizon: int) -> None:
        super().__init__()
        kind = backbone_class(config.backbone)
        self.horizon, self.head_name, self.levels = horizon, head, config.quantile_levels
        self.balance = config.balance
        self.skip = config.skip and not kind.exact
        self.backbone = build_backbone(config.backbone, inputs, context_length, config)
        size = self.backbone.output_size
        self.last_row: LastRow | None = None
        self.crossed: Crossed | None = None
        if self.skip:
            size += 2 * inputs
            self.crossed = Crossed(inputs, CROSS_RANK, config.dropout)
        if self.skip and not kind.reads_last_row:
            self.last_row = LastRow(inputs, SKIP_SIZE, config.dropout)
            size += SKIP_SIZE
        self.cross_section = CrossSection(size, by_industry=config.condition != "none", dropout=config.dropout) if config.cross_section else None
        self.condition = build_condition(config.condition, size, config)
        self.head = build_head(head, self.condition.output_size, horizon, config.quantile_levels)
        begins = return_readout(self.head) is not None and self.skip and config.linear_start
        self.start = LinearStart(inputs, horizon) if begins else None
        self._still: tuple[nn.Module, ...] = ()

    def keep_still(self, parts: Iterable[nn.Module]) -> None:
        """These parts neither learn nor change while the rest is trained: no gradient, no dropout, no statistics of a batch."""
        self._still = tuple(parts)
        for part in self._still:
            part.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Forecaster:
        super().train(mode)
        for part in self._still:
            part.eval()
        return self

    def forward(self, x: Tensor, condition: Tensor, ranks: Tensor, date: Tensor | None = None) -> dict[str, Tensor]:
        """What the head says (``heads.py``): ``{"point": [B, H]}``, ``{"quantiles": [B, H, Q]}``, ``{"logits": [B, 3]}`` or, of the head multi,
        points, logits, ``volatility`` and ``momentum`` [B]; float32, in units of ``Batch.unit``.

        ``date`` int64 [B] says who stands beside whom under ``cross_section``, and nothing otherwise.
        While training, a backbone with a loss of its own adds ``{"auxiliary": []}``, already weighted, for the step to add to the objective.
        """
        encoded, last = self.backbone(x), x[:, -1]
        state, balance = encoded if isinstance(encoded, tuple) else (encoded, None)
        if self.last_row is not None:
            state = torch.cat((state, self.last_row(last)), dim=1)
        if self.crossed is not None:
            state = torch.cat((state, self.crossed(last).to(state.dtype), last.to(state.dtype)), dim=1)
        if self.cross_section is not None:
            state = self.cross_section(state, condition, date)
        outputs = self.head(self.condition(state, condition, ranks))
        if self.start is not None:
            outputs["point"] = self.start(last, ranks, condition, outputs["point"])
        if balance is not None and self.training:
            outputs[AUXILIARY] = self.balance * balance
        return outputs


def build_forecaster(model: ModelConfig, *, head: str, inputs: int, context_length: int, horizon: int) -> Forecaster:
    """A forecaster with fresh weights from torch's current seed.

    ``head`` is point, quantile, classes or multi (``RunConfig.head()``), ``inputs`` the number of features, ``context_length`` the longest window
    in bars, ``horizon`` the days ahead. Raises ``ConfigError`` for unknown names and heads that do not divide the hidden size.
    """
    return Forecaster(model, head=head, inputs=inputs, context_length=context_length, horizon=horizon)


def parameters(model: nn.Module, *, learning: bool = False) -> int:
    """How many numbers a model has that can be trained, or (``learning``) that are."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad or not learning)
