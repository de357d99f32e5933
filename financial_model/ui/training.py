"""The right half of both training tabs: which run is shown, how far it is, its curve, its log, and what it is worth.

In: the page and which runs belong to the tab. Out: components that follow the server. It starts nothing; the left half does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from financial_model.errors import JobError
from financial_model.serving.runs import RunInfo
from financial_model.ui import components, curves, downloads, line_chart, results
from financial_model.ui.choosing import pick, run_choices, setting
from financial_model.ui.drawn import Drawn
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.queue import QueueCard
from financial_model.ui.text import DASH, View, known, number

SMOOTHING = (0.0, 0.6, 0.95)
"""Least, at first, most."""
LOG_LINES = 120


class TrainingPanel:
    """Everything on a training tab that follows a run."""

    def __init__(self, page: Page, name: str, tab: gr.Tab, belongs: Callable[[RunInfo], bool]) -> None:
        self.page, self.name, self.tab, self.belongs = page, name, tab, belongs
        self._drawn, self._with_points = Drawn(), set[str]()
        words = page.words
        QueueCard(page, name)
        self.picker = words(gr.Dropdown, {"label": "ui.train.run"}, choices=[], value=None, filterable=False, elem_id=f"{name}-run")
        self.progress = gr.HTML(elem_id=f"{name}-progress")
        with gr.Row():
            self.stop = words(gr.Button, {"value": "ui.train.stop"}, variant="stop", interactive=False, elem_id=f"{name}-stop")
            self.resume = words(gr.Button, {"value": "ui.train.resume"}, interactive=False, elem_id=f"{name}-resume")
            self.checkpoint = words(gr.DownloadButton, {"label": "ui.train.checkpoint"}, interactive=False, elem_id=f"{name}-checkpoint")
        self.curve = gr.HTML(elem_id=f"{name}-curve", elem_classes=["k-live"], js_on_load=line_chart.POINTING)
        with gr.Row(visible=False, elem_classes=["k-options"]) as self.options:
            self.scale = words(
                gr.Radio,
                {"choices": [("ui.curve.linear", "linear"), ("ui.curve.log", "log")]},
                value="linear",
                show_label=False,
                container=False,
                elem_id=f"{name}-scale",
                elem_classes=["k-switch"],
            )
            self.range = words(
                gr.Radio,
                {"choices": [("ui.curve.whole_range", "whole"), ("ui.curve.near", "near")]},
                value="whole",
                show_label=False,
                container=False,
                elem_id=f"{name}-range",
                elem_classes=["k-switch"],
            )
            self.smoothing = words(
                gr.Slider,
                {"label": "ui.curve.smoothing", "info": "ui.curve.smoothing_info"},
                minimum=SMOOTHING[0],
                maximum=SMOOTHING[2],
                value=SMOOTHING[1],
                step=0.05,
                elem_id=f"{name}-smoothing",
            )
        self.tiles = gr.HTML(elem_id=f"{name}-tiles")
        with words(gr.Accordion, {"label": "ui.curve.more"}, open=False, visible=False) as self.more:
            self.which = words(
                gr.Radio,
                {"choices": [(f"ui.curve.{kind}", kind) for kind in curves.DETAILS]},
                value="learning_rate",
                show_label=False,
                container=False,
                elem_id=f"{name}-which",
                elem_classes=["k-switch"],
            )
            self.detail = gr.HTML(elem_id=f"{name}-detail", elem_classes=["k-live"], js_on_load=line_chart.POINTING)
        self.result = gr.HTML(elem_id=f"{name}-result")
        with words(gr.Accordion, {"label": "ui.train.log"}, open=False):
            self.log = gr.Textbox(
                lines=12, max_lines=12, show_label=False, interactive=False, autoscroll=True, elem_classes=["k-log"], elem_id=f"{name}-log"
            )
        with gr.Row():
            self.files = [
                words(gr.DownloadButton, {"label": f"ui.train.{kind}"}, size="sm", interactive=False, min_width=110, elem_id=f"{name}-{kind}")
                for kind in ("curves", "config")
            ]
        self._connect()

    # ------------------------------------------------------------ following
    def _connect(self) -> None:
        page = self.page
        page.live(f"{self.name}.picker", [self.picker], self._runs_version, self._draw_picker, [self.picker])
        page.live(f"{self.name}.progress", [self.progress], self._progress_version, self._draw_progress, [self.picker])
        page.live(f"{self.name}.acts", [self.stop, self.resume], self._possible, self._draw_acts, [self.picker])
        looks = [self.picker, self.smoothing, self.scale, self.range]
        page.live(f"{self.name}.curve", [self.curve, self.tiles], self._curve_version, self._draw_curve, looks)
        page.live(f"{self.name}.options", [self.options, self.more], self._begun, self._draw_options, [self.picker])
        page.live(f"{self.name}.detail", [self.detail], self._curve_version, self._draw_detail, [self.picker, self.which])
        page.live(f"{self.name}.result", [self.result, self.checkpoint, *self.files], self._result_version, self._draw_result, [self.picker])
        page.live(f"{self.name}.log", [self.log], self._log_version, self._draw_log, [self.picker])
        page.on_and_refresh(self.stop.click, self._stop, [self.picker], queue=False)
        page.on_and_refresh(self.resume.click, self._resume, [self.picker])
        page.refresh_on(self.picker.input, self.smoothing.release, self.scale.input, self.range.input, self.which.input)

    def runs(self, snapshot: Snapshot) -> list[RunInfo]:
        return [run for run in snapshot.runs if self.belongs(run)]

    def shown(self, snapshot: Snapshot, wanted: str | None) -> RunInfo | None:
        return pick(self.runs(snapshot), wanted)

    def _runs_version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        return tuple((run.id, run.state) for run in self.runs(snapshot)), wanted

    def _draw_picker(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        """The list; a choice that stands is left alone, for it may have been made while this was on its way."""
        run = self.shown(snapshot, wanted)
        choices = run_choices(self.runs(snapshot), view)
        return [gr.update(choices=choices) if run and run.id == wanted else gr.update(choices=choices, value=run.id if run else None)]

    def _progress_version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        run = self.shown(snapshot, wanted)
        job = snapshot.job_of(run.id) if run else None
        return (run.id, run.state, job and (job["state"], job["stage"], job["done"], job["position"])) if run else None

    def _draw_progress(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        run = self.shown(snapshot, wanted)
        return [components.progress(view, snapshot.job_of(run.id), run) if run else components.empty(view, "ui.train.empty")]

    def _possible(self, snapshot: Snapshot, wanted: str | None) -> tuple[bool, bool]:
        """Whether the run can be stopped, and whether it can go on."""
        run = self.shown(snapshot, wanted)
        job = snapshot.job_of(run.id) if run else None
        return job is not None and job["state"] in ("queued", "preparing", "running"), run is not None and run.resumable

    def _draw_acts(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        return [gr.update(interactive=possible) for possible in self._possible(snapshot, wanted)]

    def _curve_version(self, snapshot: Snapshot, wanted: str | None, *looks: Any) -> Any:
        run = self.shown(snapshot, wanted)
        return (run.id, run.active, downloads.file_size(run.path / "events.jsonl"), *looks) if run else None

    def _draw_curve(self, view: View, snapshot: Snapshot, wanted: str | None, *looks: Any) -> list[Any]:
        run = self.shown(snapshot, wanted)
        if run is None:
            return ["", ""]
        return self._drawn.get((view, self._curve_version(snapshot, wanted, *looks)), lambda: self._curve(view, run, *looks))

    def _curve(self, view: View, run: RunInfo, smoothing: float, scale: str, reach: str) -> list[Any]:
        series = self.page.services.runs.curves(run.id)
        end = curves.axis_end(series, int(setting(run, "training", "epochs"))) if run.active else None
        lines = curves.loss_lines(series, view, smoothing=smoothing, logarithmic=scale == "log", end=end)
        if reach == "near":
            lines = curves.near(lines, view)
        chart = line_chart.lines(
            lines,
            curves.series_colours(series, view),
            x_range=(0.0, end) if end else curves.span(lines),
            y_range=curves.limits(lines) or (0.0, 1.0),
            x_title=view.word("ui.curve.epoch"),
            y_title=view.word("ui.curve.loss"),
            logarithmic=scale == "log",
            whole=view.word("ui.curve.whole"),
        )
        return [chart, components.tiles(self._figures(view, series)) if chart else ""]

    def _begun(self, snapshot: Snapshot, wanted: str | None) -> bool:
        """Whether the run has a point to look at."""
        run = self.shown(snapshot, wanted)
        if run is None or run.id in self._with_points:
            return run is not None
        if downloads.file_size(run.path / "events.jsonl") and self.page.services.runs.curves(run.id)["series"]:
            self._with_points.add(run.id)
        return run.id in self._with_points

    def _draw_options(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        return [gr.update(visible=self._begun(snapshot, wanted))] * 2

    def _draw_detail(self, view: View, snapshot: Snapshot, wanted: str | None, which: str) -> list[Any]:
        run = self.shown(snapshot, wanted)
        if run is None:
            return [""]
        return self._drawn.get((view, self._curve_version(snapshot, wanted, which)), lambda: self._detail(view, run, which))

    def _detail(self, view: View, run: RunInfo, which: str) -> list[Any]:
        lines, colours = curves.detail_lines(self.page.services.runs.curves(run.id), view, which)
        chart = line_chart.lines(
            lines,
            colours,
            x_range=curves.span(lines),
            y_range=curves.limits(lines, 1.0) or (0.0, 1.0),
            x_title=view.word("ui.curve.epoch"),
            y_title=view.word(f"ui.curve.{which}"),
            whole=view.word("ui.curve.whole"),
            height=230,
        )
        return [chart]

    @staticmethod
    def _figures(view: View, series: dict[str, Any]) -> list[tuple[str, str, str]]:
        best, members = series["best"], series.get("members")
        rate = curves.latest(series, "train/windows_per_second")
        together = members["together"][-1] if members and members["together"] else None
        counter = (
            []
            if members is None
            else [
                (
                    view.word("ui.curve.member"),
                    view.word("ui.curve.of", number=members["number"], count=members["count"]),
                    view.word("ui.curve.together_loss", count=together[0], loss=number(together[1], 4)) if together else "",
                )
            ]
        )
        return [
            *counter,
            (view.word("ui.curve.epoch"), number(curves.epoch_reached(series), 1), ""),
            (
                view.word("ui.curve.best_loss"),
                number(best["value"], 4) if best else DASH,
                view.word("ui.curve.at_epoch", epoch=f"{best['epoch']:.3g}") if best else "",
            ),
            (view.word("ui.curve.learning_rate"), f"{curves.latest(series, 'train/learning_rate') or 0:.2e}", ""),
            (view.word("ui.curve.grad_norm"), number(curves.latest(series, "train/grad_norm"), 2), ""),
            (view.word("ui.curve.speed"), f"{rate:,.0f}" if known(rate) else DASH, view.word("ui.curve.windows_per_second")),
        ]

    def _result_version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        run = self.shown(snapshot, wanted)
        return (results.version(run), run.state, run.checkpoints if not run.active else None) if run else None

    def _draw_result(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        run = self.shown(snapshot, wanted)
        if run is None:
            return ["", *[gr.update(value=None, interactive=False)] * 3]
        runs = self.page.services.runs
        path = downloads.checkpoint(runs, run.id) if run.checkpoints and not run.active else None
        whole = None if run.active else downloads.csv(curves.table(runs.curves(run.id, curves.ALL)), f"{run.id}.curves.csv")
        config = downloads.config(run)
        return [results.card(view, results.load(run)), *(gr.update(value=file, interactive=file is not None) for file in (path, whole, config))]

    def _log_version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        run = self.shown(snapshot, wanted)
        return (run.id, downloads.file_size(run.path / "log.txt")) if run else None

    def _draw_log(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        run = self.shown(snapshot, wanted)
        return [self.page.services.runs.log_tail(run.id, LOG_LINES) if run else ""]

    # ------------------------------------------------------------ acting
    def _stop(self, view: View, wanted: str | None) -> None:
        snapshot = self.page.services.snapshot(fresh=True)
        run = self.shown(snapshot, wanted)
        job = snapshot.job_of(run.id) if run else None
        if job is None:
            raise JobError("ui.train.nothing_to_stop")
        self.page.services.jobs.stop(job["id"])

    def _resume(self, view: View, wanted: str | None) -> None:
        run = self.shown(self.page.services.snapshot(fresh=True), wanted)
        if run is None:
            raise JobError("ui.train.nothing_to_resume")
        self.page.services.jobs.submit("resume", run=run.id)
        gr.Info(view.word("ui.train.resumed", run=run.id))
