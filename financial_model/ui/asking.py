"""Questions that take a while, asked as jobs: which one a view shows, how far it is, and when it must be drawn again.

In: a snapshot, the kind of job, the chosen run. Out: the job, its version, its progress as HTML. A question survives a reload, because it is the
server's: whoever opens the page sees the newest one of the run he has chosen, or, where a kind is about no single run, the newest one there is.
"""

from __future__ import annotations

from typing import Any

from financial_model.serving.runs import ACTIVE
from financial_model.ui import components
from financial_model.ui.choosing import pick, usable
from financial_model.ui.page import Services, Snapshot
from financial_model.ui.text import View

PATIENCE = 1.5
"""Seconds an answer is waited for at once; what takes longer shows its progress meanwhile."""


def ask(services: Services, kind: str, **question: Any) -> str:
    """Queue a question and give it a moment; the job's id."""
    job = services.jobs.submit(kind, **question)
    services.jobs.wait(job.id, PATIENCE)
    return job.id


def job_of(snapshot: Snapshot, kind: str, wanted: str | None, own: str | None = None) -> dict[str, Any] | None:
    """The visitor's ``own`` question while it is remembered and about the chosen run, else the newest one about that run."""
    run = pick(usable(snapshot), wanted)
    if run is None:
        return None
    found = [job for job in snapshot.jobs if job["kind"] == kind and job["run"] == run.id]
    return next((job for job in found if job["id"] == own), None) or (found[0] if found else None)


def newest(snapshot: Snapshot, kind: str) -> dict[str, Any] | None:
    """The newest job of this kind since the server began, whoever asked for it."""
    return next((job for job in snapshot.jobs if job["kind"] == kind), None)


def going_on(job: dict[str, Any] | None) -> bool:
    """Whether it waits or works; one that was told to stop still does."""
    return job is not None and job["state"] in ACTIVE


def stop_newest(services: Services, kind: str) -> None:
    """Stop the newest job of this kind; one that has ended is left alone."""
    job = newest(services.snapshot(fresh=True), kind)
    if job is not None:
        services.jobs.stop(job["id"])


def version(job: dict[str, Any] | None) -> Any:
    return job and (job["id"], job["state"], job["stage"], job["done"])


def finished(job: dict[str, Any] | None) -> bool:
    return job is not None and job["state"] == "finished"


def unfinished(view: View, job: dict[str, Any] | None) -> str:
    """How far it is, or why it came to nothing; an empty text once its answer is there."""
    return "" if job is None or finished(job) else components.progress(view, job, None)


def waiting(view: View, job: dict[str, Any] | None, key: str) -> str:
    """What stands where the answer will be: how far it is, why there is none, or (``key``) what to do first."""
    return components.progress(view, job, None) if job else components.empty(view, key)
