"""Comparisons and sweeps as they can be asked for from outside the page: begun, gone on with, looked at.

In: names, settings by name. Out: plain JSON data; the work itself is a job like any other, stopped like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from financial_model import config as settings
from financial_model.errors import JobError
from financial_model.paths import Workspace
from financial_model.serving import compare, sweep
from financial_model.serving.experiment import require_data
from financial_model.serving.jobs import DONE, JobService
from financial_model.serving.search import DEFAULT_TRIALS
from financial_model.training.plain import plain


class Studies:
    """Both kinds of work that several runs make together; one of each at a time, as on the page."""

    def __init__(self, workspace: Workspace, jobs: JobService) -> None:
        self.workspace, self.jobs = workspace, jobs

    # ------------------------------------------------------------ comparisons
    def rival(self, models: Sequence[str] = (), runs: Sequence[str] = (), rank_by: str = "rank_ic", values: Mapping[str, Any] | None = None,
                preset: str = "quick", comparison: str = "") -> str:
        """A new comparison of models to train and tested runs, or with ``comparison`` one that was stopped: the id of its job."""
        self._free("compare", "ui.compare.busy")
        if comparison:
            name = compare.find(self.workspace, comparison).id
        else:
            if models:
                require_data(self.workspace)
            config = settings.build({"name": "compare", **(values or {})}, preset=preset) if models else None
            name = compare.begin(self.workspace, config, models, runs=runs, rank_by=rank_by).id
        return self.jobs.submit("compare", comparison=name).id

    def comparisons(self) -> list[dict[str, Any]]:
        """All of them, newest first."""
        return [self._comparison(entry) for entry in compare.listed(self.workspace)]

    def comparison(self, name: str, language: str = "en") -> dict[str, Any]:
        """One of them with its ``table`` (None before every member is tested) and what that says in sentences."""
        from financial_model.evaluation.comparison_report import failures, sentences

        found = compare.find(self.workspace, name)
        table = compare.table_of(found)
        said = {} if table is None else {"table": {**table, "verdict": [*sentences(table, language), *failures(table, language)]}}
        return plain({**self._comparison(found), "table": None, **said})

    def _comparison(self, found: compare.Comparison) -> dict[str, Any]:
        return {"id": found.id, "created": found.created, "rank_by": found.rank_by, "models": list(found.models), "members": found.members,
                "runs": list(found.runs), **self._standing(found.id, found.done)}

    # ------------------------------------------------------------ sweeps
    def search(self, space: Sequence[str] = (), count: int = DEFAULT_TRIALS, by: str = "loss", prune: bool = True,
              values: Mapping[str, Any] | None = None, preset: str = "quick", going_on: str = "") -> str:
        """A new search over settings, or with ``going_on`` one that was stopped: the id of its job."""
        self._free("sweep", "ui.sweep.busy")
        if going_on:
            name = sweep.find(self.workspace, going_on).id
        else:
            config = settings.build({"name": "sweep", **(values or {})}, preset=preset)
            name = sweep.begin(self.workspace, config, space, count=count, by=by, prune=prune).id
        return self.jobs.submit("sweep", sweep=name).id

    def searches(self) -> list[dict[str, Any]]:
        """All of them, newest first."""
        return [self._sweep(entry) for entry in sweep.listed(self.workspace)]

    def searched(self, name: str) -> dict[str, Any]:
        """One of them with its ``table``: trials best first, the best one, and its test once it was opened. None before the first trial."""
        found = sweep.find(self.workspace, name)
        table = sweep.table_of(found)
        return plain({**self._sweep(found), "table": table and {**table, "trials": sweep.ranked(table)}})

    def _sweep(self, found: sweep.Sweep) -> dict[str, Any]:
        table = sweep.table_of(found)
        return {"id": found.id, "created": found.created, "by": found.by, "trials": found.total, "prune": found.prune, "space": list(found.space),
                **self._standing(found.id, bool(table and table["test"]))}

    # ------------------------------------------------------------ both
    def either(self, name: str, language: str = "en") -> dict[str, Any]:
        """A comparison of this id or name, or else a sweep. ``NotFoundError`` names the sweeps there are."""
        known = {entry.id for entry in compare.listed(self.workspace)}
        return self.comparison(name, language) if name in known else self.searched(name)

    def _free(self, kind: str, refusal: str) -> None:
        if any(job["kind"] == kind and job["state"] not in DONE for job in self.jobs.list()):
            raise JobError(refusal)

    def _standing(self, name: str, done: bool) -> dict[str, Any]:
        """``state`` (queued, preparing, running, stopping, or finished, stopped) and the ``job`` that is at it."""
        job = next((entry for entry in self.jobs.list() if entry["study"] == name and entry["state"] not in DONE), None)
        return {"state": job["state"] if job else "finished" if done else "stopped", "job": job["id"] if job else ""}
