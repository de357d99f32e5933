"""Inference: ask a trained model about one stock or the whole pool, and see what its test said.

In: the page. Out: the tab: one picker of runs above three views (``stock.py``, ``pool.py``, ``judgement.py``).
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model.ui import components
from financial_model.ui.choosing import pick, run_choices, usable
from financial_model.ui.judgement import EvaluationView
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.pool import PoolView
from financial_model.ui.stock import StockView
from financial_model.ui.tabs import frame
from financial_model.ui.text import View


def build(page: Page) -> None:
    with frame.tab(page, "inference"):
        empty = gr.HTML()
        with gr.Column() as whole:
            picker = page.words(gr.Dropdown, {"label": "ui.inference.run"}, choices=[], value=None, filterable=False, elem_id="inference-run")
            page.live("inference.runs", [empty, whole, picker], _version, _draw, [picker])
            page.refresh_on(picker.input)
            with gr.Tabs():
                with page.words(gr.Tab, {"label": "ui.inference.stock"}):
                    StockView(page, picker)
                with page.words(gr.Tab, {"label": "ui.inference.pool"}):
                    PoolView(page, picker)
                with page.words(gr.Tab, {"label": "ui.inference.evaluation"}):
                    EvaluationView(page, picker)


def _version(snapshot: Snapshot, wanted: str | None) -> Any:
    return tuple((run.id, run.state) for run in usable(snapshot)), wanted


def _draw(view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
    runs = usable(snapshot)
    run = pick(runs, wanted)
    hint = "" if runs else components.empty(view, "ui.inference.empty")
    return [hint, gr.update(visible=bool(runs)), gr.update(choices=run_choices(runs, view), value=run.id if run else None)]
