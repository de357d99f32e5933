"""Is a formula fit to be an input? Tried on a small random market before anything is trained on it.

In: features made of formulas. Out: nothing, or a ``ConfigError`` that names the formula: one that changes when prices are quoted in another unit is a
price level, which means something else for every stock and every year; one that never has a value, or always the same, is a mistake.
"""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from financial_model.errors import ConfigError
from financial_model.features.formula import Call, Node, Number, parse

MEMORY_LIMIT = 2500
"""Bars a formula may look back on, all windows inside each other added up."""
_STOCKS, _SPARE = 6, 80
_PRICES, _SHARES = 3.0, 7.0
"""Factors of the other unit."""


def refuse_unfit(text: str) -> None:
    """``ConfigError`` when the formula depends on the unit of prices or shares, never has a value, or looks back too far."""
    _try(str(parse(text)))


@lru_cache(maxsize=1024)
def _try(text: str) -> None:
    from financial_model.features.formula_functions import feature
    from financial_model.features.registry import compute_features

    back = lookback(parse(text))
    if back > MEMORY_LIMIT:
        raise ConfigError("formula.memory", formula=text[:120], bars=back, limit=MEMORY_LIMIT)
    entry = [feature(text)]
    plain, other = (compute_features(_market(back + _SPARE, *units), entry, workers=1)[:, 0] for units in ((1.0, 1.0), (_PRICES, _SHARES)))
    known = np.isfinite(plain) & np.isfinite(other)
    if not known.any() or not (np.isfinite(plain) == np.isfinite(other)).all():
        raise ConfigError("formula.no_value", formula=text[:120])
    if np.ptp(plain[known]) == 0:
        raise ConfigError("formula.constant", formula=text[:120], value=f"{plain[known][0]:g}")
    if not np.allclose(plain[known], other[known], rtol=1e-3, atol=1e-6):
        raise ConfigError("formula.level", formula=text[:120])


def lookback(node: Node) -> int:
    """Earlier bars that a value may depend on, an upper bound; windows of functions and of registered features inside each other add up."""
    from financial_model.features.formula import Column
    from financial_model.features.formula_functions import COLUMNS, FUNCTIONS

    if isinstance(node, Column):
        return 0 if node.name in COLUMNS else 260  # the longest memory of a registered feature is about a year
    if not isinstance(node, Call):
        return 0
    function = FUNCTIONS.get(node.name)
    own = sum(int(argument.value) for argument in node.arguments[function.values:function.values + function.windows]
              if isinstance(argument, Number)) if function else 0
    if node.name == "ema":
        own *= 4
    return own + 1 + max(lookback(argument) for argument in node.arguments)


def _market(rows: int, prices: float, shares: float) -> Any:
    """Random walks of a few stocks over ``rows`` days, quoted in another unit."""
    generator = np.random.default_rng(1)
    size = (_STOCKS, rows)
    levels = np.geomspace(0.01, 100, _STOCKS)[:, None]  # so that a fixed price or volume in a formula parts the stocks
    close = 10 * levels * np.exp(np.cumsum(0.02 * generator.standard_normal(size), axis=1))
    opened = close * np.exp(0.005 * generator.standard_normal(size))
    high, low = (function(opened, close) * np.exp(sign * 0.004 * np.abs(generator.standard_normal(size)))
                 for function, sign in ((np.maximum, 1), (np.minimum, -1)))
    volume = np.round(1e6 / levels * np.exp(0.5 * generator.standard_normal(size)))
    amount, days = volume * (opened + close) / 2, 86_400 * np.arange(rows, dtype=np.int64)
    columns = {name: (values * factor).ravel() for name, values, factor in (
        ("open", opened, prices), ("high", high, prices), ("low", low, prices), ("close", close, prices), ("volume", volume, shares),
        ("amount", amount, prices * shares))}
    return SimpleNamespace(
        symbols=tuple(f"60000{i}.SH" for i in range(_STOCKS)), offsets=rows * np.arange(_STOCKS + 1, dtype=np.int64), time=np.tile(days, _STOCKS),
        factor=np.ones(_STOCKS * rows), market_time=days, market_close=1000 * np.exp(np.log(close).mean(axis=0)), market_name="equal_weight",
        extra={"tradable": np.ones(_STOCKS * rows), "total_shares": np.full(_STOCKS * rows, 1e9 * shares),
               "book_per_share": np.full(_STOCKS * rows, 5.0 * prices)}, **columns)
