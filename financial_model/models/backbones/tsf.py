"""tsf: a decoder with rotary positions, RMSNorm and experts (one shared, eight routed SwiGLU, two at work); tsf-5m and tsf-27m are two of its sizes.

In: windows [B, T, features]. Out: the state at the last bar [B, hidden] and the balance of the experts. It knows no condition, head or objective.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from financial_model.config import ModelConfig
from financial_model.models.experts import Experts
from financial_model.models.latent import LatentAttention
from financial_model.models.layers import ExpertBlock, build_norm
from financial_model.models.registry import Backbone, backbone
from financial_model.models.rotary import RotaryAttention, groups_of
from financial_model.models.stem import build_stem, places_of


def rotary_attention(kind: str, size: int, heads: int, longest: int, kv_heads: int) -> nn.Module:
    """mha: as many heads of keys and values as of queries; gqa: fewer; mla: latents."""
    if kind == "mla":
        return LatentAttention(size, heads, longest)
    return RotaryAttention(size, heads, longest, groups=groups_of(heads, kv_heads) if kind == "gqa" else heads)


@backbone("tsf")
@backbone("tsf-5m")
@backbone("tsf-27m")
class TSF(Backbone):
    """Every bar sees the bars before it. The forecast reads the last bar, so the last block computes only that."""

    def __init__(self, inputs: int, context_length: int, shape: dict[str, int], config: ModelConfig) -> None:
        super().__init__(inputs, context_length, shape, config)
        size = self.output_size = shape["hidden"]
        norm, longest = config.norm_or("rmsnorm"), places_of(context_length, config)
        self.embed = build_stem(inputs, size, config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            ExpertBlock(
                size, rotary_attention(config.attention, size, shape["heads"], longest, config.kv_heads),
                Experts(size, config.experts, shape["expert_size"], gated=True, shared=True), norm=norm, dropout=config.dropout)
            for _ in range(shape["layers"]))
        self.norm = build_norm(norm, size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state, balance = self.encode(x, last_only=True)
        return state[:, -1], balance

    def encode(self, x: Tensor, *, last_only: bool = False) -> tuple[Tensor, Tensor]:
        """The state of every bar [B, T, hidden], or of the last alone [B, 1, hidden], and the mean balance of the layers []."""
        x, balances = self.dropout(self.embed(x)), []
        for number, block in enumerate(self.blocks, start=1):
            x, balance = block(x, last_only=last_only and number == len(self.blocks))
            balances.append(balance)
        return self.norm(x), torch.stack(balances).mean()
