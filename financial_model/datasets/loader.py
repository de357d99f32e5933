"""Batches of windows for a model: which windows, in which order, on which device.

In: a panel, end rows, settings. Out: an iterable of ``Batch``. Nothing is materialised beyond one batch; the order of an epoch depends on
(seed, epoch) alone, so that a resumed run sees exactly the batches it would have seen. It knows no model and no objective.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from financial_model.config import RunConfig
from financial_model.datasets.batches import ON_DEVICE, Batch, DeviceBatches, HostBatches, Table, is_held, recipe
from financial_model.datasets.context import random_lengths
from financial_model.datasets.dates import DateBatches, Plan
from financial_model.datasets.panel import Panel
from financial_model.errors import DataError

_SHARE_OF_DEVICE = 0.4  # of its free memory; the rest belongs to the model


class WindowLoader:
    """Iterate over it for one epoch. Equal arguments give equal batches on every machine; a device that holds the panel shuffles by itself, in
    an order of its own."""

    def __init__(self, panel: Panel, ends: NDArray[np.int64], config: RunConfig, table: Table | None = None, *, batch_size: int, shuffle: bool,
                 seed: int, labelled: bool = True, device: str | torch.device = "cpu", limit: int = 0, drop_last: bool = False,
                 label_scale: NDArray[np.float32] | None = None, threads: int = 0, by_date: bool = False, vary: bool = False,
                 share: tuple[int, int] = (0, 1)):
        """``ends`` int64 rows from ``window_ends``; ``table`` (center, scale) for the fitted normalisations.

        ``limit``: so many windows drawn at random per epoch (0: all). ``drop_last``: leave a smaller last batch out, unless it is the only one.
        ``label_scale [horizon]`` for ``config.label.unit`` return. ``by_date``: batches hold dates (``dates.py``); without shuffle they are whole
        and in order, and a batch may be larger than ``batch_size``. ``vary``: under ``config.features.context`` random, each batch has windows of
        a length of its own, drawn by (seed, epoch, number). ``share`` (rank, count): hand out only this process's part of every batch,
        which for all of them together is the batch. ``DataError`` when there is no window at all.
        """
        if len(ends) == 0:
            raise DataError("loader.no_windows", context_length=config.features.context_length, horizon=config.label.horizon)
        self.panel, self.ends = panel, np.ascontiguousarray(ends, np.int64)
        self.batch_size, self.shuffle, self.seed, self.epoch = batch_size, shuffle, seed, 0
        self.windows = min(limit, len(ends)) if limit else len(ends)
        """Windows per epoch."""
        self._lengths = random_lengths(config.features) if vary and config.features.context == "random" else ()
        self._skip, self._share = 0, share
        self._steps = self.windows // batch_size if drop_last and self.windows >= batch_size else -(-self.windows // batch_size)
        spec, place = recipe(panel, config, table, label_scale, labelled, self.ends), torch.device(device)
        size = min(batch_size, self.windows)
        self._dates: DateBatches | None = None
        self._planned: tuple[int, Plan] | None = None
        if by_date:
            self._dates = DateBatches(np.asarray(panel.time)[self.ends], batch_size, shuffle=shuffle, seed=seed, limit=limit)
            self._steps, size = self._dates.batches, self._dates.largest
            self.windows = len(self.order())
        size = -(-size // share[1])
        self._source: DeviceBatches | HostBatches = (
            DeviceBatches(panel, spec, size, place, self.ends) if fits(panel, place) else HostBatches(panel, spec, size, place, threads))

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._steps

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration."""
        self.epoch = epoch

    def skip(self, steps: int) -> None:
        """Leave the first ``steps`` batches of the next iteration out, at no cost: the others are the same as without."""
        self._skip = steps

    def __iter__(self) -> Iterator[Batch]:
        first, self._skip = self._skip, 0
        edges = self._edges()
        batch = self._source.begin(self._order())
        for step in range(first, self._steps):
            yield batch(*self._part(int(edges[step]), int(edges[step + 1])), self.length(step))

    def length(self, step: int) -> int:
        """Bars of the windows of batch ``step`` of this epoch, in every process the same; 0: all there are."""
        return int(np.random.default_rng([self.seed, self.epoch, step]).choice(self._lengths)) if self._lengths else 0

    @property
    def source(self) -> DeviceBatches | HostBatches:
        """Where batches come from; one on the device gathers for whoever has end rows."""
        return self._source

    def rows(self) -> Iterator[Tensor]:
        """The end rows [B] of every batch, on the device that holds the panel, for a step that gathers by itself."""
        if not isinstance(self._source, DeviceBatches):
            raise ValueError("the panel is not on the device")
        first, self._skip = self._skip, 0
        edges, order = self._edges(), self._source.place(self._order())
        for step in range(first, self._steps):
            yield order[slice(*self._part(int(edges[step]), int(edges[step + 1])))]

    def order(self) -> NDArray[np.int64]:
        """End rows of this epoch in the order of its batches."""
        order = self._order()
        return order.cpu().numpy() if isinstance(order, Tensor) else order

    def _order(self) -> NDArray[np.int64] | Tensor:
        """As ``order``, on the device where that is the one that shuffles."""
        if self.shuffle and self._dates is None and isinstance(self._source, DeviceBatches):
            return self._source.shuffled(self.seed, self.epoch, self.windows)
        return self._plan()[0]

    def count(self, first: int, last: int) -> int:
        """Windows in the batches ``first`` up to but not including ``last`` of this epoch; batches that do not exist hold none."""
        edges = self._edges()
        return int(edges[min(last, self._steps)] - edges[min(first, self._steps)])

    def own(self, number: int) -> int:
        """Windows of batch ``number`` that are this process's to count; 0 where it only repeats one of another's, because there are too few."""
        edges, (rank, count) = self._edges(), self._share
        windows = int(edges[number + 1] - edges[number])
        return windows * (rank + 1) // count - windows * rank // count

    def usual_size(self) -> int:
        """Windows that at least half of this epoch's batches have, which is what is worth compiling for; 0 where batches of dates differ more."""
        sizes, counts = np.unique(np.diff(self._edges()), return_counts=True)
        return int(sizes[counts.argmax()]) if 2 * counts.max() >= counts.sum() else 0

    def _part(self, start: int, stop: int) -> tuple[int, int]:
        """This process's positions among ``start`` .. ``stop``, at least one."""
        (rank, count), windows = self._share, stop - start
        first, last = start + windows * rank // count, start + windows * (rank + 1) // count
        return (first, last) if first < last else (min(first, stop - 1), min(first, stop - 1) + 1)

    def _edges(self) -> NDArray[np.int64]:
        """Where the batches of this epoch begin and end [batches + 1]."""
        if self._dates is None:
            return np.minimum(np.arange(self._steps + 1, dtype=np.int64) * self.batch_size, self.windows)
        return self._plan()[1]

    def _plan(self) -> Plan:
        """(end rows, edges of the batches) of this epoch, made once."""
        if self._planned is None or self._planned[0] != self.epoch:
            if self._dates is None:
                self._planned = self.epoch, (self._shuffled(), self._edges())
            else:
                places, edges = self._dates.plan(self.epoch)
                self._planned = self.epoch, (self.ends[places], edges)
        return self._planned[1]

    def _shuffled(self) -> NDArray[np.int64]:
        random = np.random.default_rng([self.seed, self.epoch])
        if self.windows < len(self.ends):
            chosen = random.choice(len(self.ends), self.windows, replace=False, shuffle=self.shuffle)
            return self.ends[chosen if self.shuffle else np.sort(chosen)]
        return self.ends[random.permutation(len(self.ends))] if self.shuffle else self.ends


def fits(panel: Panel, device: torch.device) -> bool:
    """Whether the whole panel can live on this (CUDA) device beside a model, or does so already."""
    if device.type != "cuda":
        return False
    if is_held(panel, device):
        return True
    size = sum(getattr(panel, name).nbytes for name in ON_DEVICE)
    return size < _SHARE_OF_DEVICE * torch.cuda.mem_get_info(device)[0]
