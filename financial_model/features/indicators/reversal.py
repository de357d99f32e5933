"""Group ``reversal``: what has run too far tends to come back."""

from __future__ import annotations

import numpy as np

from financial_model.features.recursions import streak as runs
from financial_model.features.registry import feature
from financial_model.features.series import Series, ratio


@feature("reversal_{n}", "reversal", over=(5, 21), help_en="{n}-bar log return with its sign turned, in units of its own volatility",
         help_zh="{n} 日对数收益取反，以自身波动率为单位")
def reversal(bars: Series, n: int) -> np.ndarray:
    return -np.clip(ratio(bars.change("log_close", n), bars.std("log_return", 21, sample=True) * np.sqrt(n), floor=2e-4), -10.0, 10.0)


@feature("high_distance_20", "reversal", help_en="log of close over the 20-bar high", help_zh="收盘价相对 20 日最高价的对数")
def high_distance(bars: Series) -> np.ndarray:
    return bars.log_close - np.log(bars.max("high", 20))


@feature("low_distance_20", "reversal", help_en="log of close over the 20-bar low", help_zh="收盘价相对 20 日最低价的对数")
def low_distance(bars: Series) -> np.ndarray:
    return bars.log_close - np.log(bars.min("low", 20))


@feature("streak", "reversal", help_en="length of the present run of rises (positive) or falls (negative), over 5",
         help_zh="连涨（正）或连跌（负）天数除以 5")
def streak(bars: Series) -> np.ndarray:
    return runs(bars.log_return, bars.offsets) / 5.0
