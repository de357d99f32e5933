"""What stands beside a window on a GPU: date, classes, ranks, spread and label of a whole batch in one Triton kernel.

In: CUDA tensors of a panel (or CPU tensors under Triton's interpreter). Out: ``Facts``, filled. Plain indexing does the same in a dozen launches,
which take longer than the window kernel itself; ``DeviceBatches`` holds that plain version, which is the specification.
Only imported where Triton is usable.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

_WINDOWS = 32
"""Windows of a program."""


@dataclass(kw_only=True, slots=True)
class Facts:
    """Buffers of one batch, as in ``Batch``."""

    date: Tensor
    condition: Tensor
    ranks: Tensor
    spread: Tensor
    y: Tensor
    z: Tensor
    label: Tensor

    @classmethod
    def empty(cls, count: int, conditions: int, ranks: int, horizon: int, device: torch.device) -> Facts:
        """For up to ``count`` windows."""
        def whole(*shape: int) -> Tensor:
            return torch.empty(count, *shape, dtype=torch.int64, device=device)

        def real(columns: int) -> Tensor:
            return torch.empty(count, columns, device=device)

        return cls(date=whole(), condition=whole(conditions), label=whole(), ranks=real(ranks), spread=real(horizon), y=real(horizon),
                   z=real(horizon))

    def first(self, count: int) -> Facts:
        """Of the first ``count`` windows."""
        return Facts(**{entry.name: getattr(self, entry.name)[:count] for entry in fields(self)})


@triton.jit
def _fill(ends, time, conditions, ranks, prices, volatility, roots, unit, values, places,
          date_out, condition_out, ranks_out, spread_out, y_out, z_out, label_out, count,
          CONDITIONS: tl.constexpr, RANKS: tl.constexpr, PRICES: tl.constexpr, HORIZON: tl.constexpr, WAIT: tl.constexpr, PRICE: tl.constexpr,
          CLOSE: tl.constexpr, CLASS: tl.constexpr, LEAST_UP: tl.constexpr, MOST_DOWN: tl.constexpr, UP: tl.constexpr, FLAT: tl.constexpr,
          DOWN: tl.constexpr, LABELLED: tl.constexpr, UNIT: tl.constexpr, VALUES: tl.constexpr, PLACES: tl.constexpr,
          WINDOWS: tl.constexpr, BLOCK_CONDITIONS: tl.constexpr, BLOCK_RANKS: tl.constexpr, BLOCK_HORIZON: tl.constexpr):
    window = tl.program_id(0).to(tl.int64) * WINDOWS + tl.arange(0, WINDOWS)
    real = window < count
    row = tl.load(ends + window, mask=real, other=0).to(tl.int64)  # 64 bit: row x columns passes 2^31 on a large panel
    tl.store(date_out + window, tl.load(time + row, mask=real, other=0), mask=real)
    kind = tl.arange(0, BLOCK_CONDITIONS)
    inside = real[:, None] & (kind[None, :] < CONDITIONS)
    found = tl.load(conditions + row[:, None] * CONDITIONS + kind[None, :], mask=inside, other=0)
    tl.store(condition_out + window[:, None] * CONDITIONS + kind[None, :], found.to(tl.int64), mask=inside)
    style = tl.arange(0, BLOCK_RANKS)
    inside = real[:, None] & (style[None, :] < RANKS)
    tl.store(ranks_out + window[:, None] * RANKS + style[None, :], tl.load(ranks + row[:, None] * RANKS + style[None, :], mask=inside), mask=inside)

    day = tl.arange(0, BLOCK_HORIZON)
    known = day < HORIZON
    inside = real[:, None] & known[None, :]
    target = window[:, None] * HORIZON + day[None, :]
    spread = tl.load(volatility + row, mask=real, other=1.0)[:, None] * tl.load(roots + day, mask=known, other=1.0)[None, :]
    tl.store(spread_out + target, spread, mask=inside)
    if LABELLED:
        if VALUES:
            y = tl.load(values + row[:, None] * HORIZON + day[None, :], mask=inside, other=0.0)
        else:
            start = row + WAIT
            base = tl.load(prices + (start * PRICES + PRICE), mask=real, other=0.0)
            path = tl.load(prices + ((start[:, None] + (1 + day)[None, :]) * PRICES + CLOSE), mask=inside, other=0.0)
            y = (path - base[:, None]).to(tl.float32)
        tl.store(y_out + target, y, mask=inside)
        if PLACES:
            z = tl.load(places + row[:, None] * HORIZON + day[None, :], mask=inside, other=0.0)
        elif UNIT:
            z = tl.div_rn(y, tl.load(unit + day, mask=known, other=1.0)[None, :] + tl.zeros_like(y))
        else:
            z = tl.div_rn(y, spread)
        tl.store(z_out + target, z, mask=inside)
        judged = tl.sum(tl.where(day[None, :] == CLASS, y, 0.0), axis=1)
        label = tl.where(judged >= LEAST_UP, UP, tl.where(judged <= MOST_DOWN, DOWN, FLAT)).to(tl.int64)
        tl.store(label_out + window, label, mask=real)


def fill(ends: Tensor, panel: dict[str, Tensor], roots: Tensor, out: Facts, *, labelled: bool, wait: int, price: int, close: int, class_column: int,
         up: float, down: float, codes: tuple[int, int, int], unit: Tensor | None = None, values: Tensor | None = None,
         places: Tensor | None = None) -> None:
    """Fill ``out`` (of as many windows) for the windows that end on the rows ``ends`` [B].

    ``panel``: time [rows], conditions [rows, 6] int8, ranks [rows, 4], prices [rows, 4] float64, volatility [rows]. ``roots`` [H]: of 1..H days.
    ``wait`` and ``price``: where the return starts, ``close``: the column it goes on with; ``class_column``, ``up``, ``down`` and ``codes`` (up,
    flat, down) as ``targets.class_bounds``. ``unit`` [H] instead of the spread; ``values`` [rows, H] instead of returns; ``places`` [rows, H] for
    ``z``.
    Without ``labelled`` y, z and label are left as they are. Ends are not checked: looking at them would stall the device.
    """
    count, horizon = len(ends), out.y.shape[1]
    if count == 0:
        return
    up_from, down_to = np.float32(up), np.float32(down)  # of all float32 the first that is not below, and the last that is not above
    up_from = np.nextafter(up_from, np.float32(np.inf)) if up_from < up else up_from
    down_to = np.nextafter(down_to, np.float32(-np.inf)) if down_to > down else down_to
    nothing = roots  # a valid address that is never read
    conditions, ranks = panel["conditions"].shape[1], panel["ranks"].shape[1]
    with torch.cuda.device_of(ends):  # Triton launches on the current GPU, wherever the data are
        _fill[(triton.cdiv(count, _WINDOWS),)](
            ends, panel["time"], panel["conditions"], panel["ranks"], panel["prices"], panel["volatility"], roots,
            *(nothing if table is None else table for table in (unit, values, places)),
            out.date, out.condition, out.ranks, out.spread, out.y, out.z, out.label, count, CONDITIONS=conditions, RANKS=ranks,
            PRICES=panel["prices"].shape[1], HORIZON=horizon, WAIT=wait, PRICE=price, CLOSE=close, CLASS=class_column, LEAST_UP=float(up_from),
            MOST_DOWN=float(down_to), UP=codes[0], FLAT=codes[1], DOWN=codes[2], LABELLED=labelled, UNIT=unit is not None, VALUES=values is not None,
            PLACES=places is not None, WINDOWS=_WINDOWS, BLOCK_CONDITIONS=triton.next_power_of_2(conditions),
            BLOCK_RANKS=triton.next_power_of_2(ranks), BLOCK_HORIZON=triton.next_power_of_2(horizon), num_warps=2)
