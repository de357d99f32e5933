"""Windows a second against neuralforecast's sampler at its default: 1,024 windows from all those of 32 series, for every batch; ours as many a batch.

neuralforecast wants other versions than Kairos, so it runs in a Python of its own: the one KAIROS_NEURALFORECAST names, or this one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.synthetic import make_panel
from benchmarks.table import CPU_TIME, Row, median_ratio, side_by_side
from financial_model import config as settings
from financial_model.datasets.loader import WindowLoader
from financial_model.datasets.panel import Panel
from financial_model.datasets.windows import window_ends

TARGET = 300.0
LENGTH, COLUMNS, HORIZON = 60, 6, 5
DEFAULT = "robust"
NORMALISATIONS = {DEFAULT: "as by default (a table fitted beforehand)", "zscore": "with the z-score of every window"}
DAYS = (1500, 6000)
"""Length of the series: six years, and a history as long as the oldest stocks have; its cost grows with it."""
CHILD = '''
import logging, sys, time, warnings
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
try:
    import numpy as np, pandas as pd, torch
    from neuralforecast.models import NHITS
    from neuralforecast.tsdataset import TimeSeriesDataset, TimeSeriesDataModule
except ImportError as error:
    print("absent", error, flush=True)
    sys.exit()
torch.set_num_threads(1)
series, days, length, columns, horizon = map(int, sys.argv[1:6])
generator = np.random.default_rng(0)
names = [f"x{i}" for i in range(columns - 1)]
frame = pd.DataFrame(generator.standard_normal((series * days, columns)).astype("float32"), columns=["y", *names])
frame.insert(0, "ds", np.tile(pd.date_range("2010-01-01", periods=days), series))
frame.insert(0, "unique_id", np.repeat(np.arange(series), days))
dataset, *_ = TimeSeriesDataset.from_df(frame)
model = NHITS(h=horizon, input_size=length, hist_exog_list=names, max_steps=1)
print("ready", model.windows_batch_size, flush=True)
loader = TimeSeriesDataModule(dataset, batch_size=model.batch_size).train_dataloader()
for line in sys.stdin:
    wanted, done, began = int(line), 0, time.process_time()
    while done < wanted:
        for batch in loader:
            temporal, static, static_cols, condition, weight, cols = model._create_windows(batch, step="train")
            chosen = torch.randperm(len(condition))[:model.windows_batch_size]
            windows = model._sample_windows(temporal, static, static_cols, cols, chosen, condition, weight)
            target = torch.clone(windows["temporal"][:, model.input_size:, batch["y_idx"]])
            model._parse_windows(batch, model._normalization(windows=windows, y_idx=batch["y_idx"]))
            done += 1
            if done >= wanted:
                break
    print(time.process_time() - began, flush=True)
'''
"""The steps of its ``training_step`` (3.x) up to the inputs of the model, which is not called."""


def run(quick: bool) -> list[Row]:
    return [row for days in DAYS for row in _beside(days, 2 if quick else 8, quick)]


def _beside(days: int, turns: int, quick: bool) -> list[Row]:
    python = os.environ.get("KAIROS_NEURALFORECAST", sys.executable)
    with subprocess.Popen([python, "-c", CHILD, *map(str, (64, days, LENGTH, COLUMNS, HORIZON))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as child:
        first = (child.stdout.readline() if child.stdout else "").split()
        if first[:1] != ["ready"]:
            return [Row(benchmark="windows", case="against neuralforecast: not installed (a Python that has it in KAIROS_NEURALFORECAST)",
                        target=f">= {TARGET:g}")]
        try:
            return _compare(child, int(first[1]), days, turns, quick)
        finally:
            child.terminate()


def _compare(child: subprocess.Popen[str], sampled: int, days: int, turns: int, quick: bool) -> list[Row]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            panel = make_panel(Path(folder), stocks=64, days=days, features=COLUMNS)
            count = sampled * (10 if quick else 40)
            inner: list[float] = []

            def theirs() -> None:
                child.stdin.write(f"{turns}\n")  # type: ignore[union-attr]
                child.stdin.flush()  # type: ignore[union-attr]
                inner.append(float(child.stdout.readline()))  # type: ignore[union-attr]

            *fast, _ = side_by_side(*(_ours(panel, name, sampled, count) for name in NORMALISATIONS), theirs, rounds=5, budget=90,
                                    clock=time.process_time)
    finally:
        torch.set_num_threads(threads)
    slow = inner[1:]  # the first call was not counted
    rows = []
    for (name, words), taken in zip(NORMALISATIONS.items(), fast, strict=True):
        ratio = median_ratio(taken, slow) * count / (sampled * turns)
        rows.append(Row(
            benchmark="windows", case=f"{LENGTH} x {COLUMNS} from series of {days:,} rows, {words}, one thread",
            ours=count / float(np.median(taken)), unit="windows/s", peer=sampled * turns / float(np.median(slow)), against="neuralforecast's sampler",
            ratio=ratio, target=f">= {TARGET:g}" if name == DEFAULT else "", met=ratio >= TARGET if name == DEFAULT else None,
            method=f"{CPU_TIME}; neuralforecast 3.x, NHITS's defaults ({sampled} windows drawn from those of 32 series, no scaler), all that its own "
                   f"training step does before it calls the model, in its own process, in turns with ours, in batches of {sampled}, too; ours also "
                   "fills conditions, ranks, units and classes; its cost grows with the length of the series, ours hardly"))
    return rows


def _ours(panel: Panel, normalisation: str, sampled: int, count: int) -> Callable[[], None]:
    config = settings.build({"context_length": LENGTH, "normalisation": normalisation, "horizon": HORIZON})
    ends = window_ends(panel, 0, int(panel.time.max()), LENGTH, HORIZON)
    table = np.zeros(COLUMNS, np.float32), np.ones(COLUMNS, np.float32)
    batches = WindowLoader(panel, ends, config, table, batch_size=sampled, shuffle=True, seed=0, limit=count)

    def epoch() -> None:
        for _ in batches:
            pass

    return epoch
