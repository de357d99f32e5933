"""Where figures stand on the page: as high before a figure is drawn as after, so that no button below moves away under the pointer.

In: the name of a drawing of ``charts``. Out: a component for it, and the style that keeps its room. Gradio's own empty place is 238 pixels high until
the library that draws is there, which takes seconds the first time.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model.ui.charts import HEIGHTS

BORDER = 2


def room_for(drawing: str, **options: Any) -> gr.Plot:
    """A place for ``charts.<drawing>``."""
    return gr.Plot(show_label=False, elem_classes=[_class(drawing)], **options)


def style() -> str:
    """The room of every drawing; what stands there while it is empty fits into it."""
    kept = [f".{_class(drawing)} {{ min-height: {height + BORDER}px; }}" for drawing, height in HEIGHTS.items()]
    return "\n".join([*kept, "[class*=k-place-] .empty { min-height: 0 !important; }"])


def _class(drawing: str) -> str:
    return f"k-place-{drawing.replace('_', '-')}"
