"""What the test of a model said: beside the baselines, in sentences, in figures.

In: the page and the run picker of the inference tab. Out: components. The test is opened by a job; here its stored result is drawn.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model.config import CONDITIONS
from financial_model.ui import charts, components, results
from financial_model.ui.choosing import asked, pick, usable
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.text import View


class EvaluationView:
    """What the test said: beside the baselines, in sentences, in figures."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        self.ask = words(gr.Button, {"value": "ui.evaluation.ask"}, elem_id="evaluation-ask", elem_classes=["k-act"])
        self.status = gr.HTML()
        self.card = gr.HTML(elem_id="evaluation-card")
        with gr.Row(visible=False) as self.figures:
            with gr.Column(min_width=380):
                words(gr.HTML, {"value": "ui.evaluation.ic"}, html_template='<b class="k-title">${value}</b>')
                self.ic = gr.Plot(show_label=False)
            with gr.Column(min_width=380):
                words(gr.HTML, {"value": "ui.evaluation.calibration"}, html_template='<b class="k-title">${value}</b>')
                self.calibration = gr.Plot(show_label=False)
        with gr.Row(visible=False) as self.more:
            with gr.Column(min_width=380):
                words(gr.HTML, {"value": "ui.evaluation.scatter"}, html_template='<b class="k-title">${value}</b>')
                self.scatter = gr.Plot(show_label=False)
            with gr.Column(min_width=380):
                words(gr.HTML, {"value": "ui.evaluation.groups"}, html_template='<b class="k-title">${value}</b>')
                self._groups()
        page.on_and_refresh(self.ask.click, self._evaluate, [picker], trigger_mode="once")
        page.live("evaluation.status", [self.status], self._status_version, self._draw_status, [picker])
        page.live("evaluation", [self.card, self.figures, self.more, self.ic, self.calibration, self.scatter], self._version, self._draw, [picker])
        page.live(
            "evaluation.groups",
            [self.by_group],
            lambda snapshot, wanted, by: (self._version(snapshot, wanted), by),
            self._draw_groups,
            [picker, self.dimension],
        )
        page.refresh_on(self.dimension.input)

    def _groups(self) -> None:
        self.dimension = self.page.words(
            gr.Radio, {"label": "ui.evaluation.by", "choices": [(f"ui.term.dimension.{name}", name) for name in CONDITIONS]}, value="industry"
        )
        self.by_group = gr.Plot(show_label=False)

    def _evaluate(self, view: View, wanted: str | None) -> None:
        services = self.page.services
        services.jobs.submit("evaluate", run=asked(services.snapshot(), wanted).id)

    def _job(self, snapshot: Snapshot, wanted: str | None) -> dict[str, Any] | None:
        run = pick(usable(snapshot), wanted)
        return next((job for job in snapshot.jobs if job["kind"] == "evaluate" and run is not None and job["run"] == run.id), None)

    def _status_version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        job = self._job(snapshot, wanted)
        return job and (job["id"], job["state"], job["stage"], job["done"])

    def _draw_status(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        job = self._job(snapshot, wanted)
        if job is None:
            return [""]
        if job["state"] == "finished":
            return [components.notes(view, (job["result"] or {}).get("notes", ()))]
        return [components.progress(view, job, None)]

    def _version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        run = pick(usable(snapshot), wanted)
        return run and results.version(run)

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        run = pick(usable(snapshot), wanted)
        found = results.load(run) if run else None
        shown = gr.update(visible=bool(found))
        if not found:
            return [components.empty(view, "ui.evaluation.empty"), shown, shown, gr.skip(), gr.skip(), gr.skip()]
        result = found["result"]
        return [
            results.card(view, found),
            shown,
            shown,
            charts.ic_series(result["series"]["time"], result["series"]["ic"], view),
            charts.calibration(result["calibration"], view),
            charts.predicted_actual(result["scatter"]["predicted"], result["scatter"]["actual"], view),
        ]

    def _draw_groups(self, view: View, snapshot: Snapshot, wanted: str | None, dimension: str) -> list[Any]:
        run = pick(usable(snapshot), wanted)
        found = results.load(run) if run else None
        return [charts.group_bars(found["result"]["groups"].get(dimension, {}), dimension, view) if found else gr.skip()]
