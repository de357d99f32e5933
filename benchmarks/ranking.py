"""Ranking 5,000 stocks in one call: against the model's own arithmetic on the same number of windows, and against a loop over the stocks."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.synthetic import make_panel
from benchmarks.table import CPU_TIME, Row, median_ratio, side_by_side
from financial_model import config as settings
from financial_model.datasets.panel import Panel
from financial_model.models.forecaster import build_forecaster
from financial_model.paths import Workspace
from financial_model.serving.forecaster import BATCH, LoadedForecaster
from financial_model.serving.predictor import Predictor

FEATURES = 60
OVERHEAD_TARGET = 1.05


class OnPanel(Predictor):
    """The predictor itself, asked about a panel and a model that are already there."""

    def __init__(self, folder: Path, panel: Panel, model: LoadedForecaster) -> None:
        super().__init__(Workspace(data_dir=folder / "data", checkpoint_dir=folder / "checkpoints"))
        self.panel, self.model = panel, model

    def forecaster(self, run: str, checkpoint: str = "") -> LoadedForecaster:
        return self.model

    def _panel(self, model: LoadedForecaster, **watching: Any) -> Panel:
        return self.panel


def run(quick: bool) -> list[Row]:
    stocks, loop = (1500, 60) if quick else (5000, 100)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as name:
            return _measure(Path(name), stocks, loop, quick)
    finally:
        torch.set_num_threads(threads)


def _measure(folder: Path, stocks: int, loop: int, quick: bool) -> list[Row]:
    config = settings.build({"backbone": "cnn_lstm", "condition": "concat", "device": "cpu"})
    length = config.features.context_length
    panel = make_panel(folder, stocks=stocks, days=length + 30, features=FEATURES)
    torch.manual_seed(0)
    model = build_forecaster(config.model, head=config.head(), inputs=FEATURES, context_length=length, horizon=config.label.horizon).eval()
    header = {"config": settings.to_dict(config), "head": config.head(), "features": list(panel.feature_names), "context_length": length,
              "symbols": list(panel.symbols), "label_scale": [0.02] * config.label.horizon, "split": {},
              "table": {"center": [0.0] * FEATURES, "scale": [1.0] * FEATURES},
              "extras": {"residual_quantiles": np.zeros((config.label.horizon, len(config.model.quantile_levels))).tolist()}}
    loaded = LoadedForecaster(model, header)
    predictor = OnPanel(folder, panel, loaded)
    sizes = [min(BATCH, stocks - start) for start in range(0, stocks, BATCH)]
    x, condition, ranks = torch.randn(BATCH, length, FEATURES), torch.ones(BATCH, 6, dtype=torch.int64), torch.zeros(BATCH, 4)

    def arithmetic() -> None:
        with torch.inference_mode():
            for size in sizes:
                model(x[:size], condition[:size], ranks[:size])

    last = panel.offsets[1:loop + 1] - 1

    def one_by_one() -> None:
        for end in last:
            loaded.quantiles_of(panel, np.array([end]), loaded.horizon)

    ranked, bare, looped = side_by_side(lambda: predictor.rank("-", top=0), arithmetic, one_by_one, rounds=3 if quick else 5, budget=90,
                                        clock=time.process_time)
    overhead, gain = median_ratio(bare, ranked), median_ratio(ranked, looped) * stocks / loop
    case = f"{stocks:,} stocks, cnn_lstm with concat, {length} x {FEATURES}, one thread"
    method = (f"{CPU_TIME}; Predictor.rank from a memory-mapped panel to the finished table; arithmetic: the model alone on {len(sizes)} batches "
              f"that are there already; loop: {loop} stocks one by one, without the table, extrapolated")
    return [
        Row(benchmark="ranking", case=case, ours=float(np.median(ranked)), unit="s", peer=float(np.median(bare)), against="the model's arithmetic",
            ratio=overhead, ratio_of="times the arithmetic", target="<= 1.05", met=overhead <= OVERHEAD_TARGET, method=method),
        Row(benchmark="ranking", case=case, ours=float(np.median(ranked)), unit="s", peer=float(np.median(looped)) * stocks / loop,
            against="per-stock loop", ratio=gain, method=method),
    ]
