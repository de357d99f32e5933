"""A run that trains anew before each piece of its test part.

In: a run whose settings ask for walk-forward, its panel. Out: ``folds/01`` .. with one checkpoint each. A fold is an ordinary training at explicit
dates; a finished one is never trained again. The last one, which has seen the most, is the model that forecasts. What all of them together are
worth is judged elsewhere (``pieces.py``, ``judging.py``).
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.config import RunConfig, SplitConfig
from financial_model.datasets.splits import Split, iso, walk_forward
from financial_model.errors import CheckpointError, Stopped
from financial_model.paths import atomic_write
from financial_model.training.events import EventLog, Part

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel

logger = logging.getLogger(__name__)

FOLDER, FACTS = "folds", "fold.json"
_KEPT = ("final.safetensors", FACTS)
"""What stays of a finished fold."""


def wanted(config: RunConfig) -> bool:
    return config.split.walk_forward != "none"


def fold_config(config: RunConfig, split: Split) -> RunConfig:
    """The settings of one fold: those of the run at the fold's own dates."""
    dates = SplitConfig(train_start=iso(split.train[0]), train_end=iso(split.train[1]), validation_end=iso(split.validation[1]),
                        embargo=config.split.embargo)
    return replace(config, split=dates)


# ---------------------------------------------------------------- training
def train_folds(config: RunConfig, panel: Panel, run_dir: Path, *, events: EventLog, stop: threading.Event,
                score: Callable[..., dict[str, Any]], resume: bool, base: Path | None = None) -> Path:
    """Train every fold that is not finished yet, each from ``base``; the last one's checkpoint, as ``final.safetensors`` of the run.

    Raises ``Stopped`` on ``stop``: what the fold had learned is then ``stopped.safetensors`` of the run. ``CheckpointError`` when finished folds
    were trained on other data.
    """
    splits = walk_forward(panel.time, config.split, config.label.horizon, config.label.entry)
    step = 0
    for number, split in enumerate(splits):
        folder = fold_folder(run_dir, number)
        facts = _facts(folder)
        if facts is None:
            logger.info("fold %d of %d: trained to %s, tested from %s to %s", number + 1, len(splits), iso(split.train[1]), iso(split.test[0]),
                        iso(split.test[1]))
            log = Part(events, first_step=step, first_epoch=number * config.training.epochs, left=len(splits) - number, fold=number + 1)
            facts = _train_fold(fold_config(config, split), split, panel, folder, log, stop=stop, score=score, resume=resume, base=base)
        elif facts["fingerprint"] != panel.fingerprint:
            raise CheckpointError("serving.fold_other_data", fold=number + 1, folds=len(splits))
        step += int(facts["steps"]) + 1  # one step is left free: a fold resumed from its very beginning erases nothing before it
    final = run_dir / "final.safetensors"
    atomic_write(final, (fold_folder(run_dir, len(splits) - 1) / "final.safetensors").read_bytes())
    return final


def _train_fold(config: RunConfig, split: Split, panel: Panel, folder: Path, events: EventLog, *, stop: threading.Event,
                score: Callable[..., dict[str, Any]], resume: bool, base: Path | None) -> dict[str, Any]:
    from financial_model.training.checkpoint import update_header
    from financial_model.training.trainer import train

    folder.mkdir(parents=True, exist_ok=True)
    result = train(config, panel, folder, stop=stop, events=events, score=score, resume=resume, base=base)
    if result.state == "stopped":
        atomic_write(folder.parent.parent / "stopped.safetensors", result.checkpoint.read_bytes())
        raise Stopped
    update_header(result.checkpoint, {"split": split.describe()})  # the test of a fold ends where the next one begins
    facts = {"split": split.describe(), "steps": result.step, "fingerprint": panel.fingerprint}
    atomic_write(folder / FACTS, json.dumps(facts))
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in _KEPT:
            path.unlink()
    return facts


def fold_folder(run_dir: Path, number: int) -> Path:
    return run_dir / FOLDER / f"{number + 1:02d}"


def fold_checkpoints(checkpoint: Path) -> list[Path]:
    """The checkpoints of all folds, when ``checkpoint`` is the final one of a walk-forward run; else none."""
    if checkpoint.stem != "final":
        return []
    return [folder / "final.safetensors" for folder in sorted((checkpoint.parent / FOLDER).glob("[0-9]*")) if _facts(folder) is not None]


def _facts(folder: Path) -> dict[str, Any] | None:
    """What is known of a finished fold; None for one that is not."""
    path = folder / FACTS
    return json.loads(path.read_text("utf-8")) if path.is_file() and (folder / "final.safetensors").is_file() else None
