"""The loop: from a panel and a configuration to checkpoints, with the whole story in ``events.jsonl``.

In: configuration, panel, a run folder, a stop signal, the event log; optionally ``score``, which turns validation forecasts into metrics and
is handed in because evaluation lies to the right of this layer. Out: files and a ``TrainResult``. The test part is never read here.
It knows no job, no page and no store.
"""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from financial_model import runtime
from financial_model.config import RunConfig, check
from financial_model.errors import KairosError, Stopped
from financial_model.paths import atomic_write
from financial_model.training.checkpoint import read_header
from financial_model.training.determinism import deterministic
from financial_model.training.events import EventLog
from financial_model.training.pretrain import PretrainSession
from financial_model.training.processes import ALONE, Processes, pass_on, refuse
from financial_model.training.resume import identity, load_resume
from financial_model.training.session import Score, Session
from financial_model.training.step import NotFiniteError, is_out_of_memory

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """How a training ended."""

    state: str
    """finished or stopped."""
    checkpoint: Path
    """final.safetensors, or stopped.safetensors."""
    step: int
    """Optimiser steps done."""
    best_step: int
    best_epoch: float
    best_loss: float | None
    """Lowest validation loss; None when the run was stopped before its first evaluation."""
    early: bool
    """Finished by early stopping."""
    seconds: float
    """Time spent, over all sessions of the run."""
    baselines: dict[str, float]
    """Validation loss of the constant forecasts."""


def train(config: RunConfig, panel: Panel, run_dir: Path, *, stop: threading.Event | None = None, events: EventLog,
          score: Score | None = None, resume: bool = False, base: Path | None = None, processes: Processes = ALONE) -> TrainResult:
    """Train a forecaster; on a CPU equal arguments give equal weights, bit for bit, also across kills and resumes.

    ``stop`` is looked at in every step. ``score(prediction, panel)`` gives validation metrics for the curve. ``resume`` goes on from the
    run's resume point, or from the beginning where there is none yet. ``base``: the checkpoint to start from (``config.transfer``). Writes
    best, last, epoch<N>, final or stopped ``.safetensors`` and ``resume/``. Raises ``ConfigError``, ``DataError``, ``StorageError``,
    ``CheckpointError`` (a resume point that does not belong here, a base that does not fit), and ``KairosError`` when the loss is not a number or
    memory runs out. With ``seeds`` above one the result is an ensemble (``ensemble.py``). ``processes``: the others that call this at the same
    time with the same arguments (``distributed.py``); only the first one writes.
    """
    check(config)
    run_dir = Path(run_dir)
    if processes.several:
        refuse(config)
    if config.training.seeds > 1:
        from financial_model.training.ensemble import train_ensemble

        return train_ensemble(config, panel, run_dir, stop=stop, events=events, score=score, resume=resume, base=base)
    events.append("stage", stage="split")
    session = point = None
    try:
        point = load_resume(run_dir, identity(config, panel.fingerprint)) if resume and processes.leads else None
        point = processes.share_point(point)
        kind = PretrainSession if config.transfer.method == "pretrain" else Session
        session = kind(config, panel, run_dir, stop=stop, events=events, score=score, point=point, base=base, processes=processes)
        if resume:
            events.append("resume", **({"step": -1} if point is None else {"step": point.facts["progress"]["step"], "saved": point.facts["saved"]}))
        with deterministic(session.device), runtime.float32_products(session.precision, session.device):
            return _run(session)
    finally:  # nothing of a run stays in memory, whatever happened
        cuda = session is not None and session.device.type == "cuda"
        session = point = None
        if cuda:
            gc.collect()  # a compiled model holds itself in circles
            torch.cuda.empty_cache()


def _run(session: Session) -> TrainResult:
    if session.point is not None:
        session.restore()
    else:
        session.announce()
        session.processes.lead(session.measure_constants)
    session.reporter.stage("train")
    try:
        state = _loop(session)
        session.save_resume_point()
    except NotFiniteError as error:
        raise _not_finite(session, error) from error
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):  # outside a batch: halving would not help
            raise KairosError("training.out_of_memory") from error
        raise
    path = Path(session.processes.lead(lambda: str(_finish(session)))) if state == "finished" else session.save("stopped")
    progress = session.progress
    return TrainResult(
        state=state, checkpoint=path, step=progress.step, best_step=progress.best_step, best_epoch=progress.best_epoch,
        best_loss=progress.best_loss, early=progress.early, seconds=progress.seconds, baselines=progress.baselines)


def _loop(session: Session) -> str:
    """All epochs from where the progress stands; finished or stopped. A stop comes between two steps or out of an evaluation, never inside a step."""
    progress = session.progress
    try:
        while not progress.finished:
            _epoch(session)
    except Stopped:
        return "stopped"
    return "finished"


def _epoch(session: Session) -> None:
    """The rest of the present epoch, unless patience ends before."""
    progress, training = session.progress, session.config.training
    _turn(session)  # what a resumed run may still have to do at the step it stands at
    session.loader.set_epoch(progress.epoch)
    session.loader.skip(progress.batch)
    for batch in session.batches():
        if progress.finished:
            return
        if session.learn(batch):
            _turn(session)
    if progress.finished:
        return
    progress.epoch, progress.batch = progress.epoch + 1, 0
    progress.finished = progress.epoch >= training.epochs
    if training.save_every and progress.epoch % training.save_every == 0:
        session.save(f"epoch{progress.epoch}")
    session.save_resume_point()


def _turn(session: Session) -> None:
    """What may be due between two steps: a stop, an evaluation, a point of the curve, a resume point."""
    stop, point, save, warnings = session.due()
    if warnings:
        pass_on(session.processes, session.reporter.events)
    if stop:
        raise Stopped
    if session.evaluation_due():
        session.evaluate()
    elif point:
        session.write_point()
    if save:
        session.save_resume_point()


def _finish(session: Session) -> Path:
    """The best weights, with the extras measured beside them on the validation part, under the name that forecasts are made with."""
    best, final = session.run_dir / "best.safetensors", session.run_dir / "final.safetensors"
    read_header(best)  # a damaged file must not become the final one
    atomic_write(final, best.read_bytes())
    session.reporter.checkpoint(session.progress.best_step, final.name)
    return final


def _not_finite(session: Session, error: NotFiniteError) -> KairosError:
    """The sentence that says where; the weights of before are kept where they are still good."""
    progress = session.progress
    key = "training.validation_not_finite" if str(error) == "validation" else "training.not_finite"
    if session.weights_are_finite():
        session.save("last")
    return KairosError(key, epoch=progress.epoch + 1, step=progress.step + (key == "training.not_finite"),
                       learning_rate=f"{session.schedule.learning_rate(progress.step):.3g}")
