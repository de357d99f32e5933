"""One stock: candles, volume, the fan of a forecast, and what came after.

In: a forecast as plain data and a view. Out: a Plotly figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.ui.charts.base import ACCENT, GOLD, GRID, HEIGHTS, figure_of, rise_and_fall, tint
from financial_model.ui.text import View

if TYPE_CHECKING:
    import plotly.graph_objects as go

FAN = (("95", 0.13), ("80", 0.17), ("50", 0.24))
"""Bands of the fan, widest first: percent, opacity."""
LABELS = 4
"""Dates below an axis: as many as a phone has room for."""


def candles(found: Mapping[str, Any], view: View) -> go.Figure:
    """Candles and volume, the fan from the as-of date, and what happened afterwards where it is known.

    ``found``: a forecast as :meth:`Predictor.forecast` gives it. The axis is by category, so weekends and holidays leave no hole.
    """
    figure = figure_of(HEIGHTS["candles"])
    history, fan, truth, as_of = found["history"], found["fan"], found["truth"], found["as_of"]
    _add_candles(figure, history, view)
    _add_fan(figure, [as_of, *fan["date"]], fan, float(found["price"]), view)
    if truth["date"]:
        _line(figure, [as_of, *truth["date"]], [found["price"], *truth["price"]], view.word("ui.chart.truth"), GOLD)
    return _without_holes(figure, sorted({*history["date"], as_of, *fan["date"], *truth["date"]}))


def bars(history: Mapping[str, Sequence[Any]], view: View) -> go.Figure:
    """Candles and volume alone. ``history``: date (ISO texts), open, high, low, close, volume."""
    figure = figure_of(HEIGHTS["bars"])
    _add_candles(figure, history, view)
    return _without_holes(figure, list(history["date"]))


def _without_holes(figure: go.Figure, axis: Sequence[str]) -> go.Figure:
    """An axis by category over ``axis``, the volume below the prices."""
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=axis,
        tickvals=axis[len(axis) // 10 :: max(1, len(axis) // LABELS)],
        tickangle=0,
        showspikes=False,
        gridcolor=GRID,
        rangeslider={"visible": False},
        linecolor=GRID,
    )
    figure.update_yaxes(gridcolor=GRID, zeroline=False, side="right")
    figure.update_layout(
        margin={"l": 14, "r": 58, "t": 34, "b": 34},
        hovermode="x unified",
        bargap=0.3,
        yaxis={"domain": [0.25, 1]},
        yaxis2={"domain": [0, 0.21], "side": "right", "gridcolor": GRID, "zeroline": False},
        xaxis={"anchor": "y2"},
    )
    return figure


def _add_candles(figure: go.Figure, bars: Mapping[str, Sequence[Any]], view: View) -> None:
    import plotly.graph_objects as go

    up, down = rise_and_fall(view)
    rising = np.asarray(bars["close"]) >= np.asarray(bars["open"])
    template = "<br>".join(f"{view.word(f'ui.chart.{name}')} %{{{name}:.2f}}" for name in ("open", "high", "low", "close"))
    shades = np.where(rising, tint(up, 0.5), tint(down, 0.5))
    figure.add_trace(
        go.Candlestick(
            x=bars["date"],
            open=bars["open"],
            high=bars["high"],
            low=bars["low"],
            close=bars["close"],
            name=view.word("ui.chart.bars"),
            hovertemplate=template + "<extra></extra>",
            increasing={"line": {"color": up, "width": 1}, "fillcolor": up},
            decreasing={"line": {"color": down, "width": 1}, "fillcolor": down},
        )
    )
    figure.add_trace(
        go.Bar(
            x=bars["date"],
            y=bars["volume"],
            marker={"color": shades, "line": {"width": 0}},
            name=view.word("ui.chart.volume"),
            showlegend=False,
            yaxis="y2",
            hovertemplate=f"{view.word('ui.chart.volume')} %{{y:.3s}}<extra></extra>",
        )
    )


def _add_fan(figure: go.Figure, days: list[str], fan: Mapping[str, Any], anchor: float, view: View) -> None:
    import plotly.graph_objects as go

    for name, opacity in FAN:
        if name in fan:
            top, bottom = [anchor, *fan[name]["high"]], [anchor, *fan[name]["low"]]
            figure.add_trace(
                go.Scatter(
                    x=[*days, *reversed(days)],
                    y=[*top, *reversed(bottom)],
                    fill="toself",
                    mode="none",
                    fillcolor=tint(ACCENT, opacity),
                    hoverinfo="skip",
                    name=f"{name} %",
                )
            )
    _line(figure, days, [anchor, *fan["median"]], view.word("ui.chart.median"), ACCENT)


def _line(figure: go.Figure, days: list[str], prices: list[float], name: str, colour: str) -> None:
    import plotly.graph_objects as go

    figure.add_trace(
        go.Scatter(
            x=days, y=prices, mode="lines+markers", line={"color": colour, "width": 2}, marker={"size": 5}, name=name, hovertemplate="%{y:.2f}"
        )
    )
