"""Group ``market``: the index, or the equal-weight chain of the universe, on the same date. All of it reads 0 where the market is unknown."""

from __future__ import annotations

import numpy as np

from financial_model.features.registry import feature
from financial_model.features.series import Series, ratio


@feature("market_return_{n}", "market", over=(1, 5, 20), optional=True, help_en="log return of the market over {n} bars",
         help_zh="市场 {n} 日对数收益")
def market_return(bars: Series, n: int) -> np.ndarray:
    return bars.on_rows(bars.market.change("log_close", n))


@feature("market_volatility_20", "market", optional=True, help_en="standard deviation of 20 market returns", help_zh="市场 20 日波动率")
def market_volatility(bars: Series) -> np.ndarray:
    return bars.on_rows(bars.market.std("log_return", 20, sample=True))


@feature("market_log_volatility_{n}", "market", over=(10, 20), optional=True,
         help_en="logarithm of the standard deviation of {n} market returns, over 1 %: as far from usual in calm as in turmoil",
         help_zh="市场 {n} 日波动率相对 1% 的对数：平静与动荡同样偏离常态")
def market_log_volatility(bars: Series, n: int) -> np.ndarray:
    return bars.on_rows(np.log(np.maximum(bars.market.std("log_return", n, sample=True), 1e-4) / 0.01))


@feature("market_range_20", "market", optional=True, help_en="highest over lowest market close of 20 bars, less 1", help_zh="市场 20 日收盘高低区间")
def market_range(bars: Series) -> np.ndarray:
    return bars.on_rows(ratio(bars.market.max("close", 20), bars.market.min("close", 20)) - 1.0)


@feature("market_distance_{n}", "market", over=(20, 120), optional=True, help_en="market close against its {n}-bar mean",
         help_zh="市场收盘相对 {n} 日均线")
def market_distance(bars: Series, n: int) -> np.ndarray:
    return bars.on_rows(ratio(bars.market.close, bars.market.mean("close", n)) - 1.0)


@feature("market_turnover", "market", optional=True, help_en="money traded by all names against its 20-bar mean, log((1 + ratio) / 2)",
         help_zh="全体成交额相对 20 日均值：log((1+比值)/2)")
def market_turnover(bars: Series) -> np.ndarray:
    mean = bars.market.mean("traded", 20)
    return bars.on_rows(np.where(mean > 0, np.log1p(ratio(bars.market.traded, mean)) - np.log(2.0), mean * 0.0))


@feature("market_breadth", "market", optional=True, help_en="share of names that rose, less a half", help_zh="上涨家数占比减 0.5")
def market_breadth(bars: Series) -> np.ndarray:
    return bars.on_rows(bars.market.members[:, 1] - 0.5)


@feature("market_dispersion", "market", optional=True, help_en="spread of the names' returns on the date", help_zh="当日个股收益的离散度")
def market_dispersion(bars: Series) -> np.ndarray:
    return bars.on_rows(bars.market.members[:, 2])
