"""Your own data: upload bars, get a forecast and a table to download. Nothing of it enters the store.

In: the page and the run picker of the inference tab. Out: components. The file is checked here and read by a job (``serving/custom.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from financial_model.config import INDUSTRIES
from financial_model.errors import DataError
from financial_model.ui import asking, charts, components, downloads, uploads
from financial_model.ui.choosing import asked
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.places import room_for
from financial_model.ui.text import View, count, escape, number, percent

if TYPE_CHECKING:
    import pandas as pd

LIMIT = 50 * 1000 * 1000
"""Bytes of one upload: a forecast needs some hundred bars a stock, not a market's history."""
SHOWN_ROWS = 200


class CustomView:
    """Upload, ask, look, download."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        self.own = gr.State(None)
        words(gr.HTML, {"value": "ui.custom.lead"}, html_template='<p class="k-lead">${value}</p>')
        with gr.Row(equal_height=True):
            self.file = words(gr.File, {"label": "ui.custom.file"}, file_types=list(uploads.KINDS), scale=2, height=150, elem_id="custom-file")
            with gr.Column(scale=2, min_width=260):
                self.symbol = words(gr.Textbox, {"label": "ui.custom.symbol", "info": "ui.custom.symbol_info"}, max_lines=1, elem_id="custom-symbol")
                self.industry = words(
                    gr.Dropdown,
                    {
                        "label": "form.industry.label",
                        "info": "ui.custom.industry_info",
                        "choices": [("ui.custom.unknown", ""), *((f"ui.term.industry.{name}", name) for name in INDUSTRIES)],
                    },
                    value="",
                    filterable=False,
                )
        self.ask = words(gr.Button, {"value": "ui.stock.ask"}, variant="primary", elem_id="custom-ask", elem_classes=["k-act"])
        self.refused = gr.HTML(elem_id="custom-refused")
        self.status = gr.HTML(elem_id="custom-status")
        self.shown = words(gr.Dropdown, {"label": "ui.stock.symbol"}, choices=[], value=None, visible=False, filterable=True, elem_id="custom-shown")
        self.plot = room_for("candles", visible=False, elem_id="custom-plot")
        self.table = gr.HTML(elem_id="custom-table")
        self.csv = words(gr.DownloadButton, {"label": "ui.custom.csv"}, value=None, visible=False, elem_id="custom-csv", elem_classes=["k-act"])
        page.on_and_refresh(
            self.ask.click,
            self._ask,
            [picker, self.file, self.symbol, self.industry],
            [self.own],
            show_progress="minimal",
            show_progress_on=[self.status],
            trigger_mode="once",
            beside=self.refused,
        )
        page.live(
            "custom",
            [self.status, self.shown, self.plot, self.table, self.csv],
            lambda snapshot, wanted, own, shown: (wanted, asking.version(self._job(snapshot, own)), shown),
            self._draw,
            [picker, self.own, self.shown],
        )
        page.refresh_on(self.shown.input)

    def _ask(self, view: View, wanted: str | None, file: str | None, symbol: str, industry: str) -> str:
        services = self.page.services
        run = asked(services.snapshot(), wanted)
        if not file:
            raise DataError("ui.custom.no_file")
        path = uploads.received(file, kinds=uploads.KINDS)
        if path.stat().st_size > LIMIT:
            raise DataError("ui.upload.too_large", name=path.name[:80], limit=LIMIT // 1_000_000)
        return asking.ask(services, "custom", run=run.id, path=str(path), symbol=symbol or "", industry=industry or "")

    @staticmethod
    def _job(snapshot: Snapshot, own: str | None) -> dict[str, Any] | None:
        """Only a visitor's own: what somebody uploads is not for everybody's eyes."""
        return next((job for job in snapshot.jobs if job["id"] == own), None)

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None, own: str | None, shown: str | None) -> list[Any]:
        job, hidden = self._job(snapshot, own), gr.update(visible=False)
        if job is None or not asking.finished(job):
            return [asking.waiting(view, job, "ui.custom.empty"), hidden, hidden, "", hidden]
        found = job["result"]
        stocks = list(found["stocks"])
        chosen = shown if shown and shown in found["stocks"] else stocks[0]
        return [
            head(view, found),
            gr.update(choices=[(symbol, symbol) for symbol in stocks], value=chosen, visible=len(stocks) > 1),
            gr.update(value=charts.candles(found["stocks"][chosen], view), visible=True),
            table(view, found["table"], chosen),
            gr.update(value=downloads.csv(found["table"], f"{job['run']}.custom.csv"), visible=True),
        ]


def head(view: View, found: dict[str, Any]) -> str:
    """How much was read and forecast, and what a reader must know."""
    text = view.word("ui.custom.head", rows=count(found["rows"]), stocks=found["table"]["symbol"].nunique(), days=found["days"])
    refused = "".join(components.note(view.word(entry["key"], **entry["fields"]), "bad") for entry in found["refused"])
    return components.note(text, "good") + components.notes(view, found["notes"]) + refused


def table(view: View, found: pd.DataFrame, symbol: str) -> str:
    """One row a day of one stock."""
    levels = [name for name in found.columns if name.startswith("q")]
    rows = [
        [
            f"{row['day']}<small>{str(row['date'])[:10]}</small>",
            number(row["price"], 2),
            components.change_cell(float(np.expm1(row["expected_return"])), view),
            percent(row["p_up"]),
            *(components.change_cell(float(np.expm1(row[name])), view) for name in levels),
        ]
        for row in found[found["symbol"] == symbol].head(SHOWN_ROWS).to_dict("records")
    ]
    headers = [
        view.word("ui.stock.day"),
        view.word("ui.chart.median"),
        view.word("ui.stock.expected_short"),
        view.word("ui.stock.p_up_short"),
        *(f"{float(name[1:]):.1%}".replace(".0%", "%") for name in levels),
    ]
    return f'<div class="k-card"><b class="k-title">{escape(symbol)}</b>{components.table(headers, rows)}</div>'
