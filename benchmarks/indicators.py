"""Thirty indicators of whole stocks: the features layer against TA-Lib, plain pandas and pandas-ta-classic, on one thread."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.table import CPU_TIME, Row, median_ratio, side_by_side
from financial_model.features.registry import compute, get
from financial_model.features.series import Market, Series
from financial_model.market.bars import PackedBars

Columns = Sequence[np.ndarray]
TALIB: dict[tuple[str, ...], Callable[[Any, np.ndarray, np.ndarray, np.ndarray, np.ndarray], Columns]] = {
    ("sma_distance_20",): lambda t, h, low, c, v: [t.SMA(c, 20)],
    ("sma_distance_200",): lambda t, h, low, c, v: [t.SMA(c, 200)],
    ("ema_distance_20",): lambda t, h, low, c, v: [t.EMA(c, 20)],
    ("macd", "macd_signal", "macd_histogram"): lambda t, h, low, c, v: t.MACD(c, 12, 26, 9),
    ("rsi_14",): lambda t, h, low, c, v: [t.RSI(c, 14)],
    ("stochastic_k", "stochastic_d"): lambda t, h, low, c, v: t.STOCH(h, low, c, 14, 3, 0, 3, 0),
    ("bollinger_place", "bollinger_width"): lambda t, h, low, c, v: t.BBANDS(c, 20, 2, 2)[:2],
    ("atr_14",): lambda t, h, low, c, v: [t.ATR(h, low, c, 14)],
    ("obv_slope_20",): lambda t, h, low, c, v: [t.LINEARREG_SLOPE(t.OBV(c, v), 20)],
    ("ichimoku_base",): lambda t, h, low, c, v: [t.MIDPRICE(h, low, 26)],
    ("ichimoku_span_b",): lambda t, h, low, c, v: [t.MIDPRICE(h, low, 52)],
    ("donchian_place_20",): lambda t, h, low, c, v: (t.MAX(h, 20), t.MIN(low, 20))[:1],
    ("keltner_place_20",): lambda t, h, low, c, v: [(c - t.EMA(c, 20)) / t.ATR(h, low, c, 10)],
    ("roc_10",): lambda t, h, low, c, v: [t.ROC(c, 10)],
    ("cci_20",): lambda t, h, low, c, v: [t.CCI(h, low, c, 20)],
    ("williams_r_14",): lambda t, h, low, c, v: [t.WILLR(h, low, c, 14)],
    ("adx_14",): lambda t, h, low, c, v: [t.ADX(h, low, c, 14)],
    ("aroon_up_25", "aroon_down_25"): lambda t, h, low, c, v: t.AROON(h, low, 25),
    ("mfi_14",): lambda t, h, low, c, v: [t.MFI(h, low, c, v, 14)],
    ("cmf_20",): lambda t, h, low, c, v: [t.SUM((2 * c - h - low) / (h - low) * v, 20) / t.SUM(v, 20)],
    ("vwap_distance_20",): lambda t, h, low, c, v: [t.SUM(t.TYPPRICE(h, low, c) * v, 20) / t.SUM(v, 20)],
    ("trix_15",): lambda t, h, low, c, v: [t.TRIX(c, 15)],
    ("ultimate",): lambda t, h, low, c, v: [t.ULTOSC(h, low, c, 7, 14, 28)],
    ("hma_distance_16",): lambda t, h, low, c, v: [t.WMA(2 * t.WMA(c, 8) - t.WMA(c, 16), 4)],
    ("volatility_21",): lambda t, h, low, c, v: [t.STDDEV(np.diff(np.log(c)), 21)],
}
"""Ours by name, and the same of TA-Lib from high, low, close and volume. Of the bands and of the channel one line fewer is kept than it computes."""
NAMES = tuple(name for names in TALIB for name in names)
TARGETS = {"pandas": 6.0, "pandas-ta-classic": 20.0, "TA-Lib, kept": 0.8, "TA-Lib, dropped": 0.8}
"""How many times the peer's time ours must save; TA-Lib: level, within the noise of a shared machine."""
METHOD = (f"{CPU_TIME}; random-walk bars; every library computes the same thirty, one call each, in memory; ours also divides by the price and "
          "writes the float32 table [rows, 30], the same one in every turn. TA-Lib, kept: its results are copied, too, into a float32 table that "
          "is there already, column by column, which costs it least; dropped: forgotten stock by stock, while ours still writes its table. Nothing "
          "is kept of pandas; CCI and Aroon in pandas through numpy's sliding windows; pandas-ta-classic as it comes, which is through TA-Lib where "
          "it can")
EACH = (f"{CPU_TIME}, least of the turns; one stock of 6,000 rows in float64 whose arrays stay in the processor's cache; ours from adjusted prices "
        "to the float64 feature, nothing shared but within a line; TA-Lib's function alone, without the division by the price")


def run(quick: bool) -> list[Row]:
    rows, stocks, few = (2500, 24, 3) if quick else (5000, 60, 4)
    tables = [walk(np.random.default_rng(stock), rows) for stock in range(stocks)]
    bars, arrays = packed(tables), [[table[name].to_numpy() for name in ("high", "low", "close", "volume")] for table in tables]
    filled, kept = np.empty((rows * stocks, len(NAMES)), np.float32), np.empty((stocks, len(NAMES), rows), np.float32)
    peers: dict[str, tuple[Callable[[], object], int]] = {
        "TA-Lib, kept": (lambda: [keep(with_talib(*columns), to) for columns, to in zip(arrays, kept, strict=True)], stocks),
        "TA-Lib, dropped": (lambda: [len(with_talib(*columns)) for columns in arrays], stocks),
        "pandas": (lambda: [with_pandas(table) for table in tables[:few]], few),
        "pandas-ta-classic": (lambda: [with_pandas_ta(table) for table in tables[:few]], few),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, *theirs = side_by_side(lambda: compute(bars, NAMES, out=filled, workers=1), *(function for function, _ in peers.values()),
                                     rounds=5 if quick else 9, clock=time.process_time)
    found = []
    for (peer, (_, count)), seconds in zip(peers.items(), theirs, strict=True):
        ratio = median_ratio(ours, seconds) * stocks / count
        found.append(Row(
            benchmark="indicators", case=f"30 indicators, {rows} rows a stock", ours=1e3 * float(np.median(ours)) / stocks, unit="ms a stock",
            peer=1e3 * float(np.median(seconds)) / count, against=peer, ratio=ratio, target=f">= {TARGETS[peer]:g}", met=ratio >= TARGETS[peer],
            method=METHOD))
    return found + each(100 if quick else 400)


def each(rounds: int) -> list[Row]:
    """Every indicator alone against its counterpart; those that TA-Lib computes in one call stand together."""
    import talib

    table = walk(np.random.default_rng(0), 6000)
    bars, columns = packed([table]), [table[name].to_numpy() for name in ("high", "low", "close", "volume")]
    market, found = Market(bars), []

    def ours(names: tuple[str, ...]) -> float:
        series = Series(bars, market=market)
        for ready in ("high", "low", "close", "volume"):
            getattr(series, ready)
        began = time.process_time()
        for name in names:
            get(name).function(series)
        return time.process_time() - began

    def theirs(function: Callable[..., Columns]) -> float:
        began = time.process_time()
        function(talib, *columns)
        return time.process_time() - began

    with np.errstate(all="ignore"):
        for names, function in TALIB.items():
            mine, other = (1e6 * min(value) for value in zip(*((ours(names), theirs(function)) for _ in range(rounds)), strict=True))
            found.append(Row(benchmark="each indicator", case=", ".join(names), ours=mine, unit="us", peer=other, against="TA-Lib",
                             ratio=other / mine, method=EACH))
    return found


def keep(results: Columns, to: np.ndarray) -> None:
    """Copy ``results`` into the rows of ``to``; one that is shorter lacks its first bars."""
    for column, values in zip(to, results, strict=True):
        column[len(column) - len(values):] = values


def walk(generator: np.random.Generator, rows: int) -> pd.DataFrame:
    close = 10 * np.exp(np.cumsum(generator.normal(0, 0.02, rows)))
    open_ = close * np.exp(generator.normal(0, 0.005, rows))
    high = np.maximum(open_, close) * np.exp(np.abs(generator.normal(0, 0.005, rows)))
    low = np.minimum(open_, close) * np.exp(-np.abs(generator.normal(0, 0.005, rows)))
    return pd.DataFrame({"open": open_, "high": high, "low": low, "close": close, "volume": generator.uniform(1e5, 1e6, rows)})


def packed(tables: list[pd.DataFrame]) -> PackedBars:
    rows = len(tables[0])
    columns = {name: np.concatenate([table[name].to_numpy() for table in tables]) for name in tables[0]}
    days, count = np.arange(rows, dtype=np.int64) * 86_400, rows * len(tables)
    return PackedBars(
        symbols=tuple(f"{600000 + i}.SH" for i in range(len(tables))), offsets=np.arange(len(tables) + 1, dtype=np.int64) * rows,
        time=np.tile(days, len(tables)), amount=np.full(count, np.nan), factor=np.ones(count), extra={},
        market_time=days, market_close=np.ones(rows), market_name="none", **columns)


def with_talib(*columns: np.ndarray) -> list[np.ndarray]:
    import talib

    return [values for function in TALIB.values() for values in function(talib, *columns)]


def with_pandas(f: pd.DataFrame) -> list[object]:
    h, low, c, v = f["high"], f["low"], f["close"], f["volume"]
    step, before, typical = c.diff(), c.shift(), (h + low + c) / 3
    span = np.maximum(h, before) - np.minimum(low, before)
    flow = np.sign(typical.diff()) * typical * v
    bottom, top = low.rolling(14).min(), h.rolling(14).max()
    fast = ((c - bottom) / (top - bottom)).rolling(3).mean()
    line = _ema(c, 12) - _ema(c, 26)
    signal = _ema(line, 9)
    middle, spread = c.rolling(20).mean(), c.rolling(20).std(ddof=0)
    smooth = _ema(_ema(_ema(c, 15), 15), 15)
    parts = [(c - np.minimum(low, before)).rolling(n).sum() / span.rolling(n).sum() for n in (7, 14, 28)]
    rise, fall, atr = h.diff(), -low.diff(), _wilder(span, 14)
    plus = _wilder(rise.where((rise > fall) & (rise > 0), 0.0), 14) / atr
    minus = _wilder(fall.where((fall > rise) & (fall > 0), 0.0), 14) / atr
    floor, ceiling = low.rolling(20).min(), h.rolling(20).max()
    number = pd.Series(np.arange(len(c), dtype=float))
    windows = np.lib.stride_tricks.sliding_window_view(typical.to_numpy(), 20)
    deviation = np.abs(windows - windows.mean(axis=1, keepdims=True)).mean(axis=1)
    ages = [np.lib.stride_tricks.sliding_window_view(x.to_numpy()[::-1], 26).argmax(axis=1) for x in (h, -low)]
    return [
        c / c.rolling(20).mean(), c / c.rolling(200).mean(), c / _ema(c, 20), line, signal, line - signal,
        _wilder(step.clip(lower=0), 14) / _wilder(step.abs(), 14), fast, fast.rolling(3).mean(), (c - middle) / spread, spread / middle, atr / c,
        (np.sign(step) * v).cumsum().rolling(20).cov(number) / (399 / 12), (h.rolling(26).max() + low.rolling(26).min()) / 2,
        (h.rolling(52).max() + low.rolling(52).min()) / 2, (c - floor) / (ceiling - floor), (c - _ema(c, 20)) / _wilder(span, 10), c / c.shift(10),
        (typical - typical.rolling(20).mean())[19:] / deviation, (c - bottom) / (top - bottom),
        _wilder((plus - minus).abs() / (plus + minus), 14), *ages, flow.clip(lower=0).rolling(14).sum() / flow.abs().rolling(14).sum(),
        ((2 * c - h - low) / (h - low) * v).rolling(20).sum() / v.rolling(20).sum(), (typical * v).rolling(20).sum() / v.rolling(20).sum(),
        smooth / smooth.shift(), (4 * parts[0] + 2 * parts[1] + parts[2]) / 7, _wma(2 * _wma(c, 8) - _wma(c, 16), 4),
        np.log(c).diff().rolling(21).std()]


def _ema(x: pd.Series, n: int) -> pd.Series:
    return x.ewm(span=n, adjust=False).mean()


def _wilder(x: pd.Series, n: int) -> pd.Series:
    return x.ewm(alpha=1 / n, adjust=False).mean()


def _wma(x: pd.Series, n: int) -> pd.Series:
    weights = np.arange(1, n + 1) / (n * (n + 1) / 2)
    return pd.Series(np.convolve(x, weights[::-1])[:len(x)])


def with_pandas_ta(f: pd.DataFrame) -> list[object]:
    import pandas_ta_classic as ta

    h, low, c, v = f["high"], f["low"], f["close"], f["volume"]
    return [
        ta.sma(c, 20), ta.sma(c, 200), ta.ema(c, 20), ta.macd(c, 12, 26, 9), ta.rsi(c, 14), ta.stoch(h, low, c, 14, 3, 3), ta.bbands(c, 20, 2),
        ta.atr(h, low, c, 14), ta.linreg(ta.obv(c, v), 20, slope=True), ta.ichimoku(h, low, c, 9, 26, 52, include_chikou=False),
        ta.donchian(h, low, 20, 20), ta.kc(h, low, c, 20, 2), ta.roc(c, 10), ta.cci(h, low, c, 20), ta.willr(h, low, c, 14), ta.adx(h, low, c, 14),
        ta.aroon(h, low, 25), ta.mfi(h, low, c, v, 14), ta.cmf(h, low, c, v, length=20), ta.vwma((h + low + c) / 3, v, 20), ta.trix(c, 15),
        ta.uo(h, low, c, 7, 14, 28), ta.hma(c, 16), ta.stdev(ta.log_return(c), 21)]
