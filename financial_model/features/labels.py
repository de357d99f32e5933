"""What is asked: returns, classes, volatility and momentum after a window. The specification in numpy that the loader's gather must equal.

In: prices ``[rows]`` of packed symbols and the end rows of windows ``[n]``. Out: one label per window. These functions read bars after a
window's end, which no feature may; they live in their own list, so that a label can never be chosen as an input.

    @label("worst_close", help_en="lowest log return within the horizon", help_zh="期内最低的对数收益")
    def worst_close(future):
        return future.returns().min(axis=1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from financial_model.config import CLASSES, add_label
from financial_model.errors import ConfigError
from financial_model.extensions import telling

ENTRIES: dict[str, int] = {"close": 0, "next_open": 1, "next_close": 1}
"""Bars between a window's last bar and the one whose price the return starts from."""
TRADES, OPENS_AT_LIMIT_UP, OPENS_AT_LIMIT_DOWN = 1, 2, 4
"""Bits of ``tradable``: the bar has trades; it opens at its upper limit; at its lower limit."""


def entry_wait(entry: str) -> int:
    """Bars from the window's end to the entry bar. ``ConfigError`` for an unknown entry."""
    if entry not in ENTRIES:
        raise ConfigError("config.not_a_choice", name="entry", value=entry, choices=", ".join(ENTRIES))
    return ENTRIES[entry]


def last_bar(horizon: int, entry: str) -> int:
    """Bars from the window's end to the last bar a label reads."""
    return entry_wait(entry) + horizon


def log_returns(log_entry: np.ndarray, log_close: np.ndarray, ends: np.ndarray, horizon: int, *, entry: str = "close") -> np.ndarray:
    """Cumulative log returns ``[n, horizon]`` (not percent): from the entry price to the close 1..horizon bars after the entry bar.

    ``log_entry`` [rows]: log of the price bought at, the open for ``next_open``, else the close; both adjusted.
    ``ends`` must leave :func:`last_bar` bars of the same symbol.
    """
    start = np.asarray(ends, dtype=np.int64) + entry_wait(entry)
    return log_close[start[:, None] + np.arange(1, horizon + 1)] - log_entry[start][:, None]


def classes(returns: np.ndarray, up: float, down: float, class_horizon: int) -> np.ndarray:
    """Index into ``CLASSES`` ``[n]``: up at a simple return of at least ``up`` after ``class_horizon`` bars, down at most ``down``, else flat.

    ``returns`` [n, horizon] are log returns; the thresholds are simple returns (0.03 is 3 %).
    """
    value = returns[:, class_horizon - 1]
    return np.select([value >= np.log1p(up), value <= np.log1p(down)], [CLASSES.index("up"), CLASSES.index("down")], CLASSES.index("flat"))


def future_volatility(log_close: np.ndarray, ends: np.ndarray, horizon: int, *, entry: str = "close") -> np.ndarray:
    """Root mean square ``[n]`` of the ``horizon`` one-bar log returns after the entry bar: no mean is taken off, a few bars cannot tell it."""
    return np.sqrt(np.mean(_bar_returns(log_close, ends, horizon, entry) ** 2, axis=1))


def future_momentum(log_close: np.ndarray, ends: np.ndarray, horizon: int, *, entry: str = "close") -> np.ndarray:
    """Mean ``[n]`` of the ``horizon`` one-bar log returns after the entry bar over their root mean square: 1 when every bar rises alike, -1 when
    every bar falls alike, 0 where the price never moves. Momentum in units of the risk it was had at (Rachwalski and Wen, 2016)."""
    returns = _bar_returns(log_close, ends, horizon, entry)
    size = np.sqrt(np.mean(returns**2, axis=1))
    return np.divide(returns.mean(axis=1), size, out=np.zeros(len(returns)), where=size > 0)


def _bar_returns(log_close: np.ndarray, ends: np.ndarray, horizon: int, entry: str) -> np.ndarray:
    """One-bar log returns ``[n, horizon]`` after the entry bar."""
    rows = np.asarray(ends, dtype=np.int64)[:, None] + entry_wait(entry) + np.arange(horizon + 1)
    return np.diff(log_close[rows], axis=1)


def blocked_entries(tradable: np.ndarray, ends: np.ndarray, entry: str) -> np.ndarray:
    """Which windows could not have been entered ``[n]``: the entry bar is suspended, or opens at its upper limit when entered at the open.

    ``tradable`` uint8 [rows], bits above. An entry at the window's own close asks for that bar's trades only.
    """
    flags = tradable[np.asarray(ends, dtype=np.int64) + entry_wait(entry)]
    blocked = (flags & TRADES) == 0
    return blocked | ((flags & OPENS_AT_LIMIT_UP) != 0) if entry == "next_open" else blocked


# ---------------------------------------------------------------- labels by name, the user's own among them
@dataclass(frozen=True, kw_only=True)
class Future:
    """What a label may read: log prices of all rows (adjusted), the windows' end rows, and the settings."""

    log_close: np.ndarray
    log_open: np.ndarray
    ends: np.ndarray
    horizon: int
    entry: str = "close"

    def returns(self) -> np.ndarray:
        """:func:`log_returns` ``[n, horizon]``."""
        start = self.log_open if self.entry == "next_open" else self.log_close
        return log_returns(start, self.log_close, self.ends, self.horizon, entry=self.entry)


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A named target: ``function(Future) -> [n]`` or ``[n, horizon]``, which is then asked for each horizon up to the model's."""

    name: str
    help_en: str
    help_zh: str
    function: Callable[[Future], np.ndarray]


_LABELS: dict[str, Label] = {}


def label(name: str, *, help_en: str, help_zh: str) -> Callable:
    """Register a label. Its name may not be that of a feature: what is asked can never be an input."""
    def register(function: Callable[[Future], np.ndarray]) -> Callable[[Future], np.ndarray]:
        from financial_model.features.registry import features

        present = _LABELS.get(name)
        if name in features() or (present is not None and present.function.__module__ != function.__module__):
            raise ConfigError("features.duplicate", name=name)
        add_label(name)
        _LABELS[name] = Label(name=name, help_en=help_en, help_zh=help_zh, function=telling(name, function, but=(IndexError,)))
        return function
    return register


def label_path(name: str, future: Future) -> np.ndarray:
    """The label at the horizons 1..horizon of ``future`` ``[n, horizon]``: at h it is asked with h bars ahead; of several columns the last counts.

    ``ConfigError`` for an unknown name and for a label that is not one number a window.
    """
    columns = []
    for days in range(1, future.horizon + 1):
        values = compute_label(name, replace(future, horizon=days))
        values = values[:, -1] if values.ndim == 2 and values.shape[1] else values
        if values.shape != (len(future.ends),):
            raise ConfigError("features.label_shape", name=name, shape=str(values.shape), windows=len(future.ends))
        columns.append(values)
    return np.stack(columns, axis=1)


def reads_beyond(name: str, future: Future, starts: np.ndarray) -> bool:
    """Whether the label needs bars that its horizon does not give it: a later one, or another stock's.

    Each window of ``future`` is asked again with nothing but the bars of its stock (from row ``starts`` [n] on) up to its last label bar.
    """
    try:
        whole = compute_label(name, future)
    except IndexError:
        return True
    for place, (first, end) in enumerate(zip(starts, future.ends, strict=True)):
        rows = slice(int(first), int(end) + last_bar(future.horizon, future.entry) + 1)
        cut = replace(future, log_close=future.log_close[rows], log_open=future.log_open[rows], ends=np.array([end - first]))
        try:
            alone = compute_label(name, cut)
        except IndexError:
            return True
        if not np.allclose(alone[0], whole[place], rtol=1e-9, atol=1e-12, equal_nan=True):
            return True
    return False


def labels() -> dict[str, Label]:
    """Every label by name."""
    return {**_BUILT_IN, **_LABELS}


def compute_label(name: str, future: Future) -> np.ndarray:
    """The label ``name`` of the windows in ``future``. ``ConfigError`` for an unknown name."""
    known = labels()
    if name not in known:
        raise ConfigError("features.unknown_label", name=name, choices=", ".join(known))
    return np.asarray(known[name].function(future), dtype=np.float64)


_BUILT_IN = {entry.name: entry for entry in (
    Label(name="log_return", help_en="cumulative log return 1..horizon bars after the entry", help_zh="入场后 1..H 日的累计对数收益",
          function=Future.returns),
    Label(name="future_volatility", help_en="root mean square of the one-bar log returns within the horizon", help_zh="期内单日对数收益的均方根",
          function=lambda future: future_volatility(future.log_close, future.ends, future.horizon, entry=future.entry)),
    Label(name="future_momentum", help_en="mean of the one-bar log returns within the horizon over their root mean square, -1 to 1",
          help_zh="期内单日对数收益的均值与均方根之比，-1 到 1",
          function=lambda future: future_momentum(future.log_close, future.ends, future.horizon, entry=future.entry)),
)}
