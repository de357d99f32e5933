"""What the industries have done of late, each less the mean of all names. All of it reads 0 where too few names are known.

An industry's own last days drive or turn what follows in its names (Moskowitz and Grinblatt 1999); and news reaches one industry after another
(Hou 2007), which a model can learn from a stock's industry together with the returns of the eleven.
"""

from __future__ import annotations

import numpy as np

from financial_model.config import INDUSTRIES
from financial_model.features import trees
from financial_model.features.registry import feature
from financial_model.features.series import Series, last_at_or_before

MINIMUM_NAMES = 3
"""An industry of fewer names on a date is said to have done nothing."""


@feature("industry_return_{n}", "relation", over=(1, 5, 20), optional=True, help_en="return of its industry over {n} dates, less that of all names",
         help_zh="所属行业 {n} 日收益减全市场平均")
def industry_return(bars: Series, n: int) -> np.ndarray:
    return bars.on_rows(_over(bars, n), bars.industry)


def _register(code: int, name: str) -> None:
    @feature(f"{name}_return_5", "market", optional=True, help_en=f"return of the industry {name} over 5 dates, less that of all names",
             help_zh=f"行业 {name} 5 日收益减全市场平均")
    def of_one(bars: Series) -> np.ndarray:
        return bars.on_rows(_over(bars, 5)[:, code])


def _over(bars: Series, n: int) -> np.ndarray:
    """[days, industries and unknown] sum over the last ``n`` dates."""
    market = bars.market

    def sums() -> np.ndarray:
        daily = market.once("industry returns", lambda: _daily(market.names, market.time))
        return np.stack([trees.window_sum(column, market.offsets, n) for column in np.ascontiguousarray(daily.T)], axis=1)
    return market.once(("industry returns", n), sums)


def _daily(names: Series, days: np.ndarray) -> np.ndarray:
    """[days, industries and unknown] mean log return of an industry's names less that of all; 0 where too few are known and for the unknown."""
    day = last_at_or_before(names.time, names.offsets, days)
    known = (day >= 0) & np.isfinite(names.log_return)
    known[known] &= days[day[known]] == names.time[known]
    day, change, size = day[known], names.log_return[known], len(INDUSTRIES) + 1
    cell = day * size + names.industry[known]
    count = np.bincount(cell, minlength=len(days) * size).reshape(-1, size)
    total = np.bincount(cell, change, len(days) * size).reshape(-1, size)
    everyone = total.sum(1, keepdims=True) / np.maximum(count.sum(1, keepdims=True), 1)
    count[:, -1] = 0
    return np.where(count >= MINIMUM_NAMES, total / np.maximum(count, 1) - everyone, 0.0)


for _code, _name in enumerate(INDUSTRIES):
    _register(_code, _name)
