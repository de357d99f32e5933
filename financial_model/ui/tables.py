"""Tables that read well and sort rightly: a cell may be a number that is written for people. It knows no page.

Gradio's table sorts by the values it is given and shows, where there are any, the texts beside them. Its own search looks at the values alone, so a
table that is searched has a box of ours, which looks at what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gradio as gr

from financial_model.ui.text import known

_NUMBER = "text-align: right; font-variant-numeric: tabular-nums"


class Written(NamedTuple):
    """What a cell sorts by, and what stands in it."""

    value: float | None
    text: str


def written(write: Callable[..., str], value: Any, *args: Any, **options: Any) -> Written:
    """``value`` as ``write(value, ...)`` has it; an unknown one sorts as nothing."""
    return Written(float(value) if known(value) else None, write(value, *args, **options))


def shown(cell: Any) -> str:
    """What the reader sees in a cell."""
    return cell.text if isinstance(cell, Written) else "" if cell is None else str(cell)


def matches(row: Sequence[Any], text: str | None) -> bool:
    """Whether every word of a search stands somewhere in a row, as the reader sees it."""
    seen = " ".join(map(shown, row)).casefold()
    return all(word in seen for word in (text or "").casefold().split())


def search_box(words: Callable[..., Any], elem_id: str) -> Any:
    """The box for :func:`matches`, above a table; ``words`` as of the page that it stands on."""
    texts = {"label": "ui.table.filter", "placeholder": "ui.table.filter_hint"}
    return words(gr.Textbox, texts, max_lines=1, elem_id=elem_id, elem_classes=["k-narrow"])


def grid(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The value of a ``gr.Dataframe``. Written numbers stand to the right, one below the other."""
    data = [[cell.value if isinstance(cell, Written) else cell for cell in row] for row in rows]
    texts = [[shown(cell) for cell in row] for row in rows]
    styles = [[_NUMBER if isinstance(cell, Written) else "" for cell in row] for row in rows]
    return {"headers": list(headers), "data": data, "metadata": {"display_value": texts, "styling": styles}}
