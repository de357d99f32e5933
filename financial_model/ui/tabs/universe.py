"""Universe: what the store holds, by industry, style and market regime.

In: the page. Out: the tab.
"""

from __future__ import annotations

import gradio as gr

from financial_model.ui import components
from financial_model.ui.page import Page
from financial_model.ui.tabs import frame


def build(page: Page) -> None:
    with frame.tab(page, "universe"):
        card = gr.HTML(elem_id="universe-card")
    page.live(
        "universe.card",
        [card],
        lambda snapshot: tuple(map(str, snapshot.market.values())),
        lambda view, snapshot: [components.market_card(view, snapshot.market)],
    )
