"""The trials of a sweep in Optuna's own storage: one journal file that several processes and machines may share.

In: the axes of a search and the journal's path. Out: the next trial to make, and what became of all of them. Optuna chooses the values (TPE) and says
when a trial is hopeless (median of the others at the same evaluation). It knows no run: a trial carries a run's id as a note.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.serving.process import alive, identity
from financial_model.serving.search import Axis

if TYPE_CHECKING:
    import optuna

NAME = "study"
STARTUP = 8
"""Trials drawn at random before the sampler listens to their results."""
COMPARED = 4
"""Finished trials before one is given up for being behind their median."""
WARM = 1
"""Evaluations every trial may make."""


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

        found = []
        for known in self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            owner = json.loads(known.user_attrs.get("owner", "{}"))
            if owner.get("host") == socket.gethostname() and (not alive(owner) or owner == _owner()):
                found.append(optuna.Trial(self._study, known._trial_id))
        return found

    def own(self, trial: optuna.Trial) -> None:
        """Say that this process works on ``trial``."""
        trial.set_user_attr("owner", json.dumps(_owner()))

    def note(self, trial: optuna.Trial, **facts: Any) -> None:
        for name, value in facts.items():
            trial.set_user_attr(name, value)

    def finish(self, trial: optuna.Trial, value: float) -> None:
        self._study.tell(trial, value)

    def prune(self, trial: optuna.Trial) -> None:
        import optuna

        self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)

    def fail(self, trial: optuna.Trial, key: str, fields: Mapping[str, Any]) -> None:
        import optuna

        trial.set_user_attr("reason", {"key": key, "fields": {name: str(value) for name, value in fields.items()}})
        self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def trials(self) -> list[dict[str, Any]]:
        """Plain data of every trial in order: number, state (running, complete, pruned, fail), values, value, reports, notes."""
        return [{"number": known.number, "state": known.state.name.lower(), "values": dict(known.params), "value": _last(known),
                 "reports": [known.intermediate_values[step] for step in sorted(known.intermediate_values)],
                 "notes": {name: value for name, value in known.user_attrs.items() if name != "owner"}}
                for known in self._study.get_trials(deepcopy=False)]


def _owner() -> dict[str, Any]:
    return {"host": socket.gethostname(), **identity()}


def _last(known: optuna.trial.FrozenTrial) -> float | None:
    """The figure of a finished trial, or the last one heard of an unfinished one."""
    return known.value if known.value is not None else known.intermediate_values.get(known.last_step) if known.last_step is not None else None
