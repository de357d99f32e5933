"""Runs: every model that was trained here, with its state, its figures, its files, and what can be done with it.

In: the page. Out: the tab. A run is chosen from the server's own list; deleting asks first and can be undone.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model.errors import ConfigError
from financial_model.serving.runs import RunInfo
from financial_model.ui import components, downloads, results
from financial_model.ui.choosing import pick, run_choices, setting
from financial_model.ui.comparison import ComparisonView
from financial_model.ui.exporting import ExportView
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.run_report import RunReport
from financial_model.ui.sweep import SweepView
from financial_model.ui.tables import Written, grid, matches, written
from financial_model.ui.tabs import frame
from financial_model.ui.text import DASH, View, count, escape, interval, known, number, percent, size

COLUMNS = ("run", "model", "condition", "state", "ic", "rank_ic", "rival", "direction", "recovery", "created")
"""The id first: it begins with the name, and stays in sight when the rest is moved."""


def build(page: Page) -> None:
    RunsTab(page)


class RunsTab:
    """The list; below it the chosen run with what can be done with it; below that what its test said."""

    def __init__(self, page: Page) -> None:
        self.page = page
        with frame.tab(page, "runs"):
            self.empty = gr.HTML()
            with gr.Column() as self.whole:
                self.filter = self.page.words(
                    gr.Textbox,
                    {"label": "ui.runs.filter", "placeholder": "ui.runs.filter_hint"},
                    max_lines=1,
                    elem_id="runs-filter",
                    elem_classes=["k-narrow"],
                )
                self.table = gr.Dataframe(
                    value=None, interactive=False, show_label=False, max_height=320, elem_id="runs-table", buttons=[], pinned_columns=1
                )
            self.undo = page.words(
                gr.Button, {"value": "ui.runs.undo"}, size="sm", visible=False, elem_id="runs-undo", elem_classes=["k-act"]
            )  # outside: it is also there when the last run was deleted
            self._build_trash()
            with gr.Column() as self.chosen:
                with gr.Row():
                    with gr.Column(scale=7, min_width=320):
                        self.card = gr.HTML(elem_id="runs-card")
                    with gr.Column(scale=5, min_width=320):
                        self._build_actions()
                self.result = gr.HTML(elem_id="runs-result")
                RunReport(page, self.picker)
            ComparisonView(page)
            SweepView(page)
            self._connect()

    def _build_actions(self) -> None:
        words = self.page.words
        self.picker = words(gr.Dropdown, {"label": "ui.runs.pick"}, choices=[], value=None, filterable=False, elem_id="runs-pick")
        self.kind = words(gr.Dropdown, {"label": "ui.runs.kind"}, choices=[], value=None, filterable=False, elem_id="runs-kind")
        self.download = words(gr.DownloadButton, {"label": "ui.runs.download"}, interactive=False, variant="primary", elem_id="runs-download")
        with gr.Row():
            self.config = words(gr.DownloadButton, {"label": "ui.runs.config"}, interactive=False, size="sm", elem_id="runs-config")
            self.report = words(gr.DownloadButton, {"label": "ui.runs.report"}, interactive=False, size="sm", elem_id="runs-report")
        with gr.Row():
            self.resume = words(gr.Button, {"value": "ui.train.resume"}, size="sm", elem_id="runs-resume")
            self.delete = words(gr.Button, {"value": "ui.runs.delete"}, variant="stop", size="sm", elem_id="runs-delete")
        self._build_dialogs()
        ExportView(self.page, self.picker)
        with words(gr.Accordion, {"label": "ui.runs.settings"}, open=False):
            self.settings = gr.JSON(show_label=False, elem_id="runs-settings")

    def _build_dialogs(self) -> None:
        words = self.page.words
        self.doomed, self.deleted = gr.State(""), gr.State("")
        """The run the question is about, whatever is chosen meanwhile; the one that an undo brings back."""
        with gr.Group(visible=False) as self.confirm:
            self.question = gr.HTML()
            with gr.Row():
                self.sure = words(gr.Button, {"value": "ui.runs.delete_sure"}, variant="stop", size="sm", elem_id="runs-delete-sure")
                self.keep = words(gr.Button, {"value": "ui.runs.keep"}, size="sm")
        with words(gr.Accordion, {"label": "ui.runs.rename"}, open=False):
            self.name = words(gr.Textbox, {"label": "ui.runs.new_name"}, max_lines=1, elem_id="runs-new-name")
            self.refused = gr.HTML(elem_id="runs-name-refused")
            self.rename = words(gr.Button, {"value": "ui.runs.rename_do"}, size="sm", elem_id="runs-rename", elem_classes=["k-act"])

    def _build_trash(self) -> None:
        look: dict[str, Any] = {"size": "sm", "visible": False, "elem_classes": ["k-act"]}
        self.empty_trash = gr.Button("", elem_id="runs-empty-trash", **look)  # its words name the size: drawn with the list
        self.empty_sure = self.page.words(gr.Button, {"value": "ui.runs.empty_sure"}, variant="stop", elem_id="runs-empty-sure", **look)

    def _connect(self) -> None:
        page = self.page
        page.live("runs.trash", [self.empty_trash, self.empty_sure], _trash_version, self._draw_trash)
        page.on(self.empty_trash.click, lambda view: [gr.update(visible=False), gr.update(visible=True)], [], [self.empty_trash, self.empty_sure])
        page.on(self.empty_sure.click, self._empty_trash, [], [self.empty_sure, self.undo])
        listed = [self.empty, self.whole, self.chosen, self.table, self.picker]
        page.live("runs.list", listed, _list_version, self._draw_list, [self.picker, self.filter])
        page.live(
            "runs.card",
            [self.card, self.result, self.kind, self.config, self.report, self.resume, self.delete, self.settings],
            _card_version,
            self._draw_card,
            [self.picker],
        )
        page.on_select(self.table, self._select, [self.picker])
        page.refresh_on(self.picker.input, self.kind.input, self.filter.change)
        page.live("runs.download", [self.download], _download_version, self._draw_download, [self.picker, self.kind])
        page.on_and_refresh(self.resume.click, self._resume, [self.picker])
        page.on(self.delete.click, self._ask, [self.picker], [self.confirm, self.question, self.doomed])
        page.on(self.keep.click, lambda view: gr.update(visible=False), [], [self.confirm])
        page.on_and_refresh(self.sure.click, self._delete, [self.doomed], [self.confirm, self.deleted, self.undo, self.picker])
        page.on_and_refresh(self.undo.click, self._undo, [self.deleted], [self.undo, self.picker])
        page.on_and_refresh(
            [self.rename.click, self.name.submit], self._rename, [self.picker, self.name], [self.name, self.picker], beside=self.refused
        )

    # ------------------------------------------------------------ following
    def _draw_list(self, view: View, snapshot: Snapshot, wanted: str | None, text: str) -> list[Any]:
        run = pick(snapshot.runs, wanted)
        data = [row for row in (_row(entry, view) for entry in snapshot.runs) if matches(row, text)]
        rows = grid([view.word(f"ui.runs.column.{name}") for name in COLUMNS], data)
        hint = "" if snapshot.runs else components.empty(view, "ui.runs.empty")
        choices, seen = run_choices(snapshot.runs, view), gr.update(visible=bool(snapshot.runs))
        return [hint, seen, seen, rows, gr.update(choices=choices, value=run.id if run else None)]

    def _draw_trash(self, view: View, snapshot: Snapshot) -> list[Any]:
        count, taken = self.page.services.runs.trash.held()
        return [gr.update(value=view.word("ui.runs.empty_trash", count=count, size=size(taken)), visible=bool(count)), gr.update(visible=False)]

    def _draw_card(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        run = pick(snapshot.runs, wanted)
        off = gr.update(interactive=False, value=None)
        if run is None:
            return ["", "", gr.update(choices=[], value=None), off, off, gr.update(interactive=False), gr.update(interactive=False), None]
        kinds = [(view.term("checkpoint", kind), kind) for kind in run.checkpoints]
        report = run.path / "report.html"
        ready = downloads.prepared(report, f"{run.id}.report.html") if report.is_file() else None
        return [
            run_card(run, view),
            results.card(view, results.load(run)),
            gr.update(choices=kinds, value=run.checkpoints[0] if run.checkpoints else None),
            gr.update(value=downloads.config(run), interactive=True),
            gr.update(value=ready, interactive=ready is not None),
            gr.update(interactive=run.resumable),
            gr.update(interactive=not run.active),
            run.config,
        ]

    def _draw_download(self, view: View, snapshot: Snapshot, wanted: str | None, kind: str | None) -> list[Any]:
        """The checkpoint is made ready when the choice changes, so that one click downloads it."""
        run = pick(snapshot.runs, wanted)
        if run is None or not run.checkpoints:
            return [gr.update(value=None, interactive=False)]
        chosen = kind if kind in run.checkpoints else run.checkpoints[0]
        return [gr.update(value=downloads.checkpoint(self.page.services.runs, run.id, chosen), interactive=True)]

    # ------------------------------------------------------------ acting
    def _select(self, view: View, row: list[Any]) -> Any:
        run = self.page.services.snapshot().run(str(row[0])) if row else None
        return gr.update(value=run.id) if run else gr.skip()

    def _resume(self, view: View, wanted: str | None) -> None:
        self.page.services.jobs.submit("resume", run=self._chosen(wanted).id)
        gr.Info(view.word("ui.train.resumed", run=wanted))

    def _ask(self, view: View, wanted: str | None) -> list[Any]:
        run = self._chosen(wanted).id
        return [gr.update(visible=True), components.note(view.word("ui.runs.delete_question", run=run), "bad"), run]

    def _delete(self, view: View, doomed: str) -> list[Any]:
        gone = self.page.services.runs.delete(doomed)
        gr.Info(view.word("ui.runs.deleted", run=gone))
        return [gr.update(visible=False), gone, gr.update(visible=True), None]

    def _empty_trash(self, view: View) -> list[Any]:
        count = self.page.services.runs.trash.empty()
        gr.Info(view.word("ui.runs.emptied", count=count))
        return [gr.update(visible=False), gr.update(visible=False)]

    def _undo(self, view: View, gone: str) -> list[Any]:
        run = self.page.services.runs.restore(gone)
        gr.Info(view.word("ui.runs.restored", run=run.id))
        return [gr.update(visible=False), self._choices(view, run.id)]

    def _rename(self, view: View, wanted: str | None, name: str) -> list[Any]:
        if not (name or "").strip():
            raise ConfigError("ui.runs.no_name")
        run = self.page.services.runs.rename(self._chosen(wanted).id, name.strip())
        return ["", self._choices(view, run.id)]

    def _choices(self, view: View, chosen: str) -> Any:
        return gr.update(choices=run_choices(self.page.services.snapshot(fresh=True).runs, view), value=chosen)

    def _chosen(self, wanted: str | None) -> RunInfo:
        return self.page.services.runs.info(wanted or "-")


def _list_version(snapshot: Snapshot, wanted: str | None, text: str) -> Any:
    return tuple((run.id, run.state, bool(run.metrics)) for run in snapshot.runs), wanted, text


def _trash_version(snapshot: Snapshot) -> Any:
    return tuple(run.id for run in snapshot.runs)


def _card_version(snapshot: Snapshot, wanted: str | None) -> Any:
    run = pick(snapshot.runs, wanted)
    return (results.version(run), run.state, run.updated, run.checkpoints) if run else None


def _download_version(snapshot: Snapshot, wanted: str | None, kind: str | None) -> Any:
    run = pick(snapshot.runs, wanted)
    if run is None or run.active:
        return run and run.id
    return run.id, kind, tuple(downloads.file_stamp(run.path / f"{name}.safetensors") for name in run.checkpoints)


def _row(run: RunInfo, view: View) -> list[str | Written]:
    metrics = run.metrics
    best = results.best_rival(metrics)
    return [
        run.id,
        view.term("backbone", setting(run, "model", "backbone")),
        view.term("condition", setting(run, "model", "condition")),
        view.term("state", run.state),
        written(lambda ic: f"{number(ic)} {interval(metrics.get('ic_interval'))}".strip(), metrics.get("ic")),
        written(lambda ic: f"{number(ic)} {interval(metrics.get('rank_ic_interval'))}".strip(), metrics.get("rank_ic")),
        written(lambda ic: f"{number(ic)} {view.term('baseline', best[0])}", best[1]) if best else Written(None, DASH),
        written(lambda share: f"{percent(share)} / {percent(metrics.get('direction_base_rate'))}", metrics["direction"])
        if known(metrics.get("direction")) else Written(None, DASH),
        written(percent, metrics.get("recovery"), 0),
        run.created[:16].replace("T", " "),
    ]


def run_card(run: RunInfo, view: View) -> str:
    """What a run is, on one card."""
    head = f'<div class="k-head"><b class="k-title">{escape(run.id)}</b>{components.state_badge(run.state, view)}</div>'
    method, base = setting(run, "transfer", "method"), setting(run, "transfer", "init_from")
    origin = [(view.word("form.method.label"), view.term("method", method), str(base))] if base or method == "pretrain" else []
    tiles = components.tiles(
        [
            *origin,
            (view.word("form.backbone.label"), view.term("backbone", setting(run, "model", "backbone")), ""),
            (view.word("form.condition.label"), view.term("condition", setting(run, "model", "condition")), ""),
            (view.word("form.objective.label"), view.term("objective", setting(run, "training", "objective")), ""),
            (view.word("form.horizon.label"), count(setting(run, "label", "horizon")), ""),
            (view.word("form.context_length.label"), count(setting(run, "features", "context_length")), ""),
            (view.word("form.epochs.label"), count(setting(run, "training", "epochs")), ""),
        ]
    )
    message = run.message(view.language)
    warning = components.note(message, "warn") if message else ""
    return f'<div class="k-card">{head}{warning}<div style="height:10px"></div>{tiles}</div>'
