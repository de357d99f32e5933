"""What the functions of a formula compute, each over the present bar and earlier ones of the same stock, or over the stocks of one date.

In: a checked tree and a :class:`Series`. Out: float64 ``[rows]``; :func:`feature` makes a registered-looking feature of it. A function is one entry
of ``FUNCTIONS``. Windows are whole numbers in the formula's text; there is no way to write a later bar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.errors import ConfigError
from financial_model.features import rolling
from financial_model.features.formula import WINDOW_LIMIT, Call, Column, Node, Number, parse, walk

if TYPE_CHECKING:
    from financial_model.features.registry import Feature
    from financial_model.features.series import Series

Array = np.ndarray
GROUP = "formula"
"""Group of a formula a user writes."""
OWN = "ranks among stocks: "
"""Begins the name under which values that were ranked before are found beside the bars."""


@dataclass(frozen=True, slots=True)
class Function:
    """``compute(series, *values, *windows)``; the last ``windows`` arguments are whole numbers of bars, ``shares`` after them numbers in 0..1."""

    compute: Callable[..., Any]
    values: int
    windows: int = 0
    shares: int = 0
    least: int = 1
    """Shortest window that makes sense."""

    @property
    def arguments(self) -> int:
        return self.values + self.windows + self.shares


# ---------------------------------------------------------------- over time
def _corr(bars: Series, x: Array, y: Array, n: int) -> Array:
    """NaN before ``n`` bars; 0 where a side stands still, or where fewer than two thirds of the pairs are known."""
    from financial_model.features.indicators.relation import correlation

    value = correlation(bars.pair(x, y, n), max(2, -(-2 * n // 3)))
    return np.where(np.isfinite(bars.shift("close", n - 1)), np.nan_to_num(value, nan=0.0), np.nan)


def _slope(bars: Series, x: Array, n: int) -> Array:
    return bars.slope(x, n)


def _fit(bars: Series, x: Array, n: int) -> Array:
    """The last value of the straight line through the window."""
    return bars.mean(x, n) + bars.slope(x, n) * (n - 1) / 2


def _rsquare(bars: Series, x: Array, n: int) -> Array:
    """Share of the window's variance that its straight line explains; 0 where nothing varies."""
    mean, variance = bars.moments(x, n)
    explained = bars.slope(x, n) ** 2 * (n * n - 1) / 12
    flat = variance <= 1e-20 * mean**2
    return np.where(np.isnan(variance), np.nan, np.clip(np.where(flat, 0.0, explained / np.where(flat, 1.0, variance)), 0.0, 1.0))


def _change(bars: Series, x: Array, n: int) -> Array:
    return bars.change(x, n)


def _condition(test: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    """1 where true, 0 where not, NaN where a side is not known."""
    return lambda bars, a, b: np.where(np.isnan(a) | np.isnan(b), np.nan, test(a, b).astype(np.float64))


def _both(bars: Series, a: Array, b: Array) -> Array:
    return np.where(np.isnan(a) | np.isnan(b), np.nan, ((a != 0) & (b != 0)).astype(np.float64))


def _either(bars: Series, a: Array, b: Array) -> Array:
    return np.where(np.isnan(a) | np.isnan(b), np.nan, ((a != 0) | (b != 0)).astype(np.float64))


def _log(bars: Series, x: Array) -> Array:
    return np.log(np.where(x > 0, x, np.nan))


def _divide(bars: Series, a: Array, b: Array) -> Array:
    """0 where nothing is divided by nothing or something by nothing: a flat or untraded stretch says nothing. NaN in either stays NaN."""
    return np.where(b == 0, np.where(np.isnan(a), np.nan, 0.0), a / np.where(b == 0, 1.0, b))


FUNCTIONS: dict[str, Function] = {
    "ref": Function(lambda bars, x, n: bars.shift(x, n), 1, 1, least=0), "delay": Function(lambda bars, x, n: bars.shift(x, n), 1, 1, least=0),
    "delta": Function(_change, 1, 1), "mean": Function(lambda bars, x, n: bars.mean(x, n), 1, 1),
    "sum": Function(lambda bars, x, n: bars.sum(x, n), 1, 1), "std": Function(lambda bars, x, n: bars.std(x, n, sample=True), 1, 1, least=2),
    "max": Function(lambda bars, x, n: bars.max(x, n), 1, 1), "min": Function(lambda bars, x, n: bars.min(x, n), 1, 1),
    "ema": Function(lambda bars, x, n: bars.ema(x, n), 1, 1), "slope": Function(_slope, 1, 1, least=2), "rsquare": Function(_rsquare, 1, 1, least=3),
    "residual": Function(lambda bars, x, n: x - _fit(bars, x, n), 1, 1, least=3),
    "skew": Function(lambda bars, x, n: bars.shape(x, n)[0], 1, 1, least=3), "kurt": Function(lambda bars, x, n: bars.shape(x, n)[1], 1, 1, least=4),
    "corr": Function(_corr, 2, 1, least=3), "ts_rank": Function(lambda bars, x, n: rolling.window_rank(x, bars.offsets, n), 1, 1, least=2),
    "quantile": Function(lambda bars, x, n, q: rolling.window_quantile(x, bars.offsets, n, q), 1, 1, 1),
    "bars_since_max": Function(lambda bars, x, n: bars.age(x, n, 1.0), 1, 1),
    "bars_since_min": Function(lambda bars, x, n: bars.age(x, n, -1.0), 1, 1),
    "log": Function(_log, 1), "abs": Function(lambda bars, x: np.abs(x), 1), "sign": Function(lambda bars, x: np.sign(x), 1),
    "larger": Function(lambda bars, a, b: np.maximum(a, b), 2), "smaller": Function(lambda bars, a, b: np.minimum(a, b), 2),
    "if": Function(lambda bars, c, a, b: np.where(np.isnan(c), np.nan, np.where(c != 0, a, b)), 3),
    "rank": Function(lambda bars, x: x, 1),
}
"""``rank`` compares the stocks of a date and is computed between the passes, see :func:`feature`; every other function sees one stock."""
SIGNS: dict[str, Function] = {
    "+": Function(lambda bars, a, b: a + b, 2), "-": Function(lambda bars, a, b: a - b, 2), "*": Function(lambda bars, a, b: a * b, 2),
    "/": Function(_divide, 2), "^": Function(lambda bars, a, b: np.power(a, b), 2), "negative": Function(lambda bars, a: -a, 1),
    "<": Function(_condition(np.less), 2), "<=": Function(_condition(np.less_equal), 2), ">": Function(_condition(np.greater), 2),
    ">=": Function(_condition(np.greater_equal), 2), "==": Function(_condition(np.equal), 2), "!=": Function(_condition(np.not_equal), 2),
    "and": Function(_both, 2), "or": Function(_either, 2), "not": Function(lambda bars, a: np.where(np.isnan(a), np.nan, (a == 0).astype(float)), 1),
}


def _vwap(bars: Series) -> Array:
    """Money over shares, adjusted as the close is; the typical price where nothing was traded."""
    volume = bars.raw("volume")
    traded = np.isfinite(volume) & (volume > 0) & np.isfinite(bars.raw("amount"))
    return np.where(traded, bars.amount * bars.factor / np.where(traded, volume, 1.0), bars.typical)


COLUMNS: dict[str, Callable[[Series], Array]] = {
    "open": lambda bars: bars.open, "high": lambda bars: bars.high, "low": lambda bars: bars.low, "close": lambda bars: bars.close,
    "vwap": _vwap, "volume": lambda bars: bars.volume, "amount": lambda bars: bars.amount, "returns": lambda bars: bars.log_return,
    "turnover": lambda bars: np.full(len(bars), np.nan) if bars.turnover is None else bars.turnover,
    "market_return": lambda bars: bars.market_return,
}
"""Prices are adjusted, volume in adjusted shares, ``returns`` log returns. Any other name is that of a registered feature."""


# ---------------------------------------------------------------- checking
def check(node: Node, text: str) -> None:
    """``ConfigError`` for an unknown name, a wrong number of arguments, or a window that is none."""
    from financial_model.features.registry import features

    if isinstance(node, Column) and node.name not in COLUMNS and node.name not in features():
        raise ConfigError("formula.unknown_column", name=node.name, formula=text[:120], choices=", ".join(COLUMNS))
    if not isinstance(node, Call):
        return
    function = SIGNS.get(node.name) or FUNCTIONS.get(node.name)
    if function is None:
        raise ConfigError("formula.unknown_function", name=node.name, formula=text[:120], choices=", ".join(FUNCTIONS))
    if len(node.arguments) != function.arguments:
        raise ConfigError("formula.arguments", name=node.name, needed=function.arguments, found=len(node.arguments), formula=text[:120])
    for argument in node.arguments[function.values:function.values + function.windows]:
        bars = argument.value if isinstance(argument, Number) else None
        if bars is not None and bars < 0:
            raise ConfigError("formula.future", name=node.name, window=str(argument), formula=text[:120])
        if bars is None or bars != int(bars) or not function.least <= bars <= WINDOW_LIMIT:
            raise ConfigError("formula.window", name=node.name, window=str(argument)[:40], low=function.least, high=WINDOW_LIMIT, formula=text[:120])
    for argument in node.arguments[function.values + function.windows:]:
        if not isinstance(argument, Number) or not 0 <= argument.value <= 1:
            raise ConfigError("formula.share", name=node.name, found=str(argument)[:40], formula=text[:120])


# ---------------------------------------------------------------- computing
def evaluate(node: Node, bars: Series) -> Array:
    """float64 [rows]; parts that several formulas share are computed once per block of bars."""
    return bars.once(("formula", node), lambda: _evaluate(node, bars))


def _evaluate(node: Node, bars: Series) -> Array:
    if isinstance(node, Number):
        return np.full(len(bars), node.value)
    if isinstance(node, Column):
        return _column(node.name, bars)
    if node.name == "rank":
        return bars.ranks(OWN + str(node))
    function = SIGNS.get(node.name) or FUNCTIONS[node.name]
    values = [evaluate(argument, bars) for argument in node.arguments[:function.values]]
    windows = [int(argument.value) for argument in node.arguments[function.values:function.values + function.windows]]  # type: ignore[union-attr]
    shares = [argument.value for argument in node.arguments[function.values + function.windows:]]  # type: ignore[union-attr]
    return np.ascontiguousarray(function.compute(bars, *values, *windows, *shares), dtype=np.float64)


def _column(name: str, bars: Series) -> Array:
    if name in COLUMNS:
        return np.ascontiguousarray(COLUMNS[name](bars), dtype=np.float64)
    from financial_model.features.registry import get

    entry = get(name)
    if entry.cross_section:
        return bars.ranks(OWN + name)
    return np.asarray(entry.function(bars), dtype=np.float64)


@lru_cache(maxsize=4096)
def feature(text: str) -> Feature:
    """The feature of a formula, named by its canonical writing. ``ConfigError`` as in :func:`formula.parse`."""
    return made(str(parse(text)), text, GROUP, help_en=f"formula: {parse(text)}", help_zh=f"公式：{parse(text)}")


def made(name: str, text: str, group: str, *, help_en: str, help_zh: str) -> Feature:
    """A feature called ``name`` that computes the formula ``text``.

    An outermost rank is the feature's own (``cross_section``); the ranks inside are made before it, in the order they need each other.
    """
    from financial_model.features.registry import Feature, get

    tree = parse(text)
    outer = isinstance(tree, Call) and tree.name == "rank"
    top = tree.arguments[0] if isinstance(tree, Call) and outer else tree
    inner: dict[str, Callable[[Series], Array]] = {}
    for node in walk(top):
        if isinstance(node, Call) and node.name == "rank":
            inner[OWN + str(node)] = _of(node.arguments[0])
        elif isinstance(node, Column) and node.name not in COLUMNS:
            known = get(node.name)
            inner.update(known.inner)
            if known.cross_section:
                inner[OWN + node.name] = known.function
    named = {node.name for node in walk(tree) if isinstance(node, Column)}
    lacking = "turnover" in named or any(get(name).optional for name in named if name not in COLUMNS)
    return Feature(name=name, group=group, help_en=help_en, help_zh=help_zh, cross_section=outer, optional=lacking, function=_of(top),
                   inner=tuple(inner.items()))


def _of(node: Node) -> Callable[[Series], Array]:
    def compute(bars: Series) -> Array:
        return evaluate(node, bars)
    return compute
