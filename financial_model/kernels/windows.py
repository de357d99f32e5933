"""The window kernel as everyone calls it: picks the fastest version this machine and this panel allow.

In: a packed panel (numpy array, memory map or tensor) and end rows. Out: tensors on the panel's device.
numba for arrays and CPU tensors, Triton for CUDA tensors, the plain reference for anything else.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from financial_model.kernels import reference
from financial_model.runtime import has_triton

Buffers = tuple[Tensor, Tensor, Tensor]


def buffers(count: int, context_length: int, columns: int, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Buffers:
    """Output buffers for ``gather_windows``: x ``[count, context_length, columns]``, center and scale ``[count, columns]`` (float32)."""
    x = torch.empty(count, context_length, columns, dtype=dtype, device=device)
    center, scale = torch.empty(2, count, columns, device=device)
    return x, center, scale


def gather_windows(values: NDArray[np.float32] | Tensor, ends: NDArray[np.int64] | Tensor, context_length: int, mode: str, *,
                   center: NDArray[np.float32] | Tensor | None = None, scale: NDArray[np.float32] | Tensor | None = None, clip: float = 0.0,
                   close: int = 3, out: Buffers | None = None, dtype: torch.dtype = torch.float32, threads: int = 0) -> Buffers:
    """Normalised windows ``(value - center) * scale`` of ``values [rows, F]`` ending at rows ``ends [B]``; see ``reference.gather_windows``.

    Returns x ``[B, context_length, F]``, center and scale ``[B, F]``; into ``out`` where given (reused by loaders).
    ``dtype`` float32, or bfloat16 on a GPU. ``threads`` on a CPU; 0: as many as torch uses.
    ``ValueError`` when a window would leave the panel; not checked on a GPU, where looking would stall it.
    """
    if isinstance(values, Tensor) and (values.device.type != "cpu" or values.dtype != torch.float32):
        return _on_device(values, torch.as_tensor(ends, device=values.device), context_length, mode, center, scale, clip, close, out, dtype)
    from financial_model.kernels import windows_cpu

    array, rows = _numpy(values), _numpy(ends)
    target = out if out is not None else buffers(len(rows), context_length, array.shape[1])
    windows_cpu.gather_windows(
        array, rows, context_length, mode, center=None if center is None else _numpy(center), scale=None if scale is None else _numpy(scale),
        clip=clip, close=close, out=(target[0].numpy(), target[1].numpy(), target[2].numpy()), threads=threads or torch.get_num_threads())
    return target


def _numpy(data: NDArray | Tensor) -> NDArray:
    """A plain C-contiguous array that shares memory where it can; memory maps lose their subclass, which is slow to inspect."""
    return np.ascontiguousarray(data.numpy() if isinstance(data, Tensor) else data)


def _on_device(values: Tensor, ends: Tensor, context_length: int, mode: str, center, scale, clip: float, close: int, out: Buffers | None,
               dtype: torch.dtype) -> Buffers:
    table = [None if t is None else torch.as_tensor(t, device=values.device) for t in (center, scale)]
    if values.device.type == "cuda" and values.dtype == torch.float32 and has_triton():
        from financial_model.kernels.windows_gpu import gather_windows as fill

        target = out if out is not None else buffers(len(ends), context_length, values.shape[1], device=values.device, dtype=dtype)
        fill(values, ends, context_length, mode, center=table[0], scale=table[1], clip=clip, close=close, out=target)
        return target
    x, used_center, used_scale = reference.gather_windows(values, ends, context_length, mode, center=table[0], scale=table[1], clip=clip, close=close)
    if out is None:
        return x.to(dtype) if values.dtype == torch.float32 else x, used_center, used_scale
    for buffer, result in zip(out, (x, used_center, used_scale), strict=True):
        buffer.copy_(result)
    return out
