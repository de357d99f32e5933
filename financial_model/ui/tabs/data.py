"""Data: what is in the store, and how more comes in: the demo market with one click, a download, or a user's own files.

In: the page. Out: the tab. Every import and creation is a job; the card and the table follow the store.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gradio as gr

from financial_model.errors import ConfigError
from financial_model.market.sources.columns import column_choice
from financial_model.serving.market import plan_import
from financial_model.ui import components, data_view, uploads
from financial_model.ui.choosing import within
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.tables import grid, written
from financial_model.ui.tabs import download, frame, integrity
from financial_model.ui.text import View, count

VARIANTS = ("linear", "null", "interaction", "sign_flip", "industry_lead_lag", "one_style", "volatility_only")
JOBS = ("download", "import")
SHOWN_ROWS = 200
COLUMNS = ("symbol", "name", "board", "industry", "rows", "first", "last", "source")


def build(page: Page) -> None:
    with frame.tab(page, "data"):
        with gr.Row():
            with gr.Column(scale=5, min_width=360), gr.Tabs(overflow_behavior="wrap"):
                with page.words(gr.Tab, {"label": "ui.data.demo"}):
                    _demo(page)
                with page.words(gr.Tab, {"label": "ui.download.tab"}):
                    download.build(page)
                with page.words(gr.Tab, {"label": "ui.data.files"}):
                    _files(page)
            with gr.Column(scale=7, min_width=420):
                Stored(page)
        integrity.Integrity(page)


def _demo(page: Page) -> None:
    """One click to a market whose truth is known."""
    words = page.words
    words(gr.HTML, {"value": "ui.data.demo_lead"}, html_template='<p class="k-lead">${value}</p>')
    with gr.Group():
        variant = words(
            gr.Dropdown,
            {"label": "ui.data.variant", "info": "ui.data.variant_info", "choices": [(f"ui.term.variant.{name}", name) for name in VARIANTS]},
            value="linear",
            filterable=False,
        )
        stocks = words(
            gr.Slider,
            {"label": "ui.data.demo_stocks", "info": "ui.data.demo_stocks_info"},
            minimum=20,
            maximum=1000,
            step=10,
            value=300,
            elem_id="demo-stocks",
        )
        years = words(gr.Slider, {"label": "ui.data.demo_years"}, minimum=1, maximum=20, step=1, value=10, elem_id="demo-years")
        seed = words(gr.Number, {"label": "ui.data.demo_seed", "info": "ui.data.demo_seed_info"}, value=42, precision=0)
    create = words(gr.Button, {"value": "ui.data.demo_create"}, variant="primary", elem_id="demo-create")
    refused = gr.HTML(elem_id="demo-refused")

    def start(view: View, variant: str, stocks: float, years: float, seed: float) -> None:
        services = page.services
        services.store.check_source("demo")
        start_number = int(within(view, "ui.data.demo_seed", seed or 0, 0, 2**32 - 1))
        services.jobs.submit("download", source="demo", variant=variant, stocks=int(stocks), years=int(years), seed=start_number)

    page.on_and_refresh(create.click, start, [variant, stocks, years, seed], trigger_mode="once", beside=refused)


def _files(page: Page) -> None:
    """A user's own bars: uploaded, or from a folder he put under the data folder."""
    words = page.words
    words(gr.HTML, {"value": "ui.data.files_lead"}, html_template='<p class="k-lead">${value}</p>')
    upload = words(
        gr.File, {"label": "ui.data.upload"}, file_count="multiple", file_types=[*uploads.KINDS, ".zip"], height=150, elem_id="data-upload"
    )
    folder = words(gr.Dropdown, {"label": "ui.data.folder", "info": "ui.data.folder_info"}, choices=[], value=None, filterable=False)
    industry = words(gr.File, {"label": "ui.data.industry"}, file_types=list(uploads.KINDS), height=150, elem_id="data-industry")
    with gr.Group(), gr.Row():
        unit = words(
            gr.Radio,
            {
                "label": "ui.data.unit",
                "info": "ui.data.unit_info",
                "choices": [("ui.data.auto", "auto"), ("ui.data.shares", "shares"), ("ui.data.lots", "lots")],
            },
            value="auto",
        )
        prices = words(
            gr.Radio,
            {
                "label": "ui.data.prices",
                "info": "ui.data.prices_info",
                "choices": [("ui.data.auto", "auto"), ("ui.data.raw", "raw"), ("ui.data.adjusted", "adjusted")],
            },
            value="auto",
        )
    columns = words(gr.Textbox, {"label": "ui.data.columns", "info": "ui.data.columns_info"}, max_lines=1, elem_id="data-columns")
    with gr.Row():
        begin = words(gr.Button, {"value": "ui.data.import"}, variant="primary", elem_id="data-import")
        look = words(gr.Button, {"value": "ui.plan.look"}, elem_id="data-look")
    seen = gr.HTML(elem_id="data-plan")

    def given(files: list[str] | None, chosen: str | None) -> list[Path]:
        return [uploads.received(path) for path in files] if files else [uploads.folder(page.services.workspace, chosen)] if chosen else []

    def named(columns: str) -> list[str]:
        """The pairs of the columns field; refused here, before a job begins, where they are none."""
        pairs = re.split("[,，]", columns)
        column_choice(pairs)
        return pairs

    def preview(view: View, files: list[str] | None, chosen: str | None, unit: str, prices: str, columns: str) -> str:
        paths = given(files, chosen)
        if not paths:
            raise ConfigError("ui.data.nothing_chosen")
        plan = plan_import(page.services.workspace, paths, volume_unit=unit, prices=prices, columns=named(columns))
        return data_view.import_plan(view, plan)

    def start(view: View, files: list[str] | None, chosen: str | None, table: str | None, unit: str, prices: str, columns: str) -> list[Any]:
        services = page.services
        paths = given(files, chosen)
        if not paths and not table:
            raise ConfigError("ui.data.nothing_chosen")
        services.jobs.submit(
            "import",
            paths=[str(path) for path in paths],
            industry=str(uploads.received(table, kinds=uploads.KINDS)) if table else None,
            volume_unit=unit,
            prices=prices,
            columns=named(columns),
        )
        return [None, None, ""]

    page.on_and_refresh(
        begin.click, start, [upload, folder, industry, unit, prices, columns], [upload, industry, seen], trigger_mode="once", beside=seen
    )
    page.on(look.click, preview, [upload, folder, unit, prices, columns], [seen], trigger_mode="once", show_progress="minimal", beside=seen)
    page.live(
        "data.folders",
        [folder],
        lambda snapshot: tuple(uploads.folders(page.services.workspace)),
        lambda view, snapshot: [gr.update(choices=uploads.folders(page.services.workspace))],
    )


class Stored:
    """The right half: the job at work, what is in the store, and its stocks."""

    def __init__(self, page: Page) -> None:
        self.page, words = page, page.words
        self.progress = gr.HTML(elem_id="data-progress")
        self.stop = words(gr.Button, {"value": "ui.train.stop"}, variant="stop", size="sm", visible=False, elem_id="data-stop")
        self.card = gr.HTML(elem_id="data-card")
        self.remove = words(gr.Button, {"value": "ui.data.remove_demo"}, size="sm", visible=False)
        with gr.Group(visible=False) as self.confirm:
            words(gr.HTML, {"value": "ui.data.remove_question"}, html_template='<div class="k-note bad"><span>${value}</span></div>')
            with gr.Row():
                self.sure = words(gr.Button, {"value": "ui.runs.delete_sure"}, variant="stop", size="sm")
                self.keep = words(gr.Button, {"value": "ui.runs.keep"}, size="sm")
        self.search = words(gr.Textbox, {"label": "ui.data.search", "placeholder": "ui.data.search_hint"}, max_lines=1, visible=False)
        self.table = gr.Dataframe(value=None, interactive=False, show_label=False, visible=False, max_height=460, elem_id="data-table", buttons=[])
        page.live("data.progress", [self.progress, self.stop], self._job_version, self._draw_job)
        page.live("data.card", [self.card, self.remove, self.search], lambda snapshot: tuple(map(str, snapshot.market.values())), self._draw_card)
        page.live(
            "data.table",
            [self.table],
            lambda snapshot, text: (snapshot.market["stocks"], snapshot.market["updated"], text),
            self._draw_table,
            [self.search],
        )
        page.on_and_refresh(self.stop.click, self._stop, queue=False)
        page.on(self.remove.click, lambda view: gr.update(visible=True), [], [self.confirm])
        page.on(self.keep.click, lambda view: gr.update(visible=False), [], [self.confirm])
        page.on_and_refresh(self.sure.click, self._remove, [], [self.confirm])
        page.refresh_on(self.search.submit)

    def _job(self, snapshot: Snapshot) -> dict[str, Any] | None:
        return next((job for job in snapshot.jobs if job["kind"] in JOBS), None)

    def _job_version(self, snapshot: Snapshot) -> Any:
        job = self._job(snapshot)
        return job and (job["id"], job["state"], job["stage"], job["done"])

    def _draw_job(self, view: View, snapshot: Snapshot) -> list[Any]:
        job = self._job(snapshot)
        working = job is not None and job["state"] in ("queued", "preparing", "running")
        if job is not None and job["state"] == "finished":
            shown = self._report(view, job)
        else:
            shown = components.progress(view, job, None)
        return [shown, gr.update(visible=working)]

    def _report(self, view: View, job: dict[str, Any]) -> str:
        if job["kind"] == "import":
            return components.import_report(view, job["result"])
        synthetic = job["result"]["source"] == "demo"  # the demo market reports itself: its card and its stocks are there
        return "" if synthetic else components.download_report(view, job["result"])

    def _draw_card(self, view: View, snapshot: Snapshot) -> list[Any]:
        market = snapshot.market
        return [
            components.market_card(view, market),
            gr.update(visible=bool(market["synthetic"] and market["stocks"])),
            gr.update(visible=bool(market["stocks"])),
        ]

    def _draw_table(self, view: View, snapshot: Snapshot, text: str) -> list[Any]:
        if not snapshot.market["stocks"]:
            return [gr.update(visible=False)]
        found = self.page.services.find(text, SHOWN_ROWS)
        industries = self.page.services.store.industries()
        rows = [
            [
                row.symbol,
                row.name,
                view.term("board", row.board),
                view.term("industry", industries.get(row.symbol, "unknown")),
                written(count, row.rows),
                str(row.first)[:10],
                str(row.last)[:10],
                view.term("source", row.source),
            ]
            for row in found.itertuples(index=False, name="Stock")
        ]
        return [gr.update(value=grid([view.word(f"ui.data.column.{name}") for name in COLUMNS], rows), visible=True)]

    def _stop(self, view: View) -> None:
        job = self._job(self.page.services.snapshot(fresh=True))
        if job is not None:
            self.page.services.jobs.stop(job["id"])

    def _remove(self, view: View) -> Any:
        """Only ever the demo market: real bars are not deleted from a browser."""
        store = self.page.services.store
        if store.synthetic:
            store.clear()
        return gr.update(visible=False)
