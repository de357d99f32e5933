"""Small parts of attention models: norms by name, positions, and the pre-norm block.

In and out: tensors [B, T, size]. They know no feature, condition or head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from financial_model.errors import ConfigError
from financial_model.models.attention import SelfAttention


class DynamicTanh(nn.Module):
    """weight * tanh(alpha * x) + bias: squashes outliers without any statistic of the row (Zhu et al. 2025)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(0.5))
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * torch.tanh(self.alpha * x) + self.bias


def build_norm(name: str, size: int) -> nn.Module:
    """layernorm, rmsnorm or dyt over the last axis; ``ConfigError`` for an unknown name."""
    kinds: dict[str, type[nn.Module]] = {"layernorm": nn.LayerNorm, "rmsnorm": nn.RMSNorm, "dyt": DynamicTanh}
    if name not in kinds:
        raise ConfigError("models.unknown_norm", name=name, known=", ".join(kinds))
    return kinds[name](size)


class BarsAgo(nn.Module):
    """Adds a sinusoidal code of how many bars ago a row is (0 = the last), so that a shorter window keeps the meaning of every place."""

    code: Tensor

    def __init__(self, longest: int, size: int) -> None:
        super().__init__()
        ago = torch.arange(longest - 1, -1, -1, dtype=torch.float32).unsqueeze(1)
        rate = torch.exp(torch.arange(0, size, 2, dtype=torch.float32) * (-math.log(10_000.0) / size))
        code = torch.stack((torch.sin(ago * rate), torch.cos(ago * rate)), dim=-1).flatten(1)[:, :size]
        self.register_buffer("code", code, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        length, longest = x.shape[1], self.code.shape[0]
        if length > longest:
            raise ConfigError("models.window_too_long", given=length, longest=longest)
        return x + self.code[longest - length:]


class Block(nn.Module):
    """Attention and a feed-forward of four times the width, each behind its norm and beside a residual path (pre-norm)."""

    def __init__(self, size: int, heads: int, *, norm: str, dropout: float, causal: bool) -> None:
        super().__init__()
        self.attention_norm, self.attention = build_norm(norm, size), SelfAttention(size, heads, causal=causal)
        self.feed_norm = build_norm(norm, size)
        self.feed = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * size, size))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, *, last_only: bool = False) -> Tensor:
        """[B, T, size] -> the same, or with ``last_only`` [B, 1, size]: the last row's result without computing the others'."""
        kept = x[:, -1:] if last_only else x
        kept = kept + self.dropout(self.attention(self.attention_norm(x), last_only=last_only))
        return kept + self.dropout(self.feed(self.feed_norm(kept)))
