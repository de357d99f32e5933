"""Group ``rank``: the strongest causal figures, each as its rank among the names of its date and market, -0.5..0.5.

Ranks need no fit and no memory of other dates, and survive any change of level. Figures with a long window (12-1 momentum, beta) or with inputs
that bars may lack (turnover, size, value) read 0, the middle, while unknown, so that the group is usable after 64 bars.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from financial_model.features.indicators.momentum import momentum_between, rsi
from financial_model.features.indicators.price import bar_range
from financial_model.features.indicators.relation import beta, volume_correlation
from financial_model.features.indicators.returns import log_return
from financial_model.features.indicators.trend import sma_distance
from financial_model.features.indicators.volatility import realised
from financial_model.features.indicators.volume import illiquidity, volume_ratio
from financial_model.features.registry import feature
from financial_model.features.series import Series, ratio


def _rank(name: str, help_en: str, help_zh: str, *, optional: bool = False, over: tuple[int, ...] = ()) -> Callable:
    return feature(f"rank_{name}", "rank", cross_section=True, optional=optional, over=over,
                   help_en=f"rank of the date: {help_en}", help_zh=f"当日截面排名：{help_zh}")


@_rank("return_{n}", "return over {n} bars", "{n} 日收益", over=(1, 2, 3, 5, 10, 20, 60))
def rank_return(bars: Series, n: int) -> np.ndarray:
    return log_return(bars, n)


@_rank("momentum_12_1", "return from 252 to 21 bars ago, two thirds of them present", "252 日前至 21 日前的收益（至少三分之二在场）", optional=True)
def rank_momentum(bars: Series) -> np.ndarray:
    return momentum_between(bars, 252, 21)


@_rank("volatility_{n}", "volatility of {n} bars", "{n} 日波动率", over=(21, 63))
def rank_volatility(bars: Series, n: int) -> np.ndarray:
    return realised(bars, n)


@_rank("range_20", "mean of 20 ranges, each over the close before", "20 日平均振幅（相对前收盘）")
def rank_range(bars: Series) -> np.ndarray:
    return bars.mean(bar_range(bars), 20)


@_rank("volume_ratio_{n}", "volume against its {n}-bar mean", "成交量相对 {n} 日均量", over=(5, 20))
def rank_volume_ratio(bars: Series, n: int) -> np.ndarray:
    return volume_ratio(bars, n)


@_rank("amount_20", "money traded, mean of 20 bars", "20 日平均成交额")
def rank_amount(bars: Series) -> np.ndarray:
    return bars.mean("amount", 20)


@_rank("amihud", "illiquidity, mean of 20 bars", "Amihud 非流动性（20 日均值）")
def rank_amihud(bars: Series) -> np.ndarray:
    return bars.mean(illiquidity(bars), 20)


@_rank("turnover", "turnover rate, mean of 20 bars", "换手率（20 日均值）", optional=True)
def rank_turnover(bars: Series) -> np.ndarray:
    return np.full(len(bars), np.nan) if bars.turnover is None else bars.mean("turnover", 20)


@_rank("sma_distance_{n}", "close against its {n}-bar mean", "收盘价相对 {n} 日均线", over=(5, 20, 60))
def rank_sma_distance(bars: Series, n: int) -> np.ndarray:
    return sma_distance(bars, n)


@_rank("range_place_20", "place of the close between the 20-bar low and high", "收盘价在 20 日高低区间的位置")
def rank_range_place(bars: Series) -> np.ndarray:
    low = bars.min("low", 20)
    return ratio(bars.close - low, bars.max("high", 20) - low, empty=0.5)


@_rank("rsi_14", "relative strength index of 14 bars", "14 日 RSI")
def rank_rsi(bars: Series) -> np.ndarray:
    return rsi(bars, 14)


@_rank("skew_20", "skewness of 20 returns", "20 日收益偏度")
def rank_skew(bars: Series) -> np.ndarray:
    return bars.shape("log_return", 20)[0]


@_rank("intraday_20", "mean return from open to close, 20 bars", "日内收益（开盘至收盘）20 日均值")
def rank_intraday(bars: Series) -> np.ndarray:
    return bars.mean(bars.log_close - np.log(bars.open), 20)


@_rank("overnight_20", "mean return from close to the next open, 20 bars", "隔夜收益（收盘至次日开盘）20 日均值")
def rank_overnight(bars: Series) -> np.ndarray:
    return bars.mean(np.log(bars.open) - bars.shift("log_close", 1), 20)


@_rank("beta_60", "beta to the market, 60 bars", "60 日市场贝塔", optional=True)
def rank_beta(bars: Series) -> np.ndarray:
    return beta(bars, 60)


@_rank("max_return_20", "largest one-bar return of 20", "20 日内最大单日收益")
def rank_max_return(bars: Series) -> np.ndarray:
    return bars.max("log_return", 20)


@_rank("volume_correlation_20", "correlation of close and volume, 20 bars", "20 日量价相关系数")
def rank_volume_correlation(bars: Series) -> np.ndarray:
    return volume_correlation(bars, 20)


@_rank("size", "market value", "市值", optional=True)
def rank_size(bars: Series) -> np.ndarray:
    from financial_model.features.style import market_value

    return market_value(bars)


@_rank("value", "book value per price", "账面市值比", optional=True)
def rank_value(bars: Series) -> np.ndarray:
    from financial_model.features.style import book_to_price

    return book_to_price(bars)
