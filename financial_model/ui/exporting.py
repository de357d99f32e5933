"""A run for other programs: choose a form, have it converted and checked, take it away.

In: the picker of a run. Out: a view on the tab of runs. The conversion is a job, because it takes up to minutes; its archive stays with the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from financial_model.errors import ConfigError
from financial_model.ui import asking, components, downloads
from financial_model.ui.choosing import usable
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.text import DASH, View

FORMS = ("onnx", "aoti")


class ExportView:
    """A dropdown, a button, what happened, and the file."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        with words(gr.Accordion, {"label": "ui.export.title"}, open=False):
            with gr.Row(elem_classes=["k-bottom"]):
                self.form = words(gr.Dropdown, {"label": "ui.export.form"}, choices=[("ONNX", "onnx"), ("AOTInductor (.pt2)", "aoti")], value="onnx",
                                  filterable=False, interactive=True, elem_id="export-form")
                self.convert = words(gr.Button, {"value": "ui.export.convert"}, size="sm", elem_id="export-convert")
            self.refused = gr.HTML(elem_id="export-refused")
            self.status = gr.HTML(elem_id="export-status")
            self.file = words(gr.DownloadButton, {"label": "ui.export.download"}, value=None, size="sm", visible=False, elem_id="export-file")
        page.on_and_refresh(self.convert.click, self._convert, [picker, self.form], trigger_mode="once", beside=self.refused)
        page.live("runs.export", [self.status, self.file], self._version, self._draw, [picker])

    @staticmethod
    def _version(snapshot: Snapshot, wanted: str | None) -> Any:
        return wanted, asking.version(asking.job_of(snapshot, "export", wanted))

    def _convert(self, view: View, wanted: str | None, form: str) -> None:
        services = self.page.services
        if wanted not in {run.id for run in usable(services.snapshot(fresh=True))}:
            raise ConfigError("ui.export.no_checkpoint", run=wanted or DASH)
        asking.ask(services, "export", run=wanted, form=form if form in FORMS else FORMS[0])

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        job = asking.job_of(snapshot, "export", wanted)
        hidden = gr.update(visible=False)
        if job is None:
            return [components.note(view.word("ui.export.about")), hidden]
        if not asking.finished(job):
            return [components.progress(view, job, None), hidden]
        found = job["result"]
        archive = Path(found["archive"])
        ran = "difference" in found
        said = view.word("cli.export.checked", difference=f"{found['difference']:.1g}") if ran else view.word("cli.export.unchecked")
        return [components.note(said), gr.update(value=downloads.prepared(archive, f"{found['run']}.{archive.name}"), visible=True)]
