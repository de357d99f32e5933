"""A small real panel with a planted signal, a small configuration, and the run of a training in one call."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from financial_model.config import DEFAULT_OBJECTIVE, FeatureConfig, LabelConfig, ModelConfig, RunConfig, TrainConfig
from financial_model.datasets.panel import Panel, open_panel
from financial_model.datasets.write import write_panel
from financial_model.training.events import EventLog, read_events
from financial_model.training.trainer import TrainResult, train

DAY, FIRST = 86_400, 1_577_836_800  # 2020-01-01


def make_panel(folder: Path, *, stocks: int = 5, days: int = 150, features: int = 3, signal: float = 0.7, seed: int = 0) -> Panel:
    """Feature 0 of day t is known to move day t + 1: ``signal`` is its share of a day's standard deviation."""
    random = np.random.default_rng(seed)
    rows = stocks * days
    values = random.normal(0, 1, (stocks, days, features)).astype(np.float32)
    noise = random.normal(0, 1, (stocks, days))
    moves = noise.copy()
    moves[:, 1:] = signal * values[:, :-1, 0] + np.sqrt(1 - signal**2) * noise[:, 1:]
    close = 20 * np.exp(np.cumsum(0.02 * moves, axis=1)).reshape(-1)
    calendar = FIRST + DAY * np.arange(days, dtype=np.int64)
    bars = SimpleNamespace(
        symbols=tuple(f"{600000 + i}.SH" for i in range(stocks)), offsets=np.arange(0, rows + 1, days, dtype=np.int64),
        time=np.tile(calendar, stocks),
        open=close * np.exp(random.normal(0, 0.002, rows)), close=close, volume=np.full(rows, 1e6), amount=1e6 * close, factor=np.ones(rows),
        extra={}, market_time=calendar, market_close=np.linspace(1000, 1100, days), market_name="equal_weight")
    conditions = random.integers(0, 4, (rows, 6)).astype(np.int8)
    ranks = random.uniform(-0.5, 0.5, (rows, 4)).astype(np.float32)
    names = [f"feature_{i}" for i in range(features)]
    write_panel(folder, bars, names, values.reshape(rows, features), conditions, ranks, fingerprint=f"{seed:032d}", synthetic=True)
    return open_panel(folder)


def make_config(*, head: str = "point", context_length: int = 6, horizon: int = 2, features: dict | None = None, label: dict | None = None,
                model: dict | None = None, **training) -> RunConfig:
    """A run of a second: a small recurrent model. Other arguments are settings of the training."""
    return RunConfig(
        features=FeatureConfig(**{"context_length": context_length, **(features or {})}),
        label=LabelConfig(**{"horizon": horizon, "class_horizon": 1, "up": 0.01, "down": -0.01, **(label or {})}),
        model=ModelConfig(**{"backbone": "gru", "head": head, "hidden": 8, "layers": 1, "dropout": 0.2, **(model or {})}),
        training=TrainConfig(**{
            "objective": {**DEFAULT_OBJECTIVE, "point": "mse"}[head], "epochs": 2, "batch_size": 64,
            "learning_rate": 5e-3, "patience": 0, "seed": 7, "device": "cpu", "precision": "fp32", **training}))


def with_training(config: RunConfig, **changes) -> RunConfig:
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **changes))


def run(config: RunConfig, panel: Panel, folder: Path, **options) -> TrainResult:
    """Train into ``folder`` with its own event log."""
    with EventLog(folder / "events.jsonl") as events:
        return train(config, panel, folder, events=events, **options)


def events_of(folder: Path, kind: str) -> list[dict]:
    return [event for event in read_events(folder / "events.jsonl")[0] if event["kind"] == kind]


class StopAfter:
    """A stop signal that is set once the training has looked at it ``looks`` times."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0
