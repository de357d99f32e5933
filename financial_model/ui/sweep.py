"""Searching settings: what to vary, how often, by which figure; the trials as they come, and what the test of the best one said.

In: the page. Out: components of the Runs tab. The work is a job; the trials are drawn from the study's folder, so they survive a reload and a
restart, and a sweep that another process works on is followed just as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import gradio as gr

from financial_model.errors import ConfigError, KairosError
from financial_model.serving import search
from financial_model.serving import sweep as sweeping
from financial_model.serving.folders import TABLE
from financial_model.ui import asking, charts, components, downloads
from financial_model.ui.choosing import FIRST_PRESET, forecasts, settings_choices, settings_chosen, settings_like
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.places import room_for
from financial_model.ui.text import DASH, View, count, escape, known

KIND = NAME = "sweep"
SHOWN = 30
"""Trials of the table, best first; the CSV has all."""


class SweepView:
    """The question, start and stop, and the trials."""

    def __init__(self, page: Page) -> None:
        self.page, words = page, page.words
        with words(gr.Accordion, {"label": "ui.sweep.title"}, open=False, elem_id="sweep"):
            words(gr.HTML, {"value": "ui.sweep.lead"}, html_template='<p class="k-lead">${value}</p>')
            self.space = words(gr.Textbox, {"label": "ui.sweep.space", "info": "ui.sweep.space_info"}, lines=2, elem_id="sweep-space",
                               placeholder="learning_rate=1e-4..3e-3, hidden=32,64")
            with gr.Row(elem_classes=["k-bottom"]):
                self.count = words(gr.Number, {"label": "ui.sweep.count"}, value=search.DEFAULT_TRIALS, precision=0, elem_id="sweep-count")
                figures = [(f"sweep.by.{name}", name) for name in sweeping.BY]
                self.by = words(gr.Dropdown, {"label": "ui.sweep.by", "choices": figures}, value="loss", filterable=False, elem_id="sweep-by")
                self.like = words(gr.Dropdown, {"label": "ui.sweep.like"}, choices=settings_choices([], View(words.language, "")), value=FIRST_PRESET,
                                  filterable=False, elem_id="sweep-like")
                self.start = words(gr.Button, {"value": "ui.sweep.start"}, variant="primary", elem_id="sweep-start")
                self.stop = words(gr.Button, {"value": "ui.train.stop"}, variant="stop", elem_id="sweep-stop")
            self.refused = gr.HTML(elem_id="sweep-refused")
            self.status = gr.HTML(elem_id="sweep-status")
            with gr.Row(elem_classes=["k-bottom"]):
                self.picker = words(gr.Dropdown, {"label": "ui.sweep.shown"}, choices=[], value=None, filterable=False, elem_id="sweep-pick")
                self.resume = words(gr.Button, {"value": "ui.compare.resume"}, size="sm", elem_id="sweep-resume")
                self.csv = words(gr.DownloadButton, {"label": "ui.compare.csv"}, size="sm", elem_id="sweep-csv")
            self.card = gr.HTML(elem_id="sweep-card")
            self.plot = room_for("sweep", visible=False, elem_id="sweep-plot")
        self._connect()

    def _connect(self) -> None:
        page = self.page
        page.live("sweep.choices", [self.like], lambda snapshot, like: tuple(run.id for run in _bases(snapshot)), self._draw_choices, [self.like])
        page.live("sweep.status", [self.status, self.stop], lambda snapshot: asking.version(asking.newest(snapshot, KIND)), self._draw_status)
        page.live("sweep.answer", [self.picker, self.resume, self.csv, self.card, self.plot], self._version, self._draw, [self.picker])
        page.refresh_on(self.picker.input)
        page.on_and_refresh(self.start.click, self._start, [self.space, self.count, self.by, self.like], [self.picker], trigger_mode="once",
                            beside=self.refused)
        page.on_and_refresh(self.stop.click, lambda view: asking.stop_newest(page.services, KIND))
        page.on_and_refresh(self.resume.click, self._resume, [self.picker], trigger_mode="once", beside=self.refused)

    # ------------------------------------------------------------ acting
    def _start(self, view: View, space: str | None, trials: float | None, by: str | None, like: str | None) -> Any:
        services = self.page.services
        snapshot = services.snapshot(fresh=True)
        axes = axis_texts(space or "")
        if not axes:
            raise ConfigError("ui.sweep.nothing")
        if not snapshot.market.get("stocks"):
            raise ConfigError("ui.train.no_data")
        if asking.going_on(asking.newest(snapshot, KIND)):
            raise ConfigError("ui.sweep.busy")
        begun = sweeping.begin(services.workspace, settings_like(services.runs, like, NAME), axes, count=int(trials or 0), by=by or "loss")
        services.jobs.submit(KIND, sweep=begun.id)
        gr.Info(view.word("ui.sweep.queued", name=begun.id))
        return gr.update(choices=[entry.id for entry in sweeping.listed(services.workspace)], value=begun.id)

    def _resume(self, view: View, wanted: str | None) -> None:
        services = self.page.services
        if asking.going_on(asking.newest(services.snapshot(fresh=True), KIND)):
            raise ConfigError("ui.sweep.busy")
        services.jobs.submit(KIND, sweep=sweeping.find(services.workspace, wanted or "-").id)

    # ------------------------------------------------------------ following
    def _draw_choices(self, view: View, snapshot: Snapshot, like: str | None) -> list[Any]:
        bases = _bases(snapshot)
        return [gr.update(choices=settings_choices(bases, view), value=settings_chosen(bases, like))]

    def _draw_status(self, view: View, snapshot: Snapshot) -> list[Any]:
        job = asking.newest(snapshot, KIND)
        return [asking.unfinished(view, job), gr.update(interactive=asking.going_on(job))]

    def _version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        root = self.page.services.workspace.checkpoint_dir / sweeping.FOLDER
        newest = max((path.name for path in root.iterdir()), key=lambda name: downloads.file_stamp(root / name), default="") if root.is_dir() else ""
        job = asking.newest(snapshot, KIND)
        return (wanted, newest, downloads.file_stamp(root / (wanted or newest or "-") / TABLE), job and (job["id"], job["state"]),
                tuple(run.id for run in snapshot.runs if run.active))

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        found = sweeping.listed(self.page.services.workspace)
        shown = next((entry for entry in found if entry.id == wanted), found[0] if found else None)
        table = sweeping.table_of(shown) if shown else None
        picker = gr.update(choices=[entry.id for entry in found], value=shown.id if shown else None)
        busy = asking.going_on(asking.newest(snapshot, KIND))
        resume = gr.update(interactive=shown is not None and (table is None or table["test"] is None) and not busy)
        if shown is None or table is None:
            off, empty = gr.update(value=None, interactive=False), components.empty(view, "ui.sweep.empty") if shown is None else ""
            return [picker, resume, off, empty, gr.update(visible=False)]
        csv = gr.update(value=downloads.csv(sweeping.frame(table), f"{shown.id}.csv"), interactive=True)
        at_work = {run.id for run in snapshot.runs if run.active}
        told = any(known(row["value"]) for row in table["trials"])
        return [picker, resume, csv, card(view, table, at_work), gr.update(value=charts.sweep(table, view) if told else None, visible=told)]


def axis_texts(text: str) -> list[str]:
    """One text per setting of ``learning_rate=1e-4..3e-3, hidden=32,64``: a part without ``=`` is one more value of the setting before it."""
    found: list[str] = []
    for part in filter(None, map(str.strip, re.split(r"[,，、;；\n]", text))):
        if "=" in part or not found:
            found.append(part)
        else:
            found[-1] += f",{part}"
    return found


def card(view: View, table: Mapping[str, Any], at_work: Collection[str]) -> str:
    """The trials, best first, and what the test said. ``at_work``: runs somebody is training now; a trial that is left waits."""
    names = [text.partition("=")[0] for text in table["space"]]
    ranked = sweeping.ranked(table)
    rows = [_row(view, table, names, row, at_work) for row in ranked[:SHOWN]]
    head = [view.word("sweep.trial"), *names, view.word(f"sweep.by.{table['by']}"), view.word("ui.sweep.evaluations"), "", view.word("sweep.run")]
    ended = sum(row["state"] != "running" for row in table["trials"])
    said = view.word("ui.sweep.ended", ended=count(ended), total=count(table["total"]))
    more = view.word("ui.sweep.more", count=count(SHOWN)) if len(ranked) > SHOWN else ""
    test = table["test"]
    if test is None:
        below = components.note(view.word("ui.sweep.closed"))
    else:
        below = components.note(view.word("sweep.test_opened", run=test["run"], trials=test["trials"]), "good")
        below += components.metric_table(view, test["metrics"])
    title = f'<b class="k-title">{escape(table["id"])}</b>'
    return f'<div class="k-card">{title}<p class="k-lead">{escape(said)} {escape(more)}</p>{components.table(head, rows)}{below}</div>'


def _row(view: View, table: Mapping[str, Any], names: list[str], row: Mapping[str, Any], at_work: Collection[str]) -> list[str]:
    state = "waiting" if row["state"] == "running" and row["run"] not in at_work else row["state"]
    best = row["number"] == table["best"]
    badge = components.badge(view.word("ui.sweep.best" if best else f"sweep.state.{state}"), "good" if best else "bad" if state == "fail" else "")
    reason = KairosError(row["reason"]["key"], **row["reason"]["fields"]).message(view.language) if row["reason"] else row["run"]
    values = [_plain(row["values"].get(name, DASH)) for name in names]
    told = f"{row['value']:.5f}" if known(row["value"]) else DASH
    return [str(row["number"]), *map(escape, values), told, count(len(row["reports"])), badge, escape(reason)]


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _bases(snapshot: Snapshot) -> list[Any]:
    """Runs whose settings a sweep can begin from: no trial of another sweep is listed while it is trained."""
    return [run for run in snapshot.runs if not run.active and forecasts(run)]
