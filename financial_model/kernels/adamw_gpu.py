"""Clipping and AdamW of all parameters of a model in four launches, of as many programs as the card has work for.

In: parameters, gradients, moments and counts as CUDA tensors (or CPU tensors under Triton's interpreter). Out: moved in place, and the gradient's
norm. Specification: ``clip_grad_norm_`` and ``torch.optim.AdamW``, whose fused kernel gives a whole block of 65,536 numbers to a processor, so that
a model of a few million uses a third of a card. Nothing here waits for the device. Only imported where Triton is usable.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 2048
"""Numbers of a program."""
_MOST = 128
"""Addresses handed over by one launch: a kernel's arguments have little room."""


@triton.jit
def _note(table, first, tensors):
    """Where each of these tensors lies, into the table."""
    for index in tl.static_range(len(tensors)):
        tl.store(table + first + index, tensors[index].to(tl.int64))


@triton.jit
def _numbers(table, entry, offset):
    """Every tensor begins at a multiple of 16 bytes, as ``Mover`` asks for."""
    return tl.multiple_of(tl.load(table + entry).to(tl.pointer_type(tl.float32)), 16) + offset


@triton.jit
def _block(entries, starts, sizes, BLOCK: tl.constexpr):
    """(the tensor of this program, where in it, which places exist, whether all do)."""
    entry, start = tl.load(entries + tl.program_id(0)), tl.multiple_of(tl.load(starts + tl.program_id(0)), BLOCK)
    offset, size = start + tl.arange(0, BLOCK), tl.load(sizes + entry)
    return entry, offset, offset < size, start + BLOCK <= size


@triton.jit
def _squares(gradients, entries, starts, sizes, out, BLOCK: tl.constexpr):
    """The sum of the squares of each block."""
    entry, offset, real, whole = _block(entries, starts, sizes, BLOCK)
    if whole:  # without a mask numbers are read by fours
        gradient = tl.load(_numbers(gradients, entry, offset))
    else:
        gradient = tl.load(_numbers(gradients, entry, offset), mask=real, other=0.0)
    tl.store(out + tl.program_id(0), tl.sum(gradient * gradient, axis=0))


@triton.jit
def _adamw(value, gradient, mean, square, speed, decay, count, scale, beta1, beta2, eps):
    """(value, mean, square) after the step ``count``."""
    gradient *= scale
    mean += (gradient - mean) * (1.0 - beta1)
    square = beta2 * square + (1.0 - beta2) * gradient * gradient
    value -= speed * decay * value
    root = tl.sqrt_rn(1.0 - tl.exp(count * tl.log(beta2)))
    value -= speed / (1.0 - tl.exp(count * tl.log(beta1))) * mean / (tl.sqrt_rn(square) / root + eps)
    return value, mean, square


@triton.jit
def _move(gradients, parameters, means, squares, counts, decays, entries, starts, sizes, sums, rate, lost, norm_out, blocks, limit, beta1, beta2, eps,
          BLOCK: tl.constexpr, SUMS: tl.constexpr):
    part = tl.arange(0, SUMS)
    norm = tl.sqrt(tl.sum(tl.load(sums + part, mask=part < blocks, other=0.0), axis=0))
    if tl.program_id(0) == 0:
        tl.store(norm_out, norm)
    if (norm < float("inf")) & (tl.load(lost) == 0.0):  # no number is not less either
        entry, offset, real, whole = _block(entries, starts, sizes, BLOCK)
        speed, decay, scale = tl.load(rate), tl.load(decays + entry), tl.minimum(limit / (norm + 1e-6), 1.0)
        count = tl.load(tl.load(counts + entry).to(tl.pointer_type(tl.float32))) + 1.0
        gradient_at, value_at = _numbers(gradients, entry, offset), _numbers(parameters, entry, offset)
        mean_at, square_at = _numbers(means, entry, offset), _numbers(squares, entry, offset)
        if whole:
            value, mean, square = _adamw(tl.load(value_at), tl.load(gradient_at), tl.load(mean_at), tl.load(square_at), speed, decay, count, scale,
                                         beta1, beta2, eps)
            tl.store(value_at, value)
            tl.store(mean_at, mean)
            tl.store(square_at, square)
        else:
            value, mean, square = _adamw(tl.load(value_at, mask=real, other=0.0), tl.load(gradient_at, mask=real, other=0.0),
                                         tl.load(mean_at, mask=real, other=0.0), tl.load(square_at, mask=real, other=0.0), speed, decay, count, scale,
                                         beta1, beta2, eps)
            tl.store(value_at, value, mask=real)
            tl.store(mean_at, mean, mask=real)
            tl.store(square_at, square, mask=real)


@triton.jit
def _count(counts, tensors, norm, lost, TENSORS: tl.constexpr):
    """One step more for each, and from the first norm on that is no number: lost."""
    entry = tl.arange(0, TENSORS)
    finite = tl.load(norm) < float("inf")
    gone = tl.where(finite, tl.load(lost), 1.0)
    tl.store(lost, gone)
    places = tl.load(counts + entry, mask=entry < tensors, other=0).to(tl.pointer_type(tl.float32))
    tl.store(places, tl.load(places, mask=entry < tensors, other=0.0) + (1.0 - gone), mask=entry < tensors)


class Mover:
    """AdamW's move of these tensors, which stay where they are; only the gradients lie elsewhere each time. All are float32, contiguous, and begin
    at a multiple of 16 bytes."""

    def __init__(self, parameters: Sequence[Tensor], means: Sequence[Tensor], squares: Sequence[Tensor], counts: Sequence[Tensor],
                 decays: Sequence[float], *, betas: tuple[float, float], eps: float) -> None:
        """``counts``: steps so far of each parameter [], float32; ``decays``: its weight decay."""
        place = parameters[0].device
        self._betas, self._eps, self._tensors = betas, eps, len(parameters)
        self._held = parameters, means, squares, counts  # the addresses below are theirs
        self._tables = [_sent(np.array([part.data_ptr() for part in parts], np.int64), place) for parts in self._held]
        self._gradients = torch.zeros_like(self._tables[0])
        self._decays = _sent(np.array(decays, np.float32), place)
        sizes = np.array([part.numel() for part in parameters], np.int64)
        blocks = -(-sizes // _BLOCK)
        entries = np.repeat(np.arange(len(sizes)), blocks)
        starts = (np.arange(blocks.sum()) - np.repeat(np.cumsum(blocks) - blocks, blocks)) * _BLOCK
        self._entries, self._starts, self._sizes = (_sent(part.astype(np.int64), place) for part in (entries, starts, sizes))
        self._sums, self._norm = torch.zeros(len(entries), device=place), torch.zeros((), device=place)

    def __call__(self, gradients: Sequence[Tensor], *, rate: Tensor, lost: Tensor, limit: float) -> Tensor:
        """The gradient's norm [] before it is clipped to ``limit``; ``rate`` and ``lost`` [] float32. Where ``lost`` is 1, or the norm is no number,
        which makes it so, nothing moves."""
        blocks = len(self._entries)
        where = self._entries, self._starts, self._sizes
        with torch.cuda.device_of(rate):  # Triton launches on the current GPU, wherever the data are
            for first in range(0, self._tensors, _MOST):
                _note[(1,)](self._gradients, first, tuple(gradients[first:first + _MOST]), num_warps=1)
            _squares[(blocks,)](self._gradients, *where, self._sums, BLOCK=_BLOCK)
            parameters, means, squares, counts = self._tables
            _move[(blocks,)](self._gradients, parameters, means, squares, counts, self._decays, *where, self._sums, rate, lost, self._norm, blocks,
                             limit, *self._betas, self._eps, BLOCK=_BLOCK, SUMS=triton.next_power_of_2(blocks))
            _count[(1,)](counts, self._tensors, self._norm, lost, TENSORS=triton.next_power_of_2(self._tensors))
        return self._norm


def _sent(values: np.ndarray, place: torch.device) -> Tensor:
    """On the device, without waiting for it."""
    held = torch.from_numpy(values)
    return held.pin_memory().to(place, non_blocking=True) if place.type == "cuda" else held
