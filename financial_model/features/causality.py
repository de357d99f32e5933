"""Does a feature look ahead? The truncation rule as a check on real bars.

In: bars and features. Out: the names of those whose value at bar t changes when the bars after t are taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from financial_model.errors import DataError
from financial_model.features.registry import Feature, compute_features

SYMBOLS, ROWS = 8, 400
"""How much of the bars the check looks at: enough to show a peek, little enough to cost nothing."""


def truncate(bars: Any, last_time: int, *, symbols: Sequence[int] | None = None, first_row: int = 0, rows: int | None = None) -> SimpleNamespace:
    """The bars as they stood at ``last_time``: PackedBars' attributes without anything later, market included.

    ``symbols``: positions to keep; ``first_row`` and ``rows`` cut each symbol's history to that stretch.
    """
    keep = []
    chosen = range(len(bars.symbols)) if symbols is None else symbols
    for s in chosen:
        a, b = int(bars.offsets[s]) + first_row, int(bars.offsets[s + 1])
        b = b if rows is None else min(b, a + rows)
        keep.append(np.arange(a, max(a, a + int(np.searchsorted(bars.time[a:b], last_time, side="right")))))
    index = np.concatenate(keep).astype(np.int64) if keep else np.empty(0, dtype=np.int64)
    days = int(np.searchsorted(bars.market_time, last_time, side="right"))
    columns = {name: getattr(bars, name)[index] for name in ("time", "open", "high", "low", "close", "volume", "amount", "factor")}
    return SimpleNamespace(
        symbols=tuple(bars.symbols[s] for s in chosen), offsets=np.concatenate([[0], np.cumsum([len(part) for part in keep])]).astype(np.int64),
        extra={name: values[index] for name, values in bars.extra.items()},
        market_time=bars.market_time[:days], market_close=bars.market_close[:days], market_name=getattr(bars, "market_name", ""),
        industries=tuple(bars.industries[s] for s in chosen) if getattr(bars, "industries", ()) else (), **columns)


def looks_ahead(bars: Any, features: Sequence[Feature]) -> tuple[str, ...]:
    """Names of ``features`` that break the truncation rule on a sample of ``bars``."""
    if not features or not len(bars.time):
        return ()
    longest = np.argsort(-np.diff(bars.offsets), kind="stable")[:SYMBOLS].tolist()
    whole = truncate(bars, int(bars.time.max()), symbols=longest, rows=ROWS)
    known = compute_features(whole, features, workers=1)
    guilty: dict[str, None] = {}
    times = np.unique(whole.time)
    for share in (0.5, 0.8):
        last = int(times[int(share * (len(times) - 1))])
        then = compute_features(truncate(whole, last), features, workers=1)
        now = known[whole.time <= last]
        for column, entry in enumerate(features):
            if not np.array_equal(then[:, column], now[:, column], equal_nan=True):
                guilty[entry.name] = None
    return tuple(guilty)


def refuse_look_ahead(bars: Any, features: Sequence[Feature]) -> None:
    """Raise ``DataError`` naming the features that look ahead."""
    guilty = looks_ahead(bars, features)
    if guilty:
        raise DataError("features.looks_ahead", names=", ".join(guilty))
