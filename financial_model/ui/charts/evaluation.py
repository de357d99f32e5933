"""What a test said, as figures: forecast against outcome, calibration, skill by group and by date.

In: parts of a stored test result and a view. Out: Plotly figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import REGIMES
from financial_model.ui.charts.base import ACCENT, GOLD, GREY, HEIGHTS, INK, PALETTE, by_date, figure_of, regime_colours, rise_and_fall, thin, tint
from financial_model.ui.text import View, known

if TYPE_CHECKING:
    import plotly.graph_objects as go


def predicted_actual(predicted: Sequence[float], actual: Sequence[float], view: View) -> go.Figure:
    """Forecast against outcome, both returns (share of 1), with the diagonal a perfect forecast would lie on."""
    import plotly.graph_objects as go

    figure = figure_of(HEIGHTS["predicted_actual"])
    keep = thin(len(predicted))
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

    figure = figure_of(HEIGHTS["calibration"])
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

    figure = figure_of(HEIGHTS["group_bars"])
    shown = {name: entry for name, entry in groups.items() if known(entry.get("rank_ic"))}
    values = [entry["rank_ic"] for entry in shown.values()]
    bounds = [entry.get("rank_ic_interval") or (value, value) for entry, value in zip(shown.values(), values, strict=True)]
    figure.add_trace(
        go.Bar(
            x=[view.term(dimension, name) for name in shown],
            y=values,
            marker={"color": tint(ACCENT, 0.75)},
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

    figure = by_date(figure_of(HEIGHTS["ic_series"]))
    values = np.nan_to_num(np.asarray(ic, float))
    keep = thin(len(values))
    up, down = rise_and_fall(view)
    days = np.asarray(time, "datetime64[s]").astype("datetime64[D]").astype(str)[keep]
    figure.add_trace(
        go.Bar(
            x=days,
            y=values[keep],
            marker={"color": np.where(values[keep] >= 0, tint(up, 0.6), tint(down, 0.6))},
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


def regime_curves(series: Mapping[str, Sequence[Any]], view: View) -> go.Figure:
    """The running sum of the daily Rank IC, a line for each market regime over its own dates: skill in one regime alone shows as one slope alone.

    ``series``: time (seconds), rank_ic, and regime (index into REGIMES; anything beyond is unknown and left out).
    """
    import plotly.graph_objects as go

    figure = by_date(figure_of(HEIGHTS["regime_curves"]))
    regime, colours = np.asarray(series.get("regime", ()), int), regime_colours(view)
    for place, name in enumerate(REGIMES):
        at = np.flatnonzero(regime == place)
        if len(at):
            days = np.asarray(series["time"], "datetime64[s]").astype("datetime64[D]").astype(str)[at]
            total = np.nan_to_num(np.asarray(series["rank_ic"], float))[at].cumsum()
            keep = thin(len(at))
            label = view.word("ui.chart.regime_dates", name=view.term("regime", name), count=len(at))
            figure.add_trace(go.Scatter(x=days[keep], y=total[keep], mode="lines+markers", marker={"size": 3}, name=label,
                                        line={"color": colours[name], "width": 2}, hovertemplate="%{x|%Y-%m-%d}  %{y:.2f}<extra></extra>"))
    figure.update_yaxes(zeroline=True, zerolinecolor=GREY)
    return figure


def expert_bars(load: Sequence[Sequence[float]], view: View) -> go.Figure:
    """The share of the work each expert does, a group of bars for each expert, a colour for each layer; the dashed line is an even share."""
    import plotly.graph_objects as go

    figure = figure_of(HEIGHTS["expert_bars"])
    for layer, shares in enumerate(load):
        figure.add_trace(go.Bar(x=[str(place + 1) for place in range(len(shares))], y=list(shares), name=view.word("ui.chart.layer", place=layer + 1),
                                marker={"color": PALETTE[layer % len(PALETTE)]}, hovertemplate="%{y:.1%}<extra></extra>"))
    if load:
        figure.add_hline(y=1 / len(load[0]), line={"color": GREY, "dash": "dash", "width": 1.2})
    figure.update_xaxes(title=view.word("ui.chart.expert"), type="category")
    figure.update_yaxes(tickformat=".0%")
    return figure


def outcome_lines(found: Mapping[str, Sequence[Any]], view: View) -> go.Figure:
    """One stock: the forecast made on each test date beside what happened after it. ``found``: date, predicted, actual (shares of 1)."""
    import plotly.graph_objects as go

    figure = by_date(figure_of(HEIGHTS["outcome_lines"]))
    keep = thin(len(found["date"]))
    days = np.asarray(found["date"])[keep]
    for name, colour, width in (("actual", GREY, 1.3), ("predicted", ACCENT, 2.0)):
        values = np.asarray(found[name], float)[keep]
        figure.add_trace(
            go.Scatter(
                x=days, y=values, mode="lines", name=view.word(f"ui.chart.{name}"), line={"color": colour, "width": width}, hovertemplate="%{y:.2%}"
            )
        )
    figure.update_yaxes(tickformat=".1%", zeroline=True, zerolinecolor=GREY)
    figure.update_layout(hovermode="x unified")
    return figure


def five_groups(curves: Mapping[str, Any], view: View) -> go.Figure:
    """What each fifth of the stocks by forecast earned over the test dates: five ordered curves are skill, a knot is none.

    ``curves``: ``tear_sheet.curves`` of a stored result: time (seconds) and ``groups``, one series
    each, the worst forecast first, as summed log returns.
    """
    import plotly.graph_objects as go

    figure = by_date(figure_of(HEIGHTS["five_groups"]))
    groups = curves.get("groups", [])
    up, down = rise_and_fall(view)
    colours = (down, tint(down, 0.55), GREY, tint(up, 0.55), up)
    days = np.asarray(curves.get("time", []), "datetime64[s]").astype("datetime64[D]").astype(str)
    keep = thin(len(days))
    for place, values in enumerate(groups):
        figure.add_trace(
            go.Scatter(
                x=days[keep],
                y=np.asarray(values, float)[keep],
                mode="lines",
                line={"color": colours[place % len(colours)], "width": 2 if place in (0, len(groups) - 1) else 1.2},
                name=view.word("ui.chart.fifth", place=place + 1),
                hovertemplate="%{y:.2%}",
            )
        )
    figure.update_yaxes(tickformat=".0%")
    figure.update_layout(hovermode="x unified")
    return figure
