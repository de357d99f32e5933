"""A small market in memory, as the panel shows it to evaluation: no files, no features."""

from pathlib import Path

import numpy as np

from financial_model.config import CONDITION_SIZES, LabelConfig, RunConfig
from financial_model.datasets.panel import Panel
from financial_model.features.labels import TRADES
from financial_model.models.prediction import Prediction

DAY = 86_400
START = 1_577_836_800  # 2020-01-01
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)


def make_panel(names: int = 30, days: int = 300, seed: int = 0, *, planted: float = 0.0, synthetic: bool = True, drift: float = 0.0,
               prices: np.ndarray | None = None) -> Panel:
    """``names`` stocks x ``days``: a common market factor plus noise. ``planted``: correlation of tomorrow's return with an observable score,
    which ``values[:, 0]`` holds; ``oracle`` is then the expected return over 1..10 days."""
    rng = np.random.default_rng(seed)
    rows = names * days
    score = rng.standard_normal((names, days))
    noise = rng.standard_normal((names, days))
    surprise = np.empty((names, days))
    surprise[:, 1:] = planted * score[:, :-1] + np.sqrt(1 - planted**2) * noise[:, 1:]
    surprise[:, 0] = noise[:, 0]
    returns = 0.02 * surprise + 0.01 * rng.standard_normal(days) + drift
    log_close = np.cumsum(returns, axis=1) + np.log(20.0)
    log_open = log_close - returns + 0.002 * rng.standard_normal((names, days))
    four = np.stack([log_close, log_open, np.exp(log_close), np.exp(log_open)], axis=2).reshape(rows, 4) if prices is None else prices
    oracle = np.repeat((0.02 * planted * score).reshape(rows, 1), 10, axis=1).astype(np.float32)
    conditions = np.zeros((rows, len(CONDITION_SIZES)), np.int8)
    conditions[:, 0] = np.repeat(np.arange(names) % 3, days)
    conditions[:, 1] = np.repeat(np.arange(names) % 2, days)
    conditions[:, 5] = np.tile(np.arange(days) // 50 % 4, names)
    panel = Panel(
        path=Path("absent"), feature_names=("score",), fingerprint="test", market="equal_weight", synthetic=synthetic, facts={},
        values=score.reshape(rows, 1).astype(np.float32), time=np.tile(START + DAY * np.arange(days), names).astype(np.int64), conditions=conditions,
        ranks=np.zeros((rows, 4), np.float32), prices=four, volatility=np.full(rows, 0.02, np.float32),
        amount=np.full(rows, np.nan, np.float32), valid=np.ones(rows, np.uint8),
        tradable=np.full(rows, TRADES, np.uint8), offsets=(days * np.arange(names + 1)).astype(np.int64), oracle=oracle if planted else None,
        market_time=START + DAY * np.arange(days), market_close=np.exp(log_close.mean(axis=0)))
    panel.__dict__["symbols"] = tuple(f"{600000 + i}.SH" for i in range(names))
    return panel


def all_ends(panel: Panel, first: int = 20, horizon: int = 5) -> np.ndarray:
    """Rows from day ``first`` of every stock that still have ``horizon`` days after them."""
    position = np.arange(len(panel.time)) - panel.offsets[panel.symbol_index(np.arange(len(panel.time)))]
    length = np.diff(panel.offsets)[panel.symbol_index(np.arange(len(panel.time)))]
    return np.flatnonzero((position >= first) & (position < length - horizon - 1))


def config(horizon: int = 5, **label) -> RunConfig:
    return RunConfig(label=LabelConfig(horizon=horizon, **label))


def predict_from(score: np.ndarray, ends: np.ndarray, horizon: int = 5, *, spread: float | None = None) -> Prediction:
    """A forecast of ``score`` [n] for every horizon, with normal quantiles of standard deviation ``spread * sqrt(h)`` where that is given."""
    from scipy.stats import norm
    expected = np.repeat(np.asarray(score, np.float32)[:, None], horizon, axis=1)
    quantiles = None
    if spread is not None:
        quantiles = expected[..., None] + (spread * np.sqrt(np.arange(1, horizon + 1)))[:, None] * norm.ppf(LEVELS)
        quantiles = quantiles.astype(np.float32)
    return Prediction(end=ends, expected=expected, levels=() if quantiles is None else LEVELS, quantiles=quantiles)


def noise_prediction(panel: Panel, ends: np.ndarray, horizon: int = 5, seed: int = 1, **keywords) -> Prediction:
    return predict_from(0.01 * np.random.default_rng(seed).standard_normal(len(ends)), ends, horizon, **keywords)
