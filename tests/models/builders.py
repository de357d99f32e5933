"""Small stand-ins: random windows with every condition value in them, and a panel of arrays."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from financial_model.config import BACKBONES, CONDITION_SIZES, ModelConfig
from financial_model.models.forecaster import Forecaster, build_forecaster

INPUTS, CONTEXT, HORIZON = 5, 12, 3
SMALL = {"hidden": 8, "layers": 2, "heads": 2, "experts": 3, "industry_size": 4, "style_size": 3, "regime_size": 2}
ALL_BACKBONES = tuple(name for name in BACKBONES if name not in ("tsf-5m", "tsf-27m"))  # the same class as tsf in other sizes


def small_model(backbone: str, *, head: str = "point", seed: int = 0, **settings) -> Forecaster:
    """A tiny forecaster with weights from ``seed``."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    config = ModelConfig(backbone=backbone, **{**SMALL, **settings})
    return build_forecaster(config, head=head, inputs=INPUTS, context_length=CONTEXT, horizon=HORIZON)


def windows(count: int = 24, *, inputs: int = INPUTS, length: int = CONTEXT, seed: int = 1):
    """(x, condition, ranks); the condition runs through all values, unknown included."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(count, length, inputs, generator=random)
    condition = torch.stack([torch.arange(count) % size for size in CONDITION_SIZES], dim=1)
    return x, condition, torch.rand(count, 4, generator=random) - 0.5


def batches(count: int = 10, size: int = 4, *, unit: float = 0.02):
    """Batches like the loader's, in buffers that are overwritten by the next one."""
    x, condition, ranks = windows(count)
    buffers = SimpleNamespace(x=torch.empty(size, CONTEXT, INPUTS), condition=torch.empty(size, 6, dtype=torch.int64), ranks=torch.empty(size, 4),
                              unit=torch.empty(size, HORIZON), spread=torch.empty(size, HORIZON), end=torch.empty(size, dtype=torch.int64),
                              date=torch.empty(size, dtype=torch.int64))
    sources = {"x": x, "condition": condition, "ranks": ranks, "end": torch.arange(count) + 100, "date": torch.arange(count) // 2,
               "unit": unit * torch.arange(1, HORIZON + 1).sqrt().expand(count, -1) * (1 + torch.arange(count)[:, None] / count)}
    sources["spread"] = sources["unit"]
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        batch = SimpleNamespace()
        for name, source in sources.items():
            part = getattr(buffers, name)[:rows.stop - rows.start]
            part.copy_(source[rows])
            setattr(batch, name, part)
        yield batch


def planted_panel(*, stocks: int = 20, days: int = 400, strength: float = 0.2, seed: int = 3) -> tuple[SimpleNamespace, np.ndarray]:
    """A panel whose next-day return is ``strength`` x (first feature - second feature) / sqrt(2) + noise, in units of volatility 0.02.

    Returns it with the true coefficients [features].
    """
    random = np.random.default_rng(seed)
    rows, features = stocks * days, 4
    values = random.standard_normal((rows, features)).astype(np.float32)
    truth = np.array([1.0, -1.0, 0.0, 0.0]) / np.sqrt(2)
    shock = random.standard_normal(rows)
    returns = np.empty(rows)
    returns[1:] = 0.02 * (strength * (values[:-1] @ truth) + np.sqrt(1 - strength**2) * shock[1:])
    returns[0] = 0.02 * shock[0]
    log_close = returns.reshape(stocks, days).cumsum(axis=1).ravel() + 3
    prices = np.stack((log_close, log_close - 0.001, np.exp(log_close), np.exp(log_close - 0.001)), axis=1)
    panel = SimpleNamespace(
        values=values, time=np.tile(np.arange(days, dtype=np.int64) * 86_400, stocks), prices=prices,
        volatility=np.full(rows, 0.02, np.float32), ranks=np.zeros((rows, 4), np.float32), offsets=np.arange(stocks + 1, dtype=np.int64) * days)
    return panel, truth


def ends_between(panel: SimpleNamespace, first_day: int, last_day: int) -> np.ndarray:
    """End rows of every stock with ``first_day <= day < last_day``."""
    starts = panel.offsets[:-1]
    return (starts[:, None] + np.arange(first_day, last_day)).ravel().astype(np.int64)
