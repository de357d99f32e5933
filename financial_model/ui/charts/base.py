"""What all figures share: colours, type, an empty figure in our look, an axis of dates, and how many points a figure may have.

In: the visitor's view. Out: Plotly figures without data. Colours and words come from the view, so one figure serves both languages, both colour
habits, light and dark. It knows neither services nor components, and reads nothing from disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.ui.text import View

if TYPE_CHECKING:
    import plotly.graph_objects as go

INK = "#7c8696"
"""Text of figures where the page's own colour (``kairos.css``) does not reach: a saved picture, on white or on dark."""
GRID = "rgba(124, 134, 150, 0.16)"
CLEAR, DEEP, PALE = "rgba(0,0,0,0)", "#262c39", "#eef0f4"
"""No ground at all; ground and text of what appears under the pointer, on light and dark pages alike."""
ACCENT = "#4c5fd7"
GOLD = "#c8922a"
RED, GREEN, GREY = "#d9434e", "#14976b", "#8b94a5"
PALETTE = (ACCENT, "#1795a8", GOLD, "#8f5cb8", "#d1713f", "#5b8c3e", "#b8527f", "#3f7fc1", "#8a7a3d", "#5f6b80", GREY)
FONT = 'Inter, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif'
HEIGHTS = {
    "treemap": 460, "regime_ribbon": 320, "style_bars": 266, "coverage": 180, "risk_scatter": 420, "heatmap": 380, "predicted_actual": 360,
    "calibration": 360, "group_bars": 320, "ic_series": 320, "regime_curves": 320, "expert_bars": 300, "outcome_lines": 300, "five_groups": 320,
    "equity": 420, "industries": 494, "comparison": 220, "sweep": 240, "candles": 520, "bars": 440,
}
"""Pixels of each figure; of one that grows with its rows, of a usual one. Its place on the page is as high before it is drawn."""
MAX_POINTS = 1500
MODES_WE_SPARE = ("select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d")
"""Buttons of a figure that do what dragging and a double click do."""


def rise_and_fall(view: View) -> tuple[str, str]:
    return (RED, GREEN) if view.colours == "red_up" else (GREEN, RED)


def regime_colours(view: View) -> dict[str, str]:
    up, down = rise_and_fall(view)
    return {"bull": up, "bear": down, "sideways": GREY, "volatile": GOLD}


def tint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def deep(colour: str) -> str:
    """The colour, as dark as white letters on it need: 4.5 to 1, by the formula of WCAG 2.1."""
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    while _luminance(channels) > 1.05 / 4.5 - 0.05:
        channels = [int(0.97 * channel) for channel in channels]
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def _luminance(channels: list[int]) -> float:
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in (channel / 255 for channel in channels)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def figure_of(height: int, **layout: Any) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure(layout={"template": "none"})  # our own look says everything; the default one is 7 kB and most of the time of a figure
    figure.update_layout(
        height=height,
        margin={"l": 52, "r": 18, "t": 26, "b": 40},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"family": FONT, "size": 12, "color": INK},
        hoverlabel={"font": {"family": FONT, "color": PALE}, "bgcolor": DEEP, "bordercolor": DEEP},
        modebar={"bgcolor": CLEAR, "color": INK, "activecolor": ACCENT, "remove": MODES_WE_SPARE},
        uirevision="kept",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        colorway=list(PALETTE),
        bargap=0.25,
        **layout,
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, linecolor=GRID)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, linecolor=GRID)
    return figure


def by_date(figure: go.Figure) -> go.Figure:
    """An axis of dates that reads the same in every language; the days of a month or two are told apart."""
    days = {"dtickrange": [None, 2_000_000_000], "value": "%m-%d"}  # marks less than 23 days apart
    figure.update_xaxes(type="date", tickformat="%Y-%m", tickformatstops=[days], hoverformat="%Y-%m-%d")
    return figure


def thin(count: int, limit: int = MAX_POINTS) -> np.ndarray:
    """Positions of at most ``limit`` evenly spread points, the last one kept."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(int)) if count else np.empty(0, int)
