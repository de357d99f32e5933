"""Norms by name: the modules that hold what is learned, around torch's functions and, on a GPU that nothing compiles for, the fused kernels.

In and out: tensors [..., size]. They know no attention and no position.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from financial_model.errors import ConfigError
from financial_model.kernels import norms


class DynamicTanh(nn.Module):
    """weight * tanh(alpha * x) + bias: squashes outliers without any statistic of the row (Zhu et al. 2025)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(0.5))
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        if norms.fused(x):
            return norms.dynamic_tanh(x, self.alpha, self.weight, self.bias)
        return self.weight * torch.tanh(self.alpha * x) + self.bias


class LayerNorm(nn.LayerNorm):
    """torch's, in one kernel on a GPU that nothing compiles for."""

    def forward(self, input: Tensor) -> Tensor:
        return norms.layer_norm(input, self.weight, self.bias, self.eps) if norms.fused(input) else super().forward(input)


class RMSNorm(nn.RMSNorm):
    """torch's, in one kernel on a GPU that nothing compiles for."""

    def forward(self, x: Tensor) -> Tensor:
        if norms.fused(x):
            return norms.rms_norm(x, self.weight, self.eps or torch.finfo(x.dtype).eps)
        return super().forward(x)


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
    kinds: dict[str, type[nn.Module]] = {"layernorm": LayerNorm, "rmsnorm": RMSNorm, "batchnorm": BatchNorm, "dyt": DynamicTanh}
    if name not in kinds:
        raise ConfigError("models.unknown_norm", name=name, known=", ".join(kinds))
    return kinds[name](size)
