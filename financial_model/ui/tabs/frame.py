"""What tabs look like before they differ: a tab with its heading, and the two halves of a training tab.

In: the page and a tab's name. Out: context managers to build inside. It knows no services.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr

from financial_model.serving.runs import RunInfo
from financial_model.ui.page import Page
from financial_model.ui.training import TrainingPanel


@contextmanager
def tab(page: Page, name: str) -> Iterator[gr.Tab]:
    """A tab called ``ui.tab.<name>`` that opens with one line about what it is for."""
    with page.words(gr.Tab, {"label": f"ui.tab.{name}"}, id=name, elem_id=f"tab-{name}") as opened, page.building(name, opened):
        page.words(gr.HTML, {"value": f"ui.{name}.lead"}, html_template='<p class="k-lead">${value}</p>')
        yield opened


@contextmanager
def training_tab(page: Page, name: str, belongs: Callable[[RunInfo], bool]) -> Iterator[TrainingPanel]:
    """Form on the left (built inside the ``with``), the panel that follows a run on the right."""
    with tab(page, name) as opened, gr.Row():
        left = gr.Column(scale=5, min_width=360, elem_classes=["k-form"])
        with gr.Column(scale=7, min_width=420):
            panel = TrainingPanel(page, name, opened, belongs)
        with left:
            yield panel
