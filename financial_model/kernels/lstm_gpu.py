"""A layer of an LSTM on a GPU, forward and backward, as one launch each.

In: the layer's inputs already projected, and the weights between its states. Out: all its states, and gradients. Specification: ``torch.nn.LSTM``.
A library launches a matrix product and several small kernels for every bar; at the batch sizes of a training their beginnings and ends take longer
than their arithmetic. Here every program owns some units of some windows, keeps their weights on the chip, and goes through the bars by itself.
What it needs of other units it reads from memory until it is there: a place that nobody has written yet holds a pattern that no number has. So
programs of the same windows wait for each other and for nobody else; all must be on the card at once (``fits``), which the launch demands.
The interpreter runs one program after the other, so there a launch is one bar. Only imported where Triton is usable.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_UNITS, _MOST_UNITS = 16, 512
_ROWS = (16, 32)
_KINDS = {torch.bfloat16: tl.bfloat16, torch.float16: tl.float16, torch.float32: tl.float32}


@triton.jit
def _tanh(x):
    return 2.0 * tl.sigmoid(2.0 * x) - 1.0


@triton.jit
def _either(one, other):
    return one | other


@triton.jit
def _arrived(places, asked, HALVES: tl.constexpr):
    """The words there once none is missing, which has all bits set, or none of their ``HALVES``; 0 where not asked."""
    words = tl.load(places, mask=asked, other=0, volatile=True)
    while _missing(words, HALVES):
        words = tl.load(places, mask=asked, other=0, volatile=True)
    return words


@triton.jit
def _missing(words, HALVES: tl.constexpr):
    if HALVES:
        return tl.reduce((~words - 0x00010001) & words & -0x7FFF8000, None, _either) != 0  # the highest bit of a half that is all ones
    else:
        return tl.max(words.to(tl.uint32, bitcast=True), axis=None) == 0xFFFFFFFF


@triton.jit
def _bits(values, KIND: tl.constexpr):
    """Of 16-bit numbers."""
    return values.to(KIND).to(tl.uint16, bitcast=True)


@triton.jit
def _first(words, KIND: tl.constexpr):
    """The number in the lower half of each word."""
    return words.to(tl.uint16).to(KIND, bitcast=True)


@triton.jit
def _second(words, KIND: tl.constexpr):
    return (words >> 16).to(tl.uint16).to(KIND, bitcast=True)


@triton.jit
def _read(words, places, asked, PAIRED: tl.constexpr):
    """The words of two tiles of numbers that lie side by side, number by number: one of each in a word, or in the next word."""
    if PAIRED:
        both = tl.load(words + places, mask=asked, other=0)
        return both, both
    else:
        return tl.load(words + 2 * places, mask=asked, other=0), tl.load(words + 2 * places + 1, mask=asked, other=0)


@triton.jit
def _numbers(one, other, KIND: tl.constexpr, PAIRED: tl.constexpr):
    """What ``_read`` found, in float32."""
    if PAIRED:
        return _first(one, KIND).to(tl.float32), _second(other, KIND).to(tl.float32)
    else:
        return one.to(tl.float32, bitcast=True), other.to(tl.float32, bitcast=True)


@triton.jit
def _leave(words, places, one, other, asked, KIND: tl.constexpr, PAIRED: tl.constexpr):
    """Store two tiles side by side, never as a word that counts as missing."""
    if PAIRED:
        both = (_bits(one, KIND).to(tl.uint32) | (_bits(other, KIND).to(tl.uint32) << 16)).to(tl.int32, bitcast=True)
        tl.store(words + places, tl.where(both == -1, -2, both), mask=asked)
    else:
        first, second = one.to(tl.int32, bitcast=True), other.to(tl.int32, bitcast=True)
        tl.store(words + 2 * places, tl.where(first == -1, -2, first), mask=asked)
        tl.store(words + 2 * places + 1, tl.where(second == -1, -2, second), mask=asked)


@triton.jit
def _added(i, f, g, o, sums, ROWS: tl.constexpr, UNITS: tl.constexpr):
    """The gates [ROWS, UNITS], each with its columns of these sums [ROWS, 4 UNITS]."""
    even, odd = tl.split(tl.permute(tl.reshape(sums, [ROWS, 2, UNITS, 2]), (0, 2, 1, 3)))
    of_i, of_g = tl.split(even)
    of_f, of_o = tl.split(odd)
    return i + of_i, f + of_f, g + of_g, o + of_o


@triton.jit(do_not_specialize=["first", "last"])
def _forward(projected, weight, hidden, states, factors, carried, first, last, batch, H: tl.constexpr, KIND: tl.constexpr, PRECISION: tl.constexpr,
             PAIRED: tl.constexpr, ROWS: tl.constexpr, UNITS: tl.constexpr, WIDE: tl.constexpr):
    """``projected``, ``weight``, ``states`` and ``factors`` in words; ``states`` is ``hidden``."""
    WORDS: tl.constexpr = H // 2 if PAIRED else H  # of all states of a window
    far, row, unit, word = batch.to(tl.int64), tl.arange(0, ROWS)[:, None], tl.arange(0, UNITS)[None, :], tl.arange(0, WIDE // 2 if PAIRED else WIDE)
    column = tl.program_id(0) * 4 * UNITS + tl.arange(0, 4 * UNITS)
    own = tl.load(weight + column[None, :] * WORDS + word[:, None], mask=(word < WORDS)[:, None], other=0)
    if PAIRED:  # a sum may be taken in any order: over the first numbers of all words, and over the second ones
        own_first, own_second = _first(own, KIND), _second(own, KIND)
    else:
        own_whole = own.to(KIND, bitcast=True)
    begin = tl.program_id(1) * ROWS
    real = begin + row < batch
    asked = real & (word < WORDS)[None, :]
    needed = row * WORDS + word[None, :]
    mine, pair, factor = (row * H + tl.program_id(0) * UNITS + unit, row * 2 * H + tl.program_id(0) * 2 * UNITS + unit,
                          row * 3 * H + tl.program_id(0) * 3 * UNITS + unit)
    WIDTH: tl.constexpr = 1 if PAIRED else 2  # words of a pair
    c = tl.load(carried + begin * H + mine, mask=real & (first > 0), other=0.0)
    start = first * far + begin
    if_one, if_other = _read(projected + start * (2 * H * WIDTH), pair, real, PAIRED)
    go_one, go_other = _read(projected + start * (2 * H * WIDTH), pair + UNITS, real, PAIRED)
    for t in range(first, last):
        start = t * far + begin
        i, f = _numbers(if_one, if_other, KIND, PAIRED)
        g, o = _numbers(go_one, go_other, KIND, PAIRED)
        before = _arrived(states + (start - far) * WORDS + needed, asked & (t > 0), PAIRED)
        coming = projected + (start + far) * (2 * H * WIDTH)  # of the next bar, while others are waited for
        if_one, if_other = _read(coming, pair, real & (t + 1 < last), PAIRED)
        go_one, go_other = _read(coming, pair + UNITS, real & (t + 1 < last), PAIRED)
        if PAIRED:
            i, f, g, o = _added(i, f, g, o, tl.dot(_first(before, KIND), own_first, input_precision=PRECISION), ROWS, UNITS)
            i, f, g, o = _added(i, f, g, o, tl.dot(_second(before, KIND), own_second, input_precision=PRECISION), ROWS, UNITS)
        else:
            i, f, g, o = _added(i, f, g, o, tl.dot(before.to(KIND, bitcast=True), own_whole, input_precision=PRECISION), ROWS, UNITS)
        i, f, g, o = tl.sigmoid(i), tl.sigmoid(f), _tanh(g), tl.sigmoid(o)
        earlier, c = c, f * c + i * g
        bent = _tanh(c)
        if PAIRED:
            bits = _bits(o * bent, KIND)
            tl.store(hidden + start * H + mine, tl.where(bits == 0xFFFF, 0xFFFE, bits).to(tl.int16, bitcast=True), mask=real)
        else:
            bits = (o * bent).to(tl.int32, bitcast=True)
            tl.store(hidden + start * H + mine, tl.where(bits == -1, -2, bits), mask=real)
        place = factors + start * (3 * H * WIDTH)
        _leave(place, factor, g * i * (1.0 - i), earlier * f * (1.0 - f), real, KIND, PAIRED)
        _leave(place, factor + UNITS, i * (1.0 - g * g), bent * o * (1.0 - o), real, KIND, PAIRED)
        _leave(place, factor + 2 * UNITS, o * (1.0 - bent * bent), f, real, KIND, PAIRED)
    tl.store(carried + begin * H + mine, c, mask=real)


@triton.jit(do_not_specialize=["first", "last", "bars"])
def _backward(grad, weight, factors, slopes, carried, first, last, batch, bars, H: tl.constexpr, KIND: tl.constexpr, PRECISION: tl.constexpr,
              PAIRED: tl.constexpr, ROWS: tl.constexpr, UNITS: tl.constexpr, WIDE: tl.constexpr):
    """``factors`` and ``slopes`` in words."""
    WIDTH: tl.constexpr = 1 if PAIRED else 2
    WORDS: tl.constexpr = 2 * H * WIDTH  # of all slopes of a window
    SPAN: tl.constexpr = WIDE * WIDTH // 4
    far, row, unit = batch.to(tl.int64), tl.arange(0, ROWS)[:, None], tl.arange(0, UNITS)[None, :]
    word = tl.arange(0, 8)[:, None] * SPAN + tl.arange(0, SPAN)[None, :]  # eight parts of a sum, so that several warps take it
    mine = tl.program_id(0) * UNITS + unit
    own = weight + word[:, :, None] * (2 // WIDTH) * H + mine[:, None, :]
    own_first = tl.load(own, mask=(word < WORDS)[:, :, None], other=0.0)
    if PAIRED:
        own_second = tl.load(own + H, mask=(word < WORDS)[:, :, None], other=0.0)
    begin = tl.program_id(1) * ROWS
    real = begin + row < batch
    asked = real[None, :, :] & (word < WORDS)[:, None, :]
    needed = row[None, :, :] * WORDS + word[:, None, :]
    pair, factor = row * 2 * H + tl.program_id(0) * 2 * UNITS + unit, row * 3 * H + tl.program_id(0) * 3 * UNITS + unit
    mine += row * H
    dc = tl.load(carried + begin * H + mine, mask=real & (first > 0), other=0.0)
    start = (bars - 1 - first) * far + begin
    place = factors + start * (3 * H * WIDTH)
    coming = tl.load(grad + start * H + mine, mask=real, other=0.0)
    if_one, if_other = _read(place, factor, real, PAIRED)
    go_one, go_other = _read(place, factor + UNITS, real, PAIRED)
    cell_one, cell_other = _read(place, factor + 2 * UNITS, real, PAIRED)
    for step in range(first, last):
        start = (bars - 1 - step) * far + begin
        dh = coming.to(tl.float32)
        of_i, of_f = _numbers(if_one, if_other, KIND, PAIRED)
        of_g, of_o = _numbers(go_one, go_other, KIND, PAIRED)
        of_c, f = _numbers(cell_one, cell_other, KIND, PAIRED)
        later = _arrived(slopes + (start + far) * WORDS + needed, asked & (step > 0), False)
        more = real & (step + 1 < last)  # what the next step needs of this program alone, while others are waited for
        place = factors + (start - far) * (3 * H * WIDTH)
        coming = tl.load(grad + (start - far) * H + mine, mask=more, other=0.0)
        if_one, if_other = _read(place, factor, more, PAIRED)
        go_one, go_other = _read(place, factor + UNITS, more, PAIRED)
        cell_one, cell_other = _read(place, factor + 2 * UNITS, more, PAIRED)
        if PAIRED:
            products = tl.dot(_first(later, KIND), own_first, input_precision=PRECISION)
            products += tl.dot(_second(later, KIND), own_second, input_precision=PRECISION)
        else:
            products = tl.dot(later.to(KIND, bitcast=True), own_first, input_precision=PRECISION)
        dh += tl.sum(products, axis=0)
        dc += dh * of_c
        target = slopes + start * WORDS
        _leave(target, pair, dc * of_i, dc * of_f, real, KIND, PAIRED)
        _leave(target, pair + UNITS, dc * of_g, dh * of_o, real, KIND, PAIRED)
        dc *= f
    tl.store(carried + begin * H + mine, dc, mask=real)


def fits(batch: int, hidden: int, device: torch.device) -> bool:
    """Whether a layer of ``hidden`` units for ``batch`` windows can run here: its weights on the chip, and all programs at once."""
    if hidden % _UNITS or hidden > _MOST_UNITS:
        return False
    facts, rows = torch.cuda.get_device_properties(device), _rows(batch, hidden, device)
    memory = _wide(hidden) * (8 * _UNITS + 4 * rows) + 2048  # bytes: a program's weights, what it multiplies with them, and a little
    return _programs(batch, hidden, rows) <= facts.multi_processor_count and memory < facts.shared_memory_per_multiprocessor


def _rows(batch: int, hidden: int, device: torch.device) -> int:
    """Windows of a program: as few as leave a processor to each."""
    processors = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 0
    return next((rows for rows in _ROWS if _programs(batch, hidden, rows) <= processors), _ROWS[-1])


def _programs(batch: int, hidden: int, rows: int) -> int:
    return triton.cdiv(hidden, _UNITS) * triton.cdiv(batch, rows)


def _wide(hidden: int) -> int:
    return max(64, triton.next_power_of_2(hidden))


def _run(kernel: Any, *given: Any, steps: int, like: Tensor, batch: int, hidden: int, **constants: Any) -> None:
    rows, whole = _rows(batch, hidden, like.device), like.is_cuda
    grid = hidden // _UNITS, triton.cdiv(batch, rows)
    shape = {"H": hidden, "KIND": _KINDS[like.dtype], "PRECISION": "ieee", "PAIRED": like.element_size() == 2, "ROWS": rows, "UNITS": _UNITS,
             "WIDE": _wide(hidden), **constants}
    if whole:
        wide = kernel is _backward and hidden > 256  # a sum so long that more warps are worth their waiting for each other
        shape |= {"num_warps": 8 if wide else 4, "num_stages": 1, "launch_cooperative_grid": True}
    carried = torch.empty(batch, hidden, device=like.device)
    with torch.cuda.device_of(like):  # Triton launches on the current GPU, wherever the data are
        for first in range(0, steps, steps if whole else 1):
            kernel[grid](*given, carried, first, steps if whole else first + 1, batch, **shape)


def _unwritten(like: Tensor, *shape: int) -> Tensor:
    """Bits of numbers that are all missing."""
    return torch.full(shape, -1, dtype=torch.int16 if like.element_size() == 2 else torch.int32, device=like.device)


@torch.library.custom_op("kairos::lstm", mutates_args=())
def _lstm(projected: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """(states [T, B, H], what the gradients are multiplied with [T, B, H / 16, 3, 16, 2])."""
    (steps, batch, _), size = projected.shape, weight.shape[1]
    projected, weight = projected.contiguous(), weight.contiguous()
    bits, factors = _unwritten(weight, steps, batch, size), weight.new_empty(steps, batch, size // _UNITS, 3, _UNITS, 2)
    words = (part.view(torch.int32) for part in (projected, weight))
    _run(_forward, *words, bits, bits.view(torch.int32), factors.view(torch.int32), steps=steps, like=weight, batch=batch, hidden=size)
    return bits.view(weight.dtype), factors


@_lstm.register_fake
def _(projected: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    (steps, batch, _), size = projected.shape, weight.shape[1]
    return weight.new_empty(steps, batch, size), weight.new_empty(steps, batch, size // _UNITS, 3, _UNITS, 2)


@torch.library.custom_op("kairos::lstm_slopes", mutates_args=())
def _lstm_slopes(grad: Tensor, weight: Tensor, factors: Tensor) -> Tensor:
    """Gradients of ``projected`` [T, B, 4 H], from those of the states [T, B, H]."""
    steps, batch, size = grad.shape
    bits = _unwritten(weight, steps, batch, 4 * size)
    words = (part.view(torch.int32) for part in (factors, bits))
    _run(_backward, grad.contiguous(), weight.contiguous(), *words, steps=steps, like=weight, batch=batch, hidden=size, bars=steps)
    return bits.view(weight.dtype)


@_lstm_slopes.register_fake
def _(grad: Tensor, weight: Tensor, factors: Tensor) -> Tensor:
    return grad.new_empty(*grad.shape[:2], 4 * grad.shape[2])


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(inputs[1], *output)


def _gradients(ctx: Any, grad: Tensor, *others: Tensor | None) -> tuple[Tensor, Tensor]:
    """The weights' gradient is one product for all bars: only the slopes have to go bar by bar."""
    weight, hidden, factors = ctx.saved_tensors
    slopes = torch.ops.kairos.lstm_slopes(grad, weight, factors)
    return slopes, slopes[1:].flatten(0, 1).t() @ hidden[:-1].flatten(0, 1)


_lstm.register_autograd(_gradients, setup_context=_remember)


def arranged(rows: Tensor) -> Tensor:
    """[4 H, ...] from torch's order (all input gates, forget, cell, output) in that of the kernels: sixteen units after the other, of each first
    its input and forget gate, unit by unit, then its cell and output gate. A thread then holds all gates of a unit."""
    return rows.unflatten(0, (2, 2, -1, _UNITS)).movedim((2, 0, 3, 1), (0, 1, 2, 3)).flatten(0, 3)


def layer(projected: Tensor, weight: Tensor) -> Tensor:
    """States [T, B, H] of a layer that begins with zeros.

    ``projected`` [T, B, 4 H]: its inputs times their weights, both biases added; ``weight`` [4 H, H]: that of the states; the 4 H of both
    ``arranged``. Both of one kind, float32, bfloat16 or float16. ``fits`` must hold.
    """
    return torch.ops.kairos.lstm(projected, weight)[0]
