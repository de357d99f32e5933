"""Attention to the neighbourhood: a bar sees the bars at most ``window`` away, at a cost that grows with bars x window, not bars squared.

In: [B, T, size]. Out: the same shape. A long time is cut into blocks as long as the window; a block asks itself and its neighbours, and what lies
further than the window is masked. In a short one all is asked and masked, which is the same. It knows no position, norm or expert.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from financial_model.errors import ConfigError
from financial_model.kernels.attention import attention

SHORT = 256
"""Bars up to which all scores at once, most of them masked, cost less than cutting the window into blocks."""


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
    length = query.shape[-2]
    if window >= length - 1:  # everything is near
        return attention(query, key, value, causal=causal)
    if length <= SHORT:
        place = torch.arange(length, device=query.device)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=_seen(place - place[:, None], window, causal=causal))
    return _in_blocks(query, key, value, window, causal=causal)


def _in_blocks(query: Tensor, key: Tensor, value: Tensor, window: int, *, causal: bool) -> Tensor:
    """The same at a cost of length x window: every block of ``window`` bars asks the blocks beside it and itself."""
    length, width = query.shape[-2:]
    count = -(-length // window)
    rest, beside = count * window - length, 1 if causal else 2

    def near(part: Tensor) -> Tensor:
        """Each block behind the one before it and, unless ``causal``, before the one after it: [B, heads * count, window * (1 + beside), width]."""
        blocks = F.pad(part, (0, 0, window, rest + (beside - 1) * window)).unflatten(2, (count + beside, window))
        return torch.cat([blocks[:, :, shift:shift + count] for shift in range(1 + beside)], dim=3).flatten(1, 2)

    asking = F.pad(query, (0, 0, 0, rest)).unflatten(2, (count, window)).flatten(1, 2)
    # blocks stand beside heads, so that one mask serves the whole batch; torch's fast kernel on a CPU takes masks of two or four dimensions
    mask = _near(length, window, count, window * (1 + beside), causal=causal, device=query.device).repeat(query.shape[1], 1, 1).unsqueeze(0)
    mixed = F.scaled_dot_product_attention(asking, near(key), near(value), attn_mask=mask)
    return mixed.reshape(*query.shape[:2], count * window, width)[:, :, :length]


def _near(length: int, window: int, count: int, spread: int, *, causal: bool, device: torch.device) -> Tensor:
    """True where a bar of a block [count, window] may see a bar of its surroundings [spread], which begin one window before the block."""
    block = torch.arange(count, device=device)[:, None, None] * window
    asked = block + torch.arange(window, device=device)[:, None]
    answering = block + torch.arange(spread, device=device) - window
    seen = _seen(answering - asked, window, causal=causal) & (answering >= 0) & (answering < length)
    return seen | (asked >= length)  # bars that only fill a block up see something, and are cut off


def _seen(distance: Tensor, window: int, *, causal: bool) -> Tensor:
    """True where a bar may see one that lies ``distance`` bars after it."""
    near = distance.abs() <= window
    return near & (distance <= 0) if causal else near
