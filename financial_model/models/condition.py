"""What a forecast is conditioned on: industry, style and market regime, added to the state of a window.

In: the state [B, size], class numbers int64 [B, 6] (config.CONDITIONS; in each column the index after the last name means unknown) and the
continuous style ranks [B, 4]. Out: the conditioned state [B, output_size]. It knows neither backbone nor head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from financial_model.config import CONDITION_SIZES, CONDITIONS, RANKS, ModelConfig
from financial_model.errors import ConfigError

STYLES = ("size", "value", "volatility", "momentum")


class ConditionEmbedding(nn.Module):
    """Industry, style and regime as one vector [B, industry_size + style_size + regime_size + 4].

    The four style classes share one vector of ``style_size``: each has a table of that width and the four rows are added, so that style
    as a whole weighs as much as the configuration says. Unknown starts as the zero vector: where it was never seen, it says nothing.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = {"industry": config.industry_size, "regime": config.regime_size} | dict.fromkeys(STYLES, config.style_size)
        self.tables = nn.ModuleDict({name: _table(size, widths[name]) for name, size in zip(CONDITIONS, CONDITION_SIZES, strict=True)})
        self.output_size = config.industry_size + config.style_size + config.regime_size + len(RANKS)

    def forward(self, condition: Tensor, ranks: Tensor) -> Tensor:
        rows = {name: table(condition[:, column]) for column, (name, table) in enumerate(self.tables.items())}
        style = rows["size"] + rows["value"] + rows["volatility"] + rows["momentum"]
        return torch.cat((rows["industry"], style, rows["regime"], ranks.to(style.dtype)), dim=1)


def _table(size: int, width: int) -> nn.Embedding:
    table = nn.Embedding(size, width)
    nn.init.zeros_(table.weight[-1])  # the others keep their spread of one: in smaller ones interactions are learned many times slower
    return table


class Unconditioned(nn.Module):
    """The state as it is; the classes are not looked at."""

    def __init__(self, size: int, config: ModelConfig) -> None:
        super().__init__()
        self.output_size = size

    def forward(self, state: Tensor, condition: Tensor, ranks: Tensor) -> Tensor:
        return state


class Concatenated(nn.Module):
    """State and embedding side by side in one layer that is linear in either and in their products: W state * (1 + G embedding) + V embedding.

    Under a plain linear layer the two could only add up, and a signal that turns with the regime needs the product. G and V start at
    zero, so training begins with the unconditioned forecast. No activation: what is linear in the state stays linear.
    """

    def __init__(self, size: int, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = ConditionEmbedding(config)
        self.mix = nn.Linear(size, size)
        self.gate_shift = _silent(self.embedding.output_size, 2 * size)
        self.output_size = size

    def forward(self, state: Tensor, condition: Tensor, ranks: Tensor) -> Tensor:
        gate, shift = self.gate_shift(self.embedding(condition, ranks)).chunk(2, dim=1)
        return self.mix(state) * (1 + gate) + shift


class Modulated(nn.Module):
    """FiLM (Perez et al. 2018): the embedding scales and shifts every component of the state. Exactly the identity before training."""

    def __init__(self, size: int, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = ConditionEmbedding(config)
        self.scale_shift = _silent(self.embedding.output_size, 2 * size)
        self.output_size = size

    def forward(self, state: Tensor, condition: Tensor, ranks: Tensor) -> Tensor:
        scale, shift = self.scale_shift(self.embedding(condition, ranks)).chunk(2, dim=1)
        return state * (1 + scale) + shift


def _silent(size: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(size, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


_MODES: dict[str, type[Unconditioned] | type[Concatenated] | type[Modulated]] = {
    "none": Unconditioned, "concat": Concatenated, "film": Modulated}


def build_condition(mode: str, size: int, config: ModelConfig) -> Unconditioned | Concatenated | Modulated:
    """The module of ``mode`` for states of ``size`` components; ``ConfigError`` for an unknown mode."""
    if mode not in _MODES:
        raise ConfigError("models.unknown_condition", name=mode, known=", ".join(_MODES))
    return _MODES[mode](size, config)
