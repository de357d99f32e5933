"""Two looks at runs that need a click: the report of one in place, and the settings in which two differ.

In: the page, the picker of the runs tab. Out: components. The report is written in the reader's language and shown in a frame that may run no script.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from financial_model import config as settings
from financial_model.serving.judging import report, stored
from financial_model.serving.runs import RunInfo
from financial_model.ui import components
from financial_model.ui.choosing import pick, run_choices
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.text import DASH, View, escape


class RunReport:
    """Accordions below the card of a run."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        with words(gr.Accordion, {"label": "ui.runs.report_view"}, open=False):
            show = words(gr.Button, {"value": "ui.runs.report_show"}, size="sm", elem_id="runs-report-show", elem_classes=["k-act"])
            self.frame = gr.HTML(elem_id="runs-report-frame")
        with words(gr.Accordion, {"label": "ui.runs.difference"}, open=False):
            self.other = words(gr.Dropdown, {"label": "ui.runs.other"}, choices=[], value=None, filterable=False, elem_id="runs-other")
            self.table = gr.HTML(elem_id="runs-difference")
        page.on(show.click, self._show, [picker], [self.frame], show_progress="minimal", trigger_mode="once")
        page.live("runs.difference", [self.other, self.table, self.frame], _version, self._draw, [picker, self.other])
        page.refresh_on(self.other.input)

    def _show(self, view: View, wanted: str | None) -> str:
        runs = self.page.services.runs
        run = runs.info(wanted or "-")
        found = stored(run)
        if found is None:
            return components.empty(view, "ui.evaluation.empty")
        with tempfile.TemporaryDirectory(prefix="kairos-report-") as folder:
            text = report(run, runs, found, Path(folder) / "report.html", language=view.language).read_text("utf-8")
        title = escape(view.word("ui.runs.report"))
        return f'<iframe class="k-report" sandbox="" title="{title}" srcdoc="{escape(text)}"></iframe>'

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None, other: str | None) -> list[Any]:
        run = pick(snapshot.runs, wanted)
        others = [entry for entry in snapshot.runs if run is not None and entry.id != run.id]
        second = next((entry for entry in others if entry.id == other), others[0] if others else None)
        html = difference(view, run, second) if run is not None and second is not None else components.note(view.word("ui.runs.no_other"))
        return [gr.update(choices=run_choices(others, view), value=second.id if second else None), html, ""]


def _version(snapshot: Snapshot, wanted: str | None, other: str | None) -> Any:
    return tuple((run.id, run.state) for run in snapshot.runs), wanted, other


def difference(view: View, run: RunInfo, other: RunInfo) -> str:
    """One row per setting in which the two differ."""
    ours, theirs = (settings.flatten(entry.run_config()) for entry in (run, other))
    rows = [
        [escape(view.word(f"form.{name}.label")), *(escape(_written(view, name, side[name])) for side in (ours, theirs))]
        for name, value in ours.items()
        if value != theirs[name]
    ]
    if not rows:
        return components.note(view.word("ui.runs.same"))
    return components.table([view.word("ui.runs.setting"), run.id, other.id], rows, text=(1, 2))


def _written(view: View, name: str, value: Any) -> str:
    """A setting as its form shows it."""
    values = value if isinstance(value, tuple) else (value,)
    return ", ".join(view.term(name, str(item)) for item in values if str(item)) or DASH
