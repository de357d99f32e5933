"""The norms in Triton, forward and backward: a row is read once, its statistics never leave the registers.

In: CUDA tensors (or CPU tensors under Triton's interpreter). Out: as the references in ``norms.py``. The backward pass takes the statistics
from ``x`` again instead of storing them; the gradients of the learned vectors are summed per program, then over programs, always in one order.
Only imported where Triton is usable.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

RMS, LAYER, TANH = 0, 1, 2
_TILE = 2_048  # elements a program holds: several short rows, or one long one
_PROGRAMS = 256  # of the backward pass; each goes through its share of the rows
_WIDEST = 65_536


@triton.jit
def _tanh(x):
    return 2.0 * tl.sigmoid(2.0 * x) - 1.0


@triton.jit
def _normalised(x, alpha, inside, eps, SIZE: tl.constexpr, KIND: tl.constexpr):
    """(x without its statistics, 1 / deviation) of a tile [ROWS, BLOCK]; for the tanh: (tanh(alpha x), unused)."""
    if KIND == 2:
        return _tanh(alpha * x), tl.sum(x, axis=1)
    if KIND == 1:
        x = tl.where(inside, x - (tl.sum(x, axis=1) / SIZE)[:, None], 0.0)  # the masked lanes must be zero again
    inverse = 1.0 / tl.sqrt_rn(tl.sum(x * x, axis=1) / SIZE + eps)
    return x * inverse[:, None], inverse


@triton.jit
def _forward(x, weight, bias, alpha, out, rows, eps: tl.constexpr, SIZE: tl.constexpr, KIND: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    inside = (row[:, None] < rows) & (column[None, :] < SIZE)
    place = row[:, None] * SIZE + column[None, :]
    values = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    factor = tl.load(alpha).to(tl.float32)
    result, _ = _normalised(values, factor, inside, eps, SIZE, KIND)
    result = result * tl.load(weight + column, mask=column < SIZE, other=0.0).to(tl.float32)[None, :]
    if KIND != 0:
        result = result + tl.load(bias + column, mask=column < SIZE, other=0.0).to(tl.float32)[None, :]
    tl.store(out + place, result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _backward(x, weight, alpha, grad, grad_x, grad_weight, grad_bias, grad_alpha, rows, tiles, eps: tl.constexpr, SIZE: tl.constexpr,
              KIND: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    column = tl.arange(0, BLOCK)
    in_width = column < SIZE
    w = tl.load(weight + column, mask=in_width, other=0.0).to(tl.float32)[None, :]
    factor = tl.load(alpha).to(tl.float32)
    sum_weight, sum_bias, sum_alpha = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    first = tl.program_id(0).to(tl.int64) * tiles * ROWS
    for tile in range(tiles):
        row = first + tile * ROWS + tl.arange(0, ROWS)
        inside = (row[:, None] < rows) & in_width[None, :]
        place = row[:, None] * SIZE + column[None, :]
        values = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
        above = tl.load(grad + place, mask=inside, other=0.0).to(tl.float32)
        normal, inverse = _normalised(values, factor, inside, eps, SIZE, KIND)
        sum_weight += tl.sum(above * normal, axis=0)
        inner = above * w
        if KIND == 2:
            slope = inner * (1.0 - normal * normal)
            sum_alpha += tl.sum(slope * values, axis=0)
            down = slope * factor
        else:
            along = tl.sum(inner * normal, axis=1) / SIZE
            down = inner - normal * along[:, None]
            if KIND == 1:
                down = down - (tl.sum(inner, axis=1) / SIZE)[:, None]
            down = down * inverse[:, None]
        if KIND != 0:
            sum_bias += tl.sum(above, axis=0)
        tl.store(grad_x + place, down.to(grad_x.dtype.element_ty), mask=inside)
    mine = tl.program_id(0) * SIZE + column
    tl.store(grad_weight + mine, sum_weight, mask=in_width)
    if KIND != 0:
        tl.store(grad_bias + mine, sum_bias, mask=in_width)
    if KIND == 2:
        tl.store(grad_alpha + tl.program_id(0), tl.sum(sum_alpha))


class _Norm(torch.autograd.Function):
    """``kind`` and ``eps`` are constants; where a kind has no ``bias`` or ``alpha`` any tensor stands for it, is not used, and gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, alpha: Tensor, eps: float, kind: int) -> Tensor:
        flat = x.contiguous()
        out, size = torch.empty_like(flat), x.shape[-1]
        rows = flat.numel() // max(size, 1)
        held, block, warps = _tile(size)
        if rows:
            with torch.cuda.device_of(flat):  # Triton launches on the current GPU, wherever the data are
                _forward[(triton.cdiv(rows, held),)](flat, weight, bias, alpha, out, rows, eps, SIZE=size, KIND=kind, ROWS=held, BLOCK=block,
                                                     num_warps=warps)
        ctx.save_for_backward(flat, weight, alpha)
        ctx.eps, ctx.kind, ctx.dtypes = eps, kind, (weight.dtype, bias.dtype, alpha.dtype)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, weight, alpha = ctx.saved_tensors
        size = x.shape[-1]
        rows = x.numel() // max(size, 1)
        held, block, warps = _tile(size)
        blocks = triton.cdiv(rows, held)
        tiles = max(1, triton.cdiv(blocks, _PROGRAMS))
        programs = triton.cdiv(blocks, tiles)
        grad_x = torch.empty_like(x)
        weights, biases = torch.zeros(2, max(programs, 1), size, device=x.device)
        alphas = torch.zeros(max(programs, 1), device=x.device)
        if rows:
            with torch.cuda.device_of(x):
                _backward[(programs,)](x, weight, alpha, grads[0].contiguous(), grad_x, weights, biases, alphas, rows, tiles, ctx.eps, SIZE=size,
                                       KIND=ctx.kind, ROWS=held, BLOCK=block, num_warps=warps)
        of_weight, of_bias, of_alpha = ctx.dtypes
        return (grad_x, weights.sum(0).to(of_weight), biases.sum(0).to(of_bias) if ctx.kind != RMS else None,
                alphas.sum().to(of_alpha) if ctx.kind == TANH else None, None, None)


def _tile(size: int) -> tuple[int, int, int]:
    """(rows, columns, warps) of a program. ``ValueError`` beyond what fits into registers."""
    if size > _WIDEST:
        raise ValueError(f"rows of {size} are too wide for one program")
    block = triton.next_power_of_2(size)
    rows = max(1, _TILE // block)
    return rows, block, 4 if rows * block <= 2_048 else 8 if block <= 8_192 else 16


def fused_rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
    """``norms.rms_norm`` in one kernel."""
    return _Norm.apply(x, weight, weight, weight, float(eps), RMS)


def fused_layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """``norms.layer_norm`` in one kernel."""
    return _Norm.apply(x, weight, bias, weight, float(eps), LAYER)


def fused_dynamic_tanh(x: Tensor, alpha: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``norms.dynamic_tanh`` in one kernel."""
    return _Norm.apply(x, weight, bias, alpha, 0.0, TANH)
