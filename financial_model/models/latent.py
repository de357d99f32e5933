"""Latent attention (MLA, DeepSeek-AI 2024): queries, keys and values come out of short latent vectors, and position has a part of its own.

In: [B, T, size]. Out: the same shape, or its last row. A head's query and key are a content part, read from the latents, and a rotated part;
the rotated key is shared by all heads. The absorbed form never spells keys and values out: it asks the latents themselves, because
``q (W c) = (q W) c``. Both forms are the same function; the absorbed one is used outside training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from financial_model.models.norms import RMSNorm
from financial_model.models.rotary import Rotary


class LatentAttention(nn.Module):
    """Causal. Half of a head's components are content, half are position; the latent of queries is size / 2, of keys and values size / 4."""

    def __init__(self, size: int, heads: int, longest: int) -> None:
        super().__init__()
        width = size // heads
        self.heads, self.value_width = heads, width
        self.turned = max(2, width // 4 * 2)
        self.content = max(1, width - self.turned)
        self.rank = max(1, size // 4)
        self.query_down = nn.Linear(size, max(1, size // 2), bias=False)
        self.query_norm = RMSNorm(max(1, size // 2))
        self.query_up = nn.Linear(max(1, size // 2), heads * (self.content + self.turned), bias=False)
        self.latent_down = nn.Linear(size, self.rank + self.turned, bias=False)
        self.latent_norm = RMSNorm(self.rank)
        self.key_up = nn.Linear(self.rank, heads * self.content, bias=False)
        self.value_up = nn.Linear(self.rank, heads * self.value_width, bias=False)
        self.out = nn.Linear(heads * self.value_width, size, bias=False)
        self.rotary = Rotary(longest, self.turned)
        self.scale = (self.content + self.turned) ** -0.5

    def forward(self, x: Tensor, *, last_only: bool = False) -> Tensor:
        """[B, T, size] -> [B, T, size], or [B, 1, size] for the last row alone."""
        content, turned, latent, turned_key = self._parts(x, x[:, -1:] if last_only else x)
        form = self._plain if self.training else self._absorbed
        return self.out(form(content, turned, latent, turned_key, causal=not last_only).transpose(1, 2).flatten(2))

    def _parts(self, x: Tensor, asking: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Content and turned part of the queries [B, heads, t, .], the latents [B, T, rank], and the one turned key [B, 1, T, turned]."""
        query = self.query_up(self.query_norm(self.query_down(asking))).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        content, turned = query.split((self.content, self.turned), dim=-1)
        latent, turned_key = self.latent_down(x).split((self.rank, self.turned), dim=-1)
        return content, self.rotary(turned), self.latent_norm(latent), self.rotary(turned_key.unsqueeze(1))

    def _plain(self, content: Tensor, turned: Tensor, latent: Tensor, turned_key: Tensor, *, causal: bool) -> Tensor:
        """[B, heads, t, value_width] with every head's keys and values spelled out."""
        key = self.key_up(latent).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        value = self.value_up(latent).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key = torch.cat((key, turned_key.expand(-1, self.heads, -1, -1)), dim=-1)
        return F.scaled_dot_product_attention(torch.cat((content, turned), dim=-1), key, value, is_causal=causal, scale=self.scale)

    def _absorbed(self, content: Tensor, turned: Tensor, latent: Tensor, turned_key: Tensor, *, causal: bool) -> Tensor:
        """The same with the latents as keys and as values, one set for all heads."""
        key_up = self.key_up.weight.unflatten(0, (self.heads, -1)).to(content.dtype)
        value_up = self.value_up.weight.unflatten(0, (self.heads, -1)).to(content.dtype)
        asking = torch.cat((content @ key_up, turned), dim=-1)
        shared = torch.cat((latent.unsqueeze(1), turned_key), dim=-1).expand(-1, self.heads, -1, -1)
        values = latent.unsqueeze(1).expand(-1, self.heads, -1, -1)
        mixed = F.scaled_dot_product_attention(asking, shared, values, is_causal=causal, scale=self.scale)
        return mixed @ value_up.transpose(-1, -2)
