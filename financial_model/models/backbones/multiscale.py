"""multiscale: every layer attends at three ranges at once (10 bars, 30 bars, everything with a learned decay) and learns how to mix them.

In: windows [B, T, features]. Out: the state at the last bar [B, hidden]. It knows no condition, head or objective.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from financial_model.config import ModelConfig
from financial_model.models.layers import BarsAgo, build_norm
from financial_model.models.local import LocalAttention
from financial_model.models.registry import Backbone, backbone
from financial_model.models.stem import build_stem, places_of

RANGES = (10, 30)
"""Bars a bar sees at the short and the middle range, itself included."""


class DecayedAttention(nn.Module):
    """Attention over everything, minus rate x distance in every score; each head learns its rate (softplus of a parameter, so it never rewards
    distance). The rates start between a half and a hundredth per bar, so that heads begin at different ranges."""

    def __init__(self, size: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.query_key_value = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)
        start = torch.logspace(-0.3, -2, heads)
        self.rate = nn.Parameter(torch.log(torch.expm1(start)))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=self.penalty(x.shape[1]).to(query.dtype))
        if torch.compiler.is_exporting():  # other runtimes lay the result out otherwise than torch, and flatten must not rely on it
            mixed = mixed.clone(memory_format=torch.contiguous_format)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def penalty(self, length: int) -> Tensor:
        """[1, heads, T, T]: what is added to the scores."""
        place = torch.arange(length, device=self.rate.device)
        distance = place[:, None] - place
        penalty = -F.softplus(self.rate)[:, None, None] * distance.abs()
        return (penalty.masked_fill(distance < 0, -torch.inf) if self.causal else penalty).unsqueeze(0)


class MultiscaleBlock(nn.Module):
    """Three attentions beside each other, mixed by a softmax of three learned numbers, then a feed-forward of four times the width (pre-norm)."""

    def __init__(self, size: int, heads: int, *, norm: str, dropout: float, causal: bool) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = build_norm(norm, size), build_norm(norm, size)
        self.ranges = nn.ModuleList([
            *(LocalAttention(size, heads, reach - 1, causal=causal) for reach in RANGES), DecayedAttention(size, heads, causal=causal)])
        self.mix = nn.Parameter(torch.zeros(len(self.ranges)))
        self.feed = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * size, size))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        normed, share = self.attention_norm(x), self.mix.softmax(0)
        heard = sum(part * attention(normed) for part, attention in zip(share, self.ranges, strict=True))
        x = x + self.dropout(heard)
        return x + self.dropout(self.feed(self.feed_norm(x)))


@backbone("multiscale")
class Multiscale(Backbone):
    """Stem, positions, ``layers`` blocks, a last norm."""

    def __init__(self, inputs: int, context_length: int, shape: dict[str, int], config: ModelConfig) -> None:
        super().__init__(inputs, context_length, shape, config)
        size, norm = shape["hidden"], config.norm_or("layernorm")
        self.output_size = size
        self.embed = build_stem(inputs, size, config)
        self.position = BarsAgo(places_of(context_length, config), size)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            MultiscaleBlock(size, shape["heads"], norm=norm, dropout=config.dropout, causal=config.causal) for _ in range(shape["layers"]))
        self.norm = build_norm(norm, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.encode(x)[:, -1]

    def encode(self, x: Tensor) -> Tensor:
        """The state of every bar [B, T, hidden]."""
        x = self.dropout(self.position(self.embed(x)))
        for block in self.blocks:
            x = block(x)
        return self.norm(x)
