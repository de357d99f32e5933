"""The loss of the quantile head.

In: quantiles [B, H, Q] and the target z [B, H], in units. Out: a scalar. It knows no model and no price.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pinball(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Mean of max(level * error, (level - 1) * error) with error = target - quantile, over windows, days and ``levels`` [Q].

    Its expectation is smallest at the true quantiles (Koenker and Bassett 1978).
    """
    error = target.unsqueeze(-1) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean()
