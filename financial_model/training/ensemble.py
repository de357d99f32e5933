"""Several trainings from different seeds in one run, and the checkpoint that averages them.

In: what ``trainer.train`` takes, with ``seeds`` above one. Out: ``members/01`` .. with one checkpoint each, and ``final.safetensors`` of the run,
which holds them all; what turns its forecasts into quantiles is measured on the averaged validation forecasts. A member is an ordinary training
at its own seed (the first at the run's own, so it is the plain model); a finished one is never trained again. It knows no job and no page.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from financial_model import runtime
from financial_model.config import RunConfig, spec
from financial_model.errors import CheckpointError, Stopped
from financial_model.models.ensemble import Ensemble
from financial_model.objectives import objective
from financial_model.paths import atomic_write
from financial_model.training.checkpoint import load_checkpoint, read_header, save_checkpoint
from financial_model.training.description import describe
from financial_model.training.determinism import deterministic
from financial_model.training.events import EventLog, Part
from financial_model.training.finetune import open_start, prepared_from
from financial_model.training.plain import plain
from financial_model.training.progress import Progress
from financial_model.training.resume import identity
from financial_model.training.trainer import TrainResult, train
from financial_model.training.validation import evaluate, validation_loader

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.training.session import Score

logger = logging.getLogger(__name__)

FOLDER, FACTS = "members", "member.json"
_KEPT = ("final.safetensors", FACTS)
"""What stays of a finished member."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A finished training of one seed."""

    seed: int
    step: int
    best_epoch: float
    early: bool
    seconds: float
    baselines: dict[str, float]


def member_config(config: RunConfig, number: int) -> RunConfig:
    """The settings of member ``number`` (from 0): those of the run at the seed that is so many further."""
    seed = (config.training.seed + number) % (int(spec("seed").high or 0) + 1)
    return replace(config, training=replace(config.training, seed=seed, seeds=1))


def member_folder(run_dir: Path, number: int) -> Path:
    return run_dir / FOLDER / f"{number + 1:02d}"


def train_ensemble(config: RunConfig, panel: Panel, run_dir: Path, *, stop: threading.Event | None, events: EventLog, score: Score | None,
                   resume: bool, base: Path | None = None) -> TrainResult:
    """Train every member that is not finished yet; the result of all together. Arguments and errors as of ``trainer.train``.

    While it lasts, ``last.safetensors`` averages the members finished so far; after a stop ``stopped.safetensors`` does, or holds what the
    first one had learned. ``CheckpointError`` when a finished member belongs to other settings or other data.
    """
    if not resume:
        shutil.rmtree(run_dir / FOLDER, ignore_errors=True)
    count, step, members = config.training.seeds, 0, list[Member]()
    last, final = run_dir / "last.safetensors", run_dir / "final.safetensors"
    averaging = _Averaging(config, panel, run_dir, stop=stop, events=events, score=score, base=base)
    try:
        for number in range(count):
            own, folder = member_config(config, number), member_folder(run_dir, number)
            member = _finished(folder, identity(own, panel.fingerprint))
            if member is None:
                logger.info("member %d of %d, seed %d", number + 1, count, own.training.seed)
                log = Part(events, first_step=step, first_epoch=0, left=count - number, member=number + 1, members=count)
                log.append("stage", stage="member")
                result = train(own, panel, folder, stop=stop, events=log, score=score, resume=resume, base=base)
                if result.state == "stopped":
                    raise Stopped
                member = Member(seed=own.training.seed, step=result.step, best_epoch=result.best_epoch, early=result.early,
                                seconds=result.seconds, baselines=result.baselines)
                if number + 1 < count:
                    averaging.write(last, [*members, member], step + member.step)
                _keep(folder, member, identity(own, panel.fingerprint))
            members.append(member)
            step += member.step + 1  # one step is left free: a member resumed from its very beginning erases nothing before it
        loss = averaging.write(final, members, step - 1)
    except Stopped:
        return _stopped(run_dir, member_folder(run_dir, len(members)), members, events)
    last.unlink(missing_ok=True)
    return _result("finished", final, members, loss)


class _Averaging:
    """Makes one checkpoint of the members there are, as often as asked."""

    def __init__(self, config: RunConfig, panel: Panel, run_dir: Path, *, stop: threading.Event | None, events: EventLog,
                 score: Score | None, base: Path | None) -> None:
        self.config, self.panel, self.run_dir, self.stop, self.events, self.score = config, panel, run_dir, stop, events, score
        self.start = open_start(config, base)
        self.device, self.objective = runtime.device(config.training.device), objective(config.objective(), config)

    def write(self, path: Path, members: Sequence[Member], step: int) -> float:
        """Average ``members``, measure that on the validation part, write ``path``; the validation loss. ``Stopped`` on stop."""
        paths = [member_folder(self.run_dir, number) / "final.safetensors" for number in range(len(members))]
        headers = [read_header(member) for member in paths]
        if len(members) == 1:  # an average of one is that one
            atomic_write(path, paths[0].read_bytes())
            return float(headers[0]["validation"]["loss"])
        began = time.monotonic()
        prepared = prepared_from(self.start, self.config, self.panel)
        model = Ensemble([load_checkpoint(member)[0] for member in paths], _scale(headers, self.config.label.horizon)).to(self.device)
        with deterministic(self.device):
            found = evaluate(model, validation_loader(self.config, self.panel, prepared, self.device), self.objective, self.config,
                             prepared.label_scale, self.stop)
        metrics = plain({"loss": found.loss, **(self.score(found.prediction, self.panel) if self.score is not None else {})})
        total = sum(member.step for member in members)
        progress = Progress(step=total, best_step=total, best_epoch=sum(member.best_epoch for member in members) / len(members),
                            baselines=members[0].baselines, validation=metrics, extras=plain(found.extras))
        scores = [_own_score(member, header) for member, header in zip(members, headers, strict=True)]
        header = describe(self.config, self.panel, prepared, progress, start=self.start)
        save_checkpoint(path, model, {**header, "members": len(members), "member_scores": scores})
        self.events.append("ensemble", step=step, members=len(members), split="validation", metrics=metrics)
        self.events.append("checkpoint", step=step, name=path.name)
        logger.info("%d members together: validation loss %.5f (alone %s), %.0f s", len(members), found.loss,
                    ", ".join(f"{entry['loss']:.5f}" for entry in scores), time.monotonic() - began)
        return found.loss


def _own_score(member: Member, header: dict[str, Any]) -> dict[str, Any]:
    """What a member is worth alone, on the validation part."""
    figures = {name: value for name, value in header["validation"].items() if name != "baselines"}
    return {"seed": member.seed, "step": member.step, "best_epoch": member.best_epoch, **figures}


def _scale(headers: Sequence[dict[str, Any]], horizon: int) -> torch.Tensor:
    """[N, H] what brings the members' points to one size; ones where their size means something already."""
    return torch.tensor([header["extras"].get("scale") or [1.0] * horizon for header in headers])


# ---------------------------------------------------------------- what is on disk
def _finished(folder: Path, known: dict[str, str]) -> Member | None:
    """The member in ``folder``, or None when it is not finished. ``CheckpointError`` when it is another's."""
    path = folder / FACTS
    if not (path.is_file() and (folder / "final.safetensors").is_file()):
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
        found, member = content["identity"], Member(**content["member"])
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError("training.resume_corrupt", path=str(path)) from error
    different = [name for name in known if found.get(name) != known[name]]
    if different:
        raise CheckpointError("training.resume_other_run", path=str(path), difference=", ".join(different))
    return member


def _keep(folder: Path, member: Member, known: dict[str, str]) -> None:
    """Note that a member is finished, and drop what only its training needed."""
    atomic_write(folder / FACTS, json.dumps({"identity": known, "member": asdict(member)}))
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in _KEPT:
            path.unlink()


def _stopped(run_dir: Path, current: Path, members: Sequence[Member], events: EventLog) -> TrainResult:
    """What there is to forecast with: the members that are finished, else what the first one had learned."""
    sources = (run_dir / "last.safetensors", current / "stopped.safetensors", member_folder(run_dir, 0) / "final.safetensors")
    target = run_dir / "stopped.safetensors"
    atomic_write(target, next(source for source in sources if source.is_file()).read_bytes())
    events.append("checkpoint", name=target.name)
    return _result("stopped", target, members, None)


def _result(state: str, path: Path, members: Sequence[Member], loss: float | None) -> TrainResult:
    """``step``: the last one on the time line of all members."""
    step = max(0, sum(member.step + 1 for member in members) - 1)
    return TrainResult(
        state=state, checkpoint=path, step=step, best_step=step, best_epoch=sum(member.best_epoch for member in members) / max(1, len(members)),
        best_loss=loss, early=bool(members) and all(member.early for member in members), seconds=sum(member.seconds for member in members),
        baselines=members[0].baselines if members else {})
