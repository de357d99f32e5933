"""Data: what is in the store, and how more comes in.

In: the page. Out: the tab.
"""

from __future__ import annotations

import gradio as gr

from financial_model.ui import components
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.tabs import frame
from financial_model.ui.text import View


def build(page: Page) -> None:
    with frame.tab(page, "data"):
        card = gr.HTML(elem_id="data-card")
    page.live("data.card", [card], lambda snapshot: tuple(map(str, snapshot.market.values())), lambda view, snapshot: [_card(view, snapshot)])


def _card(view: View, snapshot: Snapshot) -> str:
    return f'<div class="k-card">{components.market_card(view, snapshot.market)}</div>'
