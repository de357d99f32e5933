"""Import of a folder of CSV files, in CPU time: beside two plain reads of the bytes, and beside pandas and pyarrow, which only parse.

The cheapest read goes into one block of memory, again and again; the usual one, ``read_bytes``, makes an object of every file.

An import also recognises headers and units, checks every row, writes a file of its own per symbol with fsync, and keeps its database. What it
writes lies in the system's cache afterwards, in memory that a read does not need.
"""

from __future__ import annotations

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
TURNS, WHOLE_TURNS = 5, 3
_READS = {"object": "read_bytes of each file", "read": "the cheapest read"}
_METHOD = ("CPU time (user and system) a file, page cache warm, all in one process. Every file is written in one piece. A turn is one pass of each "
           "read, one import into a new store, and one again; the least of {turns} turns of each, for 3,500 files of {whole}. read_bytes makes an "
           "object of each file, the cheapest read goes into one block of memory")


def run(quick: bool) -> list[Row]:
    count = 60 if quick else 400
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = _write(folder / "in", count)
        turns = [_turn(files, folder / f"store{number}", peers=True) for number in range(TURNS)]
        whole = None if quick else _whole(files, folder / "whole")
    cost = {key: min(turn[key] for turn in turns) / count for key in turns[0]}
    case = f"{count} files of {ROWS:,} rows"
    method = _METHOD.format(turns=TURNS, whole=WHOLE_TURNS)

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


def _whole_rows(turns: list[dict[str, float]]) -> list[Row]:
    least = {key: min(turn[key] for turn in turns) for key in turns[0]}
    case, unit = f"{WHOLE:,} such files", "s of CPU ({:.3g} s on the clock)"
    return [
        _beside(case, unit.format(least["wall"]), 1.0, least, "object"),
        _beside(case, unit.format(least["wall"]), 1.0, least, "read"),
        Row(benchmark="ingest", case=f"{case}, and again", ours=least["again"], unit="s of CPU", peer=least["import"], against="first import",
            ratio=least["import"] / least["again"], ratio_of="times cheaper"),
    ]


def _beside(case: str, unit: str, scale: float, cost: dict[str, float], key: str, method: str = "") -> Row:
    """The import beside one of the two reads."""
    times = cost["import"] / cost[key]
    return Row(benchmark="ingest", case=case, ours=scale * cost["import"], unit=unit, peer=scale * cost[key], against=_READS[key], ratio=times,
               ratio_of="times the cost", target=f"at most {MOST_READS:.0f} times a plain read", met=times <= MOST_READS, method=method)


def _whole(files: list[Path], folder: Path) -> list[dict[str, float]]:
    """Turns over as many files as the target names: the contents there are, under other names."""
    folder.mkdir()
    copies = [folder / f"{600_000 + number}.SH.csv" for number in range(WHOLE)]
    for number, path in enumerate(copies):
        path.write_bytes(files[number % len(files)].read_bytes())
    return [_turn(copies, folder.parent / f"whole_store{number}") for number in range(WHOLE_TURNS)]


def _turn(files: list[Path], target: Path, *, peers: bool = False) -> dict[str, float]:
    """Seconds of processor time for all files: reads, perhaps the peers, an import into ``target`` and the same again. ``wall``: of the import."""
    store, folder = Store(target), files[0].parent
    cost = _reads(files)
    if peers:
        plain = pyarrow.csv.ReadOptions(use_threads=False)
        cost["pandas"] = _cpu(lambda: [len(pd.read_csv(path)) for path in files])
        cost["pyarrow"] = _cpu(lambda: [pyarrow.csv.read_csv(path, plain).num_rows for path in files])
    clock = time.perf_counter()
    cost["import"] = _cpu(lambda: import_paths(store, [folder]))
    cost["wall"] = time.perf_counter() - clock
    cost["again"] = _cpu(lambda: import_paths(store, [folder]))
    return cost


def _reads(files: list[Path]) -> dict[str, float]:
    """One pass each over the bytes of all files: an object for each, and into the same memory."""
    block = bytearray(max(path.stat().st_size for path in files))

    def object_each() -> None:
        for path in files:
            path.read_bytes()

    def same_block() -> None:
        for path in files:
            with path.open("rb", buffering=0) as stream:
                stream.readinto(block)

    return {"object": _cpu(object_each), "read": _cpu(same_block)}


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
        (folder / f"{600_000 + number}.SH.csv").write_bytes(table.to_csv(index=False).encode())  # at once: many small writes make it dearer to read
    return sorted(folder.glob("*.csv"))
