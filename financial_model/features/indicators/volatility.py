"""Group ``volatility``: how far prices swing, as fractions of the price per bar."""

from __future__ import annotations

import numpy as np

from financial_model.features.registry import feature
from financial_model.features.series import Series, ratio


@feature("volatility_{n}", "volatility", over=(5, 21, 63), help_en="realised volatility: standard deviation of {n} log returns",
         help_zh="已实现波动率：{n} 日对数收益的标准差")
def realised(bars: Series, n: int) -> np.ndarray:
    return bars.std("log_return", n, sample=True)


@feature("volatility_ratio", "volatility", help_en="log of 5-bar over 21-bar volatility, both floored at 0.02 %",
         help_zh="5 日与 21 日波动率之比的对数（均以 0.02 % 为下限）")
def volatility_ratio(bars: Series) -> np.ndarray:
    return np.log((realised(bars, 5) + 2e-4) / (realised(bars, 21) + 2e-4))


@feature("atr_14", "volatility", help_en="average true range of 14 bars over the close", help_zh="14 日平均真实波幅（ATR）除以收盘价")
def average_true_range(bars: Series) -> np.ndarray:
    return ratio(bars.wilder("true_range", 14), bars.close)


@feature("parkinson_20", "volatility", help_en="volatility from the high-low range of 20 bars (Parkinson)", help_zh="20 日高低价波动率（Parkinson）")
def parkinson(bars: Series) -> np.ndarray:
    return np.sqrt(bars.mean(np.log(bars.high / bars.low) ** 2, 20) / (4.0 * np.log(2.0)))


@feature("bollinger_width", "volatility", help_en="width of the Bollinger band (20 bars, 2 deviations) over its middle",
         help_zh="布林带（20 日，2 倍标准差）宽度相对中轨")
def bollinger_width(bars: Series) -> np.ndarray:
    return ratio(bars.std("close", 20), bars.mean("close", 20), times=4.0)
