"""Import of a folder of CSV files, in CPU time: beside a plain read of the bytes, and beside pandas and pyarrow, which only parse.

An import also recognises headers and units, checks every row, writes a file of its own per symbol with fsync, and keeps its database.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv

from benchmarks.table import Row
from financial_model.market.calendar import sessions
from financial_model.market.sources.files import import_paths
from financial_model.market.store import Store

ROWS, WHOLE = 6000, 3500
MOST_READS = 30.0
TURNS, READS = 5, 5


def run(quick: bool) -> list[Row]:
    count = 60 if quick else 400
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = _write(folder / "in", count)
        fresh = (Store(folder / f"store{number}") for number in itertools.count())
        first = Store(folder / "first")
        import_paths(first, [folder / "in"])
        turns = [_turn(files, folder / "in", fresh, first) for _ in range(TURNS)]
        whole = None if quick else _whole(files, folder / "whole")
    cost = {key: statistics.median(turn[key] for turn in turns) / count for key in turns[0]}
    case = f"{count} files of {ROWS:,} rows"
    method = (f"CPU time (user and system) a file, median of {TURNS} turns taken side by side, page cache warm; the plain read of a turn is the "
              f"median of {READS} passes into one block of memory: the least a read can cost")

    def times(key: str, against: str) -> float:
        return statistics.median(turn[key] / turn[against] for turn in turns)

    reads = times("import", "read")
    return [
        Row(benchmark="ingest", case=case, ours=1e3 * cost["import"], unit="ms a file", peer=1e3 * cost["read"], against="plain read", ratio=reads,
            ratio_of="times the cost", target=f"at most {MOST_READS:.0f} times a plain read", met=reads <= MOST_READS, method=method),
        Row(benchmark="ingest", case=case, ours=1e3 * cost["import"], unit="ms a file", peer=1e3 * cost["pandas"], against="pandas.read_csv",
            ratio=times("import", "pandas"), ratio_of="times the cost"),
        Row(benchmark="ingest", case=case, ours=1e3 * cost["import"], unit="ms a file", peer=1e3 * cost["pyarrow"], against="pyarrow read_csv",
            ratio=times("import", "pyarrow"), ratio_of="times the cost"),
        Row(benchmark="ingest", case="pyarrow's parse alone", ours=1e3 * cost["pyarrow"], unit="ms a file", peer=1e3 * cost["read"],
            against="plain read", ratio=times("pyarrow", "read"), ratio_of="times the cost"),
        Row(benchmark="ingest", case="the same folder again", ours=1e3 * cost["again"], unit="ms a file", peer=1e3 * cost["import"],
            against="first import", ratio=times("import", "again"), ratio_of="times cheaper"),
        *([Row(benchmark="ingest", case=f"{WHOLE:,} such files, extrapolated", ours=WHOLE * cost["import"], unit="s of CPU", against="-")]
          if whole is None else _whole_rows(whole)),
    ]


def _whole_rows(whole: dict[str, float]) -> list[Row]:
    case, reads = f"{WHOLE:,} such files, run once", whole["import"] / whole["read"]
    return [
        Row(benchmark="ingest", case=case, ours=whole["import"], unit=f"s of CPU ({whole['wall']:.3g} s on the clock)", peer=whole["read"],
            against="plain read", ratio=reads, ratio_of="times the cost", target=f"at most {MOST_READS:.0f} times a plain read",
            met=reads <= MOST_READS),
        Row(benchmark="ingest", case=f"{case}, and again", ours=whole["again"], unit="s of CPU", peer=whole["import"], against="first import",
            ratio=whole["import"] / whole["again"], ratio_of="times cheaper"),
    ]


def _whole(files: list[Path], folder: Path) -> dict[str, float]:
    """Seconds for as many files as the target names: the contents there are, under other names."""
    folder.mkdir()
    copies = [folder / f"{600_000 + number}.SH.csv" for number in range(WHOLE)]
    for number, path in enumerate(copies):
        path.write_bytes(files[number % len(files)].read_bytes())
    store = Store(folder.parent / "whole_store")
    read = _read(copies)
    clock = time.perf_counter()
    first = _cpu(lambda: import_paths(store, [folder]))
    clock = time.perf_counter() - clock
    return {"read": statistics.median([read, _read(copies)]), "import": first, "wall": clock, "again": _cpu(lambda: import_paths(store, [folder]))}


def _turn(files: list[Path], folder: Path, fresh: itertools.chain | object, first: Store) -> dict[str, float]:
    store: Store = next(fresh)  # type: ignore[call-overload]
    plain = pyarrow.csv.ReadOptions(use_threads=False)
    return {
        "read": _read(files),
        "pandas": _cpu(lambda: [len(pd.read_csv(path)) for path in files]),
        "pyarrow": _cpu(lambda: [pyarrow.csv.read_csv(path, plain).num_rows for path in files]),
        "import": _cpu(lambda: import_paths(store, [folder])),
        "again": _cpu(lambda: import_paths(first, [folder])),
    }


def _read(files: list[Path]) -> float:
    """Seconds of processor time to read the bytes of all files into the same memory; fresh memory would cost as much again, now and then."""
    block = bytearray(max(path.stat().st_size for path in files))

    def once() -> None:
        for path in files:
            with path.open("rb", buffering=0) as stream:
                stream.readinto(block)

    return statistics.median(_cpu(once) for _ in range(READS))


def _cpu(function: Callable[[], object]) -> float:
    """Seconds of processor time: a busy machine does not decide."""
    start = time.process_time()
    function()
    return time.process_time() - start


def _write(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    random, days = np.random.default_rng(0), sessions("XSHG")[-ROWS:]
    for number in range(count):
        close = np.round(20 * np.exp(np.clip(np.cumsum(random.normal(0, 0.015, ROWS)), -2, 2)), 2)
        opened = np.round(close * (1 + random.normal(0, 0.005, ROWS)), 2)
        high, low = np.round(np.maximum(opened, close) + 0.02, 2), np.round(np.minimum(opened, close) - 0.02, 2)
        volume = random.integers(100_000, 10_000_000, ROWS)
        table = pd.DataFrame({"date": days, "open": opened, "high": high, "low": low, "close": close, "volume": volume})
        table.to_csv(folder / f"{600_000 + number}.SH.csv", index=False)
    return sorted(folder.glob("*.csv"))
