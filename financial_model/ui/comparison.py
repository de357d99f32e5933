"""Comparing models: runs that exist, or models to be trained, on one split in one table, with its figure and its files.

In: the page. Out: components of the Runs tab. The work is a job; what it made is kept with the runs and drawn here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from financial_model.config import BACKBONE_SHAPES
from financial_model.errors import ConfigError
from financial_model.evaluation.comparison import RANKABLE
from financial_model.serving.folders import TABLE
from financial_model.serving.members import METHODS
from financial_model.serving.runs import RunInfo
from financial_model.ui import asking, charts, components, downloads
from financial_model.ui.choosing import FIRST_PRESET, run_choices, settings_choices, settings_chosen, settings_like
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.places import room_for
from financial_model.ui.text import View, escape

KIND = NAME = "compare"


class ComparisonView:
    """What to compare, start and stop, and the table."""

    def __init__(self, page: Page) -> None:
        self.page, words = page, page.words
        with words(gr.Accordion, {"label": "ui.compare.title"}, open=False, elem_id="compare"):
            words(gr.HTML, {"value": "ui.compare.lead"}, html_template='<p class="k-lead">${value}</p>')
            with gr.Row():
                self.runs = words(
                    gr.Dropdown,
                    {"label": "ui.compare.runs", "info": "ui.compare.runs_info"},
                    choices=[],
                    value=[],
                    multiselect=True,
                    filterable=False,
                    elem_id="compare-runs",
                )
                models = [(f"ui.term.backbone.{name}", name) for name in BACKBONE_SHAPES]
                self.models = words(
                    gr.Dropdown,
                    {"label": "ui.compare.models", "info": "ui.compare.models_info", "choices": models},
                    value=[],
                    multiselect=True,
                    filterable=False,
                    elem_id="compare-models",
                )
                self.tuned = words(
                    gr.Dropdown,
                    {"label": "ui.compare.tuned", "info": "ui.compare.tuned_info"},
                    choices=[],
                    value=[],
                    multiselect=True,
                    filterable=False,
                    elem_id="compare-tuned",
                )
            with gr.Row(elem_classes=["k-bottom"]):
                self.like = words(
                    gr.Dropdown,
                    {"label": "ui.compare.like", "info": "ui.compare.like_info"},
                    choices=settings_choices([], View(words.language, "")),
                    value=FIRST_PRESET,
                    filterable=False,
                    elem_id="compare-like",
                )
                ranks = [(f"compare.metric.{name}", name) for name in RANKABLE]
                self.rank_by = words(
                    gr.Dropdown,
                    {"label": "ui.compare.rank_by", "choices": ranks},
                    value="rank_ic",
                    filterable=False,
                    elem_id="compare-rank",
                )
                self.start = words(gr.Button, {"value": "ui.compare.start"}, variant="primary", elem_id="compare-start")
                self.stop = words(gr.Button, {"value": "ui.train.stop"}, variant="stop", elem_id="compare-stop")
            self.refused = gr.HTML(elem_id="compare-refused")
            self.status = gr.HTML(elem_id="compare-status")
            self._build_answer()
        self._connect()

    def _build_answer(self) -> None:
        words = self.page.words
        with gr.Row(elem_classes=["k-bottom"]):
            self.picker = words(gr.Dropdown, {"label": "ui.compare.shown"}, choices=[], value=None, filterable=False, elem_id="compare-pick")
            self.resume = words(gr.Button, {"value": "ui.compare.resume"}, size="sm", elem_id="compare-resume")
            self.csv = words(gr.DownloadButton, {"label": "ui.compare.csv"}, size="sm", elem_id="compare-csv")
            self.html = words(gr.DownloadButton, {"label": "ui.compare.html"}, size="sm", elem_id="compare-html")
        self.card = gr.HTML(elem_id="compare-card")
        self.plot = room_for("comparison", visible=False, elem_id="compare-plot")

    def _connect(self) -> None:
        page = self.page
        page.live("compare.choices", [self.runs, self.like], _choices_version, self._draw_choices, [self.runs, self.like])
        page.live("compare.tuned", [self.tuned], _tuned_version, self._draw_tuned, [self.models, self.tuned])
        page.refresh_on(self.models.change)
        page.live("compare.status", [self.status, self.stop], lambda snapshot: asking.version(asking.newest(snapshot, KIND)), self._draw_status)
        page.live("compare.answer", [self.picker, self.resume, self.csv, self.html, self.card, self.plot], self._version, self._draw, [self.picker])
        page.refresh_on(self.picker.input)
        asked = [self.runs, self.models, self.tuned, self.like, self.rank_by]
        page.on_and_refresh(self.start.click, self._start, asked, [self.picker], trigger_mode="once", beside=self.refused)
        page.on_and_refresh(self.stop.click, lambda view: asking.stop_newest(page.services, KIND))
        page.on_and_refresh(self.resume.click, self._resume, [self.picker], trigger_mode="once", beside=self.refused)

    # ------------------------------------------------------------ acting
    def _start(self, view: View, runs: Sequence[str] | None, models: Sequence[str] | None, tuned: Sequence[str] | None, like: str | None,
               rank_by: str | None) -> Any:
        from financial_model.serving import compare

        models = [*(models or ()), *(tuned or ())]
        if len(models) + len(runs or ()) < 2:
            raise ConfigError("ui.compare.too_few")
        services = self.page.services
        snapshot = services.snapshot(fresh=True)
        if models and not snapshot.market.get("stocks"):
            raise ConfigError("ui.train.no_data")
        if asking.going_on(asking.newest(snapshot, KIND)):
            raise ConfigError("ui.compare.busy")
        config = settings_like(services.runs, like, NAME) if models else None
        begun = compare.begin(services.workspace, config, models, runs=runs or (), rank_by=rank_by or "rank_ic")
        services.jobs.submit(KIND, comparison=begun.id)
        gr.Info(view.word("ui.compare.queued", name=begun.id))
        return gr.update(choices=self._choices(), value=begun.id)

    def _resume(self, view: View, wanted: str | None) -> None:
        from financial_model.serving import compare

        services = self.page.services
        if asking.going_on(asking.newest(services.snapshot(fresh=True), KIND)):
            raise ConfigError("ui.compare.busy")
        services.jobs.submit(KIND, comparison=compare.find(services.workspace, wanted or "-").id)

    # ------------------------------------------------------------ following
    def _draw_choices(self, view: View, snapshot: Snapshot, runs: Sequence[str] | None, like: str | None) -> list[Any]:
        tested = _tested(snapshot)
        known = {run.id for run in tested}
        return [
            gr.update(choices=run_choices(tested, view), value=[run for run in runs or () if run in known]),
            gr.update(choices=settings_choices(tested, view), value=settings_chosen(tested, like)),
        ]

    def _draw_tuned(self, view: View, snapshot: Snapshot, models: Sequence[str] | None, tuned: Sequence[str] | None) -> list[Any]:
        bases = [*((view.term("backbone", name), name) for name in models or ()), *run_choices(_tested(snapshot), view)]
        choices = [(view.word("ui.compare.tuned_choice", method=view.term("method", method), base=label), f"{method}:{base}")
                   for label, base in bases for method in METHODS]
        known = {value for _, value in choices}
        return [gr.update(choices=choices, value=[value for value in tuned or () if value in known])]

    def _draw_status(self, view: View, snapshot: Snapshot) -> list[Any]:
        job = asking.newest(snapshot, KIND)
        return [asking.unfinished(view, job), gr.update(interactive=asking.going_on(job))]

    def _version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        from financial_model.serving import compare

        root = self.page.services.workspace.checkpoint_dir / compare.FOLDER
        job = asking.newest(snapshot, KIND)
        return wanted, downloads.file_stamp(root), downloads.file_stamp(root / (wanted or "-") / TABLE), asking.version(job)

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        from financial_model.evaluation.comparison_report import render_comparison
        from financial_model.serving import compare

        known = compare.listed(self.page.services.workspace)
        shown = next((entry for entry in known if entry.id == wanted), known[0] if known else None)
        table = compare.table_of(shown) if shown else None
        picker = gr.update(choices=[entry.id for entry in known], value=shown.id if shown else None)
        off, hidden = gr.update(value=None, interactive=False), gr.update(visible=False)
        busy = asking.going_on(asking.newest(snapshot, KIND))
        resume = gr.update(interactive=shown is not None and table is None and not busy)
        if shown is None or table is None:
            return [picker, resume, off, off, components.empty(view, "ui.compare.empty") if shown is None else "", hidden]
        return [
            picker,
            resume,
            gr.update(value=downloads.csv(compare.frame(table), f"{shown.id}.csv"), interactive=True),
            gr.update(value=downloads.text(render_comparison(table, view.language), f"{shown.id}.html"), interactive=True),
            card(view, table),
            gr.update(value=charts.comparison(table, view), visible=True),
        ]

    def _choices(self) -> list[str]:
        from financial_model.serving import compare

        return [entry.id for entry in compare.listed(self.page.services.workspace)]


def card(view: View, table: Mapping[str, Any]) -> str:
    """The ranked table, what it says, what following it would have earned, and on what it rests."""
    from financial_model.evaluation import comparison_report as report

    rows = [
        [str(row["place"] or "–"), escape(report.row_name(row, view.language)), *map(escape, report.text_cells(row, table, view.language))]
        for row in table["rows"]
    ]
    said = "".join(
        components.note(text, components.LEVELS.get(item["level"], ""))
        for item, text in zip(table["verdict"], report.sentences(table, view.language), strict=True)
    )
    failed = "".join(components.note(text, "bad") for text in report.failures(table, view.language))
    earned = [[escape(report.row_name(row, view.language)), *map(escape, report.returns_cells(row))] for row in table["rows"] if row.get("returns")]
    returns = ""
    if earned:
        head = ["", *(view.word(f"compare.returns.{name}") for name in report.RETURNS)]
        returns = f'{components.table(head, earned)}<p class="k-lead">{escape(report.returns_help(table, view.language))}</p>'
    basis = "".join(f"<span><b>{escape(name)}</b>{escape(value)}</span>" for name, value in report.basis(table, view.language))
    title = f'<b class="k-title">{escape(table["id"])}</b>'
    return (
        f'<div class="k-card">{title}{components.table(["#", *report.headings(table, view.language)], rows, own=1, text=(1,))}{said}{failed}'
        f'<div style="height:12px"></div>{returns}<div class="k-basis">{basis}</div></div>'
    )


def _tested(snapshot: Snapshot) -> list[RunInfo]:
    """Runs with a test result: only those can be compared."""
    return [run for run in snapshot.runs if run.metrics and not run.active]


def _choices_version(snapshot: Snapshot, runs: Sequence[str] | None, like: str | None) -> Any:
    return tuple(run.id for run in _tested(snapshot))


def _tuned_version(snapshot: Snapshot, models: Sequence[str] | None, tuned: Sequence[str] | None) -> Any:
    return tuple(models or ()), _choices_version(snapshot, None, None)
