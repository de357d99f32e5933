"""Small honest bars for the tests of the market layer."""

from pathlib import Path

import numpy as np
import pandas as pd

from financial_model.market.calendar import sessions


def bars(rows: int = 60, *, seed: int = 0, start: str = "2020-01-02", level: float = 10.0) -> pd.DataFrame:
    """A random walk in whole cents on real sessions, in the columns of a bar file without a factor."""
    random = np.random.default_rng(seed)
    dates = sessions("XSHG", start)[:rows]
    close = np.round(level * np.exp(np.cumsum(0.01 * random.standard_normal(len(dates)))), 2)
    opening = np.round(close * np.exp(0.004 * random.standard_normal(len(dates))), 2)
    high = np.round(np.maximum(opening, close) * 1.006, 2)
    low = np.round(np.minimum(opening, close) * 0.994, 2)
    volume = np.round(1e6 * np.exp(0.3 * random.standard_normal(len(dates))), -2)
    return pd.DataFrame(
        {
            "date": dates.astype("datetime64[s]"),
            "open": opening,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
            "amount": np.round(volume * (high + low) / 2),
        }
    )


def csv(path: Path, frame: pd.DataFrame, *, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, encoding=encoding)
    return path
