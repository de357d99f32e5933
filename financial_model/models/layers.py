"""Small parts of attention models: norms by name, positions, and the pre-norm blocks.

In and out: tensors [B, T, size]. They know no feature, condition or head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


class BatchNorm(nn.BatchNorm1d):
    """Each component by its mean and spread over all rows of the batch; outside training by their running means, so that no row sees another."""

    def forward(self, input: Tensor) -> Tensor:
        rows = input.flatten(0, -2)
        if self.training and len(rows) > 1:  # one row has no spread
            return super().forward(rows).view_as(input)
        normed = F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps)
        return normed.view_as(input)


def build_norm(name: str, size: int) -> nn.Module:
    """layernorm, rmsnorm, batchnorm or dyt over the last axis; ``ConfigError`` for an unknown name."""
    kinds: dict[str, type[nn.Module]] = {"layernorm": nn.LayerNorm, "rmsnorm": nn.RMSNorm, "batchnorm": BatchNorm, "dyt": DynamicTanh}
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


class ExpertBlock(nn.Module):
    """A pre-norm block whose feed-forward is a set of experts; returns the balance of their work beside the rows."""

    def __init__(self, size: int, attention: nn.Module, experts: nn.Module, *, norm: str, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.attention = build_norm(norm, size), attention
        self.feed_norm, self.experts = build_norm(norm, size), experts
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, **which: bool) -> tuple[Tensor, Tensor]:
        """([B, T, size], balance []); ``last_only`` goes to an attention that knows it, and only the last row is then kept."""
        kept = x[:, -1:] if which.get("last_only") else x
        kept = kept + self.dropout(self.attention(self.attention_norm(x), **which))
        answer, balance = self.experts(self.feed_norm(kept))
        return kept + self.dropout(answer), balance
