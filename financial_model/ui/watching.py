"""The switch of the pool page that keeps a ranking current: on, off, when something happens next, what happened last.

In: the page and the run picker of the inference tab. Out: two buttons, of which one is shown, and a line. The watch is the server's job: it goes on
when the page is closed and every browser may stop it; the rankings it makes are the ones the pool shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from financial_model.errors import Phrase
from financial_model.serving import watch
from financial_model.ui import asking, components
from financial_model.ui.choosing import asked
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.text import View

KIND = "watch"
GOING = ("queued", "preparing", "running")


class WatchSwitch:
    """Buttons where it is made; its line stands where :attr:`line` is rendered."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        self.start = words(gr.Button, {"value": "ui.watch.start"}, elem_id="pool-watch", elem_classes=["k-act"])
        self.stop = words(gr.Button, {"value": "ui.watch.stop"}, variant="stop", visible=False, elem_id="pool-unwatch", elem_classes=["k-act"])
        self.line = gr.HTML(elem_id="pool-watching", render=False)
        page.on_and_refresh(self.start.click, self._start, [picker], trigger_mode="once")
        page.on_and_refresh(self.stop.click, self._stop, [picker], queue=False)
        page.live("pool.watch", [self.start, self.stop, self.line], self._version, self._draw, [picker])

    def _start(self, view: View, wanted: str | None) -> None:
        services = self.page.services
        run = asked(services.snapshot(), wanted)
        watch.check(services.workspace, watch.EVERY)
        services.jobs.submit(KIND, run=run.id)

    def _stop(self, view: View, wanted: str | None) -> None:
        job = asking.job_of(self.page.services.snapshot(fresh=True), KIND, wanted)
        if job is not None:
            self.page.services.jobs.stop(job["id"])

    @staticmethod
    def _version(snapshot: Snapshot, wanted: str | None) -> Any:
        job = asking.job_of(snapshot, KIND, wanted)
        return job and (job["id"], job["state"], job["until"], job["message"])

    @staticmethod
    def _draw(view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        job = asking.job_of(snapshot, KIND, wanted)
        going = job is not None and job["state"] in GOING
        return [gr.update(visible=not going), gr.update(visible=going), line(view, job) if job is not None else ""]


def line(view: View, job: Mapping[str, Any]) -> str:
    """What a watch does now, did last and does next; of one that failed, why."""
    last = Phrase(job["message_key"], **job["message_fields"]).message(view.language) if job["message_key"] else ""
    if job["state"] in GOING:
        said = [view.word("ui.watch.on")]
        if job["until"]:
            said.append(view.word("ui.watch.next", time=job["until"][:16].replace("T", " "), zone=f"UTC{job['until'][16:]}"))
        return components.note("  ".join([*said, *([view.word("ui.watch.last", what=last)] if last else [])]), "good")
    return components.note(view.word("ui.watch.ended", why=last), "bad") if job["state"] == "failed" else ""
