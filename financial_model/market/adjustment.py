"""Backward adjustment factors from ex-rights events.

In: raw closes, which of them were traded, and the events of a symbol. Out: one cumulative factor per bar, stable for ever:
adjusted price = raw price x factor, and a new event never changes an old row. It knows no source and no store.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class ExRights:
    """A distribution: per single share, prices in currency units. ``date`` is the ex-date as numpy datetime64[D]."""

    date: np.datetime64
    cash: float = 0.0
    bonus: float = 0.0
    """New shares received for each share held (stock dividend and conversion)."""
    rights: float = 0.0
    rights_price: float = 0.0
    scale: float = 1.0
    """Shares after for each share before, for consolidations and splits outside the above."""

    def reference(self, previous: float) -> float:
        """The ex-reference price after a close of ``previous``."""
        return (previous - self.cash + self.rights * self.rights_price) / ((1.0 + self.bonus + self.rights) * self.scale)


def backward_factors(dates: np.ndarray, close: np.ndarray, traded: np.ndarray, events: Iterable[ExRights]) -> np.ndarray:
    """float64 [n]: the cumulative backward factor of each bar; 1 at the first bar.

    ``dates`` datetime64[D] ascending, ``close`` raw, ``traded`` bool. Each event multiplies everything from its date on by
    previous / reference, where previous is the last *traded* close before it, or the reference left by an earlier event of the
    same suspension: so several events compound by date. Events before the first bar or after the last one (announced, not
    effective) and events that would leave a price of zero or less do not count.
    Formula: the exchanges' ex-reference price.
    """
    factors = np.ones(len(dates))
    if not len(dates):
        return factors
    traded_rows = np.flatnonzero(traded)
    reference, reference_row = 0.0, -1
    for event in sorted(events, key=lambda entry: entry.date):
        row = int(np.searchsorted(dates, event.date))
        if row == 0 or event.date > dates[-1]:
            continue
        position = int(np.searchsorted(traded_rows, row)) - 1
        last_traded = int(traded_rows[position]) if position >= 0 else 0
        previous = reference if reference_row > last_traded else float(close[last_traded])
        reference = event.reference(previous)
        if not 0.0 < reference < np.inf:
            reference = previous
            continue
        factors[row:] *= previous / reference
        reference_row = row
    return factors
