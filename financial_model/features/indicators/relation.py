"""Group ``relation``: the shape of recent returns, and how the stock moves with its volume and with the market."""

from __future__ import annotations

import numpy as np

from financial_model.features.registry import feature
from financial_model.features.series import Series, ratio


@feature("skew_{n}", "relation", over=(10, 20), help_en="skewness of {n} log returns", help_zh="{n} 日对数收益的偏度")
def skew(bars: Series, n: int) -> np.ndarray:
    return bars.shape("log_return", n)[0]


@feature("kurtosis_{n}", "relation", over=(10, 20), help_en="excess kurtosis of {n} log returns", help_zh="{n} 日对数收益的超额峰度")
def kurtosis(bars: Series, n: int) -> np.ndarray:
    return bars.shape("log_return", n)[1]


@feature("up_share_20", "relation", help_en="share of rises less share of falls in 20 bars", help_zh="20 日内上涨与下跌天数占比之差")
def up_share(bars: Series) -> np.ndarray:
    return bars.mean(np.sign(bars.log_return), 20)


def volume_correlation(bars: Series, n: int) -> np.ndarray:
    return correlation(bars.pair("close", "volume", n), n)


@feature("volume_correlation_20", "relation", help_en="correlation of close and volume over 20 bars", help_zh="20 日收盘价与成交量的相关系数")
def volume_correlation_20(bars: Series) -> np.ndarray:
    return volume_correlation(bars, 20)


@feature("market_correlation_60", "relation", optional=True, help_en="correlation of returns with the market over 60 bars (at least 40)",
         help_zh="60 日收益与市场的相关系数（至少 40 日）")
def market_correlation(bars: Series) -> np.ndarray:
    return correlation(bars.pair("log_return", "market_return", 60), 40)


@feature("market_beta_60", "relation", optional=True, help_en="beta to the market over 60 bars (at least 40)", help_zh="60 日市场贝塔（至少 40 日）")
def market_beta(bars: Series) -> np.ndarray:
    return beta(bars, 60)


def beta(bars: Series, n: int) -> np.ndarray:
    """Regression of the stock's log returns on the market's; NaN before two thirds of ``n`` pairs, 0 where the market stood still."""
    pair = bars.pair("log_return", "market_return", n)
    return np.where(3 * pair[:, 0] >= 2 * n, ratio(pair[:, 5], pair[:, 4], floor=1e-12), np.nan)


def correlation(pair: np.ndarray, least: int) -> np.ndarray:
    """Correlation from the joint moments of :meth:`Series.pair`; NaN below ``least`` pairs, 0 where one side stands still."""
    flat = (pair[:, 3] <= 1e-20 * pair[:, 1] ** 2) | (pair[:, 4] <= 1e-20 * pair[:, 2] ** 2)
    value = ratio(pair[:, 5], np.where(flat, 0.0, np.sqrt(pair[:, 3] * pair[:, 4])))
    return np.where(pair[:, 0] >= least, np.clip(value, -1.0, 1.0), np.nan)
