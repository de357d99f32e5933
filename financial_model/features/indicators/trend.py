"""Group ``trend``: where the price stands against its averages, channels and stops, as fractions of the price."""

from __future__ import annotations

from functools import cache

import numpy as np

from financial_model.features import recursions
from financial_model.features.elementwise import linear, middle, place, ratio
from financial_model.features.registry import feature
from financial_model.features.series import Series


def distance(bars: Series, level: np.ndarray) -> np.ndarray:
    """How far the close stands above ``level``, as a fraction of it."""
    return ratio(bars.close, level, plus=-1.0)


@feature("sma_distance_{n}", "trend", over=(5, 10, 20, 50, 200), help_en="close against its {n}-bar mean (SMA)",
         help_zh="收盘价相对 {n} 日简单均线（SMA）")
def sma_distance(bars: Series, n: int) -> np.ndarray:
    return distance(bars, bars.mean("close", n))


@feature("ema_distance_{n}", "trend", over=(5, 10, 20, 50, 200), help_en="close against its {n}-bar exponential mean (EMA)",
         help_zh="收盘价相对 {n} 日指数均线（EMA）")
def ema_distance(bars: Series, n: int) -> np.ndarray:
    return distance(bars, bars.ema("close", n))


def _directional(bars: Series) -> tuple[np.ndarray, np.ndarray]:
    return bars.once("directional", lambda: recursions.directional(bars.high, bars.low, bars.true_range, bars.offsets, 14))


@feature("adx_14", "trend", help_en="average directional index of 14 bars, 0..1", help_zh="14 日平均趋向指标（ADX），0..1")
def adx(bars: Series) -> np.ndarray:
    return _directional(bars)[1]


@feature("di_difference_14", "trend", help_en="plus less minus directional index of 14 bars, -1..1", help_zh="14 日 +DI 减 -DI，-1..1")
def di_difference(bars: Series) -> np.ndarray:
    return _directional(bars)[0]


@feature("aroon_up_25", "trend", help_en="Aroon up: 1 when the 25-bar high is new, 0 when it is 25 bars old",
         help_zh="阿隆上升线：25 日新高为 1，已过 25 日为 0")
def aroon_up(bars: Series) -> np.ndarray:
    return linear(bars.age("high", 26, 1.0), plus=-25.0, times=-1.0 / 25.0)


@feature("aroon_down_25", "trend", help_en="Aroon down: 1 when the 25-bar low is new, 0 when it is 25 bars old",
         help_zh="阿隆下降线：25 日新低为 1，已过 25 日为 0")
def aroon_down(bars: Series) -> np.ndarray:
    return linear(bars.age("low", 26, -1.0), plus=-25.0, times=-1.0 / 25.0)


@feature("psar_distance", "trend", help_en="close against the parabolic stop (PSAR 0.02, 0.2)", help_zh="收盘价相对抛物线止损（PSAR 0.02、0.2）")
def psar_distance(bars: Series) -> np.ndarray:
    return distance(bars, recursions.parabolic(bars.high, bars.low, bars.offsets, 0.02, 0.2))


@feature("supertrend_distance", "trend", help_en="close against the SuperTrend line (10 bars, 3 ranges)",
         help_zh="收盘价相对超级趋势线（10 日，3 倍 ATR）")
def supertrend_distance(bars: Series) -> np.ndarray:
    centre, reach = middle(bars.high, bars.low), 3.0 * bars.wilder("true_range", 10)
    return distance(bars, recursions.supertrend(bars.close, centre + reach, centre - reach, bars.offsets))


@feature("kama_distance_10", "trend", help_en="close against Kaufman's adaptive mean (10, 2, 30)", help_zh="收盘价相对考夫曼自适应均线（10、2、30）")
def kama_distance(bars: Series) -> np.ndarray:
    travelled = bars.sum(np.abs(bars.change("close", 1)), 10)
    efficiency = np.minimum(ratio(np.abs(bars.change("close", 10)), travelled, empty=1.0), 1.0)
    fast, slow = 2.0 / 3.0, 2.0 / 31.0
    return distance(bars, recursions.adaptive(bars.close, (efficiency * (fast - slow) + slow) ** 2, bars.offsets))


@feature("hma_distance_16", "trend", help_en="close against Hull's moving average of 16 bars", help_zh="收盘价相对 16 日赫尔均线（HMA）")
def hma_distance(bars: Series) -> np.ndarray:
    return distance(bars, bars.weighted("close", hull_weights(16)))


@cache
def hull_weights(n: int) -> np.ndarray:
    """Weights of the last bars, the newest last, that Hull's mean of ``n`` comes to: twice the linear one of half the bars less that of all, smoothed
    by the linear one of the square root."""
    def linear(n: int) -> np.ndarray:
        return np.arange(1, n + 1) / (n * (n + 1) / 2.0)
    quick = -linear(n)
    quick[n - n // 2:] += 2.0 * linear(n // 2)
    return np.convolve(quick, linear(round(n**0.5)))


def _middle(bars: Series, n: int) -> np.ndarray:
    return bars.once(("middle", n), lambda: middle(bars.max("high", n), bars.min("low", n)))


@feature("ichimoku_conversion", "trend", help_en="close against the Ichimoku conversion line (9 bars)", help_zh="收盘价相对一目均衡表转换线（9 日）")
def ichimoku_conversion(bars: Series) -> np.ndarray:
    return distance(bars, _middle(bars, 9))


@feature("ichimoku_base", "trend", help_en="close against the Ichimoku base line (26 bars)", help_zh="收盘价相对一目均衡表基准线（26 日）")
def ichimoku_base(bars: Series) -> np.ndarray:
    return distance(bars, _middle(bars, 26))


@feature("ichimoku_span_a", "trend", help_en="close against Ichimoku span A, without its forward shift",
         help_zh="收盘价相对一目均衡表先行带 A（不前移）")
def ichimoku_span_a(bars: Series) -> np.ndarray:
    return distance(bars, middle(_middle(bars, 9), _middle(bars, 26)))


@feature("ichimoku_span_b", "trend", help_en="close against Ichimoku span B (52 bars), without its forward shift",
         help_zh="收盘价相对一目均衡表先行带 B（52 日，不前移）")
def ichimoku_span_b(bars: Series) -> np.ndarray:
    return distance(bars, _middle(bars, 52))


@feature("slope_{n}", "trend", over=(20, 50, 100), help_en="regression slope of the close over {n} bars, in percent of the close per bar",
         help_zh="{n} 日收盘价回归斜率（每日占收盘价的百分比）")
def slope(bars: Series, n: int) -> np.ndarray:
    return ratio(bars.slope("close", n), bars.close, times=100.0)


@feature("donchian_place_20", "trend", help_en="place of the close in the 20-bar Donchian channel, -1..1",
         help_zh="收盘价在 20 日唐奇安通道的位置，-1..1")
def donchian_place(bars: Series) -> np.ndarray:
    return place(bars.close, bars.min("low", 20), bars.max("high", 20), plus=-0.5, times=2.0)


@feature("keltner_place_20", "trend", help_en="close less its 20-bar exponential mean, in half widths of the Keltner channel (2 ranges of 10 bars)",
         help_zh="收盘价在 20 日肯特纳通道（2 倍 10 日 ATR）的位置，以半宽为单位")
def keltner_place(bars: Series) -> np.ndarray:
    return ratio(bars.close - bars.ema("close", 20), bars.wilder("true_range", 10), times=0.5)
