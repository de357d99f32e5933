"""Several models, baselines and constant answers in one figure, best on top, each with its interval.

In: a stored comparison and a view. Out: a Plotly figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from financial_model.ui.charts.base import ACCENT, GOLD, GREY, INK, figure_of
from financial_model.ui.text import View

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLOURS = {"model": ACCENT, "baseline": GOLD, "constant": GREY}


def comparison(table: Mapping[str, Any], view: View) -> go.Figure:
    """The figure the table is ranked by. ``table``: of ``serving.compare``."""
    import plotly.graph_objects as go

    from financial_model.evaluation.comparison_report import row_name

    metric = table["rank_by"]
    rows = [row for row in reversed(table["rows"]) if row["place"]]
    figure = figure_of(max(220, 34 * len(rows) + 90))
    for kind, colour in COLOURS.items():
        own = [row for row in rows if row["kind"] == kind]
        values = [row["metrics"][metric] for row in own]
        ends = [row["metrics"].get(f"{metric}_interval") or [value, value] for row, value in zip(own, values, strict=True)]
        figure.add_trace(
            go.Scatter(
                x=values,
                y=[row_name(row, view.language) for row in own],
                mode="markers",
                marker={"size": 10, "color": colour},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [high - value for (_, high), value in zip(ends, values, strict=True)],
                    "arrayminus": [value - low for (low, _), value in zip(ends, values, strict=True)],
                    "color": colour,
                },
                name=view.word(f"compare.kind.{kind}"),
                hovertemplate="%{y}: %{x:.4f}<extra></extra>",
            )
        )
    figure.update_yaxes(categoryorder="array", categoryarray=[row_name(row, view.language) for row in rows], automargin=True)
    figure.update_xaxes(title=view.word(f"compare.metric.{metric}"), zeroline=True, zerolinecolor=INK)
    return figure
