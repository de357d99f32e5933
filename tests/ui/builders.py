"""Small pieces of data the page's tests are drawn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from financial_model.ui.text import View

ENGLISH = View("en", "green_up")
CHINESE = View("zh", "red_up")


def curves(points: int = 40, *, validation: bool = True) -> dict[str, Any]:
    """What :meth:`RunStore.curves` returns, falling from 1."""
    epochs = [round(3 * (i + 1) / points, 4) for i in range(points)]
    values = [1 / (1 + x) for x in epochs]
    series = {
        "train/loss": {"step": list(range(points)), "epoch": epochs, "value": values},
        "train/learning_rate": {"step": [0, 1], "epoch": [0.1, 0.2], "value": [1e-3, 5e-4]},
    }
    if validation:
        series["validation/loss"] = {"step": [1, 2, 3], "epoch": [1.0, 2.0, 3.0], "value": [0.6, 0.4, 0.5]}
    return {
        "series": series,
        "baselines": {"zero": {"loss": 0.7}, "ridge": {"loss": 0.65}},
        "best": {"step": 2, "epoch": 2.0, "value": 0.4} if validation else None,
    }


def bars(days: int = 60) -> dict[str, list[Any]]:
    dates = [str(day.date()) for day in pd.bdate_range("2024-01-01", periods=days)]
    close = (20 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.02, days)))).tolist()
    opened = [close[0], *close[:-1]]
    return {
        "date": dates,
        "open": opened,
        "high": [max(a, b) * 1.01 for a, b in zip(opened, close, strict=True)],
        "low": [min(a, b) * 0.99 for a, b in zip(opened, close, strict=True)],
        "close": close,
        "volume": [1e6] * days,
    }


def forecast(days: int = 5, known: int = 2) -> dict[str, Any]:
    """What :meth:`Predictor.forecast` returns."""
    history = bars()
    price = history["close"][-1]
    ahead = [str(day.date()) for day in pd.bdate_range(history["date"][-1], periods=days + 1)[1:]]
    steps = np.arange(1, days + 1)

    def band(width: float) -> dict[str, list[float]]:
        return {"low": (price * (1 - width * np.sqrt(steps))).tolist(), "high": (price * (1 + width * np.sqrt(steps))).tolist()}

    table = [
        {
            "day": int(day),
            "date": ahead[day - 1],
            "expected_return": 0.002 * day,
            "p_up": 0.55,
            "price": price * 1.002**day,
            "quantiles": {},
            "prices": {},
        }
        for day in steps
    ]
    return {
        "run": "basic_20240101_000000",
        "symbol": "600519.SH",
        "name": "贵州茅台",
        "as_of": history["date"][-1],
        "industry": "consumer",
        "price": price,
        "volatility": 0.02,
        "horizon": days,
        "days": days,
        "entry": "close",
        "history": history,
        "table": table,
        "fan": {"date": ahead, "median": [row["price"] for row in table], "50": band(0.01), "80": band(0.02), "95": band(0.03)},
        "truth": {"date": ahead[:known], "price": [price * 1.01] * known, "log_return": [0.01] * known},
        "classes": {"up": 0.21, "flat": 0.25, "down": 0.54},
        "class_horizon": 3,
        "class_line": {"up": 21, "flat": 25, "down": 54},
        "notes": [{"key": "serving.note_synthetic", "fields": {}}],
        "model": {},
        "age": {"trained_to": "2023-01-05", "tested_to": "2024-01-31", "sessions": 20, "sessions_trained": 260, "state": "fresh"},
    }


def metrics() -> dict[str, Any]:
    """What a test's headline looks like."""
    row = {"ic": 0.01, "ic_interval": [-0.01, 0.03], "direction": 0.505, "direction_interval": [0.49, 0.52], "mae_percent": 2.1}
    return {
        **row,
        "ic": 0.05,
        "ic_interval": [0.02, 0.08],
        "rank_ic": 0.04,
        "oracle_ic": 0.06,
        "recovery": 0.8,
        "horizon": 5,
        "rows": 900,
        "dates": 45,
        "baselines": {"zero": {**row, "ic": None, "ic_interval": None}, "ridge": row},
    }


def stocks(count: int = 12) -> pd.DataFrame:
    generator = np.random.default_rng(3)
    industries = ["finance", "technology", "energy", "unknown"]
    return pd.DataFrame(
        {
            "symbol": [f"{600000 + i}.SH" for i in range(count)],
            "name": [f"股{i}" for i in range(count)],
            "industry": [industries[i % 4] for i in range(count)],
            "weight": generator.uniform(1, 9, count),
            "change": generator.normal(0, 0.03, count),
            "annual_volatility": generator.uniform(0.1, 0.5, count),
            "annual_return": generator.normal(0.05, 0.2, count),
        }
    )
