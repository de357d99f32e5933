"""A sweep: many runs with other settings, compared on the validation part; then the best one's test is opened, once.

In: settings, a search space, a number of trials. Out: a folder under ``sweeps`` of the checkpoint folder: what was asked, Optuna's journal, and the
table of trials. A trial is an ordinary run whose test stays closed; it can be stopped, goes on where it was, and is given up when it is behind the
others. Processes on several machines that see the folder may work on one sweep at once. How many were tried is noted in the best run before its test
is opened, so every figure that is deflated by trials knows it.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model import config as settings
from financial_model.config import RunConfig
from financial_model.errors import ConfigError, DataError, KairosError, Stopped, StorageError
from financial_model.paths import Workspace, safe_name
from financial_model.serving import search, trials
from financial_model.serving.folders import Folders, keep_table, kept_table
from financial_model.serving.runs import RunInfo, RunStore
from financial_model.serving.study import Study
from financial_model.training.events import read_events

if TYPE_CHECKING:
    import optuna
    import pandas as pd

logger = logging.getLogger(__name__)

FOLDER, JOURNAL = "sweeps", "study.log"
BY = {"loss": False, "ic": True, "rank_ic": True, "icir": True, "direction": True, "mae_percent": False}
"""Validation figures a sweep may choose by -> whether larger is better."""
NAME_LENGTH = 30
"""With a trial's number behind it a run's name is still within its limit."""
MOST_TRIALS = 10_000
FATAL = frozenset({"sweep.data_changed", "serving.no_data", "runs.already_active"})
"""Errors that say nothing about the values of a trial: the sweep stops with them."""
Progress = Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What was asked."""

    id: str
    path: Path
    created: str
    by: str
    total: int
    """Trials to make."""
    prune: bool
    space: tuple[str, ...]
    config: dict[str, Any]
    """Settings all trials share, nested."""

    def axes(self) -> tuple[search.Axis, ...]:
        return search.parse(self.space, self.by)

    def study(self) -> Study:
        return Study(self.path / JOURNAL, self.axes(), largest=BY[self.by], seed=settings.from_dict(self.config).training.seed)


# ---------------------------------------------------------------- asking and finding
def begin(workspace: Workspace, config: RunConfig, space: Sequence[str], *, count: int, by: str = "loss", prune: bool = True) -> Sweep:
    """A new sweep on disk; nothing is trained yet. Everything that can be wrong is found here."""
    from financial_model.serving.experiment import check_features, require_data

    if by not in BY:
        raise ConfigError("config.not_a_choice", name="by", value=by[:40], choices=", ".join(BY))
    axes = search.parse(space, by)
    _check_count(count)
    settings.check(config)
    check_features(config)
    if config.split.walk_forward != "none" or config.training.seeds > 1 or config.transfer.method == "pretrain":
        raise ConfigError("sweep.one_model")
    require_data(workspace)
    if len(safe_name(config.name, NAME_LENGTH)) > NAME_LENGTH:
        raise ConfigError("sweep.name_too_long", name=config.name, limit=NAME_LENGTH)
    return SWEEPS.create(workspace, config.name, {"by": by, "total": count, "prune": prune, "space": [axis.text for axis in axes],
                                                  "config": settings.to_dict(config)})


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_TRIALS:
        raise ConfigError("config.out_of_range", name="trials", value=count, low=1, high=MOST_TRIALS)


def listed(workspace: Workspace) -> list[Sweep]:
    """All sweeps, newest first; one that cannot be read is named in the log."""
    return SWEEPS.listed(workspace)


def find(workspace: Workspace, name: str) -> Sweep:
    """The sweep with this id, or the newest one of this name. ``NotFoundError`` names what there is."""
    return SWEEPS.find(workspace, name)


def _read(name: str, folder: Path, asked: Mapping[str, Any]) -> Sweep:
    return Sweep(id=name, path=folder, created=asked["created"], by=asked["by"], total=asked["total"], prune=asked["prune"],
                 space=tuple(asked["space"]), config=asked["config"])


SWEEPS = Folders(folder=FOLDER, asked="sweep.json", read=_read, unknown="sweep.unknown", unreadable="sweep.unreadable")


def table_of(sweep: Sweep) -> dict[str, Any] | None:
    """The stored table; None before the first trial has begun."""
    return kept_table(sweep.path)


def frame(table: Mapping[str, Any]) -> pd.DataFrame:
    """One row per trial, for a spreadsheet."""
    import pandas as pd

    return pd.DataFrame([{"trial": row["number"], "state": row["state"], **row["values"], table["by"]: row["value"],
                          "evaluations": len(row["reports"]), "run": row["run"]} for row in table["trials"]])


def ranked(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The trials of a table, best first; behind the finished ones the others, and last those without a figure."""
    sign = -1 if BY[table["by"]] else 1
    return sorted(table["trials"], key=lambda row: (row["state"] != "complete", row["value"] is None, sign * (row["value"] or 0)))


# ---------------------------------------------------------------- working
def work(workspace: Workspace, name: str, *, count: int | None = None, progress: Progress | None = None,
         stop: threading.Event | None = None) -> dict[str, Any]:
    """Make the trials that are missing, then open the test of the best one; the table (:func:`_publish`).

    Trials this machine had begun and left go on first. ``count`` sets the number of trials anew. ``Stopped`` on ``stop``: the same call goes on.
    Where another machine still works on a trial, the test is left to whoever ends last; one that gave no sign of life for a while has failed.
    """
    from financial_model.serving.experiment import evaluate_run, require_data

    stop, progress, sweep = stop or threading.Event(), progress or _silent, find(workspace, name)
    if count is not None:
        _check_count(count)
        sweep = SWEEPS.change(workspace, sweep, lambda asked: asked.update(total=count))
    require_data(workspace)
    store, study = RunStore(workspace.checkpoint_dir), sweep.study()
    while trial := next(iter(study.left()), None) or study.next(sweep.total):
        if stop.is_set():
            raise Stopped
        study.own(trial)
        with study.beating(trial):
            _Trial(workspace, store, sweep, study, trial, stop).perform(_share_of(progress, study, sweep.total))
        _publish(store, sweep, study)
    for number in study.fail_lost():
        logger.warning("trial %d is lost: its machine gave no sign of life", number)
    table = _publish(store, sweep, study)
    if table["best"] is None:
        failed = next((row for row in table["trials"] if row["reason"]), None)
        raise ConfigError("sweep.all_failed", reason="–" if failed is None else KairosError(failed["reason"]["key"], **failed["reason"]["fields"]))
    if not table["running"]:
        best = table["trials"][table["best"]]["run"]
        trials.note(store.get(best).path, sweep.id, table["tried"])
        evaluate_run(workspace, best, progress=progress, stop=stop)
    return _publish(store, sweep, study)


def _share_of(progress: Progress, study: Study, total: int) -> Callable[[float], None]:
    """The share of one trial as progress of the whole sweep."""
    done = sum(known["state"] != "running" for known in study.trials())
    return lambda share: progress("sweep", done + share, total)


class _Trial:
    """One trial from its values to what is told about it."""

    def __init__(self, workspace: Workspace, store: RunStore, sweep: Sweep, study: Study, trial: optuna.Trial, stop: threading.Event) -> None:
        self.workspace, self.store, self.sweep, self.study, self.trial, self.stop = workspace, store, sweep, study, trial, stop

    def perform(self, progress: Callable[[float], None]) -> None:
        """``Stopped`` leaves it as it is, to be gone on with. What is wrong with its settings or its training fails this trial alone."""
        try:
            run = self._run()
            self._train(run, progress)
        except KairosError as error:
            if isinstance(error, StorageError) or error.key in FATAL:
                raise
            logger.warning("trial %d: %s", self.trial.number, error)
            if not self.study.lost(self.trial):
                self.study.fail(self.trial, error.key, error.fields)

    def _run(self) -> RunInfo:
        """Its run: a new one, or the one that was begun."""
        known = self.trial.user_attrs.get("run", "")
        if known and (self.store.root / known / "state.json").is_file():
            return self.store.info(known)
        base = settings.from_dict(self.sweep.config)
        run = self.store.create(search.configured(base, self.trial.params, f"{base.name}-t{self.trial.number:03d}"))
        trials.note(run.path, self.sweep.id, self.trial.number + 1)
        self.study.note(self.trial, run=run.id)
        _publish(self.store, self.sweep, self.study)
        return run

    def _train(self, run: RunInfo, progress: Callable[[float], None]) -> None:
        from financial_model.serving.experiment import run_training

        if run.state != "finished":
            watch = _Watch(self, run, progress)
            run = run_training(self.workspace, run.run_config(), run=run, stop=watch.ended, progress=watch, resume=(run.path / "resume").exists(),
                               test=False)
            if watch.lost:
                self.store.set_state(run.id, "stopped", "sweep.taken_for_dead", {"sweep": self.sweep.id})
                return
            if watch.hopeless:
                self.store.set_state(run.id, "stopped", "sweep.given_up", {"sweep": self.sweep.id})
                self.study.prune(self.trial)
                return
            if run.state == "stopped":
                raise Stopped
        if self.study.lost(self.trial):
            return
        self._check_data(run)
        value = _validation(run).get(self.sweep.by)
        if value is None:
            raise ConfigError("sweep.no_figure", by=self.sweep.by)
        self.study.finish(self.trial, value)

    def _check_data(self, run: RunInfo) -> None:
        """``DataError`` when the market has changed since the first trial: their figures rest on other dates."""
        for other in self.study.trials():
            path = self.store.root / other["notes"].get("run", "-") / trials.DATA
            if other["state"] == "complete" and path.is_file():
                if json.loads(path.read_text("utf-8"))["fingerprint"] != json.loads((run.path / trials.DATA).read_text("utf-8"))["fingerprint"]:
                    self.study.fail(self.trial, "sweep.data_changed", {"sweep": self.sweep.id})
                    raise DataError("sweep.data_changed", sweep=self.sweep.id)
                return


class _Watch:
    """Progress of one trial: hears its validation figures from its events, and ends it when Optuna finds it hopeless or another machine has
    given it up."""

    def __init__(self, trial: _Trial, run: RunInfo, progress: Callable[[float], None]) -> None:
        self.ended, self.hopeless, self.lost = _Either(trial.stop), False, False
        self._trial, self._progress, self._events, self._offset = trial, progress, run.path / "events.jsonl", 0

    def __call__(self, stage: str, done: float = 0, total: float = 0) -> None:
        self._progress(min(1.0, done / total) if stage == "train" and total else 0.0)
        fresh, self._offset = read_events(self._events, self._offset)
        told = [event for event in fresh if event["kind"] == "epoch"]
        if told and self._trial.study.lost(self._trial.trial):
            self.lost = True
            self.ended.set()
            return
        for event in told:
            value, place = event["metrics"].get(self._trial.sweep.by), event["step"]
            if value is None:
                continue
            self._trial.trial.report(value, place)
            _publish(self._trial.store, self._trial.sweep, self._trial.study)
            if self._trial.sweep.prune and self._trial.trial.should_prune():
                self.hopeless = True
                self.ended.set()


class _Either(threading.Event):
    """Set, or another one is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()


def _validation(run: RunInfo) -> dict[str, Any]:
    from financial_model.training.checkpoint import read_header

    return read_header(run.path / "final.safetensors")["validation"]


# ---------------------------------------------------------------- the table
def _publish(store: RunStore, sweep: Sweep, study: Study) -> dict[str, Any]:
    """Write and return the table.

    ``trials``: number, state, values, value (of ``by``, on the validation part), reports, run, reason; ``best``: number of the best finished one, or
    None; ``tried``: trials that have told a figure; ``running``; ``test``: metrics of the best one's test with ``trials``, once it was opened.
    """
    rows = [{**{name: row[name] for name in ("number", "state", "values", "value", "reports")}, "run": row["notes"].get("run", ""),
             "reason": row["notes"].get("reason")} for row in study.trials()]
    done = [row for row in rows if row["state"] == "complete"]
    best = (max if BY[sweep.by] else min)(done, key=lambda row: row["value"], default=None)
    return keep_table(sweep.path, {
        "id": sweep.id, "created": sweep.created, "updated": datetime.now().isoformat(timespec="seconds"), "by": sweep.by, "total": sweep.total,
        "space": sweep.space, "trials": rows, "best": None if best is None else best["number"], "tried": sum(bool(row["reports"]) for row in rows),
        "running": sum(row["state"] == "running" for row in rows), "test": None if best is None else _test(store, best["run"])})


def _test(store: RunStore, run_id: str) -> dict[str, Any] | None:
    """What the best one's test said, and for how many trials it stands; None while it is closed."""
    from financial_model.serving.judging import stored

    try:
        found = stored(store.info(run_id))
    except KairosError:  # deleted since
        return None
    if found is None:
        return None
    return {"run": run_id, "metrics": found["metrics"], "trials": found["result"]["trials"], "test": found["split"]["test"]}


def _silent(stage: str, done: float = 0, total: float = 0) -> None:
    """Nobody is watching."""
