"""The stock pool: every stock of a model's universe in order of its expected return.

In: the page and the run picker of the inference tab. Out: components and their rows. The ranking is a job, so every browser sees it; the CSV is
written from the ranking itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from financial_model.config import INDUSTRIES
from financial_model.errors import ConfigError
from financial_model.ui import components, downloads
from financial_model.ui.choosing import asked, pick, usable
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.text import View, number, percent

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("rank", "symbol", "name", "industry", "style", "regime", "price", "expected", "range", "p_up", "volatility", "flags")
STYLES = (("size", "size"), ("value", "value"), ("volatility", "volatility_class"), ("momentum", "momentum"))
FLAGS = ("suspended", "limit_up", "limit_down")


def least_gain(text: str | None) -> float | None:
    """Percent as written by a person -> share of 1; ``None`` for nothing. ``ConfigError`` for anything that is no number."""
    written = (text or "").strip().rstrip("%％").strip()
    if not written:
        return None
    try:
        value = float(written)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError("ui.pool.bad_gain", value=str(text)[:20])
    return value / 100


def head(view: View, table: pd.DataFrame) -> str:
    """On which date, how far ahead, out of how many."""
    text = view.word("ui.pool.head", as_of=table.attrs["as_of"], days=table.attrs["days"], shown=len(table), count=table.attrs["considered"])
    return components.note(text) + components.notes(view, table.attrs["notes"])


def rows(view: View, table: pd.DataFrame) -> dict[str, Any]:
    """Headers and cells for ``gr.Dataframe``."""
    cells = [
        [
            row.rank,
            row.symbol,
            row.name,
            view.term("industry", row.industry),
            _style(row, view),
            view.term("regime", row.regime),
            number(row.price, 2),
            percent(np.expm1(row.expected_return), 2, signed=True),
            f"{percent(np.expm1(row.low_80))} … {percent(np.expm1(row.high_80))}",
            percent(row.p_up),
            percent(row.volatility * 252**0.5),
            _flags(row, view),
        ]
        for row in table.itertuples(index=False, name="Stock")
    ]
    return {"headers": [view.word(f"ui.pool.column.{name}") for name in COLUMNS], "data": cells}


def _style(row: Any, view: View) -> str:
    return " · ".join(view.term(kind, getattr(row, column)) for kind, column in STYLES if getattr(row, column) != "unknown")


def _flags(row: Any, view: View) -> str:
    return " ".join(view.word(f"ui.pool.flag.{name}") for name in FLAGS if getattr(row, name))


class PoolView:
    """Every stock of the model's universe in order of its expected return; the ranking is a job, so every browser sees it."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        with gr.Group(), gr.Row(equal_height=True):
            self.top = words(gr.Number, {"label": "ui.pool.top", "info": "ui.pool.top_info"}, value=20, precision=0, minimum=0, maximum=10_000)
            self.gain = words(gr.Textbox, {"label": "ui.pool.gain", "info": "ui.pool.gain_info", "placeholder": "ui.pool.gain_any"}, max_lines=1)
            self.industry = words(
                gr.Dropdown,
                {
                    "label": "form.industry.label",
                    "info": "ui.pool.industry_info",
                    "choices": [(f"ui.term.industry.{name}", name) for name in ("all", *INDUSTRIES)],
                },
                value="all",
            )
            self.as_of = words(gr.Textbox, {"label": "ui.stock.as_of", "info": "ui.stock.as_of_info", "placeholder": "ui.form.date"}, max_lines=1)
        self.ask = words(gr.Button, {"value": "ui.pool.ask"}, variant="primary", elem_id="pool-ask")
        self.status = gr.HTML(elem_id="pool-status")
        self.table = gr.Dataframe(
            value=None,
            interactive=False,
            show_label=False,
            visible=False,
            max_height=620,
            elem_id="pool-table",
            show_search="filter",
            buttons=["fullscreen", "copy"],
            pinned_columns=2,
        )
        self.csv = words(gr.DownloadButton, {"label": "ui.pool.csv"}, value=None, visible=False, elem_id="pool-csv")
        page.on_and_refresh(self.ask.click, self._rank, [picker, self.top, self.gain, self.industry, self.as_of], trigger_mode="once")
        page.live("pool", [self.status, self.table, self.csv], self._version, self._draw, [picker])

    def _rank(self, view: View, wanted: str | None, top: float | None, gain: str, industry: str, as_of: str) -> None:
        services = self.page.services
        services.jobs.submit(
            "rank",
            run=asked(services.snapshot(), wanted).id,
            top=int(top or 0),
            as_of=(as_of or "").strip() or None,
            min_gain=least_gain(gain),
            industry=None if industry == "all" else industry,
        )

    def _job(self, snapshot: Snapshot, wanted: str | None) -> dict[str, Any] | None:
        run = pick(usable(snapshot), wanted)
        return next((job for job in snapshot.jobs if job["kind"] == "rank" and run is not None and job["run"] == run.id), None)

    def _version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        job = self._job(snapshot, wanted)
        return job and (job["id"], job["state"], job["stage"], job["done"])

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        job = self._job(snapshot, wanted)
        hidden = gr.update(visible=False)
        if job is None:
            return [components.empty(view, "ui.pool.empty"), hidden, hidden]
        if job["state"] != "finished":
            return [components.progress(view, job, None), hidden, hidden]
        table = job["result"]["table"]
        file = downloads.csv(table, f"{job['run']}.{table.attrs['as_of']}.csv")
        return [head(view, table), gr.update(value=rows(view, table), visible=True), gr.update(value=file, visible=True)]
