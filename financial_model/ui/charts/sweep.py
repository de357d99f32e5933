"""The trials of a sweep in order: what each reached, and the best so far.

In: a stored table of ``serving.sweep`` and a view. Out: a Plotly figure.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from financial_model.serving.sweep import BY
from financial_model.ui.charts.base import ACCENT, GOLD, GREY, HEIGHTS, figure_of
from financial_model.ui.text import View, known

if TYPE_CHECKING:
    import plotly.graph_objects as go

TICKS = 10
"""About so many numbers under the figure, all whole."""


def sweep(table: Mapping[str, Any], view: View) -> go.Figure:
    """A point per trial with a figure (finished ones in colour) and a stair of the best finished one so far."""
    import plotly.graph_objects as go

    told = [row for row in table["trials"] if known(row["value"])]
    done = [row for row in told if row["state"] == "complete"]
    figure = figure_of(HEIGHTS["sweep"])
    others = [row for row in told if row["state"] != "complete"]
    for rows, colour, key in ((done, ACCENT, "ui.sweep.finished"), (others, GREY, "ui.sweep.unfinished")):
        figure.add_trace(go.Scatter(x=[row["number"] for row in rows], y=[row["value"] for row in rows], mode="markers", name=view.word(key),
                                    marker={"size": 8, "color": colour}, hovertemplate="%{x}: %{y:.5f}<extra></extra>"))
    best = list(itertools.accumulate((row["value"] for row in done), max if BY[table["by"]] else min))
    figure.add_trace(go.Scatter(x=[row["number"] for row in done], y=best, mode="lines", name=view.word("ui.sweep.best_so_far"),
                                line={"color": GOLD, "shape": "hv", "width": 2}, hoverinfo="skip"))
    figure.update_xaxes(title=view.word("sweep.trial"), tick0=0, dtick=max(1, len(table["trials"]) // TICKS))
    figure.update_yaxes(title=view.word(f"sweep.by.{table['by']}"), automargin=True)
    return figure
