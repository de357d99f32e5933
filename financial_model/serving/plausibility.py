"""Whether a forecast deserves a second look: how old the model is, whether it has seen such inputs, whether its path can happen at all.

In: a checkpoint's header, rows of a panel, quantiles. Out: flags and sentences as ``{"key", "fields"}``. It changes no forecast.
What the inputs of the training looked like stands in the header (``extras["inputs"]``); a checkpoint without it is simply not asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from financial_model.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.datasets.panel import Panel

AGEING, EXPIRED = 60, 250
"""Sessions after the last day of the data a model was made and tested on: a quarter, a year."""
SAMPLE = 100_000
"""Training rows that tell what is usual; so many, evenly spaced, do it as well as all."""
TAIL = 0.001
"""Share of the training rows that is called unusual, per feature and side, and of their distances."""
CLIP = 10.0
"""One absurd value counts as so many spreads, no more: distances add up over features."""
OUTSIDE_SHARE = 0.1
"""From this share of features outside their training range an input is unusual, whatever its distance."""
NAMED = 3


# ---------------------------------------------------------------- age
def age(header: Mapping[str, Any], as_of: str, symbol: str = "600000.SH") -> dict[str, Any] | None:
    """How old a model is on ``as_of``: ``trained_to``, ``tested_to``, ``sessions`` after the latter, ``sessions_trained`` after the former, ``state``
    (within its own dates, fresh, ageing, expired). None for a header without dates."""
    split = header.get("split") or {}
    if not {"train", "test"} <= set(split):
        return None
    trained, tested = split["train"]["last"], split["test"]["last"]
    passed = _sessions(symbol, tested, as_of)
    state = "within" if as_of < tested else "expired" if passed > EXPIRED else "ageing" if passed > AGEING else "fresh"
    return {"trained_to": trained, "tested_to": tested, "sessions": passed, "sessions_trained": _sessions(symbol, trained, as_of), "state": state}


def _sessions(symbol: str, first: str, last: str) -> int:
    from financial_model.market.calendar import exchange, sessions

    if last <= first:
        return 0
    try:
        name = exchange(symbol)
    except DataError:  # bars of something that is no listed code: weekdays are near enough for an age
        return int(np.busday_count(first, last))
    return len(sessions(name, start=str(np.datetime64(first, "D") + 1), end=last))


def age_line(found: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The age in one sentence, for any model that knows its dates; nothing on a day before they end: there it has no age, and other notes say so."""
    if found is None or found["state"] == "within":
        return []
    return [{"key": "plausibility.age", "fields": {name: found[name] for name in ("trained_to", "tested_to", "sessions")}}]


def age_notes(found: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A sentence when a model is no longer fresh."""
    if found is None or found["state"] in ("within", "fresh"):
        return []
    return [{"key": f"plausibility.{found['state']}", "fields": {"tested_to": found["tested_to"], "sessions": found["sessions"]}}]


# ---------------------------------------------------------------- inputs
def describe_inputs(panel: Panel, last: int) -> dict[str, Any]:
    """What the inputs of the training looked like, for a header: rows of ``panel`` up to ``last`` (seconds), per feature the middle, the spread and
    the usual range, and the distance that all but ``TAIL`` of the rows keep."""
    rows = np.flatnonzero((panel.time <= last) & (panel.valid > 0))
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(np.int64)]
    values = np.asarray(panel.values[rows], np.float64)
    low, quarter, middle, three, high = np.quantile(values, [TAIL, 0.25, 0.5, 0.75, 1 - TAIL], axis=0)
    spread = np.where(three > quarter, (three - quarter) / 1.349, values.std(axis=0))
    shape = {"center": middle, "spread": spread, "low": low, "high": high}
    return {**{name: [float(value) for value in array] for name, array in shape.items()},
            "limit": float(np.quantile(_distance(values, middle, spread), 1 - TAIL)), "rows": len(rows)}


def _distance(values: NDArray[np.float64], center: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n] root mean square of the features' distances in spreads: Mahalanobis with the diagonal alone. A feature that never varied does not count."""
    known = spread > 1e-12
    if not known.any():
        return np.zeros(len(values))
    scaled = np.clip((values[:, known] - center[known]) / spread[known], -CLIP, CLIP)
    return np.sqrt((scaled**2).mean(axis=1))


@dataclass(frozen=True)
class Unlike:
    """How the last rows of n windows compare with the training."""

    distance: NDArray[np.float64]
    """[n] in multiples of what 99.9 % of the training rows keep."""
    outside: NDArray[np.bool_]
    """[n, features] beyond the usual range of the training."""
    features: tuple[str, ...]

    @property
    def unusual(self) -> NDArray[np.bool_]:
        """[n]"""
        return (self.distance > 1) | (self.outside.mean(axis=1) > OUTSIDE_SHARE)

    def names(self, row: int) -> list[str]:
        """The features of one row that are outside."""
        return [self.features[place] for place in np.flatnonzero(self.outside[row])]


def compare_inputs(header: Mapping[str, Any], panel: Panel, ends: NDArray[np.int64]) -> Unlike | None:
    """The rows ``ends`` against the training's; None for a checkpoint that does not know what those looked like."""
    known = header.get("extras", {}).get("inputs")
    if not known or len(known["center"]) != len(panel.feature_names):
        return None
    values = np.asarray(panel.values[ends], np.float64)
    center, spread, low, high = (np.asarray(known[name], np.float64) for name in ("center", "spread", "low", "high"))
    room = 1e-6 * np.maximum(np.abs(low), np.abs(high)) + 1e-9  # float32 columns: less than this is rounding
    return Unlike(distance=_distance(values, center, spread) / max(known["limit"], 1e-12), outside=(values < low - room) | (values > high + room),
                  features=tuple(panel.feature_names))


def input_notes(found: Unlike | None) -> list[dict[str, Any]]:
    """A sentence for one stock whose inputs the training hardly knew, or for a pool in which there are such."""
    if found is None or not found.unusual.any():
        return []
    if len(found.distance) > 1:
        return [{"key": "plausibility.pool_unlike", "fields": {"count": int(found.unusual.sum()), "total": len(found.distance)}}]
    names = found.names(0)
    return [{"key": "plausibility.unlike", "fields": {"times": f"{found.distance[0]:.1f}", "count": len(names),
                                                      "features": ", ".join(names[:NAMED]) or "–"}}]


def market_notes(header: Mapping[str, Any], panel: Panel) -> list[dict[str, Any]]:
    """A sentence when the series that stands for the market is another one than the training's: the index is gone or ends before the stocks do,
    or has come since. Regimes, styles and market features of all dates are then others than those the model learned from."""
    from financial_model.market.packing import EQUAL_WEIGHT

    before = (header.get("data") or {}).get("market")
    if not before or before == panel.market:
        return []
    key, name = ("market_lost", before) if panel.market == EQUAL_WEIGHT else ("market_other", panel.market)
    return [{"key": f"plausibility.{key}", "level": "warning", "fields": {"name": name}}]


# ---------------------------------------------------------------- paths
def is_st(name: str) -> bool:
    """Special treatment, as today's name says: its price limits are narrower."""
    return name.replace(" ", "").upper().lstrip("*").startswith("ST")


def reach(symbol: str, dates: Sequence[str], *, st: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """([days], [days]) lowest and highest log return that the price limits allow by each of ``dates``; infinite where there is no limit."""
    from financial_model.market.rules import price_limit
    from financial_model.market.symbols import board

    try:
        name = board(symbol)
    except DataError:
        name = "other"
    with np.errstate(divide="ignore"):
        up = np.log1p(price_limit(name, list(dates), st=st, side="up"))
        limit = price_limit(name, list(dates), st=st, side="down")
        down = np.log1p(-np.where(np.isfinite(limit), limit, 1.0))
    return np.cumsum(down), np.cumsum(up)


def path_notes(symbol: str, dates: Sequence[str], expected: ArrayLike, low: ArrayLike, high: ArrayLike, *, st: bool = False) -> list[dict[str, Any]]:
    """A sentence when the expected path, or else the interval [``low``, ``high``] (log returns per day), leaves what the price limits allow."""
    lowest, highest = reach(symbol, dates, st=st)
    room = 5e-4  # a limit price is rounded to a cent
    for key, one, other in (("path_impossible", expected, expected), ("band_impossible", low, high)):
        beyond = np.flatnonzero((np.asarray(one) < lowest - room) | (np.asarray(other) > highest + room))
        if len(beyond):
            return [{"key": f"plausibility.{key}", "fields": {"day": int(beyond[0]) + 1, "date": str(dates[int(beyond[0])])}}]
    return []


# ---------------------------------------------------------------- a pool
def mark(table: pd.DataFrame, found: Unlike | None, dates: Sequence[str]) -> list[dict[str, Any]]:
    """Add the columns ``unusual`` and ``impossible`` to a ranking, in the order of its rows, and return the sentences about them.

    ``found``: of the same rows; ``dates``: the days ahead. Impossible: the expected return cannot be reached within the price limits.
    """
    from financial_model.market.symbols import board

    lowest, highest = np.empty(len(table)), np.empty(len(table))
    kinds = np.array([f"{board(symbol)} {is_st(name)}" for symbol, name in zip(table["symbol"], table["name"], strict=True)])
    symbols = table["symbol"].to_numpy()
    for kind in np.unique(kinds):
        rows = kinds == kind
        down, up = reach(str(symbols[rows][0]), dates, st=kind.endswith("True"))
        lowest[rows], highest[rows] = down[-1], up[-1]
    expected = table["expected_return"].to_numpy()
    table["unusual"] = np.zeros(len(table), bool) if found is None else found.unusual
    table["impossible"] = (expected < lowest) | (expected > highest)
    impossible = int(table["impossible"].sum())
    return [*input_notes(found), *([{"key": "plausibility.pool_paths", "fields": {"count": impossible, "total": len(table)}}] if impossible else [])]
