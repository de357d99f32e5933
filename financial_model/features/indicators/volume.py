"""Group ``volume``: how much is traded and on which side, against the stock's own recent past."""

from __future__ import annotations

import numpy as np

from financial_model.features import elementwise, steps
from financial_model.features.elementwise import ratio
from financial_model.features.registry import feature
from financial_model.features.series import Series, slope_weights


@feature("volume_ratio_{n}", "volume", over=(5, 20, 60), help_en="volume against its {n}-bar mean: log((1 + ratio) / 2), 0 when equal",
         help_zh="成交量相对 {n} 日均量：log((1+比值)/2)，相等时为 0")
def volume_ratio(bars: Series, n: int) -> np.ndarray:
    return damped(ratio(bars.volume, bars.mean("volume", n)), bars.mean("volume", n))


def damped(share: np.ndarray, base: np.ndarray) -> np.ndarray:
    """log((1 + share) / 2): finite at zero volume, 0 at the usual volume, and 0 where nothing was traded for the whole window (``base`` 0)."""
    return np.where(base > 0, np.log1p(share) - np.log(2.0), base * 0.0)


@feature("volume_change", "volume", help_en="volume against the bar before: difference over sum, -1..1", help_zh="成交量相对前一日：差除以和，-1..1")
def volume_change(bars: Series) -> np.ndarray:
    return ratio(bars.change("volume", 1), bars.volume + bars.shift("volume", 1))


@feature("turnover", "volume", optional=True, help_en="turnover rate against its 20-bar mean, log((1 + ratio) / 2); 0 where unknown",
         help_zh="换手率相对 20 日均值：log((1+比值)/2)；未知时为 0")
def turnover(bars: Series) -> np.ndarray:
    if bars.turnover is None:
        return np.full(len(bars), np.nan)
    mean = bars.mean("turnover", 20)
    return damped(ratio(bars.turnover, mean), mean)


@feature("amihud", "volume", help_en="illiquidity (price move per money traded): log of its 5-bar over its 60-bar mean",
         help_zh="Amihud 非流动性（单位成交额的价格变动）：5 日均值与 60 日均值之比的对数")
def amihud(bars: Series) -> np.ndarray:
    slow = bars.mean(illiquidity(bars), 60)
    share = ratio(bars.mean(illiquidity(bars), 5), slow)
    return np.where(slow > 0, np.log(share + 0.01) - np.log(1.01), slow * 0.0)


def illiquidity(bars: Series) -> np.ndarray:
    """Absolute log return per money traded; 0 on a bar without trades."""
    return bars.once("illiquidity", lambda: ratio(np.abs(bars.log_return), bars.amount))


@feature("obv_slope_20", "volume", help_en="slope of on-balance volume over 20 bars, in mean volumes per bar",
         help_zh="20 日能量潮（OBV）斜率，以日均成交量为单位")
def obv_slope(bars: Series) -> np.ndarray:
    return ratio(bars.weighted("signed_volume", slope_weights(20)), bars.mean("volume", 20))


@feature("mfi_14", "volume", help_en="money flow index of 14 bars, -1..1", help_zh="14 日资金流量指标（MFI），-1..1")
def money_flow_index(bars: Series) -> np.ndarray:
    up, down = steps.flows(paid(bars), bars.typical, bars.offsets)
    return elementwise.balance(bars.sum(up, 14), bars.sum(down, 14))


def paid(bars: Series) -> np.ndarray:
    """Volume at the typical price."""
    return bars.once("paid", lambda: bars.typical * bars.volume)


@feature("cmf_20", "volume", help_en="Chaikin money flow of 20 bars, -1..1", help_zh="20 日蔡金资金流（CMF），-1..1")
def chaikin_money_flow(bars: Series) -> np.ndarray:
    return ratio(bars.sum(elementwise.accumulation(bars.high, bars.low, bars.close, bars.volume), 20), bars.sum("volume", 20))


@feature("vwap_distance_20", "volume", help_en="close against the volume-weighted mean price of 20 bars", help_zh="收盘价相对 20 日成交量加权均价")
def vwap_distance(bars: Series) -> np.ndarray:
    volume = bars.sum("volume", 20)
    price = ratio(bars.sum(paid(bars), 20), volume, empty=np.nan)
    if (volume == 0.0).any():
        price = np.where(np.isnan(price), bars.mean("typical", 20), price)
    return ratio(bars.close, price, plus=-1.0)
