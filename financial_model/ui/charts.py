"""Every figure of the page: plain data and a visitor's view in, a Plotly figure out.

Colours and words come from the view, so one figure serves both languages, both colour habits, light and dark.
It knows neither services nor components, and reads nothing from disk. Live curves are in ``curves.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import INDUSTRIES, REGIMES
from financial_model.ui.text import View, known, percent

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

INK = "#7c8696"
"""Text of figures: readable on white and on the dark background alike."""
GRID = "rgba(124, 134, 150, 0.16)"
ACCENT = "#4c5fd7"
GOLD = "#c8922a"
RED, GREEN, GREY = "#d9434e", "#14976b", "#8b94a5"
PALETTE = (ACCENT, "#1795a8", GOLD, "#8f5cb8", "#d1713f", "#5b8c3e", "#b8527f", "#3f7fc1", "#8a7a3d", "#5f6b80", GREY)
FONT = 'Inter, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif'
FAN = (("95", 0.13), ("80", 0.17), ("50", 0.24))
"""Bands of the fan, widest first: percent, opacity."""
MAX_POINTS = 1500
MAX_TILES = 800
"""Stocks of the treemap, the largest ones: more are too small to see and slow to draw."""


def rise_and_fall(view: View) -> tuple[str, str]:
    return (RED, GREEN) if view.colours == "red_up" else (GREEN, RED)


def _tint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def _figure(height: int, **layout: Any) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 52, "r": 18, "t": 26, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 12, "color": INK},
        hoverlabel={"font": {"family": FONT}},
        uirevision="kept",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        colorway=list(PALETTE),
        bargap=0.25,
        **layout,
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, linecolor=GRID)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, linecolor=GRID)
    return figure


def _by_date(figure: go.Figure) -> go.Figure:
    """An axis of dates that reads the same in every language."""
    figure.update_xaxes(type="date", tickformat="%Y-%m", hoverformat="%Y-%m-%d")
    return figure


def _thin(count: int, limit: int = MAX_POINTS) -> np.ndarray:
    """Positions of at most ``limit`` evenly spread points, the last one kept."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(int)) if count else np.empty(0, int)


# ---------------------------------------------------------------- universe
def treemap(industries: Mapping[str, str], stocks: pd.DataFrame, view: View) -> go.Figure:
    """Industries and their stocks: area = ``weight``, colour = ``change`` (share of 1). ``stocks``: symbol, name, industry, weight, change."""
    import plotly.graph_objects as go

    figure = _figure(460)
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
                "colorscale": [[0, down], [0.5, "#77808f"], [1, up]],
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

    figure = _by_date(_figure(320))
    keep = _thin(len(dates))
    if not keep.size:
        return figure
    up, down = rise_and_fall(view)
    colours = {"bull": up, "bear": down, "sideways": GREY, "volatile": GOLD}
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
                fillcolor=_tint(colours[name], 0.26),
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

    figure = _figure(90 + 44 * max(len(shares), 1), barmode="stack")
    for dimension, parts in reversed(list(shares.items())):
        for place, (label, share) in enumerate(parts.items()):
            name = view.term(dimension, label)
            colour = GREY if label == "unknown" else PALETTE[place % len(PALETTE)]
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
                    textfont={"color": "white"},
                    hovertemplate=f"{name}: %{{x:.1%}}<extra></extra>",
                )
            )
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_layout(margin={"l": 90, "r": 18, "t": 10, "b": 30})
    return figure


def risk_scatter(stocks: pd.DataFrame, view: View) -> go.Figure:
    """A dot per stock, coloured by industry. ``stocks``: symbol, name, industry, annual_volatility, annual_return (share of 1)."""
    import plotly.graph_objects as go

    figure = _figure(420)
    stocks = stocks.iloc[_thin(len(stocks))] if len(stocks) else stocks
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

    figure = _figure(380)
    scale = [[0, _tint(GOLD, 0.06)], [1, GOLD]] if share else [[0, "#1795a8"], [0.5, "rgba(140,148,165,0.08)"], [1, ACCENT]]
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
    figure.update_xaxes(showgrid=False)
    figure.update_layout(margin={"l": 92, "r": 10, "t": 12, "b": 60})
    return figure


# ---------------------------------------------------------------- forecasts
def candles(found: Mapping[str, Any], view: View) -> go.Figure:
    """Candles and volume, the fan from the as-of date, and what happened afterwards where it is known.

    ``found``: a forecast as :meth:`Predictor.forecast` gives it. The axis is by category, so weekends and holidays leave no hole.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.78, 0.22], vertical_spacing=0.03)
    figure.update_layout(_figure(520).layout)
    history, fan, truth, as_of = found["history"], found["fan"], found["truth"], found["as_of"]
    _add_candles(figure, history, view)
    _add_fan(figure, [as_of, *fan["date"]], fan, float(found["price"]), view)
    if truth["date"]:
        _line(figure, [as_of, *truth["date"]], [found["price"], *truth["price"]], view.word("ui.chart.truth"), GOLD)
    axis = sorted({*history["date"], as_of, *fan["date"], *truth["date"]})
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=axis,
        tickvals=axis[:: max(1, len(axis) // 9)],
        gridcolor=GRID,
        rangeslider={"visible": False},
        linecolor=GRID,
    )
    figure.update_yaxes(gridcolor=GRID, zeroline=False, side="right")
    figure.update_layout(margin={"l": 14, "r": 58, "t": 34, "b": 34}, hovermode="x unified", bargap=0.3)
    return figure


def _add_candles(figure: go.Figure, bars: Mapping[str, Sequence[Any]], view: View) -> None:
    import plotly.graph_objects as go

    up, down = rise_and_fall(view)
    rising = np.asarray(bars["close"]) >= np.asarray(bars["open"])
    shades = np.where(rising, _tint(up, 0.5), _tint(down, 0.5))
    figure.add_trace(
        go.Candlestick(
            x=bars["date"],
            open=bars["open"],
            high=bars["high"],
            low=bars["low"],
            close=bars["close"],
            name=view.word("ui.chart.bars"),
            increasing={"line": {"color": up, "width": 1}, "fillcolor": up},
            decreasing={"line": {"color": down, "width": 1}, "fillcolor": down},
        ),
        row=1,
        col=1,
    )
    figure.add_trace(
        go.Bar(
            x=bars["date"],
            y=bars["volume"],
            marker={"color": shades, "line": {"width": 0}},
            name=view.word("ui.chart.volume"),
            showlegend=False,
            hovertemplate="%{y:.3s}<extra></extra>",
        ),
        row=2,
        col=1,
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
                    fillcolor=_tint(ACCENT, opacity),
                    hoverinfo="skip",
                    name=f"{name} %",
                ),
                row=1,
                col=1,
            )
    _line(figure, days, [anchor, *fan["median"]], view.word("ui.chart.median"), ACCENT)


def _line(figure: go.Figure, days: list[str], prices: list[float], name: str, colour: str) -> None:
    import plotly.graph_objects as go

    figure.add_trace(
        go.Scatter(
            x=days, y=prices, mode="lines+markers", line={"color": colour, "width": 2}, marker={"size": 5}, name=name, hovertemplate="%{y:.2f}"
        ),
        row=1,
        col=1,
    )


# ---------------------------------------------------------------- evaluation
def predicted_actual(predicted: Sequence[float], actual: Sequence[float], view: View) -> go.Figure:
    """Forecast against outcome, both returns (share of 1), with the diagonal a perfect forecast would lie on."""
    import plotly.graph_objects as go

    figure = _figure(360)
    keep = _thin(len(predicted))
    x, y = np.asarray(predicted, float)[keep], np.asarray(actual, float)[keep]
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="markers",
            marker={"size": 4, "opacity": 0.35, "color": ACCENT},
            showlegend=False,
            hovertemplate="%{x:.2%} → %{y:.2%}<extra></extra>",
        )
    )
    if keep.size:
        reach = float(np.nanmax(np.abs(x)))
        figure.add_trace(
            go.Scatter(
                x=[-reach, reach],
                y=[-reach, reach],
                mode="lines",
                line={"color": GOLD, "dash": "dash", "width": 1.5},
                name=view.word("ui.chart.perfect"),
            )
        )
    figure.update_xaxes(title=view.word("ui.chart.predicted"), tickformat=".1%")
    figure.update_yaxes(title=view.word("ui.chart.actual"), tickformat=".1%")
    return figure


def calibration(found: Mapping[str, Any], view: View) -> go.Figure:
    """What was said against what happened. ``found``: reliability per class (predicted, observed, count) and coverage of the central intervals."""
    import plotly.graph_objects as go

    figure = _figure(360)
    up, down = rise_and_fall(view)
    colours = {"up": up, "flat": GREY, "down": down}
    figure.add_trace(
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": GOLD, "dash": "dash", "width": 1.5}, name=view.word("ui.chart.perfect"))
    )
    for name, rows in found.get("reliability", {}).items():
        figure.add_trace(
            go.Scatter(
                x=[row["predicted"] for row in rows],
                y=[row["observed"] for row in rows],
                customdata=[row["count"] for row in rows],
                mode="lines+markers",
                line={"color": colours.get(name, ACCENT), "width": 1.8},
                name=view.term("class", name),
                hovertemplate="%{x:.1%} → %{y:.1%}  (n = %{customdata:,})<extra></extra>",
            )
        )
    covered = found.get("coverage", [])
    if covered:
        figure.add_trace(
            go.Scatter(
                x=[row["level"] for row in covered],
                y=[row["covered"] for row in covered],
                mode="markers",
                name=view.word("ui.chart.intervals"),
                marker={"symbol": "diamond", "size": 11, "color": ACCENT},
                hovertemplate="%{x:.0%} → %{y:.1%}<extra></extra>",
            )
        )
    figure.update_xaxes(title=view.word("ui.chart.stated"), tickformat=".0%", range=[0, 1.02])
    figure.update_yaxes(title=view.word("ui.chart.happened"), tickformat=".0%", range=[0, 1.02])
    return figure


def group_bars(groups: Mapping[str, Mapping[str, Any]], dimension: str, view: View) -> go.Figure:
    """RankIC per group of one condition with its interval: is the skill everywhere, or in one corner?"""
    import plotly.graph_objects as go

    figure = _figure(320)
    shown = {name: entry for name, entry in groups.items() if known(entry.get("rank_ic"))}
    values = [entry["rank_ic"] for entry in shown.values()]
    bounds = [entry.get("rank_ic_interval") or (value, value) for entry, value in zip(shown.values(), values, strict=True)]
    figure.add_trace(
        go.Bar(
            x=[view.term(dimension, name) for name in shown],
            y=values,
            marker={"color": _tint(ACCENT, 0.75)},
            showlegend=False,
            customdata=[[entry["rows"], entry["names"]] for entry in shown.values()],
            hovertemplate="%{x}: %{y:.3f}  (n = %{customdata[0]:,})<extra></extra>",
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [high - value for (_, high), value in zip(bounds, values, strict=True)],
                "arrayminus": [value - low for (low, _), value in zip(bounds, values, strict=True)],
                "color": INK,
                "thickness": 1.2,
            },
        )
    )
    figure.update_yaxes(title=view.term("metric", "rank_ic"))
    return figure


def ic_series(time: Sequence[int], ic: Sequence[float | None], view: View) -> go.Figure:
    """The information coefficient by date (``time``: seconds since 1970), and its running sum: a steady slope is skill, a single step is luck."""
    import plotly.graph_objects as go

    figure = _by_date(_figure(320))
    values = np.nan_to_num(np.asarray(ic, float))
    keep = _thin(len(values))
    up, down = rise_and_fall(view)
    days = np.asarray(time, "datetime64[s]").astype("datetime64[D]").astype(str)[keep]
    figure.add_trace(
        go.Bar(
            x=days,
            y=values[keep],
            marker={"color": np.where(values[keep] >= 0, _tint(up, 0.6), _tint(down, 0.6))},
            name="IC",
            hovertemplate="%{x|%Y-%m-%d}  %{y:.3f}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=days,
            y=values.cumsum()[keep],
            mode="lines",
            line={"color": ACCENT, "width": 2},
            yaxis="y2",
            name=view.word("ui.chart.cumulative"),
            hovertemplate="%{y:.2f}<extra></extra>",
        )
    )
    figure.update_layout(yaxis2={"overlaying": "y", "side": "right", "showgrid": False, "zeroline": False})
    return figure
