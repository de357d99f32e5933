"""A run that trains anew before each piece of its test part, and is judged on all pieces together.

In: a run whose settings ask for walk-forward, its panel. Out: ``folds/01`` .. with one checkpoint each, ``out_of_sample.npz`` with the stitched
forecasts, and their figures. A fold is an ordinary training at explicit dates; a finished one is never trained again. The last fold, which has
seen the most, is the model that forecasts.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from financial_model.config import RunConfig, SplitConfig
from financial_model.datasets.splits import Split, iso, seconds, walk_forward
from financial_model.errors import CheckpointError, DataError, Stopped
from financial_model.paths import atomic_write
from financial_model.training.events import EventLog

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.prediction import Prediction
    from financial_model.serving.forecaster import LoadedForecaster

logger = logging.getLogger(__name__)

FOLDER, FACTS, STITCHED = "folds", "fold.json", "out_of_sample.npz"
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
                score: Callable[..., dict[str, Any]], resume: bool) -> Path:
    """Train every fold that is not finished yet; the last one's checkpoint, as ``final.safetensors`` of the run.

    Raises ``Stopped`` on ``stop``: what the fold had learned is then ``stopped.safetensors`` of the run. ``CheckpointError`` when finished folds
    were trained on other data.
    """
    splits = walk_forward(panel.time, config.split, config.label.horizon, config.label.entry)
    step = 0
    for number, split in enumerate(splits):
        folder = fold_folder(run_dir, number)
        facts = _facts(folder)
        if facts is None:
            log = FoldEvents(events, fold=number, folds=len(splits), first_step=step, first_epoch=number * config.training.epochs)
            facts = _train_fold(fold_config(config, split), split, panel, folder, log, stop=stop, score=score, resume=resume)
        elif facts["fingerprint"] != panel.fingerprint:
            raise CheckpointError("serving.fold_other_data", fold=number + 1, folds=len(splits))
        step += int(facts["steps"]) + 1  # one step is left free: a fold resumed from its very beginning erases nothing before it
    final = run_dir / "final.safetensors"
    atomic_write(final, (fold_folder(run_dir, len(splits) - 1) / "final.safetensors").read_bytes())
    return final


def _train_fold(config: RunConfig, split: Split, panel: Panel, folder: Path, events: FoldEvents, *, stop: threading.Event,
                score: Callable[..., dict[str, Any]], resume: bool) -> dict[str, Any]:
    from financial_model.training.checkpoint import update_header
    from financial_model.training.trainer import train

    logger.info("fold %d of %d: trained to %s, tested from %s to %s", events.fold + 1, events.folds, iso(split.train[1]), iso(split.test[0]),
                iso(split.test[1]))
    folder.mkdir(parents=True, exist_ok=True)
    result = train(config, panel, folder, stop=stop, events=events, score=score, resume=resume)
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


def _facts(folder: Path) -> dict[str, Any] | None:
    """What is known of a finished fold; None for one that is not."""
    path = folder / FACTS
    return json.loads(path.read_text("utf-8")) if path.is_file() and (folder / "final.safetensors").is_file() else None


class FoldEvents(EventLog):
    """The events of one fold on the time line of the run: steps and epochs go on where the fold before ended."""

    def __init__(self, events: EventLog, *, fold: int, folds: int, first_step: int, first_epoch: float) -> None:
        super().__init__(events.path)
        self._events, self.fold, self.folds, self._step, self._epoch = events, fold, folds, first_step, first_epoch

    def append(self, kind: str, **fields: Any) -> None:
        for name, begin in (("step", self._step), ("epoch", self._epoch)):
            if name in fields:
                fields[name] += begin
        if kind == "run":  # the folds to come will be about as long
            fields["steps"] = self._step + fields["steps"] * (self.folds - self.fold)
        self._events.append(kind, **fields, fold=self.fold + 1)


# ---------------------------------------------------------------- judging
def has_folds(checkpoint: Path) -> bool:
    """Whether this is the final checkpoint of a finished walk-forward run."""
    return checkpoint.stem == "final" and _facts(fold_folder(checkpoint.parent, 0)) is not None


def judge_folds(checkpoint: Path, panel: Panel, *, progress: Callable[..., None], stop: threading.Event | None = None) -> dict[str, Any]:
    """Every figure of the stitched test parts, as ``judging.judge`` gives them; ``folds``: dates and figures of each.

    Every forecast and every baseline of a piece comes from what was trained before it. The last piece runs on to the newest day of ``panel``.
    """
    from financial_model.config import BASELINES
    from financial_model.serving.forecaster import load
    from financial_model.serving.judging import baselines, judged, test_split

    run_dir = checkpoint.parent
    folders = sorted(path for path in (run_dir / FOLDER).iterdir() if _facts(path) is not None)
    models = [load(folder / "final.safetensors") for folder in folders]
    splits = [dict(model.header["split"]) for model in models[:-1]] + [test_split(models[-1].header, panel)]
    ends = [_test_ends(model, panel, split["test"]) for model, split in zip(models, splits, strict=True)]
    if not sum(map(len, ends)):
        raise DataError("serving.no_test_windows", first=splits[0]["test"]["first"], last=splits[-1]["test"]["last"])
    parts, rivals, count = [], [], len(models)
    for place, (model, asked) in enumerate(zip(models, ends, strict=True)):
        parts.append(model.predict_panel(panel, asked, stop=stop, progress=_part(progress, "evaluate", place, count)))
    for place, (model, split, asked) in enumerate(zip(models, splits, ends, strict=True)):
        report = _part(progress, "baselines", place, count)
        rivals.append(baselines(panel, model.config, _train_ends(model, panel, split["train"]), asked, names=BASELINES, stop=stop,
                                progress=lambda _, done, total, report=report: report(done, total)))
    stitched = joined(parts)
    others = {name: joined([rival[name] for rival in rivals]) for name in BASELINES}
    whole = {**splits[0], "test": {"first": splits[0]["test"]["first"], "last": splits[-1]["test"]["last"],
                                   "sessions": sum(split["test"]["sessions"] for split in splits)}}
    _save(run_dir / STITCHED, stitched, [len(part) for part in parts], panel)
    found = judged(stitched, others, panel, models[-1].config, whole, checkpoint.name)
    return {**found, "folds": [_fold_figures(split, part, panel, models[-1].config) for split, part in zip(splits, parts, strict=True)]}


def joined(parts: Sequence[Prediction]) -> Prediction:
    """Forecasts of different rows as one."""
    from financial_model.models.prediction import Prediction

    def together(arrays: list[Any]) -> Any:
        return None if any(array is None for array in arrays) else np.concatenate(arrays)

    return Prediction(end=together([part.end for part in parts]), expected=together([part.expected for part in parts]), levels=parts[0].levels,
                      quantiles=together([part.quantiles for part in parts]), probabilities=together([part.probabilities for part in parts]))


def _test_ends(model: LoadedForecaster, panel: Panel, part: dict[str, Any]) -> np.ndarray:
    """Every row of the piece, the last ones too: their outcome lies in the next piece, which no training before it has seen."""
    from financial_model.datasets.windows import window_ends

    return window_ends(panel, seconds(part["first"]), seconds(part["last"]), model.context_length, model.horizon, labelled=False)


def _train_ends(model: LoadedForecaster, panel: Panel, part: dict[str, Any]) -> np.ndarray:
    from financial_model.datasets.windows import window_ends

    return window_ends(panel, seconds(part["first"]), seconds(part["last"]), model.context_length, model.horizon, entry=model.config.label.entry)


def _fold_figures(split: dict[str, Any], part: Prediction, panel: Panel, config: RunConfig) -> dict[str, Any]:
    from financial_model.evaluation.evaluate import quick_score

    try:
        figures: dict[str, Any] = dict(quick_score(part, panel, config.label))
    except DataError as error:  # a last piece so young that no outcome is known yet
        if error.key != "evaluation.no_rows":
            raise
        figures = {}
    return {"split": split, "metrics": figures}


def _save(path: Path, stitched: Prediction, counts: Sequence[int], panel: Panel) -> None:
    """The out-of-sample forecasts by symbol and time: what a later analysis needs, without the panel."""
    def write(stream: BinaryIO) -> None:
        np.savez_compressed(
            stream, symbols=np.array(panel.symbols), symbol=panel.symbol_index(stitched.end).astype(np.int32), time=panel.time[stitched.end],
            fold=np.repeat(np.arange(1, len(counts) + 1, dtype=np.int16), counts), expected=stitched.expected)

    atomic_write(path, write)


def _part(progress: Callable[..., None], stage: str, place: int, count: int) -> Callable[[float, float], None]:
    """Progress within one fold as progress of the whole stage."""
    return lambda done, total: progress(stage, place + (done / total if total else 0.0), count)
