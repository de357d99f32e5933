"""What a feature function sees: the bars of many symbols as plain columns, and trailing windows over them.

In: a stretch of ``PackedBars`` (whole symbols). Out: float64 ``[rows]`` columns; prices are adjusted, volume is in adjusted shares.
Every method looks only at the present bar and at earlier bars of the same symbol. A column asked for by name is computed once.
It knows no feature by name and no cross-section: symbols here never meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, cached_property
from typing import Any

import numpy as np
from numba import njit

from financial_model.features import elementwise, pairs, recursions, rolling, steps, trees
from financial_model.features.elementwise import ratio
from financial_model.features.industry import industry_codes

Column = str | np.ndarray
"""A column by its name on :class:`Series` (cached), or any array ``[rows]``."""
TURNOVER = ("turnover", "turnover_pct", "turnover_rate")
"""Names under which bars may carry the turnover rate, in percent."""


class column:
    """A property computed once per :class:`Series` and remembered there, so that it can also be forgotten."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function, self.__doc__ = function, function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, series: Any, owner: type | None = None) -> Any:
        return self if series is None else series.once(self.name, lambda: self.function(series))


class Series:
    """Columns and trailing windows of some symbols. Ratios of prices, returns and bounded figures belong in a feature; price levels do not."""

    def __init__(self, bars: Any, first: int = 0, last: int | None = None, *, market: Market | None = None) -> None:
        """Symbols ``first`` to ``last - 1`` of ``bars`` (PackedBars)."""
        last = len(bars.offsets) - 1 if last is None else last
        start, stop = int(bars.offsets[first]), int(bars.offsets[last])
        self._bars, self._rows, self._market = bars, slice(start, stop), market
        self._cache: dict[Any, Any] = {}
        self._turn, self._uses = 0, dict[Any, int]()
        self.symbols: tuple[str, ...] = tuple(bars.symbols[first:last])
        self.offsets: np.ndarray = np.ascontiguousarray(bars.offsets[first:last + 1], dtype=np.int64) - start
        self.time: np.ndarray = bars.time[self._rows]
        self.factor: np.ndarray = bars.factor[self._rows]

    def __len__(self) -> int:
        return self._rows.stop - self._rows.start

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """``make()``, computed the first time and remembered under ``key``: for results that several features share."""
        self._uses[key] = self._turn
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = make()
        return found

    def next_turn(self, done: Iterable[Any] = ()) -> None:
        """Another feature begins; the results ``done`` are needed no more, and their memory serves the next ones while it is still in the cache."""
        self._turn += 1
        for key in done:
            self._cache.pop(key, None)

    def last_uses(self) -> list[list[Any]]:
        """For each turn the results that were asked for in it for the last time."""
        found: list[list[Any]] = [[] for _ in range(self._turn + 1)]
        for key, turn in self._uses.items():
            found[turn].append(key)
        return found

    # ------------------------------------------------------------ columns
    def raw(self, name: str) -> np.ndarray:
        """A column as it was traded, not adjusted."""
        return getattr(self._bars, name)[self._rows]

    def extra(self, *names: str) -> np.ndarray | None:
        """The first of the extra columns ``names`` that the bars carry, or None."""
        for name in names:
            if name in self._bars.extra:
                return self._bars.extra[name][self._rows]
        return None

    def ranks(self, key: str) -> np.ndarray:
        """The ranks among the names of each date that a feature asked for as ``inner``; ``KeyError`` where it did not."""
        return self._bars.extra[key][self._rows]

    @column
    def industry(self) -> np.ndarray:
        """int64 [rows] index into ``INDUSTRIES``; the one after the last where unknown."""
        known = dict(zip(self._bars.symbols, getattr(self._bars, "industries", ()), strict=False))
        return np.repeat(industry_codes(self.symbols, known).astype(np.int64), np.diff(self.offsets))

    @column
    def open(self) -> np.ndarray:
        return self.raw("open") * self.factor

    @column
    def high(self) -> np.ndarray:
        return self.raw("high") * self.factor

    @column
    def low(self) -> np.ndarray:
        return self.raw("low") * self.factor

    @column
    def close(self) -> np.ndarray:
        return self.raw("close") * self.factor

    @column
    def volume(self) -> np.ndarray:
        """Shares, adjusted so that price x volume stays what was paid; 0 where unknown."""
        return elementwise.finite(np.asarray(self.raw("volume"), dtype=np.float64), self.factor)

    @column
    def amount(self) -> np.ndarray:
        """Money traded; close x volume where the source does not say."""
        amount = self.raw("amount")
        return np.where(np.isfinite(amount), amount, self.close * self.volume)

    @column
    def typical(self) -> np.ndarray:
        return elementwise.typical(self.high, self.low, self.close)

    @column
    def log_close(self) -> np.ndarray:
        return np.log(self.close)

    @column
    def log_return(self) -> np.ndarray:
        """Log return from the bar before; NaN on a symbol's first bar."""
        return self.change("log_close", 1)

    @column
    def previous_close(self) -> np.ndarray:
        return self.shift("close", 1)

    @column
    def true_range(self) -> np.ndarray:
        """Range including the gap from the close before; NaN on a symbol's first bar."""
        return steps.true_range(self.high, self.low, self.close, self.offsets)

    @column
    def signed_volume(self) -> np.ndarray:
        """Volume with the sign of the bar's change: the steps of on-balance volume."""
        return steps.signed(self.volume, self.close, self.offsets)

    @column
    def turnover(self) -> np.ndarray | None:
        """Percent of the float that changed hands: the bars' own column (percent is how sources print it), else volume over shares; or None."""
        known = self.extra(*TURNOVER)
        shares = self.extra("float_shares", "total_shares")
        return known if known is not None or shares is None else 100.0 * ratio(self.raw("volume"), shares, empty=np.nan)

    # ------------------------------------------------------------ trailing windows: column, bars
    def _of(self, column: Column) -> np.ndarray:
        return getattr(self, column) if isinstance(column, str) else np.ascontiguousarray(column, dtype=np.float64)

    def _window(self, kind: str, column: Column, n: Any, compute: Callable[[np.ndarray], Any]) -> Any:
        if not isinstance(column, str):
            return compute(np.ascontiguousarray(column, dtype=np.float64))
        return self.once((kind, column, n), lambda: compute(getattr(self, column)))

    def shift(self, column: Column, n: int) -> np.ndarray:
        """The value of ``n`` bars ago."""
        return self._window("shift", column, n, lambda x: steps.shift(x, self.offsets, n))

    def change(self, column: Column, n: int) -> np.ndarray:
        """The value less that of ``n`` bars ago."""
        return self._window("change", column, n, lambda x: steps.change(x, self.offsets, n))

    def sum(self, column: Column, n: int) -> np.ndarray:
        return self._window("sum", column, n, lambda x: trees.window_sum(x, self.offsets, n))

    def mean(self, column: Column, n: int) -> np.ndarray:
        """Plain moving average (SMA)."""
        return self._window("mean", column, n, lambda x: trees.window_mean(x, self.offsets, n))

    def max(self, column: Column, n: int) -> np.ndarray:
        return self._window("max", column, n, lambda x: trees.window_extreme(x, self.offsets, n, 1.0))

    def min(self, column: Column, n: int) -> np.ndarray:
        return self._window("min", column, n, lambda x: trees.window_extreme(x, self.offsets, n, -1.0))

    def moments(self, column: Column, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and population variance, exact for a constant window."""
        return self._window("moments", column, n, lambda x: trees.window_moments(x, self.offsets, n))

    def std(self, column: Column, n: int, *, sample: bool = False) -> np.ndarray:
        """Standard deviation; ``sample``: divided by n - 1."""
        kind, correction = ("sample std", n / (n - 1.0)) if sample else ("std", 1.0)
        return self._window(kind, column, n, lambda x: elementwise.root(self.moments(column, n)[1], correction))

    def shape(self, column: Column, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Skewness and excess kurtosis."""
        return self._window("shape", column, n, lambda x: rolling.shape(x, self.mean(column, n), self.offsets, n))

    def deviation(self, column: Column, n: int) -> np.ndarray:
        """Mean absolute deviation from the window's mean."""
        return rolling.absolute_deviation(self._of(column), self.mean(column, n), self.offsets, n)

    def weighted(self, column: Column, weights: np.ndarray) -> np.ndarray:
        """Sum of the last bars times ``weights``, the newest bar last."""
        return rolling.weighted(self._of(column), self.offsets, np.asarray(weights, dtype=np.float64))

    def slope(self, column: Column, n: int) -> np.ndarray:
        """Least-squares slope per bar over the last ``n`` bars; exactly 0 where nothing moves."""
        steps = self.change(column, 1)
        return self.weighted(steps, slope_weights(n)) if n > 1 else steps

    def ema(self, column: Column, n: int) -> np.ndarray:
        """Exponential moving average, started at the plain mean of the first ``n`` bars."""
        return self._window("ema", column, n, lambda x: recursions.exponential(x, self.offsets, 2.0 / (n + 1.0), n))

    def wilder(self, column: Column, n: int) -> np.ndarray:
        """Wilder's average: exponential with weight 1 / n."""
        return self._window("wilder", column, n, lambda x: recursions.exponential(x, self.offsets, 1.0 / n, n))

    def pair(self, x: Column, y: Column, n: int) -> np.ndarray:
        """Joint moments of two columns ``[rows, 6]``, see :func:`pairs.window_pair`."""
        def compute() -> np.ndarray:
            return pairs.window_pair(self._of(x), self._of(y), self.offsets, n)
        return self.once(("pair", x, y, n), compute) if isinstance(x, str) and isinstance(y, str) else compute()

    def age(self, column: Column, n: int, sign: float) -> np.ndarray:
        """Bars since the highest (``sign`` 1) or lowest (-1) of the last ``n`` bars."""
        return trees.bars_since_extreme(self._of(column), self.offsets, n, sign)

    # ------------------------------------------------------------ the market beside the stock
    @column
    def _market_day(self) -> np.ndarray:
        """Number of the last market bar at or before each row; -1 before the first."""
        return last_at_or_before(self.time, self.offsets, self._bars.market_time)

    def on_rows(self, daily: np.ndarray, place: np.ndarray | None = None) -> np.ndarray:
        """Values of the market's own bars ``[days]`` brought to the rows of the symbols: the last one known by then.

        ``place`` int64 ``[rows]``: which column of ``daily`` ``[days, columns]`` belongs to each row.
        """
        if not len(daily):
            return np.full(len(self), np.nan)
        return np.where(self._market_day >= 0, daily[self._market_day] if place is None else daily[self._market_day, place], np.nan)

    @property
    def market(self) -> Market:
        """The market's own series; :meth:`on_rows` brings its columns to the rows."""
        if self._market is None:
            self._market = Market(self._bars)
        return self._market

    @column
    def market_return(self) -> np.ndarray:
        """Log return of the market between the symbol's bar before and this one."""
        return self.change(self.on_rows(self.market.log_close), 1)


class _MarketBars:
    """The index as PackedBars of one symbol: it has closes only, so open, high and low are the close."""

    def __init__(self, bars: Any) -> None:
        days = len(bars.market_time)
        self.symbols, self.offsets, self.time = ("market",), np.array([0, days], dtype=np.int64), bars.market_time
        self.open = self.high = self.low = self.close = np.asarray(bars.market_close, dtype=np.float64)
        self.volume, self.amount, self.factor = np.zeros(days), np.full(days, np.nan), np.ones(days)
        self.extra: dict[str, np.ndarray] = {}
        self.market_time, self.market_close = self.time, self.close


class Market(Series):
    """The index, or the equal-weight chain of the universe, as a series of its own; with what its members did on each date."""

    def __init__(self, bars: Any) -> None:
        super().__init__(_MarketBars(bars))
        self._members = bars

    @cached_property
    def members(self) -> np.ndarray:
        """Over all symbols per market date ``[days, 3]``: money traded, share of them that rose, spread of their returns."""
        return _daily_totals(self.names, self.time)

    @property
    def names(self) -> Series:
        """All symbols at once."""
        return Series(self._members)

    @cached_property
    def traded(self) -> np.ndarray:
        return np.ascontiguousarray(self.members[:, 0])


@cache
def slope_weights(n: int) -> np.ndarray:
    """Weights of the last ``n - 1`` steps that give the least-squares slope over ``n`` bars.

    The slope is a sum over levels whose weights add up to zero, so it can be written over differences: no level is left to round off.
    """
    centred = np.arange(n) - (n - 1) / 2.0
    return np.cumsum((centred / (centred**2).sum())[::-1])[::-1][1:]


@njit(cache=True, nogil=True)
def last_at_or_before(time, offsets, days):
    """Number of the last of the ascending ``days`` at or before each row's time; -1 before the first."""
    out = np.empty(time.size, np.int64)
    for s in range(offsets.size - 1):
        d = -1
        for t in range(offsets[s], offsets[s + 1]):
            while d + 1 < days.size and days[d + 1] <= time[t]:
                d += 1
            out[t] = d
    return out


def _daily_totals(series: Series, days: np.ndarray) -> np.ndarray:
    day = last_at_or_before(series.time, series.offsets, days)
    known = (day >= 0) & np.isfinite(series.log_return)
    known[known] &= days[day[known]] == series.time[known]
    traded = np.bincount(day[known], series.amount[known], len(days))
    day, change = day[known], series.log_return[known]
    count = np.maximum(np.bincount(day, minlength=len(days)), 1)
    mean = np.bincount(day, change, len(days)) / count
    spread = np.sqrt(np.bincount(day, (change - mean[day]) ** 2, len(days)) / count)
    return np.stack([traded, np.bincount(day, change > 0, len(days)) / count, spread], axis=1)
