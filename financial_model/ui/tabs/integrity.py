"""Integrity report: what is doubtful in the stored bars, as a part of the data tab.

In: the page. Out: a button, the job's progress, totals, a table, dated findings and a CSV. Every browser sees the last report.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model.ui import asking, data_view, downloads
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.text import View

KIND = "integrity"


class Integrity:
    """Shown while there is anything to check."""

    def __init__(self, page: Page) -> None:
        self.page, words = page, page.words
        with gr.Column(visible=False, elem_id="integrity") as whole:
            words(gr.HTML, {"value": "ui.integrity.title"}, html_template='<b class="k-title">${value}</b>')
            words(gr.HTML, {"value": "ui.integrity.lead"}, html_template='<p class="k-lead">${value}</p>')
            with gr.Row():
                begin = words(gr.Button, {"value": "ui.integrity.begin"}, size="sm", elem_id="integrity-begin")
                stop = words(gr.Button, {"value": "ui.train.stop"}, variant="stop", size="sm", visible=False, elem_id="integrity-stop")
                csv = words(gr.DownloadButton, {"label": "ui.integrity.csv"}, value=None, size="sm", visible=False, elem_id="integrity-csv")
            progress = gr.HTML(elem_id="integrity-progress")
            head = gr.HTML(elem_id="integrity-head")
            table = gr.Dataframe(
                value=None, interactive=False, show_label=False, visible=False, max_height=420, elem_id="integrity-table", buttons=[]
            )
            findings = gr.HTML(elem_id="integrity-findings")
        page.live("integrity.whole", [whole], lambda snapshot: bool(snapshot.market["stocks"]), self._draw_whole)
        page.live("integrity.progress", [progress, stop], self._job_version, self._draw_job)
        page.live("integrity.report", [head, table, findings, csv], self._report_version, self._draw_report)
        page.on_and_refresh(begin.click, self._begin, trigger_mode="once")
        page.on_and_refresh(stop.click, lambda view: asking.stop_newest(page.services, KIND), queue=False)

    def _begin(self, view: View) -> None:
        if not asking.going_on(asking.newest(self.page.services.snapshot(fresh=True), KIND)):
            self.page.services.jobs.submit(KIND)

    def _draw_whole(self, view: View, snapshot: Snapshot) -> list[Any]:
        return [gr.update(visible=bool(snapshot.market["stocks"]))]

    def _job_version(self, snapshot: Snapshot) -> Any:
        job = asking.newest(snapshot, KIND)
        return job and (job["id"], job["state"], job["done"])

    def _draw_job(self, view: View, snapshot: Snapshot) -> list[Any]:
        job = asking.newest(snapshot, KIND)
        return [asking.unfinished(view, job), gr.update(visible=asking.going_on(job))]

    def _report_version(self, snapshot: Snapshot) -> Any:
        job = _finished(snapshot)
        return job and (job["id"], _stale(snapshot, job))

    def _draw_report(self, view: View, snapshot: Snapshot) -> list[Any]:
        job = _finished(snapshot)
        if job is None:
            return ["", gr.update(visible=False), "", gr.update(visible=False)]
        import pandas as pd

        report = job["result"]
        rows = data_view.integrity_rows(view, report)
        file = downloads.csv(pd.DataFrame(report["symbols"]), "integrity.csv")
        return [data_view.integrity_head(view, report, stale=_stale(snapshot, job)), gr.update(value=rows, visible=bool(rows["data"])),
                data_view.integrity_findings(view, report), gr.update(value=file, visible=True)]


def _finished(snapshot: Snapshot) -> dict[str, Any] | None:
    return next((job for job in snapshot.jobs if job["kind"] == KIND and job["state"] == "finished"), None)


def _stale(snapshot: Snapshot, report: dict[str, Any]) -> bool:
    """Whether bars were brought in after the report: then its newest finished neighbour is not the report itself."""
    return next((job["id"] for job in snapshot.jobs if job["kind"] in (KIND, "download", "import") and job["state"] == "finished"),
                "") != report["id"]
