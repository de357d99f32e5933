"""Small parts of attention models: positions and the pre-norm blocks.

In and out: tensors [B, T, size]. They know no feature, condition or head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from financial_model.errors import ConfigError
from financial_model.models.attention import SelfAttention
from financial_model.models.norms import build_norm

__all__ = ["BarsAgo", "Block", "ExpertBlock", "build_norm"]


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
