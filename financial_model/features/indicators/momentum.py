"""Group ``momentum``: speed and strength of a move. Oscillators are centred and scaled to about -1..1."""

from __future__ import annotations

import numpy as np

from financial_model.features import elementwise, recursions, steps
from financial_model.features.elementwise import linear, place, ratio
from financial_model.features.registry import feature
from financial_model.features.series import Series


@feature("roc_{n}", "momentum", over=(10, 20, 50), help_en="rate of change: simple return over {n} bars", help_zh="变动率（ROC）：{n} 日简单收益")
def rate_of_change(bars: Series, n: int) -> np.ndarray:
    return ratio(bars.close, bars.shift("close", n), plus=-1.0)


@feature("momentum_{n}", "momentum", over=(10, 20, 50), help_en="log return over {n} bars in units of its own volatility",
         help_zh="动量：{n} 日对数收益，以自身波动率为单位")
def momentum(bars: Series, n: int) -> np.ndarray:
    return np.clip(ratio(bars.change("log_close", n), bars.std("log_return", n, sample=True) * np.sqrt(n), floor=2e-4), -10.0, 10.0)


@feature("momentum_12_1", "momentum", help_en="log return from 252 to 21 bars ago (two thirds of them present)",
         help_zh="252 日前至 21 日前的对数收益（至少三分之二在场）")
def momentum_12_1(bars: Series) -> np.ndarray:
    return momentum_between(bars, 252, 21)


@feature("momentum_6_1", "momentum", help_en="log return from 126 to 21 bars ago (two thirds of them present)",
         help_zh="126 日前至 21 日前的对数收益（至少三分之二在场）")
def momentum_6_1(bars: Series) -> np.ndarray:
    return momentum_between(bars, 126, 21)


def momentum_between(bars: Series, start: int, end: int) -> np.ndarray:
    """Log return from ``start`` to ``end`` bars ago; from the first bar where the history is shorter but has two thirds of ``start``."""
    age = bars.once("age", lambda: np.arange(len(bars)) - np.repeat(bars.offsets[:-1], np.diff(bars.offsets)))
    begin = np.arange(len(bars)) - np.minimum(age, start)
    return np.where(3 * age >= 2 * start, bars.shift("log_close", end) - bars.log_close[begin], np.nan)


@feature("rsi_{n}", "momentum", over=(7, 14, 21), help_en="relative strength index of {n} bars, -1..1", help_zh="{n} 日相对强弱指标（RSI），-1..1")
def rsi(bars: Series, n: int) -> np.ndarray:
    return recursions.relative_strength(bars.close, bars.offsets, n)


def _stochastic(bars: Series, n: int) -> np.ndarray:
    """Place of the close between the lowest low and highest high of ``n`` bars, 0..1; the middle where nothing moved."""
    return bars.once(("stochastic", n), lambda: place(bars.close, bars.min("low", n), bars.max("high", n)))


def _stochastic_k(bars: Series) -> np.ndarray:
    return bars.once("stochastic_k", lambda: bars.mean(_stochastic(bars, 14), 3))


@feature("stochastic_k", "momentum", help_en="stochastic oscillator %K (14 bars, smoothed 3), -1..1",
         help_zh="随机指标 %K（14 日，平滑 3 日），-1..1")
def stochastic_k(bars: Series) -> np.ndarray:
    return linear(_stochastic_k(bars), plus=-0.5, times=2.0)


@feature("stochastic_d", "momentum", help_en="stochastic oscillator %D (mean of 3 %K), -1..1", help_zh="随机指标 %D（%K 的 3 日均值），-1..1")
def stochastic_d(bars: Series) -> np.ndarray:
    return linear(bars.mean(_stochastic_k(bars), 3), plus=-0.5, times=2.0)


@feature("williams_r_14", "momentum", help_en="Williams %R of 14 bars, -1..1", help_zh="14 日威廉指标（%R），-1..1")
def williams_r(bars: Series) -> np.ndarray:
    return linear(_stochastic(bars, 14), plus=-0.5, times=2.0)


@feature("cci_20", "momentum", help_en="commodity channel index of 20 bars, over 100", help_zh="20 日顺势指标（CCI）除以 100")
def commodity_channel(bars: Series) -> np.ndarray:
    mean = bars.mean("typical", 20)
    return ratio(bars.typical - mean, bars.deviation("typical", 20), floor=1e-12 / 1.5, times=1.0 / 1.5)


@feature("ultimate", "momentum", help_en="ultimate oscillator (7, 14, 28 bars), -1..1", help_zh="终极指标（UO，7、14、28 日），-1..1")
def ultimate(bars: Series) -> np.ndarray:
    pressure = steps.buying_pressure(bars.low, bars.close, bars.offsets)
    return linear(elementwise.ultimate(bars.sum(pressure, 7), bars.sum("true_range", 7), bars.offsets, 7), plus=-0.5, times=2.0)


@feature("trix_15", "momentum", help_en="TRIX: one-bar change of the triple exponential mean of 15 bars, in percent",
         help_zh="TRIX：15 日三重指数均线的单日变化（百分比）")
def trix(bars: Series) -> np.ndarray:
    smooth = recursions.triple(bars.close, bars.offsets, 15)
    return ratio(smooth, bars.shift(smooth, 1), plus=-1.0, times=100.0)


@feature("ppo", "momentum", help_en="percentage price oscillator: 12-bar over 26-bar exponential mean, in percent",
         help_zh="价格震荡百分比（PPO）：12 日与 26 日指数均线之比（百分比）")
def percentage_price(bars: Series) -> np.ndarray:
    return ratio(bars.ema("close", 12), bars.ema("close", 26), plus=-1.0, times=100.0)


def _macd(bars: Series) -> tuple[np.ndarray, np.ndarray]:
    return bars.once("macd", lambda: recursions.convergence(bars.close, bars.offsets, 12, 26, 9))


@feature("macd", "momentum", help_en="MACD line (12, 26) over the close, in percent", help_zh="MACD 快线（12、26）除以收盘价（百分比）")
def macd(bars: Series) -> np.ndarray:
    return ratio(_macd(bars)[0], bars.close, times=100.0)


@feature("macd_signal", "momentum", help_en="MACD signal line (9) over the close, in percent", help_zh="MACD 信号线（9）除以收盘价（百分比）")
def macd_signal(bars: Series) -> np.ndarray:
    return ratio(_macd(bars)[1], bars.close, times=100.0)


@feature("macd_histogram", "momentum", help_en="MACD line less its signal, over the close, in percent",
         help_zh="MACD 柱（快线减信号线）除以收盘价（百分比）")
def macd_histogram(bars: Series) -> np.ndarray:
    line, signal = _macd(bars)
    return ratio(line - signal, bars.close, times=100.0)
