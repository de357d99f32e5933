"""Import of a folder of CSV files, in CPU time: beside two plain reads of the bytes, and beside pandas and pyarrow, which only parse.

The cheapest read goes into one block of memory, again and again; the usual one, ``read_bytes``, makes an object of every file.

An import also recognises headers and units, checks every row, writes a file of its own per symbol with fsync, and keeps its database.
"""

from __future__ import annotations

import itertools
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
_READS = {"object": "read_bytes of each file", "read": "the cheapest read"}


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
    cost = {key: min(turn[key] for turn in turns) / count for key in turns[0]}
    case = f"{count} files of {ROWS:,} rows"
    method = (f"CPU time (user and system) a file, the least of {TURNS} turns taken side by side in one process, page cache warm; reads: the least "
              f"of {READS} passes of a turn. read_bytes makes an object of each file, the cheapest read goes into one block of memory")

    def times(key: str, against: str) -> float:
        return cost[key] / cost[against]

    return [
        _beside(case, "ms a file", 1e3, cost, "object", method),
        _beside(case, "ms a file", 1e3, cost, "read"),
        Row(benchmark="ingest", case=case, ours=1e3 * cost["import"], unit="ms a file", peer=1e3 * cost["pandas"], against="pandas.read_csv",
            ratio=times("import", "pandas"), ratio_of="times the cost"),
        Row(benchmark="ingest", case=case, ours=1e3 * cost["import"], unit="ms a file", peer=1e3 * cost["pyarrow"], against="pyarrow read_csv",
            ratio=times("import", "pyarrow"), ratio_of="times the cost"),
        Row(benchmark="ingest", case="pyarrow's parse alone", ours=1e3 * cost["pyarrow"], unit="ms a file", peer=1e3 * cost["read"],
            against=_READS["read"], ratio=times("pyarrow", "read"), ratio_of="times the cost"),
        Row(benchmark="ingest", case="the same folder again", ours=1e3 * cost["again"], unit="ms a file", peer=1e3 * cost["import"],
            against="first import", ratio=times("import", "again"), ratio_of="times cheaper"),
        *([Row(benchmark="ingest", case=f"{WHOLE:,} such files, extrapolated", ours=WHOLE * cost["import"], unit="s of CPU", against="-")]
          if whole is None else _whole_rows(whole)),
    ]


def _whole_rows(whole: dict[str, float]) -> list[Row]:
    case, unit = f"{WHOLE:,} such files, run once", f"s of CPU ({whole['wall']:.3g} s on the clock)"
    return [
        _beside(case, unit, 1.0, whole, "object"),
        _beside(case, unit, 1.0, whole, "read"),
        Row(benchmark="ingest", case=f"{case}, and again", ours=whole["again"], unit="s of CPU", peer=whole["import"], against="first import",
            ratio=whole["import"] / whole["again"], ratio_of="times cheaper"),
    ]


def _beside(case: str, unit: str, scale: float, cost: dict[str, float], key: str, method: str = "") -> Row:
    """The import beside one of the two reads."""
    times = cost["import"] / cost[key]
    return Row(benchmark="ingest", case=case, ours=scale * cost["import"], unit=unit, peer=scale * cost[key], against=_READS[key], ratio=times,
               ratio_of="times the cost", target=f"at most {MOST_READS:.0f} times a plain read", met=times <= MOST_READS, method=method)


def _whole(files: list[Path], folder: Path) -> dict[str, float]:
    """Seconds for as many files as the target names: the contents there are, under other names."""
    folder.mkdir()
    copies = [folder / f"{600_000 + number}.SH.csv" for number in range(WHOLE)]
    for number, path in enumerate(copies):
        path.write_bytes(files[number % len(files)].read_bytes())
    store = Store(folder.parent / "whole_store")
    before = _reads(copies)
    clock = time.perf_counter()
    first = _cpu(lambda: import_paths(store, [folder]))
    clock = time.perf_counter() - clock
    again = _cpu(lambda: import_paths(store, [folder]))
    after = _reads(copies)
    return {**{key: min(before[key], after[key]) for key in before}, "import": first, "wall": clock, "again": again}


def _turn(files: list[Path], folder: Path, fresh: itertools.chain | object, first: Store) -> dict[str, float]:
    store: Store = next(fresh)  # type: ignore[call-overload]
    plain = pyarrow.csv.ReadOptions(use_threads=False)
    return {
        **_reads(files),
        "pandas": _cpu(lambda: [len(pd.read_csv(path)) for path in files]),
        "pyarrow": _cpu(lambda: [pyarrow.csv.read_csv(path, plain).num_rows for path in files]),
        "import": _cpu(lambda: import_paths(store, [folder])),
        "again": _cpu(lambda: import_paths(first, [folder])),
    }


def _reads(files: list[Path]) -> dict[str, float]:
    """Seconds of processor time to read the bytes of all files, an object each and into the same memory."""
    block = bytearray(max(path.stat().st_size for path in files))

    def object_each() -> None:
        for path in files:
            path.read_bytes()

    def same_block() -> None:
        for path in files:
            with path.open("rb", buffering=0) as stream:
                stream.readinto(block)

    return {"object": min(_cpu(object_each) for _ in range(READS)), "read": min(_cpu(same_block) for _ in range(READS))}


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
