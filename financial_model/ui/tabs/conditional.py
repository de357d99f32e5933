"""Conditional training: one model that knows industry, style and market regime, or one model for one industry.

In: the page. Out: the tab: the form of basic training plus the conditions, how many stocks fall into each, and a warning where they are few.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model.serving.runs import RunInfo
from financial_model.ui import universe_view
from financial_model.ui.choosing import setting
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.starting import TrainingForm
from financial_model.ui.tabs import frame
from financial_model.ui.text import View, escape

ESSENTIALS = (("name", "backbone"), ("condition", "industry"), ("objective", "horizon"), ("context_length", "epochs"))
VALUES = {"backbone": "cnn_lstm", "condition": "concat", "name": "conditional"}


def belongs(run: RunInfo) -> bool:
    return setting(run, "model", "condition") != "none"


def build(page: Page) -> None:
    with frame.training_tab(page, "conditional", belongs) as panel:
        with page.words(gr.Accordion, {"label": "ui.conditional.cells"}, open=True):
            cells = gr.HTML(elem_id="conditional-cells")
        TrainingForm(page, panel, "conditional", essentials=ESSENTIALS, fixed={}, values=VALUES)
        page.live("conditional.cells", [cells], _version, _draw)
        page.on_and_refresh(panel.tab.select, lambda view: page.services.look_at_universe())


def _version(snapshot: Snapshot) -> Any:
    return snapshot.market["stocks"], snapshot.analysis_id


def _draw(view: View, snapshot: Snapshot) -> list[Any]:
    if snapshot.analysis is not None:
        return [universe_view.cells(view, snapshot.analysis)]
    key = "ui.conditional.counting" if snapshot.market["stocks"] else "ui.train.no_data"
    return [f'<p class="k-lead">{escape(view.word(key))}</p>']
