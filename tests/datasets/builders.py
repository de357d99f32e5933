"""Small synthetic bars and panels for the tests of this layer; nothing here comes from the market or features layers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from financial_model.datasets.panel import Panel, open_panel
from financial_model.datasets.write import write_panel

DAY = 86_400
FIRST = 1_577_836_800  # 2020-01-01


@dataclass
class FakeBars:
    """What ``write_panel`` reads of PackedBars."""

    symbols: tuple[str, ...]
    offsets: np.ndarray
    time: np.ndarray
    open: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    amount: np.ndarray
    factor: np.ndarray
    market_time: np.ndarray
    market_close: np.ndarray
    market_name: str = "equal_weight"
    extra: dict = field(default_factory=dict)


def make_bars(lengths=(80, 50, 65), *, symbols=None, seed=0) -> FakeBars:
    """Random walks; all stocks end on the same day, so shorter ones start later."""
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows, longest = int(offsets[-1]), max(lengths)
    time = np.concatenate([FIRST + DAY * np.arange(longest - n, longest) for n in lengths]).astype(np.int64)
    close = 20 * np.exp(np.concatenate([random.normal(0, 0.02, n).cumsum() for n in lengths]))
    return FakeBars(
        symbols=tuple(symbols or (f"S{i}" for i in range(len(lengths)))), offsets=offsets, time=time, close=close,
        open=close * np.exp(random.normal(0, 0.005, rows)), volume=np.full(rows, 1e6), amount=1e6 * close, factor=np.ones(rows),
        market_time=FIRST + DAY * np.arange(longest, dtype=np.int64), market_close=np.linspace(1000, 1100, longest))


def make_panel(folder: Path, bars: FakeBars | None = None, *, features=3, warm_up=4, seed=0, **options) -> Panel:
    """A written and reopened panel; the first ``warm_up`` rows of each stock have no feature yet."""
    bars = make_bars(seed=seed) if bars is None else bars
    random = np.random.default_rng(seed + 1)
    rows = len(bars.time)
    values = random.normal(0, 1, (rows, features)).astype(np.float32)
    for first in bars.offsets[:-1]:
        values[first:first + warm_up, 0] = np.nan
    conditions = random.integers(0, 4, (rows, 6)).astype(np.int8)
    ranks = random.uniform(-0.5, 0.5, (rows, 4)).astype(np.float32)
    options = {"fingerprint": "f" * 32, **options}
    return open_panel(write_panel(folder / "panel", bars, [f"feature_{i}" for i in range(features)], values, conditions, ranks, **options))


def with_values(panel: Panel, **arrays) -> Panel:
    """The same panel with some arrays replaced in memory."""
    return replace(panel, **arrays)
