"""Small markets and short runs for tests of what stands on top of everything else."""

from pathlib import Path

import numpy as np
import pandas as pd

from financial_model import config as settings
from financial_model.config import RunConfig
from financial_model.market.calendar import sessions
from financial_model.market.store import Store
from financial_model.paths import Workspace

SYMBOLS = ("600000.SH", "600036.SH", "600519.SH", "601318.SH", "000001.SZ", "000333.SZ", "300750.SZ", "688981.SH")
INDUSTRIES = ("finance", "finance", "consumer", "finance", "finance", "consumer", "industrial", "technology")
NAMES = ("浦发银行", "招商银行", "贵州茅台", "中国平安", "平安银行", "美的集团", "宁德时代", "中芯国际")
TINY = {"backbone": "gru", "hidden": 16, "layers": 1, "context_length": 8, "epochs": 2, "batch_size": 128, "horizon": 3, "groups": "return,rank",
        "device": "cpu", "precision": "fp32", "save_every": 1, "linear_start": False}


def bars(seed: int, days: np.ndarray) -> pd.DataFrame:
    """A random walk that reverts a little, with ranges and volume."""
    random = np.random.default_rng(seed)
    noise = random.normal(0, 0.02, len(days))
    steps = noise - 0.3 * np.concatenate([[0.0], noise[:-1]])
    close = 20 * np.exp(np.cumsum(steps))
    opened = close * np.exp(random.normal(0, 0.004, len(days)))
    high, low = np.maximum(opened, close) * 1.006, np.minimum(opened, close) * 0.994
    volume = random.integers(1_000_000, 5_000_000, len(days)).astype(float)
    return pd.DataFrame({"date": days, "open": opened, "high": high, "low": low, "close": close, "volume": volume})


def trading_days(count: int, last: str = "2024-06-28") -> np.ndarray:
    return sessions("XSHG", end=last)[-count:]


def fill_store(workspace: Workspace, days: int = 300, last: str = "2024-06-28") -> Store:
    """Eight stocks with names and industries; ``days`` sessions up to ``last``."""
    store = Store(workspace.data_dir)
    for seed, (symbol, name) in enumerate(zip(SYMBOLS, NAMES, strict=True)):
        store.write_bars(symbol, bars(seed, trading_days(days, last)), source="files", name=name)
    store.set_industries(dict(zip(SYMBOLS, INDUSTRIES, strict=True)), source="test", as_of=last)
    return store


def tiny(name: str = "tiny", **values) -> RunConfig:
    """Settings of a run that takes a second."""
    return settings.build({"name": name, **TINY, **values})


def workspace_in(folder: Path) -> Workspace:
    return Workspace(data_dir=folder / "data", checkpoint_dir=folder / "checkpoints")
