"""Opening a panel that is on disk: a memory map, so its size must not matter."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.synthetic import make_panel
from benchmarks.table import Row, median_ratio, side_by_side
from financial_model.datasets.panel import open_panel

TARGET = 5e-3


def run(quick: bool) -> list[Row]:
    sizes = ((20, 500), (200, 1000)) if quick else ((20, 500), (200, 1000), (2000, 2500))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for stocks, days in sizes:
            path = make_panel(Path(folder), stocks=stocks, days=days, features=12).path

            def read_all(path: Path = path) -> None:
                for name in path.glob("*.npy"):
                    np.load(name)

            opened, read = side_by_side(lambda path=path: open_panel(path), read_all, rounds=15)  # type: ignore[misc]
            rows.append(Row(
                benchmark="panel open", case=f"{stocks * days:,} rows, {stocks} stocks", ours=1e3 * float(np.median(opened)), unit="ms",
                peer=1e3 * float(np.median(read)), against="read into memory", ratio=median_ratio(opened, read), target="< 5 ms",
                met=float(np.median(opened)) < TARGET, method="warm: files are in the page cache; median of 15 turns"))
    return rows
