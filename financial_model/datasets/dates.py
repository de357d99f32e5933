"""Batches that hold dates: the stocks of one date stand together, so that a model or an objective can compare them.

In: the date of every window. Out: for each epoch, places of windows in the order of the batches, and where each batch begins and ends.
An epoch depends on (seed, epoch) alone, and every epoch has the same number of batches. It knows no panel and no model.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Plan = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(places of windows in order, edges [batches + 1] of the batches)"""


class DateBatches:
    """How windows are dealt out by date.

    Shuffled: every batch holds the same number of dates, drawn anew each epoch; a date with more windows than its share of ``batch_size``
    is a random sample of itself. Not shuffled: whole dates in order, as many as fit into ``batch_size`` and at least one.
    ``limit``: draw about so many windows per epoch instead of all (whole dates, evenly spaced when not shuffled).
    """

    def __init__(self, dates: NDArray[np.int64], batch_size: int, *, shuffle: bool, seed: int, limit: int = 0) -> None:
        self.shuffle, self.seed = shuffle, seed
        self._by_date = np.argsort(dates, kind="stable")
        _, starts, counts = np.unique(dates[self._by_date], return_index=True, return_counts=True)
        self._starts, self._counts = starts, counts
        per_batch = max(1, batch_size // int(counts.max()))
        self._share = batch_size // per_batch if shuffle else int(counts.max())
        used = np.minimum(counts, self._share)
        self._dates = min(len(counts), max(1, round(limit / used.mean()))) if limit else len(counts)
        if shuffle:
            self.batches, self.largest = math.ceil(self._dates / per_batch), per_batch * self._share
            self._edges = [*range(0, self._dates, per_batch), self._dates]
        else:
            self._chosen = np.unique(np.linspace(0, len(counts) - 1, self._dates).round().astype(np.int64))
            self._edges = _whole(counts[self._chosen], batch_size)
            self.batches = len(self._edges) - 1
            self.largest = max(int(counts[self._chosen[a:b]].sum()) for a, b in zip(self._edges, self._edges[1:], strict=False))

    def plan(self, epoch: int) -> Plan:
        """The batches of one epoch."""
        random = np.random.default_rng([self.seed, epoch])
        chosen = random.permutation(len(self._counts))[:self._dates] if self.shuffle else self._chosen
        parts = [self._windows(date, random) for date in chosen]
        ends = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        return np.concatenate(parts), ends[self._edges].astype(np.int64)

    def _windows(self, date: int, random: np.random.Generator) -> NDArray[np.int64]:
        start, count = self._starts[date], self._counts[date]
        if count <= self._share:
            return self._by_date[start:start + count]
        return self._by_date[start + np.sort(random.choice(count, self._share, replace=False))]


def _whole(counts: NDArray[np.int64], batch_size: int) -> list[int]:
    """Edges of batches of whole dates."""
    edges, size = [0], 0
    for place, count in enumerate(counts):
        if size and size + count > batch_size:
            edges.append(place)
            size = 0
        size += int(count)
    return [*edges, len(counts)]
