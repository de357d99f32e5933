"""Multi-head self-attention over the bars of a window.

In: [B, T, size]. Out: the same shape, or the last row of it. The arithmetic is ``kernels.attention``, which picks the fastest
kernel a machine has. It knows no position, norm or head of a forecaster.
"""

from __future__ import annotations

from torch import Tensor, nn

from financial_model.errors import ConfigError
from financial_model.kernels.attention import attention


class SelfAttention(nn.Module):
    """Every row asks, every row (with ``causal``: every row up to itself) answers; weights are a softmax over the rows that answer.

    There is no dropout on the weights: torch's fast kernel on a CPU does not offer it, and the block drops the result anyway.
    """

    def __init__(self, size: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        if size % heads:
            good = ", ".join(str(n) for n in range(1, 33) if size % n == 0)
            raise ConfigError("config.heads_divide", heads=heads, hidden=size, good=good)
        self.heads, self.causal = heads, causal
        self.query = nn.Linear(size, size)
        self.key_value = nn.Linear(size, 2 * size)
        self.out = nn.Linear(size, size)

    def forward(self, x: Tensor, *, last_only: bool = False) -> Tensor:
        """[B, T, size] -> [B, T, size], or [B, 1, size] for the last row alone."""
        asking = x[:, -1:] if last_only else x
        query = self.query(asking).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(x).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        # the last row may see every row, so its mask is empty
        mixed = attention(query, key, value, causal=self.causal and not last_only)
        return self.out(mixed.transpose(1, 2).flatten(2))
