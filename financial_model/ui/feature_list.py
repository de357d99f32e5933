"""What a model will read: every feature of the chosen groups with one line of explanation, beside the form.

In: the page and a training form. Out: an accordion that is filled when it is opened. The features themselves are the registry's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from financial_model.config import INDUSTRIES, convert, spec
from financial_model.errors import ConfigError
from financial_model.ui.components import note, table
from financial_model.ui.forms import Form
from financial_model.ui.page import Page
from financial_model.ui.text import View, escape

WORDS = '<span style="display:block;white-space:normal">'
"""Around a sentence in a cell: it wraps, however narrow the column."""


class FeatureList:
    def __init__(self, page: Page, name: str, form: Form) -> None:
        groups, formulas = form.controls["groups"], form.controls["formulas"]
        opened = gr.State(False)
        with page.words(gr.Accordion, {"label": "ui.features.title"}, open=False, elem_id=f"{name}-features") as accordion:
            shown = gr.HTML()
        page.on(accordion.expand, lambda view: True, [], [opened])
        page.on(accordion.collapse, lambda view: False, [], [opened])
        page.on([opened.change, groups.change, formulas.change, page.preferences.change],
                lambda view, *given: feature_table(view, *given[1:]) if given[0] else gr.skip(), [opened, groups, formulas], [shown])


def feature_table(view: View, groups: Sequence[str], formulas: Any = "") -> str:
    """HTML: name, group and explanation of every feature of ``groups``, in the order a model sees them, and of one's own formulas."""
    from financial_model.features import registry

    try:
        chosen = registry.names(groups or (), convert(spec("formulas"), formulas or ""))
    except ConfigError as error:
        return note(error.message(view.language), "bad")
    if not chosen:
        return note(view.word("ui.features.none"))
    known = {entry["name"]: entry for entry in registry.describe()}
    rows = []
    for feature in chosen:
        entry = known.get(feature)
        group = view.term("groups", entry["group"]) if entry else ""
        line = _line(view, entry[view.language]) if entry else view.word("ui.features.formula")
        rows.append([f"<code>{escape(feature)}</code>{WORDS}{escape(line)}</span>", escape(group)])
    head = [view.word("ui.features.name"), view.word("ui.features.group")]
    return note(view.word("ui.features.count", count=len(rows))) + f'<div style="max-height:26em;overflow:auto">{table(head, rows)}</div>'


def _line(view: View, text: str) -> str:
    """The registry's explanation, an industry called as the page calls it."""
    frame = "“{}”" if view.language == "zh" else " {} "
    for name in INDUSTRIES:
        text = text.replace(f" {name} ", frame.format(view.term("industry", name)))
    return text
