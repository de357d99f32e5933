"""What a portfolio would have earned, as figures: equity beside its benchmarks with the drawdown below, and industries past against forecast.

In: plain data of a backtest or of the industry table, and a view. Out: Plotly figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.ui.charts.base import ACCENT, GOLD, GREY, GRID, HEIGHTS, by_date, figure_of, rise_and_fall, thin, tint
from financial_model.ui.text import View

if TYPE_CHECKING:
    import plotly.graph_objects as go

LINES = (("net", ACCENT, "solid"), ("gross", ACCENT, "dot"), ("equal_weight", GOLD, "solid"), ("index", GREY, "solid"))
"""Series of a backtest: name, colour, dash."""


def equity(found: Mapping[str, Any], view: View) -> go.Figure:
    """Growth of 1 after and before costs beside equal weight and the index; below it how far the portfolio is from its peak.

    ``found``: a backtest as ``performance.summarize`` gives it.
    """
    import plotly.graph_objects as go

    figure = by_date(figure_of(HEIGHTS["equity"]))
    series = found["series"]
    keep = thin(len(series["time"]))
    days = np.asarray(series["time"], "datetime64[s]").astype("datetime64[D]").astype(str)[keep]
    for name, colour, dash in LINES:
        if name in series:
            label = view.term("market", found["index_name"]) if name == "index" else view.word(f"evaluation.report.side_{name}")
            figure.add_trace(
                go.Scatter(
                    x=days,
                    y=np.asarray(series[name], float)[keep] - 1,
                    mode="lines",
                    name=label,
                    line={"color": colour, "dash": dash, "width": 2.2 if name == "net" else 1.4},
                    hovertemplate="%{y:.2%}",
                )
            )
    _, down = rise_and_fall(view)
    figure.add_trace(
        go.Scatter(
            x=days,
            y=np.asarray(series["drawdown"], float)[keep],
            mode="lines",
            line={"color": down, "width": 1},
            fill="tozeroy",
            fillcolor=tint(down, 0.2),
            yaxis="y2",
            name=view.word("evaluation.report.figure_max_drawdown"),
            showlegend=False,
            hovertemplate="%{y:.2%}",
        )
    )
    figure.update_layout(
        hovermode="x unified",
        yaxis={"domain": [0.3, 1], "tickformat": ".0%"},
        yaxis2={"domain": [0, 0.22], "tickformat": ".0%", "title": view.word("ui.backtest.drawdown"), "zeroline": False, "gridcolor": GRID},
        xaxis={"anchor": "y2"},
    )
    return figure


def industries(table: Sequence[Mapping[str, Any]], view: View) -> go.Figure:
    """Two bars per industry: what it did over the last days, and what is expected over as many days to come (shares of 1)."""
    import plotly.graph_objects as go

    figure = figure_of(120 + 34 * max(len(table), 1), barmode="group")
    names = [view.term("industry", entry["industry"]) for entry in reversed(table)]
    for key, colour in (("expected", ACCENT), ("past", GREY)):
        figure.add_trace(
            go.Bar(
                y=names,
                x=[entry[key] for entry in reversed(table)],
                orientation="h",
                name=view.word(f"ui.industry.{key}"),
                marker={"color": tint(colour, 0.8)},
                hovertemplate="%{y}: %{x:.2%}<extra></extra>",
            )
        )
    figure.update_xaxes(tickformat=".1%", zeroline=True, zerolinecolor=GREY)
    figure.update_layout(margin={"l": 92, "r": 18, "t": 34, "b": 30}, legend={"traceorder": "reversed"})
    return figure
