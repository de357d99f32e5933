"""Windows on a CPU: gather and normalise in one compiled pass over the packed panel.

In: numpy arrays (a memory map is fine) and output buffers. Out: the buffers, filled. Specification: ``reference.py``.
A window is one contiguous run of float32, read once from memory; everything after that happens in the first-level cache.
Shapes are run-time numbers, so there is one compilation for all of them; it is kept on disk, and a fresh process only loads it.
The kernels release the interpreter lock: threads share a batch, and the page stays alive meanwhile.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numba
import numpy as np
from numpy.typing import NDArray

from financial_model.kernels.prefetch import LINE, prefetch
from financial_model.kernels.reference import EPS

# ``eps`` is passed in: code that is kept on disk would not notice a change of a constant in another file.
# Everything but "reassoc": reordering would fold the shift by the last row away, and with it the digits it protects.
_compiled = numba.njit(cache=True, nogil=True, boundscheck=False, fastmath={"contract", "nnan", "ninf", "nsz", "arcp"})
_ROWS = 5  # scratch rows a kernel needs
_VECTOR, _WIDTH = 16, 64  # floats of the widest register, and floats a loop should have at least
_PARALLEL_FLOATS = 1 << 18  # below this a second thread costs more than it brings


@_compiled
def _side_by_side(columns):
    """How many rows are handled together, a power of two, so that loops are long and their columns fill whole vector registers."""
    rows = 1
    while rows * columns < _WIDTH or ((columns * rows) % _VECTOR and rows < _VECTOR):
        rows *= 2
    return rows


@_compiled
def _spread(row, rows, lanes):
    """One row's values repeated ``rows`` times, doubling what is there."""
    filled = row.shape[0]
    for c in range(filled):
        lanes[c] = row[c]
    while filled < rows * row.shape[0]:
        have, more = lanes[:filled], lanes[filled:2 * filled]
        for j in range(filled):
            more[j] = have[j]
        filled *= 2


@_compiled
def _fold(lanes, rows, columns, result):
    """Sum of the side-by-side rows per column, halving what is there; ``lanes`` is used up."""
    left = rows * columns
    while left > columns:
        left //= 2
        kept, added = lanes[:left], lanes[left:2 * left]
        for j in range(left):
            kept[j] += added[j]
    for c in range(columns):
        result[c] = lanes[c]


@_compiled
def _ask_for_next(flat, ends, b, length, columns):
    """Let the window after window ``b`` come into the cache while that one is worked on."""
    if b + 1 < ends.shape[0]:
        first = (ends[b + 1] - length + 1) * columns
        for place in range(first, first + length * columns, LINE // 4):
            prefetch(flat, place)


@_compiled
def _normalise(source, target, width, middle, factor, clip):
    """target = (source - middle) * factor, limited; both repeat every ``width``."""
    for start in range(0, source.shape[0], width):
        read, write = source[start:start + width], target[start:start + width]
        if clip > 0:
            for j in range(read.shape[0]):
                write[j] = min(max((read[j] - middle[j]) * factor[j], -clip), clip)
        else:
            for j in range(read.shape[0]):
                write[j] = (read[j] - middle[j]) * factor[j]


@_compiled
def _table(flat, ends, length, columns, table_center, table_scale, clip, scratch, out, center, scale):
    """x = (value - center) * scale with given tables."""
    rows = _side_by_side(columns)
    width, size = rows * columns, length * columns
    middle, factor = scratch[0], scratch[1]
    _spread(table_center, rows, middle)
    _spread(table_scale, rows, factor)
    for b in range(ends.shape[0]):
        _ask_for_next(flat, ends, b, length, columns)
        first = (ends[b] - length + 1) * columns
        _normalise(flat[first:first + size], out[b], width, middle, factor, clip)
        center[b] = table_center
        scale[b] = table_scale


@_compiled
def _last_close(flat, ends, length, columns, close, given_scale, eps, clip, scratch, out, center, scale):
    """x = (value - last) * scale; ``last`` is column ``close`` of the last row, or each column itself where ``close`` is negative."""
    rows = _side_by_side(columns)
    width, size = rows * columns, length * columns
    middle, factor = scratch[0], scratch[1]
    for b in range(ends.shape[0]):
        _ask_for_next(flat, ends, b, length, columns)
        first = (ends[b] - length + 1) * columns
        source = flat[first:first + size]
        last = source[size - columns:]
        for c in range(columns):
            center[b, c] = last[c] if close < 0 else last[close]
            scale[b, c] = given_scale[c] if given_scale.shape[0] else np.float32(1) / max(abs(center[b, c]), eps)
        _spread(center[b], rows, middle)
        _spread(scale[b], rows, factor)
        _normalise(source, out[b], width, middle, factor, clip)


@_compiled
def _zscore(flat, ends, length, columns, eps, clip, scratch, out, center, scale):
    """Three passes over the cached window: the mean of the differences to its last row, the variance around that mean, and the window itself."""
    rows = _side_by_side(columns)
    width, size = rows * columns, length * columns
    count = np.float32(length)
    shift, total, middle, factor = scratch[0], scratch[1], scratch[2], scratch[3]
    mean = scratch[4][:columns]
    for b in range(ends.shape[0]):
        _ask_for_next(flat, ends, b, length, columns)
        first = (ends[b] - length + 1) * columns
        source, target = flat[first:first + size], out[b]
        last = source[size - columns:]
        _spread(last, rows, shift)
        total[:width] = np.float32(0)
        for start in range(0, size, width):
            read = source[start:start + width]
            for j in range(read.shape[0]):
                total[j] += read[j] - shift[j]
        _fold(total, rows, columns, mean)
        for c in range(columns):
            mean[c] /= count
            center[b, c] = mean[c] + last[c]
        _spread(mean, rows, middle)
        total[:width] = np.float32(0)
        for start in range(0, size, width):
            read = source[start:start + width]
            for j in range(read.shape[0]):
                distance = (read[j] - shift[j]) - middle[j]
                total[j] += distance * distance
        _fold(total, rows, columns, scale[b])
        for c in range(columns):
            scale[b, c] = np.float32(1) / np.sqrt(scale[b, c] / count + eps * eps)
        _spread(scale[b], rows, factor)
        for start in range(0, size, width):
            read, write = source[start:start + width], target[start:start + width]
            if clip > 0:
                for j in range(read.shape[0]):
                    write[j] = min(max(((read[j] - shift[j]) - middle[j]) * factor[j], -clip), clip)
            else:
                for j in range(read.shape[0]):
                    write[j] = ((read[j] - shift[j]) - middle[j]) * factor[j]


def gather_windows(values: NDArray[np.float32], ends: NDArray[np.int64], context_length: int, mode: str, *, center: NDArray[np.float32] | None = None,
                   scale: NDArray[np.float32] | None = None, clip: float = 0.0, close: int = 3,
                   out: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]], threads: int = 1) -> None:
    """Fill ``out`` = (x ``[B, context_length, F]`` or as many floats in any shape, center ``[B, F]``, scale ``[B, F]``), float32 and C-contiguous.

    ``values [rows, F]`` float32, C-contiguous, finite; ``ends`` int64 with context_length - 1 <= end < rows (``ValueError`` otherwise, because the
    kernel itself checks nothing). Modes, ``center``, ``scale``, ``clip`` and ``close`` as in ``reference.gather_windows``.
    """
    rows, columns = values.shape
    count = len(ends)
    if count == 0:
        return
    if ends.min() < context_length - 1 or ends.max() >= rows:
        raise ValueError("a window would leave the panel")
    flat = values.reshape(-1).view()
    flat.flags.writeable = False  # one compiled version, whether the panel is a memory map or an array
    x, centers, scales = out[0].reshape(count, context_length * columns), out[1], out[2]
    limit = np.float32(clip)

    def fill(part: slice) -> None:
        scratch = np.empty((_ROWS, max(_VECTOR * columns, 2 * _WIDTH)), np.float32)
        target = (scratch, x[part], centers[part], scales[part])
        if mode == "table" and center is not None and scale is not None:
            _table(flat, ends[part], context_length, columns, center, scale, limit, *target)
        elif mode == "zscore":
            _zscore(flat, ends[part], context_length, columns, np.float32(EPS), limit, *target)
        elif mode == "last_close":
            given = np.empty(0, np.float32) if scale is None else scale
            _last_close(flat, ends[part], context_length, columns, close, given, np.float32(EPS), limit, *target)
        else:
            raise ValueError("mode table needs center and scale" if mode == "table" else f"unknown mode {mode!r}")

    parts = min(threads, count, 1 + x.size // _PARALLEL_FLOATS)
    if parts == 1:
        fill(slice(None))
        return
    edges = [count * i // parts for i in range(parts + 1)]
    list(_pool(threads).map(fill, [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="windows")
