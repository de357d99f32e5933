"""Panels of any size for measurements: random features, no market behind them. Numbers in them mean nothing; their layout is the real one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from financial_model.datasets.panel import Panel, open_panel
from financial_model.datasets.write import write_panel

_DAY = 86_400


def make_panel(folder: Path, *, stocks: int, days: int, features: int, seed: int = 0) -> Panel:
    """A panel of ``stocks * days`` rows, written and mapped."""
    random = np.random.default_rng(seed)
    rows = stocks * days
    close = 20 * np.exp(random.normal(0, 0.02, (stocks, days)).cumsum(1)).reshape(-1)
    days_of = np.arange(days, dtype=np.int64) * _DAY
    bars = SimpleNamespace(
        symbols=tuple(f"{600000 + i}.SH" for i in range(stocks)), offsets=np.arange(stocks + 1, dtype=np.int64) * days, time=np.tile(days_of, stocks),
        open=close, close=close, volume=np.ones(rows), amount=close, factor=np.ones(rows), extra={}, market_time=days_of, market_close=np.ones(days),
        market_name="equal_weight")
    values = random.standard_normal((rows, features), dtype=np.float32)
    return open_panel(write_panel(folder / f"panel{rows}x{features}", bars, [f"f{i}" for i in range(features)], values,  # type: ignore[arg-type]
                                  np.zeros((rows, 6), np.int8), np.zeros((rows, 4), np.float32), fingerprint="synthetic", synthetic=True))
