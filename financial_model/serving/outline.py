"""What a configuration means on the data that are there, before anything is prepared: stocks, split by date, windows, steps, memory.

In: the store's table of symbols and a configuration. Out: plain numbers, from the table alone and the dates of a few long histories, so that a form
may ask at every change. Counts of windows are estimates (warm-up differs by feature); dates and sessions are those of the run itself.
It loads no torch and reads no panel.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from financial_model.config import RunConfig
from financial_model.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.market.store import Store

CALENDAR_STOCKS = 3
"""Longest histories whose dates together are the sessions."""
WARM_UP = 120
"""Bars at the beginning of a stock that the longest of the usual features need."""
ROW_BYTES = 90
"""Of a panel row beside its features: time, prices, conditions, ranks, flags."""
LEAST_VALIDATION = 10_000


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A run before its start."""

    stocks: int
    inputs: int
    """Features a bar has."""
    split: dict[str, Any]
    """As ``Split.describe``: first, last and sessions of train, validation and test; purge and embargo."""
    windows: dict[str, int]
    """About how many windows train, validation and test hold."""
    per_epoch: int
    """Windows a training epoch takes."""
    evaluation: int
    """Windows of one evaluation."""
    steps: int
    batch: tuple[int, int, int]
    """[windows, bars, features]"""
    evaluations: int
    panel_bytes: int
    context: dict[str, Any] | None = None
    """The estimate behind an automatic context length, ``ContextEstimate.to_dict``."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def outline(store: Store, config: RunConfig) -> Outline:
    """``DataError`` when the data cannot be split so, or hold no stock that fits; ``ConfigError`` for a formula that cannot be read."""
    from financial_model.datasets.selection import select
    from financial_model.datasets.splits import PARTS, date_split
    from financial_model.features import registry
    from financial_model.serving.deciding import context_of_store

    inputs = len(registry.names(config.features.groups, config.features.formulas))
    table = store.symbols("stock")
    lengths = dict(zip(table["symbol"], table["rows"].astype(int), strict=True))
    chosen = select(lengths, store.industries() if config.universe.industry != "all" else {}, config.universe).symbols
    table = table[table["symbol"].isin(chosen)]
    times = sessions(store, table, config)
    split = date_split(times, config.split, config.label.horizon, config.label.entry)
    estimate = context_of_store(store, chosen, config, split.train).to_dict() if config.features.context == "auto" else None
    length = estimate["context_length"] if estimate else config.features.span()[1]
    counts = {name: _windows(table, times, split.part(name), split.purge, length, first=name == "train") for name in PARTS}
    training = config.training
    epoch = min(counts["train"], training.windows_per_epoch or counts["train"])
    limit = max(training.windows_per_epoch // 2, LEAST_VALIDATION) if training.windows_per_epoch else counts["validation"]
    steps = max(1, math.ceil(math.ceil(epoch / training.batch_size) / training.accumulation))
    return Outline(
        stocks=len(table), inputs=inputs, split=split.describe(), windows=counts, per_epoch=epoch, evaluation=min(limit, counts["validation"]),
        steps=steps * training.epochs * training.seeds, batch=(min(training.batch_size, max(epoch, 1)), length, inputs),
        evaluations=training.epochs * training.evaluations_per_epoch * training.seeds,
        panel_bytes=int(table["rows"].sum()) * (4 * inputs + ROW_BYTES), context=estimate)


def sessions(store: Store, table: pd.DataFrame, config: RunConfig) -> NDArray[np.int64]:
    """Seconds of every session of the longest histories within the dates of the universe, ascending."""
    from financial_model.datasets.splits import seconds

    longest = table.nlargest(CALENDAR_STOCKS, "rows")["symbol"]
    dates = [store.read_bars(symbol)["date"].to_numpy("datetime64[s]").astype(np.int64) for symbol in longest]
    times = np.unique(np.concatenate(dates))
    first = seconds(config.universe.start) if config.universe.start else -(2**62)
    last = seconds(config.universe.end) + 86_399 if config.universe.end else 2**62
    times = times[(times >= first) & (times <= last)]
    if not len(times):
        raise DataError("bars.nothing_in_range", start=config.universe.start or "-", end=config.universe.end or "-", count=len(table))
    return times


def _windows(table: pd.DataFrame, times: NDArray[np.int64], span: tuple[int, int], purge: int, context: int, *, first: bool) -> int:
    """About how many labelled windows of the stocks in ``table`` end inside ``span``."""
    begin, end = (table[name].to_numpy("datetime64[s]").astype(np.int64) for name in ("first", "last"))
    own = np.searchsorted(times, end, side="right") - np.searchsorted(times, begin)
    inside = np.searchsorted(times, np.minimum(end, span[1]), side="right") - np.searchsorted(times, np.maximum(begin, span[0]))
    density = np.minimum(1.0, table["rows"].to_numpy(float) / np.maximum(own, 1))
    young = np.where(begin >= span[0], context + WARM_UP, 0) if not first else context + WARM_UP
    return int(np.maximum(np.maximum(inside, 0) * density - purge - young, 0).sum())
