"""One batch: what it holds, and the two ways to fill it.

In: a panel and the end rows of one batch. Out: ``Batch`` on the device of the model. ``HostBatches`` gathers with numba on the CPU and, for
another device, copies from pinned memory behind the previous step; ``DeviceBatches`` keeps the whole panel on the device and never comes back.
It knows no epoch and no order: that is ``loader.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from financial_model.config import CONDITIONS, FIGURES, RANKS, RunConfig
from financial_model.datasets import targets
from financial_model.datasets.panel import LOG_CLOSE, Panel
from financial_model.kernels import windows, windows_cpu
from financial_model.runtime import has_triton

if TYPE_CHECKING:
    from financial_model.kernels.facts_gpu import Facts

Table = tuple[NDArray[np.float32], NDArray[np.float32]]
UNKNOWN_LABEL = -1


@dataclass(kw_only=True, slots=True)
class Batch:
    """B windows of T bars and F features. The tensors are reused: take what is needed before the next batch is asked for."""

    x: Tensor
    """[B, T, F] float32, normalised."""
    condition: Tensor
    """[B, 6] int64, index into CONDITIONS; the last index means unknown."""
    ranks: Tensor
    """[B, 4] float32 in -0.5..0.5."""
    y: Tensor
    """[B, H] cumulative log returns, not percent; NaN when not labelled."""
    label: Tensor
    """[B] int64 index into CLASSES; -1 when not labelled."""
    z: Tensor
    """[B, H] what an objective sees: y in units, or the place among the stocks of the date; NaN when not labelled. For the head multi two more
    columns (``targets.label_figures``)."""
    unit: Tensor
    """[B, H] log return of one unit of a model's output."""
    spread: Tensor
    """[B, H] the stock's usual move: trailing volatility times sqrt(days)."""
    end: Tensor
    """[B] int64 row of the panel."""
    date: Tensor
    """[B] int64 seconds of that row."""

    def __len__(self) -> int:
        return len(self.end)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(**{entry.name: change(getattr(self, entry.name)) for entry in fields(self)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a window becomes an input and a label: everything a filler needs besides the panel."""

    context_length: int
    horizon: int
    mode: str
    center: NDArray[np.float32] | None
    scale: NDArray[np.float32] | None
    clip: float
    close: int
    wait: int
    price: int
    """Column of ``prices`` the label starts from."""
    class_column: int
    up: float
    down: float
    fixed_unit: NDArray[np.float32] | None
    """[H]; None: the spread is the unit."""
    places: NDArray[np.float32] | None
    """[rows, H] targets of the unit ``rank``."""
    values: NDArray[np.float32] | None
    """[rows, H] labels of a run that is not asked returns."""
    figures: NDArray[np.float32] | None
    """[rows, 2] further targets of the head multi."""
    labelled: bool


def recipe(panel: Panel, config: RunConfig, table: Table | None, label_scale: NDArray[np.float32] | None, labelled: bool,
           ends: NDArray[np.int64]) -> Recipe:
    """From the settings. robust, standard and minmax need ``table`` (fitted on training rows); last_close uses its scale where given."""
    kind, columns = config.features.normalisation, len(panel.feature_names)
    mode = kind if kind in ("zscore", "last_close") else "table"
    # last_close: features are scale-free, no column is a price; each is taken against its own last value
    center, scale = (None, None) if table is None else (np.ascontiguousarray(part, np.float32) for part in table)
    if mode == "table" and (center is None or scale is None):
        raise ValueError(f"normalisation {kind} needs a table fitted on training rows")
    if mode == "last_close" and scale is None:
        scale = np.ones(columns, np.float32)
    fixed = config.label.unit in ("return", "rank")
    if fixed and label_scale is None:
        raise ValueError("units return and rank need label_scale (fit_label_scale)")
    wait, price = targets.entry_of(config.label.entry)
    class_column, up, down = targets.class_bounds(config.label)
    return Recipe(
        context_length=config.features.context_length, horizon=config.label.horizon, mode=mode, center=center, scale=scale, clip=config.features.clip,
        close=-1, wait=wait, price=price, class_column=class_column, up=up, down=down, labelled=labelled,
        fixed_unit=np.asarray(label_scale, np.float32) if fixed else None,
        places=targets.label_places(panel, ends, config.label) if labelled and config.label.unit == "rank" else None,
        values=_by_row(panel, ends, targets.label_values(panel, ends, config.label)) if labelled and config.label.own else None,
        figures=_by_row(panel, ends, targets.label_figures(panel, ends, config.label)) if labelled and config.head() == "multi" else None)


def _by_row(panel: Panel, ends: NDArray[np.int64], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """``values`` [n, k] of windows as a table [rows, k]; zero on rows no window ends on."""
    found = np.zeros((len(panel.time), values.shape[1]), np.float32)
    found[ends] = values
    return found


class Fill(Protocol):
    """The batch of positions start..stop of an epoch, its windows ``length`` bars long (0: as long as they can be)."""

    def __call__(self, start: int, stop: int, length: int = 0) -> Batch: ...


def packed(buffer: Tensor, count: int, length: int) -> Tensor:
    """[count, length, F]: the beginning of a buffer [B, T, F], contiguous whatever the length."""
    return buffer.view(-1)[:count * length * buffer.shape[2]].view(count, length, buffer.shape[2])


class HostBatches:
    """Fills reused buffers on the CPU. For another device two pinned sets alternate, so that a copy may still be under way."""

    def __init__(self, panel: Panel, spec: Recipe, batch_size: int, device: torch.device, threads: int = 0):
        self.panel, self.spec, self.device, self.threads = panel, spec, device, threads
        pinned = device.type == "cuda"
        self._sets = [_HostSet(panel, spec, batch_size, pinned) for _ in range(2 if pinned else 1)]
        self._turn = 0

    def begin(self, order: NDArray[np.int64] | Tensor) -> Fill:
        """``order``: end rows of an epoch. Returns a function that gives the batch of positions start..stop."""
        rows = np.asarray(order)
        return lambda start, stop, length=0: self._batch(rows[start:stop], length or self.spec.context_length)

    def _batch(self, ends: NDArray[np.int64], length: int) -> Batch:
        current = self._sets[self._turn]
        self._turn = (self._turn + 1) % len(self._sets)
        current.wait()
        current.fill(self.panel, self.spec, ends, length, self.threads)
        count = len(ends)
        batch = current.batch if count == len(current.batch) else current.batch.map(lambda tensor: tensor[:count])
        if length < self.spec.context_length:
            batch = replace(batch, x=packed(current.batch.x, count, length))
        if self.device.type == "cpu":
            return batch
        pinned = current.copied is not None  # only then may a copy go on behind our back
        batch = batch.map(lambda tensor: tensor.to(self.device, non_blocking=pinned))
        current.mark(self.device)
        return batch


class _HostSet:
    """One set of buffers, as tensors and as arrays over the same memory."""

    def __init__(self, panel: Panel, spec: Recipe, size: int, pinned: bool):
        def new(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.empty(shape, dtype=dtype, pin_memory=pinned)

        columns, whole = len(panel.feature_names), torch.int64
        asked = spec.horizon + (0 if spec.figures is None else len(FIGURES))
        self.batch = Batch(
            x=new(size, spec.context_length, columns), condition=new(size, len(CONDITIONS), dtype=whole), ranks=new(size, len(RANKS)),
            y=new(size, spec.horizon), label=new(size, dtype=whole), z=new(size, asked), unit=new(size, spec.horizon),
            spread=new(size, spec.horizon), end=new(size, dtype=whole), date=new(size, dtype=whole))
        self.batch.y.fill_(torch.nan)
        self.batch.z.fill_(torch.nan)
        self.batch.label.fill_(UNKNOWN_LABEL)
        if spec.fixed_unit is not None:
            self.batch.unit.copy_(torch.from_numpy(spec.fixed_unit))
        self.arrays = {entry.name: getattr(self.batch, entry.name).numpy() for entry in fields(Batch)}
        self.statistics = np.empty((2, size, columns), np.float32)
        self.flat = self.arrays["x"].reshape(-1)
        self.roots = targets.root_days(spec.horizon)
        self.copied = torch.cuda.Event() if pinned else None

    def fill(self, panel: Panel, spec: Recipe, ends: NDArray[np.int64], length: int, threads: int) -> None:
        n, a = len(ends), self.arrays
        x = self.flat[:n * length * self.statistics.shape[2]]  # as ``packed``, without calling torch for every batch
        windows_cpu.gather_windows(
            panel.values, ends, length, spec.mode, center=spec.center, scale=spec.scale, clip=spec.clip, close=spec.close,
            out=(x, self.statistics[0][:n], self.statistics[1][:n]), threads=threads or torch.get_num_threads())
        a["end"][:n] = ends
        targets.fill_facts(ends, panel.time, panel.conditions, panel.ranks, panel.volatility, self.roots,
                           a["date"], a["condition"], a["ranks"], a["spread"])
        if spec.fixed_unit is None:
            a["unit"][:n] = a["spread"][:n]
        if spec.labelled:
            if spec.values is None:
                targets.fill_returns(panel.prices, ends, spec.wait, spec.price, a["y"])
            else:
                a["y"][:n] = spec.values[ends]
            targets.fill_classes(a["y"][:n], spec.class_column, spec.up, spec.down, targets.CODES, a["label"][:n])
            if spec.places is None:
                np.divide(a["y"][:n], a["unit"][:n], out=a["z"][:n, :spec.horizon])
            else:
                np.take(spec.places, ends, axis=0, out=a["z"][:n])
            if spec.figures is not None:
                a["z"][:n, spec.horizon:] = spec.figures[ends]

    def wait(self) -> None:
        if self.copied is not None:
            self.copied.synchronize()

    def mark(self, device: torch.device) -> None:
        if self.copied is not None:
            self.copied.record(torch.cuda.current_stream(device))  # of the GPU copied to, which need not be the current one


class _Held:
    """The arrays of one panel on one device, there once for all who read it, and gone with the last of them."""

    def __init__(self, panel: Panel, device: torch.device) -> None:
        self.panel = panel  # as long as this lives no other panel has its id
        self.arrays = {name: torch.tensor(getattr(panel, name), device=device) for name in ON_DEVICE}


_HELD: WeakValueDictionary[tuple[int, str], _Held] = WeakValueDictionary()
ON_DEVICE = ("values", "time", "conditions", "ranks", "prices", "volatility")
"""What a batch is filled from."""


def is_held(panel: Panel, device: torch.device) -> bool:
    """Whether a panel is on the device already."""
    return (id(panel), str(device)) in _HELD


def _hold(panel: Panel, device: torch.device) -> _Held:
    held = _HELD.get((id(panel), str(device)))
    if held is None:
        held = _HELD[id(panel), str(device)] = _Held(panel, device)
    return held


class DeviceBatches:
    """The panel lives on the device; a batch is a few gathers there, with no copy from the host and no synchronisation."""

    def __init__(self, panel: Panel, spec: Recipe, batch_size: int, device: torch.device, ends: NDArray[np.int64]):
        """``ends``: the rows an epoch is drawn from; they stay on the device, so that it can shuffle them."""
        self.spec, self.device = spec, device
        self._ends = torch.tensor(ends, device=device)
        self._held = _hold(panel, device)
        self._center, self._scale = (None if part is None else torch.tensor(part, device=device) for part in (spec.center, spec.scale))
        self._out = windows.buffers(batch_size, spec.context_length, len(panel.feature_names), device=device)
        self._roots = torch.tensor(targets.root_days(spec.horizon), device=device)
        self._unit, self._places, self._figures, self._values = (None if part is None else torch.tensor(part, device=device) for part in (
            spec.fixed_unit, spec.places, spec.figures, spec.values))
        self._ahead = torch.arange(1, spec.horizon + 1, device=device) + spec.wait
        self._facts = self._room(batch_size, device) if device.type == "cuda" and has_triton() else None

    def _room(self, count: int, device: torch.device) -> Facts:
        from financial_model.kernels.facts_gpu import Facts

        facts = Facts.empty(count, len(CONDITIONS), len(RANKS), self.spec.horizon, device)
        for part, value in ((facts.y, torch.nan), (facts.z, torch.nan), (facts.label, UNKNOWN_LABEL)):
            part.fill_(value)  # and so they stay where nothing is labelled
        return facts

    def begin(self, order: NDArray[np.int64] | Tensor) -> Fill:
        """``order``: end rows of an epoch. Returns a function that gives the batch of positions start..stop."""
        rows = self.place(order)
        return lambda start, stop, length=0: self.gather(rows[start:stop], length)

    def place(self, order: NDArray[np.int64] | Tensor) -> Tensor:
        """Rows on the device: one transfer an epoch, none when they are there."""
        return torch.as_tensor(order).to(self.device, non_blocking=True)

    def shuffled(self, seed: int, epoch: int, count: int) -> Tensor:
        """[count] rows of this epoch in random order, drawn here; depends on seed and epoch alone."""
        mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
        generator = torch.Generator(self.device).manual_seed(mixed)
        return self._ends[torch.randperm(len(self._ends), generator=generator, device=self.device)[:count]]

    def gather(self, ends: Tensor, length: int = 0) -> Batch:
        """The batch of these end rows [B], B up to the batch size, in buffers that are used again; ``length`` bars a window, 0: all."""
        spec, a, n = self.spec, self._held.arrays, len(ends)
        length = length or spec.context_length
        x, _, _ = windows.gather_windows(
            a["values"], ends, length, spec.mode, center=self._center, scale=self._scale, clip=spec.clip, close=spec.close,
            out=(packed(self._out[0], n, length), self._out[1][:n], self._out[2][:n]))
        batch = self._indexed(ends, x) if self._facts is None else self._filled(ends, x, self._facts.first(n))
        return batch if self._figures is None else replace(batch, z=torch.cat((batch.z, self._figures[ends]), dim=1))

    def _filled(self, ends: Tensor, x: Tensor, facts: Facts) -> Batch:
        """In one kernel: a dozen launches of :meth:`_indexed` take longer than the windows."""
        from financial_model.kernels import facts_gpu

        spec = self.spec
        facts_gpu.fill(ends, self._held.arrays, self._roots, facts, labelled=spec.labelled, wait=spec.wait, price=spec.price, close=LOG_CLOSE,
                       class_column=spec.class_column, up=spec.up, down=spec.down, codes=targets.CODES, unit=self._unit, values=self._values,
                       places=self._places)
        return Batch(x=x, condition=facts.condition, ranks=facts.ranks, y=facts.y, z=facts.z, label=facts.label, spread=facts.spread, end=ends,
                     unit=facts.spread if self._unit is None else self._unit.expand(len(ends), -1), date=facts.date)

    def _indexed(self, ends: Tensor, x: Tensor) -> Batch:
        spec, a, n = self.spec, self._held.arrays, len(ends)
        spread = a["volatility"][ends][:, None] * self._roots
        unit = spread if self._unit is None else self._unit.expand(n, -1)
        y, label = self._labels(ends) if spec.labelled else (x.new_full((n, spec.horizon), torch.nan), ends.new_full((n,), UNKNOWN_LABEL))
        return Batch(
            x=x, condition=a["conditions"][ends].long(), ranks=a["ranks"][ends], y=y, label=label, unit=unit, spread=spread,
            z=y / unit if self._places is None else self._places[ends], end=ends, date=a["time"][ends])

    def _labels(self, ends: Tensor) -> tuple[Tensor, Tensor]:
        prices, spec = self._held.arrays["prices"], self.spec
        base = prices[ends + spec.wait, spec.price]
        y = (prices[ends[:, None] + self._ahead, LOG_CLOSE] - base[:, None]).float() if self._values is None else self._values[ends]
        value = y[:, spec.class_column].double()
        label = torch.full_like(ends, targets.FLAT)
        label.masked_fill_(value >= spec.up, targets.UP).masked_fill_(value <= spec.down, targets.DOWN)
        return y, label
