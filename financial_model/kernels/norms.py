"""Norms of attention models: RMSNorm, LayerNorm and dynamic tanh, each one pass on a GPU, plain torch elsewhere.

In: ``x [..., size]`` and the learned vectors. Out: the same shape and dtype, computed in float32 at least; differentiable in everything.
The ``reference_*`` functions are the specification of the Triton versions in ``norms_gpu.py``, and what runs where there is no Triton.
"""

from __future__ import annotations

import torch
from torch import Tensor

from financial_model.runtime import has_triton


def rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
    """``x / sqrt(mean(x^2) + eps) * weight`` over the last axis (Zhang and Sennrich 2019)."""
    if fused(x):
        from financial_model.kernels.norms_gpu import fused_rms_norm

        return fused_rms_norm(x, weight, eps)
    return reference_rms_norm(x, weight, eps)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` over the last axis, population variance (Ba et al. 2016)."""
    if fused(x):
        from financial_model.kernels.norms_gpu import fused_layer_norm

        return fused_layer_norm(x, weight, bias, eps)
    return reference_layer_norm(x, weight, bias, eps)


def dynamic_tanh(x: Tensor, alpha: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``weight * tanh(alpha * x) + bias``; ``alpha`` is one learned number, no statistic of ``x`` is taken (Zhu et al. 2025)."""
    if fused(x):
        from financial_model.kernels.norms_gpu import fused_dynamic_tanh

        return fused_dynamic_tanh(x, alpha, weight, bias)
    return reference_dynamic_tanh(x, alpha, weight, bias)


def reference_rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
    wide = _wide(x)
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


def reference_layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    wide = _wide(x)
    centred = wide - wide.mean(-1, keepdim=True)
    return (centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + eps) * weight + bias).to(x.dtype)


def reference_dynamic_tanh(x: Tensor, alpha: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (weight * torch.tanh(alpha * _wide(x)) + bias).to(x.dtype)


def _wide(x: Tensor) -> Tensor:
    """At least float32: a mean of squares in half precision overflows or loses its digits."""
    return x if x.dtype == torch.float64 else x.float()


def fused(x: Tensor) -> bool:
    """Whether the Triton versions run for ``x``. A compiler writes such a kernel by itself, and joins it with what stands around it."""
    return x.is_cuda and x.dtype != torch.float64 and not torch.compiler.is_compiling() and has_triton()
