"""What the server is doing and what waits: every job in order, each with a button to cancel it, and interrupted runs with one to go on.

In: the page. Out: one HTML part with buttons of its own. It belongs to nobody's browser: every visitor sees the same and may act.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from financial_model.errors import NotFoundError
from financial_model.serving.runs import RunInfo
from financial_model.ui import components
from financial_model.ui.page import BUTTONS, Page, Snapshot
from financial_model.ui.text import View, duration, escape

INTERRUPTED = 3
"""Interrupted runs offered here, the newest ones; the others are on the runs page."""


class QueueCard:
    """Follows the jobs; cancels and resumes."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.shown = gr.HTML(elem_id=f"{name}-queue", js_on_load=BUTTONS)
        page.live(f"{name}.queue", [self.shown], _version, lambda view, snapshot: [card(view, snapshot)])
        page.on_button(self.shown, self._act)

    def _act(self, view: View, data: Mapping[str, str]) -> None:
        jobs, act, subject = self.page.services.jobs, data.get("act"), data.get("id", "")
        if act == "cancel":
            jobs.stop(subject)
            gr.Info(view.word("ui.queue.cancelled"))
        elif act == "resume":
            run = jobs.submit("resume", run=subject).run_id
            gr.Info(view.word("ui.train.resumed", run=run))
        else:
            raise NotFoundError("jobs.unknown", job=str(act)[:40])


def ordered(snapshot: Snapshot) -> list[dict[str, Any]]:
    """What works first, then what waits, in the order in which it will be done."""
    active = snapshot.active_jobs()
    return sorted(reversed(active), key=lambda job: (job["state"] == "queued", job["position"]))


def interrupted(snapshot: Snapshot) -> list[RunInfo]:
    """Runs whose process has gone without a word."""
    return [run for run in snapshot.runs if run.state == "interrupted"][:INTERRUPTED]


def _version(snapshot: Snapshot) -> Any:
    jobs = tuple((job["id"], job["state"], job["stage"], job["done"], job["position"]) for job in ordered(snapshot))
    return jobs, tuple(run.id for run in interrupted(snapshot))


def card(view: View, snapshot: Snapshot) -> str:
    """Nothing at all while nothing works, waits or was interrupted."""
    jobs, broken = ordered(snapshot), interrupted(snapshot)
    parts = [_broken(view, run) for run in broken]
    if jobs:
        title = f'<b class="k-title">{escape(view.word("ui.queue.title"))}</b>'
        parts.append(f'<div class="k-card">{title}<ol class="k-queue">{"".join(_line(view, job) for job in jobs)}</ol></div>')
    return "".join(parts)


def _line(view: View, job: Mapping[str, Any]) -> str:
    share = f" {job['done'] / job['total']:.0%}" if job["total"] else ""
    left = view.word("ui.progress.eta", time=duration(job["eta"])) if job["eta"] else ""
    detail = view.word("ui.progress.position", place=job["position"]) if job["position"] else f"{components.doing(job, view)}{share}"
    facts: Sequence[str] = [part for part in (detail, left) if part]
    off = " disabled" if job["state"] == "stopping" else ""
    label = view.word("ui.queue.cancel" if job["state"] == "queued" else "ui.train.stop")
    what = f"{view.term('job', job['kind'])} {job['run']}".strip()
    button = f'data-act="cancel" data-id="{escape(job["id"])}" aria-label="{escape(label)}: {escape(what)}"{off}'
    return (
        f"<li>{components.state_badge(components.job_state(job), view)}<span><b>{escape(what)}</b><small>{escape('  ·  '.join(facts))}</small></span>"
        f'<button type="button" {button}>{escape(label)}</button></li>'
    )


def _broken(view: View, run: RunInfo) -> str:
    text = view.word("ui.queue.interrupted", run=run.id)
    return (
        f'<div class="k-note warn k-offer"><span>{escape(text)}</span>'
        f'<button type="button" data-act="resume" data-id="{escape(run.id)}">{escape(view.word("ui.train.resume"))}</button></div>'
    )
