"""Group ``technical``: chart levels: Bollinger bands and Fibonacci retracements, as distances of the close."""

from __future__ import annotations

import numpy as np

from financial_model.features.registry import feature
from financial_model.features.series import Series, ratio


@feature("bollinger_place", "technical", help_en="place of the close in the Bollinger band (%b of 20 bars, 2 deviations), -1..1 inside",
         help_zh="收盘价在布林带（20 日，2 倍标准差）的位置（%b），带内 -1..1")
def bollinger_place(bars: Series) -> np.ndarray:
    return ratio(bars.close - bars.mean("close", 20), bars.std("close", 20), floor=5e-13, times=0.5)


@feature("bollinger_upper", "technical", help_en="upper Bollinger band over the close, less 1", help_zh="布林上轨相对收盘价")
def bollinger_upper(bars: Series) -> np.ndarray:
    return ratio(bars.mean("close", 20) + 2.0 * bars.std("close", 20), bars.close) - 1.0


@feature("bollinger_lower", "technical", help_en="lower Bollinger band over the close, less 1", help_zh="布林下轨相对收盘价")
def bollinger_lower(bars: Series) -> np.ndarray:
    return ratio(bars.mean("close", 20) - 2.0 * bars.std("close", 20), bars.close) - 1.0


@feature("fibonacci_{n}", "technical", over=(236, 382, 500, 618, 786),
         help_en="close against the {n}/1000 Fibonacci retracement of the trailing 100 bars, as a fraction of the close",
         help_zh="收盘价相对近 100 日 {n}/1000 斐波那契回撤位的距离（占收盘价比例）")
def fibonacci(bars: Series, n: int) -> np.ndarray:
    high, low = bars.max("high", 100), bars.min("low", 100)
    return ratio(bars.close - (high - n / 1000.0 * (high - low)), bars.close)


@feature("donchian_width_20", "technical", help_en="width of the 20-bar Donchian channel over the close", help_zh="20 日唐奇安通道宽度相对收盘价")
def donchian_width(bars: Series) -> np.ndarray:
    return ratio(bars.max("high", 20) - bars.min("low", 20), bars.close)
