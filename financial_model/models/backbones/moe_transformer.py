"""moe_transformer: six distinct layers of neighbourhood attention and eight experts, for long windows: about 27 M parameters, 8 M at work on a bar.

In: windows [B, T, features]. Out: the state at the last bar beside the mean state of the window [B, 2 * hidden], and the balance of the
experts. It knows no condition, head or objective.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from financial_model.config import ModelConfig
from financial_model.models.experts import Experts
from financial_model.models.layers import BarsAgo, ExpertBlock, build_norm
from financial_model.models.local import LocalAttention
from financial_model.models.registry import Backbone, backbone
from financial_model.models.stem import build_stem, places_of


@backbone("moe_transformer")
class MoETransformer(Backbone):
    """A layer carries news ``attention_window`` bars far; the mean over the window brings the rest of a long one to the forecast."""

    def __init__(self, inputs: int, context_length: int, shape: dict[str, int], config: ModelConfig) -> None:
        super().__init__(inputs, context_length, shape, config)
        size, norm = shape["hidden"], config.norm_or("layernorm")
        self.output_size = 2 * size
        self.embed = build_stem(inputs, size, config)
        self.position = BarsAgo(places_of(context_length, config), size)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            ExpertBlock(
                size, LocalAttention(size, shape["heads"], config.attention_window, causal=config.causal, head_dropout=config.head_dropout),
                Experts(size, config.experts, shape["expert_size"], gated=False, shared=False), norm=norm, dropout=config.dropout)
            for _ in range(shape["layers"]))
        self.norm = build_norm(norm, size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        states, balance = self.encode(x)
        return torch.cat((states[:, -1], states.mean(1)), dim=1), balance

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The state of every bar [B, T, hidden] and the mean balance of the layers []."""
        x, balances = self.dropout(self.position(self.embed(x))), []
        for block in self.blocks:
            x, balance = block(x)
            balances.append(balance)
        return self.norm(x), torch.stack(balances).mean()
