"""Attention whose positions are rotations: only how far two bars lie apart enters a score (RoPE, Su et al. 2021).

In: [B, T, size]. Out: the same shape, or its last row. Heads of keys and values may be fewer than heads of queries (gqa; mha is the case of
as many). It knows no norm, expert or head of a forecaster.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from financial_model.errors import ConfigError
from financial_model.kernels.attention import attention

THETA = 10_000.0
QUERIES_PER_GROUP = 4
"""Query heads that share a head of keys and values when a user does not say."""


class Rotary(nn.Module):
    """Turns pairs of components by an angle that grows with the place; scores of turned vectors depend on distances alone.

    Places count from the last bar backwards, so that a shorter window keeps them.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(self, longest: int, size: int) -> None:
        super().__init__()
        if size % 2:
            raise ValueError(f"rotations need an even size, not {size}")
        place = torch.arange(1 - longest, 1, dtype=torch.float32).unsqueeze(1)
        angle = place * THETA ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
        self.register_buffer("cosine", angle.cos(), persistent=False)
        self.register_buffer("sine", angle.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``x [..., n, size]`` stands at the last n places."""
        length, longest = x.shape[-2], self.cosine.shape[0]
        if length > longest:
            raise ConfigError("models.window_too_long", given=length, longest=longest)
        cosine, sine = self.cosine[longest - length:], self.sine[longest - length:]
        first, second = x.float().chunk(2, dim=-1)
        return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1).to(x.dtype)


class RotaryAttention(nn.Module):
    """Causal attention with rotated queries and keys; ``groups`` heads of keys and values, each shared by heads / groups queries."""

    def __init__(self, size: int, heads: int, longest: int, *, groups: int = 0) -> None:
        super().__init__()
        self.heads, self.groups, self.width = heads, groups or heads, size // heads
        self.query = nn.Linear(size, size, bias=False)
        self.key_value = nn.Linear(size, 2 * self.groups * self.width, bias=False)
        self.out = nn.Linear(size, size, bias=False)
        self.rotary = Rotary(longest, self.width)

    def forward(self, x: Tensor, *, last_only: bool = False) -> Tensor:
        """[B, T, size] -> [B, T, size], or [B, 1, size] for the last row alone."""
        asking = x[:, -1:] if last_only else x
        query = self.rotary(self.query(asking).unflatten(-1, (self.heads, -1)).transpose(1, 2))
        key, value = self.key_value(x).unflatten(-1, (2, self.groups, -1)).permute(2, 0, 3, 1, 4)
        key, value = (part.repeat_interleave(self.heads // self.groups, dim=1) for part in (self.rotary(key), value))
        mixed = attention(query, key, value, causal=not last_only)
        return self.out(mixed.transpose(1, 2).flatten(2))


def groups_of(heads: int, chosen: int = 0) -> int:
    """Heads of keys and values for gqa: as ``chosen``, or the largest divisor of ``heads`` up to a quarter of them."""
    if chosen:
        if heads % chosen:
            good = ", ".join(str(n) for n in range(1, heads + 1) if heads % n == 0)
            raise ConfigError("config.kv_heads_divide", kv_heads=chosen, heads=heads, good=good)
        return chosen
    return max(n for n in range(1, max(1, heads // QUERIES_PER_GROUP) + 1) if heads % n == 0)
