"""What following the sign of a forecast would have earned, bar by bar, for a few stocks or for bars within the day.

In: forecasts on a panel. Out: plain figures beside buying and holding. Long where a rise is expected, in cash where not; every forecast is followed
for its whole horizon with an equal part of the money. A portfolio of many stocks under the rules of an exchange is ``backtest.py``'s.
It knows no run and no page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import LabelConfig
from financial_model.datasets.panel import LOG_CLOSE
from financial_model.evaluation import significance
from financial_model.evaluation.metrics import series_ratio
from financial_model.evaluation.performance import break_even_cost, figures, sessions_per_year
from financial_model.features.labels import entry_wait
from financial_model.training.plain import plain

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.prediction import Prediction

Array = np.ndarray
COST = 0.0002
"""Of the amount traded, each way: two basis points, about the spread and fee of a large liquid stock."""


def follow(prediction: Prediction, panel: Panel, label: LabelConfig, *, draws: int = significance.DRAWS) -> dict[str, Any]:
    """Figures of the portfolio: ``net gross hold`` (``performance.figures`` each), ``sharpe_interval``, ``break_even_cost`` against holding,
    ``turnover`` per bar, ``bars``, ``bars_per_year`` (measured on the panel), ``excess`` (net minus holding, per bar).

    A position is taken at the close of the bar after which it may be entered (``label.entry``) and earns from the next bar on.
    """
    horizon = prediction.expected.shape[1]
    time, gross, hold, traded = _by_time(panel, *_positions(prediction, panel, label, horizon))
    net = gross - COST * traded
    year = sessions_per_year(np.unique(panel.time))
    plan = significance.DateBootstrap.plan(len(net), 2 * horizon, draws=draws)
    interval = None if plan is None else plan.interval(series_ratio(net))
    return plain({
        "net": figures(net, year), "gross": figures(gross, year), "hold": figures(hold, year),
        "sharpe_interval": None if interval is None else [end * float(np.sqrt(year)) for end in interval],
        "break_even_cost": break_even_cost(gross, hold, traded), "turnover": float(traded.mean()), "cost": COST, "bars": len(net),
        "bars_per_year": year, "first": int(time[0]), "last": int(time[-1]),
        "excess": net - hold,
    })


def _positions(prediction: Prediction, panel: Panel, label: LabelConfig, horizon: int) -> tuple[Array, Array, Array]:
    """(rows, held, traded): the share of a stock's money that is in it from each row's close to the next one's, and how much changed hands there."""
    wait = entry_wait(label.entry)
    order = np.argsort(prediction.end)
    ends, said = prediction.end[order], (prediction.expected[order, -1] > 0).astype(np.float64)
    symbol = panel.symbol_index(ends)
    rows, held, traded = [], [], []
    for stock in np.unique(symbol):
        first, last = int(panel.offsets[stock]), int(panel.offsets[stock + 1])
        wanted = np.zeros(last - first + horizon + wait)
        own = symbol == stock
        for shift in range(wait, wait + horizon):  # a forecast of row e is followed from row e + wait for horizon bars, by one part in horizon
            wanted[ends[own] - first + shift] += said[own] / horizon
        begin, end = int(ends[own].min()) - first, min(int(ends[own].max()) - first, last - first - 2)
        inside = wanted[begin:end + 1]
        rows.append(np.arange(begin, end + 1) + first)
        held.append(inside)
        traded.append(np.abs(np.diff(inside, prepend=0.0)))
    return np.concatenate(rows), np.concatenate(held), np.concatenate(traded)


def _by_time(panel: Panel, rows: Array, held: Array, traded: Array) -> tuple[Array, Array, Array, Array]:
    """(time, gross, hold, traded) per bar: the stocks of one time with equal parts of the money."""
    moves = np.expm1(panel.prices[rows + 1, LOG_CLOSE] - panel.prices[rows, LOG_CLOSE])
    time, place = np.unique(panel.time[rows], return_inverse=True)
    gross, hold, changed = (np.bincount(place, weights=values) / np.bincount(place) for values in (held * moves, moves, traded))
    return time, gross, hold, changed

