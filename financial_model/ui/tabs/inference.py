"""Inference: ask a trained model about one stock, the whole pool, industries or a portfolio, and see what its test said.

In: the page. Out: the tab: one picker of runs above the views, a file each.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model.ui import components, results
from financial_model.ui.backtest import BacktestView
from financial_model.ui.choosing import pick, run_choices, usable
from financial_model.ui.custom import CustomView
from financial_model.ui.industry import IndustryView
from financial_model.ui.journal import JournalView
from financial_model.ui.judgement import EvaluationView
from financial_model.ui.orders import OrdersView
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.pool import PoolView
from financial_model.ui.stock import StockView
from financial_model.ui.tabs import frame
from financial_model.ui.text import View

VIEWS = (
    ("stock", StockView),
    ("pool", PoolView),
    ("industry", IndustryView),
    ("evaluation", EvaluationView),
    ("backtest", BacktestView),
    ("orders", OrdersView),
    ("journal", JournalView),
    ("custom", CustomView),
)
"""Tabs below the picker: name (``ui.inference.<name>``) and what builds it from the page and the picker."""


def build(page: Page) -> None:
    with frame.tab(page, "inference"):
        empty = gr.HTML()
        with gr.Column() as whole:
            picker = page.words(gr.Dropdown, {"label": "ui.inference.run"}, choices=[], value=None, filterable=False, elem_id="inference-run")
            page.live("inference.runs", [empty, whole, picker], _version, _draw, [picker])
            page.refresh_on(picker.input)
            card = gr.HTML(elem_id="inference-model")
            page.live("inference.model", [card], _card_version, _draw_card, [picker])
            with gr.Tabs(overflow_behavior="wrap"):
                for name, view in VIEWS:
                    with page.words(gr.Tab, {"label": f"ui.inference.{name}"}, elem_id=f"inference-{name}"):
                        view(page, picker)


def _version(snapshot: Snapshot, wanted: str | None) -> Any:
    return tuple((run.id, run.state) for run in usable(snapshot)), wanted


def _card_version(snapshot: Snapshot, wanted: str | None) -> Any:
    run = pick(usable(snapshot), wanted)
    return run and results.version(run)


def _draw_card(view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
    run = pick(usable(snapshot), wanted)
    return [results.model_line(view, results.load(run)) if run else ""]


def _draw(view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
    runs = usable(snapshot)
    run = pick(runs, wanted)
    hint = "" if runs else components.empty(view, "ui.inference.empty")
    return [hint, gr.update(visible=bool(runs)), gr.update(choices=run_choices(runs, view), value=run.id if run else None)]
