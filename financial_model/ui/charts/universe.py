"""Figures of the universe: industries by size and change, market regime, styles, risk, and matrices.

In: plain data of the analysis and a view. Out: Plotly figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from financial_model.config import INDUSTRIES, REGIMES
from financial_model.ui.charts.base import ACCENT, GOLD, GREY, HEIGHTS, PALETTE, by_date, deep, figure_of, regime_colours, rise_and_fall, thin, tint
from financial_model.ui.text import View, percent

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

MAX_TILES = 800
"""Stocks of the treemap, the largest ones: more are too small to see and slow to draw."""


def treemap(industries: Mapping[str, str], stocks: pd.DataFrame, view: View) -> go.Figure:
    """Industries and their stocks: area = ``weight``, colour = ``change`` (share of 1). ``stocks``: symbol, name, industry, weight, change."""
    import plotly.graph_objects as go

    figure = figure_of(HEIGHTS["treemap"])
    if stocks.empty:
        return figure
    stocks = stocks.nlargest(MAX_TILES, "weight")
    moved = stocks["change"].fillna(0) * stocks["weight"]
    groups = stocks.assign(moved=moved).groupby("industry", sort=False)[["weight", "moved"]].sum()
    up, down = rise_and_fall(view)
    change = [moved.sum() / stocks["weight"].sum(), *(groups["moved"] / groups["weight"]), *stocks["change"].fillna(0)]
    span = max(float(np.nanpercentile(np.abs(stocks["change"]), 95)) if stocks["change"].notna().any() else 0.0, 1e-4)
    names = [name or symbol for name, symbol in zip(stocks["name"], stocks["symbol"], strict=True)]
    figure.add_trace(
        go.Treemap(
            ids=["/", *(f"/{group}" for group in groups.index), *stocks["symbol"]],
            labels=[view.word("ui.chart.all_stocks"), *(industries.get(group, group) for group in groups.index), *names],
            parents=["", *("/" for _ in groups.index), *(f"/{group}" for group in stocks["industry"])],
            values=[stocks["weight"].sum(), *groups["weight"], *stocks["weight"]],
            branchvalues="total",
            maxdepth=3,
            pathbar={"visible": False},
            tiling={"pad": 2},
            text=[percent(value, signed=True) for value in change],
            textinfo="label+text",
            textfont={"color": "white"},
            hovertemplate="<b>%{label}</b><br>%{text}<extra></extra>",
            marker={
                "colors": change,
                "cmid": 0,
                "cmin": -span,
                "cmax": span,
                "colorscale": [[0, deep(down)], [0.5, deep("#77808f")], [1, deep(up)]],
                "line": {"width": 1, "color": "rgba(255,255,255,.35)"},
                "pad": {"t": 22, "l": 3, "r": 3, "b": 3},
            },
        )
    )
    figure.update_layout(margin={"l": 4, "r": 4, "t": 8, "b": 4})
    return figure


def regime_ribbon(dates: Sequence[str], close: Sequence[float], regime: Sequence[int], view: View) -> go.Figure:
    """The index with its market regime as a coloured band behind it. ``regime``: index into REGIMES, anything beyond is unknown."""
    import plotly.graph_objects as go

    figure = by_date(figure_of(HEIGHTS["regime_ribbon"]))
    keep = thin(len(dates))
    if not keep.size:
        return figure
    colours = regime_colours(view)
    days, price, state = np.asarray(dates)[keep], np.asarray(close, float)[keep], np.asarray(regime)[keep]
    edges = [0, *(np.flatnonzero(np.diff(state)) + 1), len(state)]
    for name in REGIMES:  # one filled path per regime, not one rectangle per change: hundreds of shapes are slow to draw
        x, y = [], []
        for start, end in zip(edges[:-1], edges[1:], strict=True):
            if state[start] == REGIMES.index(name):
                x += [days[start], days[start], days[min(end, len(days) - 1)], days[min(end, len(days) - 1)], None]
                y += [0, 1, 1, 0, None]
        figure.add_trace(
            go.Scatter(
                x=x or [None],
                y=y or [None],
                fill="toself",
                mode="none",
                fillcolor=tint(colours[name], 0.26),
                yaxis="y2",
                name=view.term("regime", name),
                hoverinfo="skip",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=days,
            y=price,
            mode="lines",
            line={"color": ACCENT, "width": 1.6},
            name=view.word("ui.chart.index"),
            hovertemplate="%{x|%Y-%m-%d}  %{y:,.1f}<extra></extra>",
        )
    )
    figure.update_layout(
        yaxis={"side": "right"}, yaxis2={"overlaying": "y", "range": [0, 1], "visible": False}, margin={"l": 14, "r": 56, "t": 30, "b": 30}
    )
    return figure


def style_bars(shares: Mapping[str, Mapping[str, float]], view: View) -> go.Figure:
    """One stacked bar a dimension. ``shares``: dimension -> label -> share of 1 of the stocks on the last date."""
    import plotly.graph_objects as go

    figure = figure_of(90 + 44 * max(len(shares), 1), barmode="stack")
    for dimension, parts in reversed(list(shares.items())):
        for place, (label, share) in enumerate(parts.items()):
            name = view.term(dimension, label)
            colour = deep(GREY if label == "unknown" else PALETTE[place % len(PALETTE)])
            figure.add_trace(
                go.Bar(
                    y=[view.term("dimension", dimension)],
                    x=[share],
                    orientation="h",
                    marker={"color": colour},
                    name=name,
                    showlegend=False,
                    text=[f"{name} {share:.0%}" if share >= 0.07 else ""],
                    textposition="inside",
                    insidetextanchor="middle",
                    textangle=0,
                    textfont={"color": "white"},
                    hovertemplate=f"{name}: %{{x:.1%}}<extra></extra>",
                )
            )
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_layout(margin={"l": 90, "r": 18, "t": 10, "b": 30}, uniformtext={"minsize": 10, "mode": "hide"})
    return figure


def coverage(dates: Sequence[str], stocks: Sequence[int], view: View) -> go.Figure:
    """How many stocks have a bar, by date."""
    import plotly.graph_objects as go

    figure = by_date(figure_of(HEIGHTS["coverage"]))
    figure.add_trace(go.Scatter(x=dates, y=stocks, mode="lines", fill="tozeroy", line={"color": ACCENT, "width": 1.2}, showlegend=False,
                                hovertemplate="%{x}: %{y:,}<extra></extra>"))
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(margin={"l": 50, "r": 18, "t": 10, "b": 30})
    return figure


def risk_scatter(stocks: pd.DataFrame, view: View) -> go.Figure:
    """A dot per stock, coloured by industry. ``stocks``: symbol, name, industry, annual_volatility, annual_return (share of 1)."""
    import plotly.graph_objects as go

    figure = figure_of(HEIGHTS["risk_scatter"])
    stocks = stocks.iloc[thin(len(stocks))] if len(stocks) else stocks
    for industry, part in stocks.groupby("industry", sort=False):
        place = INDUSTRIES.index(industry) if industry in INDUSTRIES else len(PALETTE) - 1
        label = [f"{name or symbol} {symbol}" for name, symbol in zip(part["name"], part["symbol"], strict=True)]
        figure.add_trace(
            go.Scatter(
                x=part["annual_volatility"],
                y=part["annual_return"],
                mode="markers",
                name=view.term("industry", str(industry)),
                text=label,
                marker={"size": 7, "opacity": 0.75, "color": PALETTE[place % len(PALETTE)]},
                hovertemplate="%{text}<br>%{x:.1%}  ·  %{y:.1%}<extra></extra>",
            )
        )
    figure.update_xaxes(title=view.word("ui.chart.volatility_year"), tickformat=".0%")
    figure.update_yaxes(title=view.word("ui.chart.return_year"), tickformat=".0%")
    return figure


def heatmap(columns: Sequence[str], rows: Sequence[str], values: Sequence[Sequence[float | None]], *, share: bool = False) -> go.Figure:
    """A matrix: correlations around zero, or shares of 1 from white to amber (``share``)."""
    import plotly.graph_objects as go

    figure = figure_of(HEIGHTS["heatmap"])
    scale = [[0, tint(GOLD, 0.06)], [1, GOLD]] if share else [[0, "#1795a8"], [0.5, "rgba(140,148,165,0.08)"], [1, ACCENT]]
    figure.add_trace(
        go.Heatmap(
            x=list(columns),
            y=list(rows),
            z=[list(row) for row in values],
            colorscale=scale,
            zmin=0 if share else -1,
            zmax=1,
            xgap=1,
            ygap=1,
            hovertemplate="%{y} · %{x}: %{z:.0%}<extra></extra>" if share else "%{y} · %{x}: %{z:.2f}<extra></extra>",
            colorbar={"thickness": 10, "outlinewidth": 0, "tickformat": ".0%" if share else ".1f"},
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False, automargin=True)
    figure.update_layout(margin={"l": 92, "r": 10, "t": 12, "b": 36})
    return figure
