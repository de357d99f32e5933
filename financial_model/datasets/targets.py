"""What the future brought: labels of windows, gathered from the panel's prices.

In: a panel, end rows, the label settings. Out: log returns ``[n, horizon]``, classes ``[n]``, and the unit an objective works in.
The rows after a window are read here and nowhere else in this layer. ``features/labels.py`` is the specification.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from financial_model.config import CLASSES, FIGURES, LabelConfig, RunConfig
from financial_model.datasets.panel import LOG_CLOSE, LOG_OPEN, Panel
from financial_model.errors import ConfigError, DataError
from financial_model.features.cross_section import rank_by_date
from financial_model.features.labels import Future, entry_wait, future_momentum, future_volatility, label_path, reads_beyond
from financial_model.kernels.prefetch import LINE, prefetch

CODES = UP, FLAT, DOWN = (CLASSES.index("up"), CLASSES.index("flat"), CLASSES.index("down"))
MOST_CHANGE = 3.0
"""Most that a volatility is said to change, as a logarithm: to a twentieth, or to the twentyfold."""
_CHUNK = 1 << 16
_AHEAD = 8  # so many windows before its turn a row is asked for
_TRIED = 16
"""Windows on which a label is asked again with its own bars alone."""


def entry_of(entry: str) -> tuple[int, int]:
    """(bars after the window's last one at which the return starts, column of ``prices`` it starts from)."""
    return entry_wait(entry), LOG_OPEN if entry == "next_open" else LOG_CLOSE


def label_returns(panel: Panel, ends: NDArray[np.int64], config: LabelConfig) -> NDArray[np.float32]:
    """Cumulative log returns ``[n, horizon]``: from the entry price to the close 1..horizon bars after the entry bar. Of a run that is asked
    another label (``config.target``), that label at these horizons, in its own unit.

    ``ends`` must leave room for the label, as ``window_ends(labelled=True)`` does.
    """
    if config.own:
        return label_values(panel, ends, config)
    result = np.empty((len(ends), config.horizon), np.float32)
    fill_returns(panel.prices, ends, *entry_of(config.entry), result)
    return result


def label_values(panel: Panel, ends: NDArray[np.int64], config: LabelConfig) -> NDArray[np.float32]:
    """The label ``config.target`` at the horizons 1..horizon ``[n, horizon]``. ``DataError`` where it is no number, ``ConfigError`` as of
    ``label_path``."""
    values = label_path(config.target, _future(panel, np.asarray(ends, np.int64), config))
    wrong = ~np.isfinite(values).all(axis=1)
    if wrong.any():
        raise DataError("datasets.label_not_finite", name=config.target, count=int(wrong.sum()), windows=len(ends))
    return values.astype(np.float32)


def check_label(panel: Panel, ends: NDArray[np.int64], config: LabelConfig) -> None:
    """``ConfigError`` when a label of a user's own reads beyond its horizon, where the purge between the parts ends: tried on some windows."""
    if not config.own or not len(ends):
        return
    tried = ends[np.linspace(0, len(ends) - 1, min(len(ends), _TRIED)).astype(np.int64)]
    if reads_beyond(config.target, _future(panel, tried, config), panel.offsets[panel.symbol_index(tried)]):
        raise ConfigError("features.label_beyond", name=config.target, horizon=config.horizon)


def _future(panel: Panel, ends: NDArray[np.int64], config: LabelConfig) -> Future:
    prices = panel.prices
    return Future(log_close=prices[:, LOG_CLOSE], log_open=prices[:, LOG_OPEN], ends=ends, horizon=config.horizon, entry=config.entry)


def label_classes(returns: NDArray[np.float32], config: LabelConfig) -> NDArray[np.int64]:
    """Index into CLASSES ``[n]`` from the simple return at ``class_horizon`` (at most the horizon)."""
    result = np.empty(len(returns), np.int64)
    fill_classes(returns, *class_bounds(config), CODES, result)
    return result


def label_unit(panel: Panel, ends: NDArray[np.int64], config: LabelConfig, label_scale: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Unit ``[n, horizon]`` of log returns: the stock's trailing volatility times sqrt(days), or ``label_scale`` for every window."""
    if config.unit in ("return", "rank"):
        if label_scale is None:
            raise ValueError("units return and rank need label_scale (fit_label_scale)")
        return np.broadcast_to(np.asarray(label_scale, np.float32), (len(ends), config.horizon)).copy()
    return label_spread(panel, ends, config.horizon)


def label_spread(panel: Panel, ends: NDArray[np.int64], horizon: int) -> NDArray[np.float32]:
    """The stock's usual move ``[n, horizon]`` in log return: its trailing volatility times sqrt(days)."""
    return panel.volatility[ends][:, None] * root_days(horizon)


def label_places(panel: Panel, ends: NDArray[np.int64], config: LabelConfig) -> NDArray[np.float32]:
    """Place of every row's label among the labels of its date ``[rows, horizon]``, -1.73 (worst) to 1.73 (best) with a spread of one;
    0 where a row has no label or its date too few.

    Only labels that end by the last label of ``ends`` take part: a suspended stock's label may reach far beyond a training part, and
    through its place the others of its date would know what came after.
    """
    wait, column = entry_of(config.entry)
    last = np.repeat(panel.offsets[1:] - 1, np.diff(panel.offsets))
    reach = wait + config.horizon
    rows = np.flatnonzero(np.arange(len(last)) + reach <= last)
    rows = rows[panel.time[rows + reach] <= panel.time[ends + reach].max(initial=np.iinfo(np.int64).min)]
    returns = np.empty((len(rows), config.horizon), np.float32)
    fill_returns(panel.prices, rows, wait, column, returns)
    places = np.zeros((len(last), config.horizon), np.float32)
    time = np.asarray(panel.time)[rows]
    for day in range(config.horizon):
        places[rows, day] = math.sqrt(12) * np.nan_to_num(rank_by_date(returns[:, day], time))
    return places


def label_figures(panel: Panel, ends: NDArray[np.int64], config: LabelConfig) -> NDArray[np.float32]:
    """What the head multi is asked besides returns and classes ``[n, 2]``: the logarithm of the volatility within the horizon over the stock's
    trailing one, and the momentum. A stock that did not move has no logarithm, so the first stays within ``MOST_CHANGE``."""
    result, log_close = np.empty((len(ends), len(FIGURES)), np.float32), panel.prices[:, LOG_CLOSE]
    for start in range(0, len(ends), _CHUNK):
        rows = slice(start, start + _CHUNK)
        volatility = future_volatility(log_close, ends[rows], config.horizon, entry=config.entry)
        result[rows, 0] = volatility_change(volatility, panel.volatility[ends[rows]])
        result[rows, 1] = future_momentum(log_close, ends[rows], config.horizon, entry=config.entry)
    return result


def volatility_change(volatility: NDArray, trailing: NDArray) -> NDArray:
    """log(volatility / trailing) within ``MOST_CHANGE``."""
    return np.log(np.clip(volatility / trailing, np.exp(-MOST_CHANGE), np.exp(MOST_CHANGE)))


def fit_label_scale(panel: Panel, ends: NDArray[np.int64], config: RunConfig) -> NDArray[np.float32]:
    """Standard deviation of the labels of (training) windows per horizon ``[horizon]``, at least 1e-6."""
    count, total, squares = len(ends), np.zeros(config.label.horizon), np.zeros(config.label.horizon)
    for start in range(0, count, _CHUNK):
        y = label_returns(panel, ends[start:start + _CHUNK], config.label).astype(np.float64)
        total += y.sum(0)
        squares += np.square(y).sum(0)
    variance = squares / max(count, 1) - np.square(total / max(count, 1))
    return np.sqrt(np.maximum(variance, 1e-12)).astype(np.float32)


def root_days(horizon: int) -> NDArray[np.float32]:
    return np.sqrt(np.arange(1, horizon + 1)).astype(np.float32)


def class_bounds(config: LabelConfig) -> tuple[int, float, float]:
    """(column of the returns, log return from which up, log return down to which down)."""
    return min(config.class_horizon, config.horizon) - 1, math.log1p(config.up), math.log1p(config.down)


@numba.njit(cache=True, nogil=True)
def fill_returns(prices, ends, wait, column, out):
    """``prices`` columns: log close first; ``column``: the price of the entry, ``wait`` bars after the end."""
    reach, step = (out.shape[1] + 1) * prices.shape[1], LINE // 8
    for i in range(ends.shape[0]):
        if i + _AHEAD < ends.shape[0]:
            first = (ends[i + _AHEAD] + wait) * prices.shape[1]
            for place in range(first, first + reach, step):
                prefetch(prices, place)
        start = ends[i] + wait
        base = prices[start, column]
        for h in range(out.shape[1]):
            out[i, h] = prices[start + 1 + h, 0] - base


@numba.njit(cache=True, nogil=True)
def fill_classes(returns, column, up, down, codes, out):
    """``codes`` (up, flat, down): passed in, because compiled code that is kept on disk would not notice a change of CLASSES."""
    for i in range(out.shape[0]):
        value = returns[i, column]
        out[i] = codes[0] if value >= up else (codes[2] if value <= down else codes[1])


@numba.njit(cache=True, nogil=True)
def fill_facts(ends, time, conditions, ranks, volatility, roots, date, condition, rank, spread):
    """What else a batch knows about its windows."""
    for i in range(ends.shape[0]):
        if i + _AHEAD < ends.shape[0]:
            later = ends[i + _AHEAD]
            prefetch(time, later)
            prefetch(conditions, later * conditions.shape[1])
            prefetch(ranks, later * ranks.shape[1])
            prefetch(volatility, later)
        row = ends[i]
        date[i] = time[row]
        for c in range(condition.shape[1]):
            condition[i, c] = conditions[row, c]
        for c in range(rank.shape[1]):
            rank[i, c] = ranks[row, c]
        for h in range(roots.shape[0]):
            spread[i, h] = volatility[row] * roots[h]
