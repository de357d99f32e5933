"""From a panel to batches: against a Dataset that makes one window per item, against the floor, and as a share of a training step."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.synthetic import make_panel
from benchmarks.table import CPU_TIME, Row, median_ratio, side_by_side
from financial_model import config as settings
from financial_model.datasets.loader import WindowLoader
from financial_model.datasets.panel import Panel
from financial_model.datasets.windows import window_ends

CASES = ((60, 6, 25.0), (500, 12, 8.0))
"""Bars and features of a window, and how many times the per-item Dataset we must be."""
BATCH = 256
SHARE_TARGET = 0.01


class PerItem(Dataset):
    """The usual way: one item is one window, normalised by its own mean and deviation; default collation stacks them."""

    def __init__(self, panel: Panel, ends: np.ndarray, length: int):
        self.values, self.prices, self.ends, self.length = np.array(panel.values), np.array(panel.prices[:, 0]), ends, length

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, torch.Tensor]:
        end = self.ends[item]
        window = self.values[end - self.length + 1:end + 1]
        normalised = (window - window.mean(0)) / (window.std(0) + 1e-5)
        y = self.prices[end + 1:end + 6] - self.prices[end]
        return torch.from_numpy(normalised), torch.from_numpy(y)


def run(quick: bool) -> list[Row]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = [row for case in CASES for row in delivery(Path(folder), *case, quick=quick)]
            rows += memory(Path(folder), quick)
        return rows + step_share(quick)
    finally:
        torch.set_num_threads(threads)


def delivery(folder: Path, length: int, features: int, target: float, *, quick: bool) -> list[Row]:
    """Windows per second of the loader, the per-item Dataset, and bare copying of the same memory."""
    panel = make_panel(folder, stocks=50 if quick else 300, days=1500, features=features)
    config = settings.build({"context_length": length, "normalisation": "zscore"})
    ends = window_ends(panel, 0, int(panel.time.max()), length, config.label.horizon)
    count = BATCH * (20 if quick else 60)
    ours = WindowLoader(panel, ends, config, batch_size=BATCH, shuffle=True, seed=0, limit=count)
    few = count // (8 if quick else 12)  # the slow one gets fewer windows; both are counted per window
    chosen = np.random.default_rng(0).choice(ends, few)
    per_item = DataLoader(PerItem(panel, chosen, length), batch_size=BATCH, shuffle=True)
    flat = torch.from_numpy(np.array(panel.values)).view(-1)
    rows_view = flat.as_strided((panel.rows - length + 1, length * features), (features, 1))
    order, copied = torch.from_numpy(ours.order() - length + 1), torch.empty(BATCH, length * features)

    def floor() -> None:
        for start in range(0, count, BATCH):
            torch.index_select(rows_view, 0, order[start:start + BATCH], out=copied)

    def drain(batches) -> None:
        for _ in batches:
            pass

    fast, slow, bare = side_by_side(lambda: drain(ours), lambda: drain(per_item), floor, rounds=5 if quick else 9,
                                    clock=time.process_time)
    ratio = median_ratio(fast, slow) * count / few
    case = f"{length} x {features}, one thread"
    method = (f"{CPU_TIME}; batches of {BATCH} windows with labels, per-window z-score, {count} windows a turn; "
              "ours also fills conditions, ranks, units and classes")
    per_second = count / float(np.median(fast))
    return [
        Row(benchmark="windows", case=case, ours=per_second, unit="windows/s", peer=few / float(np.median(slow)), against="per-item Dataset",
            ratio=ratio, target=f">= {target:g}", met=ratio >= target, method=method),
        Row(benchmark="windows", case=case, ours=per_second, unit="windows/s", peer=count / float(np.median(bare)), against="copying alone",
            ratio=median_ratio(bare, fast), ratio_of="times the floor's time", method=method),
    ]


def memory(folder: Path, quick: bool) -> list[Row]:
    """Bytes a loader adds to its panel, against all windows laid out in memory."""
    panel = make_panel(folder, stocks=50, days=1500, features=13)
    config = settings.build({"context_length": 60, "normalisation": "zscore"})
    ends = window_ends(panel, 0, int(panel.time.max()), 60, config.label.horizon)
    before = anonymous_memory()
    loader = WindowLoader(panel, ends, config, batch_size=BATCH, shuffle=True, seed=0)
    most = max(anonymous_memory() for _ in loader)
    files = sum(path.stat().st_size for path in panel.path.glob("*.npy"))
    ratio = (files + most - before) / files
    return [Row(
        benchmark="memory", case=f"{len(ends):,} windows of 60 x 13", ours=(files + most - before) / 2**20, unit="MB",
        peer=len(ends) * 60 * 13 * 4 / 2**20, against="windows laid out", ratio=ratio, ratio_of="times the panel", target="<= 1.1", met=ratio <= 1.1,
        method="the panel's files and the anonymous memory the process gained while iterating (labels, order and end rows included)")]


def anonymous_memory() -> int:
    """Bytes of this process that no file backs."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024


def step_share(quick: bool) -> list[Row]:
    """Time to make a batch against the training step that uses it, with the defaults of ``config``."""
    from financial_model.config import FeatureConfig
    from financial_model.features import registry
    from financial_model.models.forecaster import build_forecaster
    from financial_model.objectives import objective
    from financial_model.training.step import TrainingStep

    rows, features = [], len(registry.names(FeatureConfig().groups))
    for backbone in ("cnn_lstm", "lstm"):
        config = settings.build({"backbone": backbone})
        table = (np.zeros(features, np.float32), np.ones(features, np.float32))
        with tempfile.TemporaryDirectory() as folder:
            panel = make_panel(Path(folder), stocks=60, days=1000, features=features)
            ends = window_ends(panel, 0, int(panel.time.max()), config.features.context_length, config.label.horizon)
            loader = WindowLoader(panel, ends, config, table, batch_size=config.training.batch_size, shuffle=True, seed=0)
            torch.manual_seed(0)
            model = build_forecaster(config.model, head=config.head(), inputs=features, context_length=config.features.context_length,
                                     horizon=config.label.horizon)
            step = TrainingStep(model, objective(config.objective(), config), config.training, device=torch.device("cpu"), precision="fp32",
                                compiled=False, notice=lambda *_, **__: None)
            batches = iter(loader)
            batch = next(batches)

            def make(batches=batches, loader=loader) -> None:
                next(batches)

            def train(step=step, batch=batch) -> None:
                step.backward(batch, 1.0, 0)
                step.update(1e-4)

            made, trained = side_by_side(make, train, rounds=4 if quick else 8, clock=time.process_time)
        share = float(np.median([a / (a + b) for a, b in zip(made, trained, strict=True)]))
        rows.append(Row(
            benchmark="input share of a step", case=f"{backbone}, {config.training.batch_size} x {config.features.context_length} x {features}",
            ours=1e3 * float(np.median(made)), unit="ms", peer=1e3 * float(np.median(trained)), against="forward, backward, AdamW, fp32",
            ratio=100 * share, ratio_of="% of the step", target="<= 1 %", met=share <= SHARE_TARGET,
            method=f"{CPU_TIME}; one thread, in turns; the panel is in the page cache"))
    return rows
