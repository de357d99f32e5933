"""Rows gathered into groups (a date, or a date and an industry), so that a figure per group is one vectorised pass.

In: a group number per row and flat arrays of values. Out: arrays with one entry per group, or per row.
It knows no prices, no models and no dates: a group is a number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows sorted so that each group is one contiguous run."""

    keys: Array
    """int64 [groups], ascending: the group numbers that occur."""
    order: Array
    """int64 [rows]: rows by group, otherwise in their own order."""
    starts: Array
    """int64 [groups]: where each run begins in ``order``."""
    sizes: Array
    """int64 [groups]"""

    @classmethod
    def of(cls, numbers: Array) -> Groups:
        """Groups of equal ``numbers`` (non-negative integers [rows])."""
        order = _stable_order(numbers)
        ordered = numbers[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, np.int64)
        return cls(keys=ordered[starts].astype(np.int64), order=order, starts=starts, sizes=np.diff(np.r_[starts, len(ordered)]))

    def sums(self, ordered: Array) -> Array:
        """Sum per group of values that already stand in group order."""
        return np.add.reduceat(ordered, self.starts) if len(self.starts) else np.zeros(0)

    def spread(self, per_group: Array) -> Array:
        """One value per group -> one per row, in group order."""
        return np.repeat(per_group, self.sizes)

    def constant(self, ordered: Array) -> Array:
        """bool [groups]: every value of the group is the same."""
        if not len(self.starts):
            return np.zeros(0, bool)
        return np.minimum.reduceat(ordered, self.starts) == np.maximum.reduceat(ordered, self.starts)

    def ranks(self, values: Array) -> Array:
        """Rank of each value inside its group, from 1, ties sharing their mean rank; in group order.

        Sorting twice (by value, then stably by group) is several times faster than one sort over both keys.
        """
        group = self.spread(np.arange(len(self.keys)))
        ordered = values[self.order]
        by_value = np.argsort(ordered, kind="stable")
        sorting = by_value[_stable_order(group[by_value])]
        value, group = ordered[sorting], group[sorting]
        first = np.flatnonzero(np.r_[True, (value[1:] != value[:-1]) | (group[1:] != group[:-1])])
        length = np.diff(np.r_[first, len(value)])
        mean_rank = first - self.starts[group[first]] + (length + 1) / 2
        ranks = np.empty(len(value))
        ranks[sorting] = np.repeat(mean_rank, length)
        return ranks


def correlation(groups: Groups, x: Array, y: Array, minimum: int) -> Array:
    """Pearson correlation per group of values in group order; NaN where a side is constant or fewer than ``minimum`` rows are there."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    undefined = groups.constant(x) | groups.constant(y) | (groups.sizes < minimum)
    x = x - groups.spread(groups.sums(x) / groups.sizes)
    y = y - groups.spread(groups.sums(y) / groups.sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = groups.sums(x * y) / np.sqrt(groups.sums(x * x) * groups.sums(y * y))
    return np.where(undefined, np.nan, value)


def _stable_order(numbers: Array) -> Array:
    """Stable sorting order; nothing to do for rows that stand in order, and numpy sorts 16-bit integers in linear time."""
    if (numbers[1:] >= numbers[:-1]).all():
        return np.arange(len(numbers))
    if len(numbers) and numbers.max() < 2**16:
        numbers = numbers.astype(np.uint16)
    return np.argsort(numbers, kind="stable")
