"""Attention to the neighbourhood: a bar sees the bars at most ``window`` away, at a cost that grows with bars x window, not bars squared.

In: [B, T, size]. Out: the same shape. Time is cut into blocks as long as the window; a block asks itself and its neighbours, and what lies
further than the window is masked. It knows no position, norm or expert.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from financial_model.errors import ConfigError
from financial_model.kernels.attention import attention


class LocalAttention(nn.Module):
    """Bar t sees bars t - window .. t + window; with ``causal`` only t - window .. t.

    ``head_dropout``: share of whole heads switched off while training, each window for itself; the others are scaled up to keep the sum.
    """

    def __init__(self, size: int, heads: int, window: int, *, causal: bool = False, head_dropout: float = 0.0) -> None:
        super().__init__()
        if size % heads:
            good = ", ".join(str(n) for n in range(1, 33) if size % n == 0)
            raise ConfigError("config.heads_divide", heads=heads, hidden=size, good=good)
        self.heads, self.window, self.causal, self.head_dropout = heads, window, causal, head_dropout
        self.query_key_value = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = banded(query, key, value, self.window, causal=self.causal)
        if self.training and self.head_dropout:
            kept = torch.rand(mixed.shape[:2], device=x.device) >= self.head_dropout
            mixed = mixed * (kept / (1 - self.head_dropout)).to(mixed.dtype)[..., None, None]
        return self.out(mixed.transpose(1, 2).flatten(2))


def banded(query: Tensor, key: Tensor, value: Tensor, window: int, *, causal: bool = False) -> Tensor:
    """Softmax attention over |i - j| <= window (and j <= i with ``causal``); all [B, heads, T, width]."""
    length, width = query.shape[-2:]
    if window >= length - 1:  # everything is near
        return attention(query, key, value, causal=causal)
    count = -(-length // window)
    after = 0 if causal else window
    rest = count * window - length
    asking = F.pad(query, (0, 0, 0, rest)).unflatten(2, (count, window))
    spread = window + window + after
    near_key, near_value = (
        F.pad(part, (0, 0, window, rest + after)).unfold(2, spread, window).transpose(-1, -2).flatten(1, 2) for part in (key, value))
    mask = _near(length, window, count, spread, causal=causal, device=query.device)
    # blocks stand beside heads, so that one mask serves the whole batch
    mixed = F.scaled_dot_product_attention(asking.flatten(1, 2), near_key, near_value, attn_mask=mask.repeat(query.shape[1], 1, 1))
    return mixed.reshape(*query.shape[:2], count * window, width)[:, :, :length]


def _near(length: int, window: int, count: int, spread: int, *, causal: bool, device: torch.device) -> Tensor:
    """True where a bar of a block [count, window] may see a bar of its surroundings [spread], which begin one window before the block."""
    block = torch.arange(count, device=device)[:, None, None] * window
    asked = block + torch.arange(window, device=device)[:, None]
    answering = block + torch.arange(spread, device=device) - window
    distance = answering - asked
    seen = (distance.abs() <= window) & (answering >= 0) & (answering < length)
    return (seen & (distance <= 0) if causal else seen) | (asked >= length)  # bars that only fill a block up see something, and are cut off
