"""The default features of many stocks, as a training builds them: from bar files to a panel on disk, on all cores; then the same question again."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.indicators import packed, walk
from benchmarks.table import Row
from financial_model import config as settings
from financial_model.config import FeatureConfig
from financial_model.datasets.panel import build_panel
from financial_model.features import registry
from financial_model.market.store import Store
from financial_model.paths import Workspace

MARKET = 5500
"""Stocks of the whole market, to which the figures are extrapolated."""
METHOD = ("random-walk bars; wall time of one run each, and CPU time, which a busy machine changes little; computing: registry.compute on packed "
          "bars in memory, a thread for each core; building: bar files of the store to a panel on disk in its child process (start of Python, "
          "reading, features, conditions, writing); the market is extrapolated, by the number of stocks beyond the cost of a single one, not run")


def run(quick: bool) -> list[Row]:
    stocks, rows = (40, 2000) if quick else (300, 6000)
    with tempfile.TemporaryDirectory() as name:
        return [_compute(stocks, rows), *_build(Path(name), stocks, rows)]


def _compute(stocks: int, rows: int) -> Row:
    names = registry.names(FeatureConfig().groups)
    bars = packed([walk(np.random.default_rng(stock), rows) for stock in range(stocks)])
    registry.compute(packed([walk(np.random.default_rng(0), 300)]), names)  # compiled and read from the disk before
    table, seen = np.empty((stocks * rows, len(names)), np.float32), []
    began, used = time.perf_counter(), time.process_time()
    registry.compute(bars, names, lambda done, total: seen.append(done), out=table)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    return Row(benchmark="feature table", case=f"{len(names)} default features, {stocks} stocks of {rows:,} rows, computed", ours=seconds, unit="s",
               ratio=cpu / stocks * MARKET / 60, ratio_of=f"CPU minutes for {MARKET:,} such stocks, extrapolated; {1e3 * cpu / stocks:.3g} ms of CPU "
               f"a stock; {len(seen)} reports of progress", target="minutes", met=cpu / stocks * MARKET < 600, method=METHOD)


def _build(folder: Path, stocks: int, rows: int) -> list[Row]:
    config = settings.build({})
    alone, start, _ = _timed(_market(folder / "small", 1, rows), config)
    workspace = _market(folder / "large", stocks, rows)
    first, cpu, seen = _timed(workspace, config)
    again, _, silent = _timed(workspace, config)
    market = start + (cpu - start) / (stocks - 1) * (MARKET - 1)
    return [
        Row(benchmark="feature table", case=f"the same, {stocks} bar files to a panel", ours=first, unit="s", peer=alone, against="one file",
            ratio=market / 60, ratio_of=f"CPU minutes for {MARKET:,} such files, extrapolated; {1e3 * (cpu - start) / (stocks - 1):.3g} ms of CPU a "
            f"stock; {seen} reports of progress", target="minutes", met=market < 600, method=METHOD),
        Row(benchmark="feature table", case="the same question again: the panel on disk", ours=again, unit="s", peer=first, against="built",
            ratio=first / again, target="nothing computed", met=silent == 0, method=METHOD)]


def _market(folder: Path, stocks: int, rows: int) -> Workspace:
    workspace, dates = Workspace(data_dir=folder / "data", checkpoint_dir=folder / "checkpoints"), pd.bdate_range(end="2025-12-31", periods=rows)
    store = Store(workspace.data_dir)
    for stock in range(stocks):
        store.write_bars(f"{600000 + stock}.SH", walk(np.random.default_rng(stock), rows).assign(date=dates), source="files")
    return workspace


def _timed(workspace: Workspace, config: settings.RunConfig) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds of the child, and reports of progress of one build."""
    steps: list[float] = []
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    build_panel(workspace, config, progress=lambda stage, done, total: steps.append(done))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, len(steps)
