"""The trials of a sweep in Optuna's own storage: one journal file that several processes and machines may share.

In: the axes of a search and the journal's path. Out: the next trial to make, and what became of all of them. Optuna chooses the values (TPE) and says
when a trial is hopeless (median of the others at the same evaluation). It knows no run: a trial carries a run's id as a note.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.errors import packed
from financial_model.serving.process import alive, identity
from financial_model.serving.search import Axis

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

NAME = "study"
STARTUP = 8
"""Trials drawn at random before the sampler listens to their results."""
COMPARED = 4
"""Finished trials before one is given up for being behind their median."""
WARM = 1
"""Evaluations every trial may make."""
BEAT, GRACE = 60.0, 900.0
"""Seconds between two signs of life of a trial, and after how many without one it counts as lost. Clocks of machines differ by less."""


class Study:
    """One study. ``largest``: whether a larger figure is better."""

    def __init__(self, path: Path, axes: Sequence[Axis], *, largest: bool, seed: int) -> None:
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path))))
        self._axes, self._seed = axes, seed
        self._study = optuna.create_study(
            storage=storage, study_name=NAME, direction="maximize" if largest else "minimize", load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=COMPARED, n_warmup_steps=WARM))

    def next(self, total: int) -> optuna.Trial | None:
        """A new trial with its values, owned by this process; None where there are ``total`` already. The values of trial n depend on the
        seed, n and the trials before it alone, so a study that was interrupted asks what it would have asked."""
        import optuna

        if len(self._study.get_trials(deepcopy=False)) >= total:
            return None
        trial = self._study.ask()
        self._study.sampler = optuna.samplers.TPESampler(seed=self._seed * 1_000_003 % 2**31 + trial.number, n_startup_trials=STARTUP,
                                                         multivariate=False)
        for axis in self._axes:
            if axis.choices:
                trial.suggest_categorical(axis.name, axis.choices)
            elif axis.whole:
                trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.log)
            else:
                trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)
        self.own(trial)
        return trial

    def left(self) -> list[optuna.Trial]:
        """Trials of this machine that nobody works on any more: their process was stopped or killed."""
        import optuna

        return [optuna.Trial(self._study, known._trial_id) for known, owner in self._running()
                if owner.get("host") == socket.gethostname() and (not alive(owner) or {**owner, "seen": 0} == _owner(0))]

    def fail_lost(self) -> list[int]:
        """Fail the trials of other machines that gave no sign of life for ``GRACE`` seconds; their numbers. As Optuna's own heartbeat, which its
        journal does not have. Whoever asks first does it; a trial that ends meanwhile keeps its result."""
        import optuna

        failed = []
        for known, owner in self._running():
            begun = known.datetime_start.timestamp() if known.datetime_start else 0.0
            if owner.get("host") != socket.gethostname() and time.time() - float(owner.get("seen", begun)) > GRACE:
                reason = {"host": owner.get("host", "–"), "minutes": round(GRACE / 60)}
                try:
                    self.fail(optuna.Trial(self._study, known._trial_id), "sweep.lost", reason)
                except optuna.exceptions.UpdateFinishedTrialError:
                    continue
                failed.append(known.number)
        return failed

    def lost(self, trial: optuna.Trial) -> bool:
        """Whether another process has ended ``trial`` behind our back, because it took us for dead."""
        return self.trials()[trial.number]["state"] != "running"

    def _running(self) -> list[tuple[optuna.trial.FrozenTrial, dict[str, Any]]]:
        """Running trials with what their owners said last."""
        import optuna

        running = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        return [(known, json.loads(known.user_attrs.get("owner", "{}"))) for known in running]

    def own(self, trial: optuna.Trial) -> None:
        """Say that this process works on ``trial``, and lives."""
        trial.set_user_attr("owner", json.dumps(_owner(time.time())))

    @contextmanager
    def beating(self, trial: optuna.Trial) -> Iterator[None]:
        """Own ``trial`` again every ``BEAT`` seconds, until the block is left."""
        import optuna

        ended = threading.Event()

        def beat() -> None:
            same = optuna.Trial(self._study, trial._trial_id)  # of this thread's own
            while not ended.wait(BEAT):
                try:
                    self.own(same)
                except optuna.exceptions.UpdateFinishedTrialError:  # taken for dead by another machine: the training hears of it by ``lost``
                    return
                except OSError as error:  # the folder is away for a moment
                    logger.warning("trial %d gave no sign of life: %s", trial.number, error)

        thread = threading.Thread(target=beat, name="sweep-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def note(self, trial: optuna.Trial, **facts: Any) -> None:
        for name, value in facts.items():
            trial.set_user_attr(name, value)

    def finish(self, trial: optuna.Trial, value: float) -> None:
        self._study.tell(trial, value, skip_if_finished=True)

    def prune(self, trial: optuna.Trial) -> None:
        import optuna

        self._study.tell(trial, state=optuna.trial.TrialState.PRUNED, skip_if_finished=True)

    def fail(self, trial: optuna.Trial, key: str, fields: Mapping[str, Any]) -> None:
        import optuna

        trial.set_user_attr("reason", {"key": key, "fields": packed(fields)})
        self._study.tell(trial, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)

    def trials(self) -> list[dict[str, Any]]:
        """Plain data of every trial in order: number, state (running, complete, pruned, fail), values, value, reports, notes."""
        return [{"number": known.number, "state": known.state.name.lower(), "values": dict(known.params), "value": _last(known),
                 "reports": [known.intermediate_values[step] for step in sorted(known.intermediate_values)],
                 "notes": {name: value for name, value in known.user_attrs.items() if name != "owner"}}
                for known in self._study.get_trials(deepcopy=False)]


def _owner(seen: float) -> dict[str, Any]:
    return {"host": socket.gethostname(), **identity(), "seen": seen}


def _last(known: optuna.trial.FrozenTrial) -> float | None:
    """The figure of a finished trial, or the last one heard of an unfinished one."""
    return known.value if known.value is not None else known.intermediate_values.get(known.last_step) if known.last_step is not None else None
