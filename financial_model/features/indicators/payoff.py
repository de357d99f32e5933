"""Group ``market``: what simple rules about a date's names have paid of late. All of it reads 0 where too few names are there to compare.

A rule ranks the names by something known at a close; its payoff is the rank correlation with their next returns. Rules pay in spells: reversal in
one regime, momentum in another (Moskowitz and Grinblatt 1999, Ehsani and Linnainmaa 2022), so the sign of a signal may turn with its last payoff.
A payoff is the same for all names of a date and says nothing alone; it matters in products with a name's own figures.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from financial_model.features import trees
from financial_model.features.registry import feature
from financial_model.features.series import Series, last_at_or_before, ratio

MINIMUM_NAMES = 20
"""On a date with fewer names no rule is said to have paid."""
WINDOWS = (10, 60)
_RETURN = "payoff of return"

_RULES: dict[str, tuple[Callable[[Series], np.ndarray], str, str]] = {
    "reversal": (lambda bars: -bars.change("log_close", 5), "the losers of five bars", "近 5 日跌幅"),
    "momentum": (lambda bars: bars.change("log_close", 60), "the winners of 60 bars", "近 60 日涨幅"),
    "volume": (lambda bars: ratio(bars.volume, bars.mean("volume", 20)), "volume against its 20-bar mean", "成交量相对 20 日均量"),
    "volatility": (lambda bars: bars.std("log_return", 20), "20-bar volatility", "20 日波动率"),
}


def _register(name: str, rule: Callable[[Series], np.ndarray], english: str, chinese: str) -> None:
    signal = f"payoff of {name}"

    @feature(f"payoff_{name}_{{n}}", "market", over=WINDOWS, optional=True, inner=((_RETURN, lambda bars: bars.log_return), (signal, rule)),
             help_en=f"rank correlation of {english} with the next return, over the names of a date, mean of {{n}} dates",
             help_zh=f"全市场按{chinese}排序与次日收益的秩相关，{{n}} 日均值")
    def payoff(bars: Series, n: int) -> np.ndarray:
        market = bars.market
        return bars.on_rows(market.once((signal, n), lambda: trees.window_sum(_daily(market.names, signal, market.time), market.offsets, n) / n))


def _daily(names: Series, signal: str, days: np.ndarray) -> np.ndarray:
    """[days] correlation over the names between the ranks of ``signal`` at their bars before and of their returns; 0 where too few are known."""
    together = 12.0 * names.shift(names.ranks(signal), 1) * names.ranks(_RETURN)  # ranks spread evenly over -0.5..0.5 have a variance of 1/12
    day = last_at_or_before(names.time, names.offsets, days)
    known = (day >= 0) & np.isfinite(together)
    known[known] &= days[day[known]] == names.time[known]
    count = np.bincount(day[known], minlength=len(days))
    return np.where(count >= MINIMUM_NAMES, np.bincount(day[known], together[known], len(days)) / np.maximum(count, 1), 0.0)


for _name, _rule in _RULES.items():
    _register(_name, *_rule)
