"""Every figure of the page: plain data and a visitor's view in, a Plotly figure out; one file per kind of question.

Live curves are in ``curves.py``.
"""

from financial_model.ui.charts.base import ACCENT, GOLD, GREEN, GREY, HEIGHTS, MAX_POINTS, PALETTE, RED, rise_and_fall
from financial_model.ui.charts.comparison import comparison
from financial_model.ui.charts.evaluation import (
    calibration,
    expert_bars,
    five_groups,
    group_bars,
    ic_series,
    outcome_lines,
    predicted_actual,
    regime_curves,
)
from financial_model.ui.charts.forecast import bars, candles
from financial_model.ui.charts.portfolio import equity, industries
from financial_model.ui.charts.sweep import sweep
from financial_model.ui.charts.universe import coverage, heatmap, regime_ribbon, risk_scatter, style_bars, treemap

__all__ = [
    "ACCENT",
    "GOLD",
    "GREEN",
    "GREY",
    "HEIGHTS",
    "MAX_POINTS",
    "PALETTE",
    "RED",
    "bars",
    "calibration",
    "candles",
    "comparison",
    "coverage",
    "equity",
    "expert_bars",
    "five_groups",
    "group_bars",
    "heatmap",
    "ic_series",
    "industries",
    "outcome_lines",
    "predicted_actual",
    "regime_curves",
    "regime_ribbon",
    "rise_and_fall",
    "risk_scatter",
    "style_bars",
    "sweep",
    "treemap",
]
