"""Which inputs a run's forecasts live on: every group of features, and the conditions, swapped among the stocks of a date, on validation dates.

In: a run. Out: rows of ``evaluation.importance`` kept as ``importance.json`` of the run, and shown in its report.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from financial_model.errors import DataError
from financial_model.paths import Workspace, atomic_write
from financial_model.serving.runs import RunInfo, RunStore

logger = logging.getLogger(__name__)

FILE = "importance.json"
CONDITION = "condition"
"""Name of the industry, style and regime together."""
MOST = 60_000
"""Windows that are forecast at most, whole dates evenly spread; each group costs as much again."""


def importance_run(workspace: Workspace, run_id: str, *, progress: Callable[..., None] | None = None,
                   stop: threading.Event | None = None) -> dict[str, Any]:
    """The importance of each input group of a run (of a walk-forward run, of its last model). ``DataError`` without validation windows."""
    from financial_model.evaluation import importance, significance
    from financial_model.evaluation.sample import build_sample
    from financial_model.serving.experiment import current_panel
    from financial_model.serving.forecaster import Borrowed
    from financial_model.serving.judging import refresh_report
    from financial_model.serving.pieces import pieces

    runs = RunStore(workspace.checkpoint_dir)
    run = runs.get(run_id)
    panel = current_panel(workspace, run, progress=progress, stop=stop)
    piece = pieces(runs.checkpoint(run.id), panel)[-1]
    config = piece.config
    if not len(piece.validation):
        raise DataError("serving.no_validation_windows", run=run.id)
    sample = build_sample(_thinned(piece.validation, panel.time), panel, config.label, config.label.horizon)
    groups = input_groups(piece.model.features, config.model.condition != "none")
    lenders = sample.end[importance.partners(sample.day)]

    def score(place: int, borrowed: Borrowed | None) -> np.ndarray:
        def tell(done: int, total: int) -> None:
            if progress is not None:
                progress("importance", place + done / max(total, 1), len(groups) + 1)
        return piece.model.predict_panel(panel, sample.end, borrowed=borrowed, stop=stop, progress=tell).expected[:, -1].astype(np.float64)

    whole = score(0, None)
    swapped = {name: score(place, Borrowed(lenders, columns)) for place, (name, columns) in enumerate(groups.items(), start=1)}
    overlap = significance.signal_overlap(sample.symbol, sample.day, whole, config.features.context_length)
    found = importance.group_importance(whole, swapped, sample.actual[:, -1], sample.day,
                                        block=significance.block_length(sample.horizon, overlap, sample.days))
    found |= {"run": run.id, "first": piece.split["validation"]["first"], "last": piece.split["validation"]["last"], "windows": len(sample.end)}
    atomic_write(run.path / FILE, json.dumps(found))
    refresh_report(run, runs)
    return found


def input_groups(features: tuple[str, ...], conditioned: bool) -> dict[str, tuple[int, ...] | None]:
    """Group -> its columns among ``features``; ``condition`` -> None where the model reads conditions."""
    from financial_model.features import registry

    found: dict[str, tuple[int, ...] | None] = {}
    for column, name in enumerate(features):
        group = registry.get(name).group
        found[group] = (*(found.get(group) or ()), column)
    return {**found, **({CONDITION: None} if conditioned else {})}


def importance_of(run: RunInfo) -> dict[str, Any] | None:
    """What :func:`importance_run` kept; None where nothing was measured."""
    try:
        return json.loads((run.path / FILE).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        logger.warning("%s is damaged", run.path / FILE)
        return None


def _thinned(ends: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Whole dates of ``ends``, evenly spread, so that about ``MOST`` windows remain."""
    step = -(-len(ends) // MOST)
    dates = np.unique(time[ends])[::step]
    return ends[np.isin(time[ends], dates)]
