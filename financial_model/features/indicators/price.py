"""Group ``price``: one bar against the close before it, in log units. The first four columns are open, high, low, close."""

from __future__ import annotations

import numpy as np

from financial_model.features.registry import feature
from financial_model.features.series import Series, ratio


@feature("price_open", "price", help_en="opening gap: log of open over the close before", help_zh="跳空：开盘价相对前收盘的对数变化")
def price_open(bars: Series) -> np.ndarray:
    return np.log(bars.open) - bars.shift("log_close", 1)


@feature("price_high", "price", help_en="log of high over the close before", help_zh="最高价相对前收盘的对数变化")
def price_high(bars: Series) -> np.ndarray:
    return np.log(bars.high) - bars.shift("log_close", 1)


@feature("price_low", "price", help_en="log of low over the close before", help_zh="最低价相对前收盘的对数变化")
def price_low(bars: Series) -> np.ndarray:
    return np.log(bars.low) - bars.shift("log_close", 1)


@feature("price_close", "price", help_en="log of close over the close before", help_zh="收盘价相对前收盘的对数变化")
def price_close(bars: Series) -> np.ndarray:
    return bars.log_return


@feature("range", "price", help_en="high less low, over the close before", help_zh="振幅：最高减最低，相对前收盘")
def bar_range(bars: Series) -> np.ndarray:
    return ratio(bars.high - bars.low, bars.previous_close)


@feature("body", "price", help_en="log of close over open", help_zh="实体：收盘价相对开盘价的对数变化")
def body(bars: Series) -> np.ndarray:
    return bars.log_close - np.log(bars.open)


@feature("upper_shadow", "price", help_en="upper shadow as a share of the bar's range", help_zh="上影线占全日振幅的比例")
def upper_shadow(bars: Series) -> np.ndarray:
    return ratio(bars.high - np.maximum(bars.open, bars.close), bars.high - bars.low)


@feature("lower_shadow", "price", help_en="lower shadow as a share of the bar's range", help_zh="下影线占全日振幅的比例")
def lower_shadow(bars: Series) -> np.ndarray:
    return ratio(np.minimum(bars.open, bars.close) - bars.low, bars.high - bars.low)


@feature("close_place", "price", help_en="place of the close in the bar's range, -0.5 at the low, 0.5 at the high",
         help_zh="收盘价在当日高低区间的位置，最低为 -0.5，最高为 0.5")
def close_place(bars: Series) -> np.ndarray:
    return ratio(bars.close - (bars.high + bars.low) / 2.0, bars.high - bars.low)
