"""How often was it tried? The other runs whose test was opened on the same market, because the best of many is partly luck.

In: the run store and a run. Out: counts, and what their portfolios earned. It trains and judges nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from financial_model.paths import atomic_write
from financial_model.serving.runs import METRICS, RunInfo, RunStore

DATA, BACKTEST, SWEEP = "data.json", "backtest.json", "sweep.json"


def others(runs: RunStore, run: RunInfo) -> list[RunInfo]:
    """Runs other than ``run`` whose test was opened on the same kind of data: the same market index, synthetic or not."""
    own = _kind(run.path)
    return [other for other in runs.list() if other.id != run.id and (other.path / METRICS).is_file() and _kind(other.path) == own]


def count(runs: RunStore, run: RunInfo) -> int:
    """Configurations tried on these data, ``run`` included: those whose test was opened, deleted ones too, since what disappointed was tried all the
    same, and all among which a sweep chose one of them."""
    deleted = [folder for folder in runs.trash.folders() if (folder / METRICS).is_file() and _kind(folder) == _kind(run.path)]
    tested = [run.path, *(other.path for other in others(runs, run)), *deleted]
    sweeps: dict[str, int] = {}
    for known in filter(None, (_read(folder / SWEEP) for folder in tested)):
        sweeps[known["sweep"]] = max(sweeps.get(known["sweep"], 0), int(known["trials"]))
    return sum(not (folder / SWEEP).is_file() for folder in tested) + sum(sweeps.values())


def note(folder: Path, sweep: str, trials: int) -> None:
    """Remember in the folder of a run that it is one of ``trials`` of a sweep."""
    atomic_write(folder / SWEEP, json.dumps({"sweep": sweep, "trials": trials}))


def returns_by_time(found: dict[str, Any]) -> tuple[tuple[int, ...], np.ndarray]:
    """(sessions, simple net returns) of a backtest's stored curve."""
    series = found["series"]
    value = np.concatenate([[1.0], np.asarray(series["net"], np.float64)])
    return tuple(series["time"]), value[1:] / value[:-1] - 1


def read_backtest(run: RunInfo) -> dict[str, Any] | None:
    """The last stored backtest of a run; None where there is none, or a damaged one."""
    return _read(run.path / BACKTEST)


def _kind(folder: Path) -> tuple[Any, Any]:
    known = _read(folder / DATA) or {}
    return known.get("market"), known.get("synthetic")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
