"""Windows on a GPU: gather and normalise in one Triton kernel.

In: CUDA tensors (or CPU tensors under Triton's interpreter, which is how the tests run it). Out: the output buffers, filled.
Specification: ``reference.py``. A tile of whole windows stays in registers: the panel is read once and the batch is written once.
Only imported where Triton is usable; ``windows.py`` decides that.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from financial_model.kernels.reference import EPS, MODES

_TILE = 16_384  # most elements of a tile: beyond it columns are spread over programs
_SMALL = 1_024  # below it a program takes several windows
_A_WARP = 2_048  # elements of a warp: with more warps their sums have to meet in shared memory, which is slower
_NARROWEST = 8  # columns a program takes at least: 32 bytes, one memory transaction


@triton.jit
def _gather_windows(values, ends, table_center, table_scale, out, center, scale, count, eps: tl.constexpr, clip: tl.constexpr,
                    ROW_STRIDE: tl.constexpr, LENGTH: tl.constexpr, COLUMNS: tl.constexpr, CLOSE: tl.constexpr, MODE: tl.constexpr,
                    GIVEN_SCALE: tl.constexpr, CLIP: tl.constexpr, WINDOWS: tl.constexpr, BLOCK_LENGTH: tl.constexpr,
                    BLOCK_COLUMNS: tl.constexpr):
    # a constant stride tells the compiler how the rows are aligned: loads of 8 or 16 bytes
    # eps and clip are constants: a run-time float would arrive as float64 from a compiled step and as a bare Python float in the interpreter
    window = tl.program_id(0) * WINDOWS + tl.arange(0, WINDOWS)
    column = tl.program_id(1) * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    step = tl.arange(0, BLOCK_LENGTH)
    real = window < count
    in_width = column < COLUMNS
    end = tl.load(ends + window, mask=real, other=0).to(tl.int64)  # 64 bit: row x columns passes 2^31 on a large panel
    first = (end - (LENGTH - 1)) * ROW_STRIDE
    inside = (step[None, :, None] < LENGTH) & in_width[None, None, :]
    mask = inside & real[:, None, None]
    place = first[:, None, None] + (step[None, :, None] * ROW_STRIDE + column[None, None, :])
    x = tl.load(values + place, mask=mask, other=0.0).to(tl.float32)
    statistic_mask = real[:, None] & in_width[None, :]
    zeros = tl.zeros([WINDOWS, BLOCK_COLUMNS], tl.float32)

    if MODE == 0:  # table
        middle = tl.load(table_center + column, mask=in_width, other=0.0)[None, :] + zeros
        factor = tl.load(table_scale + column, mask=in_width, other=0.0)[None, :] + zeros
        x = x - middle[:, None, :]
    elif MODE == 1:  # z-score, shifted by the last row: digits survive, a flat window is exactly zero
        last = tl.sum(tl.where(step[None, :, None] == LENGTH - 1, x, 0.0), axis=1)
        x = tl.where(inside, x - last[:, None, :], 0.0)  # the shift made the masked lanes non-zero
        mean = tl.sum(x, axis=1) / LENGTH
        middle = mean + last
        x = tl.where(inside, x - mean[:, None, :], 0.0)
        factor = 1.0 / tl.sqrt_rn(tl.sum(x * x, axis=1) / LENGTH + eps * eps)
    else:  # relative to the last row
        if CLOSE < 0:
            middle = tl.sum(tl.where(step[None, :, None] == LENGTH - 1, x, 0.0), axis=1)
        else:
            close = tl.load(values + (end * ROW_STRIDE + CLOSE), mask=real, other=0.0).to(tl.float32)
            middle = close[:, None] + zeros
        if GIVEN_SCALE:
            factor = tl.load(table_scale + column, mask=in_width, other=0.0)[None, :] + zeros
        else:
            factor = 1.0 / tl.maximum(tl.abs(middle), eps)
        x = x - middle[:, None, :]

    x = x * factor[:, None, :]
    if CLIP:
        x = tl.minimum(tl.maximum(x, -clip), clip)
    target = window.to(tl.int64) * (LENGTH * COLUMNS)
    tl.store(out + target[:, None, None] + (step[None, :, None] * COLUMNS + column[None, None, :]), x.to(out.dtype.element_ty), mask=mask)
    statistic = window.to(tl.int64)[:, None] * COLUMNS + column[None, :]
    tl.store(center + statistic, middle, mask=statistic_mask)
    tl.store(scale + statistic, factor, mask=statistic_mask)


def tile(context_length: int, columns: int) -> tuple[int, int, int, int]:
    """(windows, steps, columns, warps) of one program."""
    length, width = triton.next_power_of_2(context_length), triton.next_power_of_2(columns)
    while length * width > _TILE and width > _NARROWEST:
        width //= 2
    windows = max(1, _SMALL // (length * width))
    return windows, length, width, max(1, min(16, windows * length * width // _A_WARP))


def gather_windows(values: Tensor, ends: Tensor, context_length: int, mode: str, *, center: Tensor | None = None, scale: Tensor | None = None,
                   clip: float = 0.0, close: int = 3, out: tuple[Tensor, Tensor, Tensor]) -> None:
    """Fill ``out`` = (x ``[B, context_length, F]`` float32 or bfloat16, center ``[B, F]``, scale ``[B, F]`` float32), all contiguous.

    ``values [rows, F]`` float32 whose rows may be strided; ``ends`` int64. Modes and the rest as in ``reference.gather_windows``.
    Ends are not checked: looking at them would stall the device.
    """
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}")
    if mode == "table" and (center is None or scale is None):
        raise ValueError("mode table needs center and scale")
    if not all(buffer.is_contiguous() for buffer in out):
        raise ValueError("output buffers must be contiguous")
    count, columns = len(ends), values.shape[1]
    if count == 0:
        return
    windows, length, width, warps = tile(context_length, columns)
    nothing = out[1]  # a valid address that is never read
    tables = (nothing if table is None else table for table in (center, scale))
    with torch.cuda.device_of(values):  # Triton launches on the current GPU, wherever the data are
        _gather_windows[(triton.cdiv(count, windows), triton.cdiv(columns, width))](
            values, ends, *tables, *out, count, float(EPS), float(clip), ROW_STRIDE=values.stride(0), LENGTH=context_length, COLUMNS=columns,
            CLOSE=close, MODE=MODES.index(mode), GIVEN_SCALE=scale is not None, CLIP=clip > 0, WINDOWS=windows,
            BLOCK_LENGTH=length, BLOCK_COLUMNS=width, num_warps=warps)
