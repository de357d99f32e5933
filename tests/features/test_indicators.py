"""Every indicator of the list against a second implementation: TA-Lib, pandas-ta-classic, pandas or numpy, to a stated tolerance.

Features are scale-free, so each reference is written as the same ratio of what the other library returns. ``skip`` bars are left out where the
libraries start a recursion differently and only agree once the start has faded.
"""

import numpy as np
import pandas as pd
import pandas_ta_classic as ta
import pytest
import talib

from financial_model.features import registry
from financial_model.features.series import Series
from tests.features.builders import pack, random_market, weekdays

SYMBOL = 2


@pytest.fixture(scope="module")
def bars():
    return random_market(symbols=4, rows=700, seed=11)


@pytest.fixture(scope="module")
def frame(bars):
    """Adjusted prices of one symbol in the middle of the panel."""
    rows = slice(int(bars.offsets[SYMBOL]), int(bars.offsets[SYMBOL + 1]))
    table = pd.DataFrame({name: (getattr(bars, name) * bars.factor)[rows] for name in ("open", "high", "low", "close")})
    table["volume"] = (bars.volume / bars.factor)[rows]
    table.index = pd.to_datetime(bars.time[rows], unit="s")
    return table


def c(f):
    return f["close"].to_numpy()


def hlc(f):
    return f["high"].to_numpy(), f["low"].to_numpy(), f["close"].to_numpy()


def ohlcv(f):
    return (*hlc(f), f["volume"].to_numpy())


def log_return(f):
    return np.log(f["close"]).diff()


def log_volume(ratio):
    return np.log((1 + ratio) / 2)


def band(f):
    return talib.BBANDS(c(f), 20, 2, 2)


def level(f, share):
    high, low = f["high"].rolling(100).max(), f["low"].rolling(100).min()
    return (c(f) - (high - share * (high - low))) / c(f)


def ichimoku(f, column):
    lines = ta.ichimoku(f["high"], f["low"], f["close"], 9, 26, 52, include_chikou=False)[0]
    shift = -26 if column.startswith(("ISA", "ISB")) else 0  # the library draws the spans 26 bars ahead
    return c(f) / lines[column].shift(shift) - 1


def supertrend(f):
    """The definition, bar by bar. (pandas-ta-classic lets the stop fall back on a bar that breaks upwards while already rising.)"""
    atr, middle = talib.ATR(*hlc(f), 10), ((f["high"] + f["low"]) / 2).to_numpy()
    upper, lower, close = middle + 3 * atr, middle - 3 * atr, c(f)
    line, up = np.full(len(f), np.nan), True
    for t in range(10, len(f)):
        if t > 10:
            upper[t] = upper[t] if upper[t] < upper[t - 1] or close[t - 1] > upper[t - 1] else upper[t - 1]
            lower[t] = lower[t] if lower[t] > lower[t - 1] or close[t - 1] < lower[t - 1] else lower[t - 1]
        up = not close[t] < lower[t] if up else close[t] > upper[t]
        line[t] = lower[t] if up else upper[t]
    return close / line - 1


REFERENCES = {
    **{f"sma_distance_{n}": (lambda f, n=n: c(f) / talib.SMA(c(f), n) - 1, 1e-10, 0) for n in (5, 10, 20, 50, 200)},
    **{f"ema_distance_{n}": (lambda f, n=n: c(f) / talib.EMA(c(f), n) - 1, 1e-12, 0) for n in (5, 10, 20, 50, 200)},
    **{f"rsi_{n}": (lambda f, n=n: talib.RSI(c(f), n) / 50 - 1, 1e-12, 0) for n in (7, 14, 21)},
    **{f"roc_{n}": (lambda f, n=n: talib.ROC(c(f), n) / 100, 1e-12, 0) for n in (10, 20, 50)},
    **{f"momentum_{n}": (lambda f, n=n: np.log(f["close"]).diff(n) / (log_return(f).rolling(n).std() * np.sqrt(n)), 1e-8, 0) for n in (10, 20, 50)},
    **{f"slope_{n}": (lambda f, n=n: 100 * talib.LINEARREG_SLOPE(c(f), n) / c(f), 1e-9, 0) for n in (20, 50, 100)},
    **{f"volatility_{n}": (lambda f, n=n: log_return(f).rolling(n).std(), 1e-9, 0) for n in (5, 21, 63)},
    **{f"return_{n}": (lambda f, n=n: np.log(f["close"] / f["close"].shift(n)), 1e-12, 0) for n in (1, 2, 3, 5, 10, 20, 60)},
    **{f"return_lag_{n}": (lambda f, n=n: log_return(f).shift(n), 1e-12, 0) for n in (1, 2, 3, 5, 10)},
    **{f"volume_ratio_{n}": (lambda f, n=n: log_volume(f["volume"] / f["volume"].rolling(n).mean()), 1e-9, 0) for n in (5, 20, 60)},
    **{f"volume_lag_{n}": (lambda f, n=n: log_volume(f["volume"] / f["volume"].rolling(20).mean()).shift(n), 1e-9, 0) for n in (1, 2, 3, 5, 10)},
    **{f"skew_{n}": (lambda f, n=n: log_return(f).rolling(n).skew(), 1e-6, 0) for n in (10, 20)},
    **{f"kurtosis_{n}": (lambda f, n=n: log_return(f).rolling(n).kurt(), 1e-5, 0) for n in (10, 20)},
    **{f"reversal_{n}": (lambda f, n=n: -np.log(f["close"]).diff(n) / (log_return(f).rolling(21).std() * np.sqrt(n)), 1e-8, 0) for n in (5, 21)},
    **{f"fibonacci_{n}": (lambda f, n=n: level(f, n / 1000), 1e-12, 0) for n in (236, 382, 500, 618, 786)},
    "price_open": (lambda f: np.log(f["open"] / f["close"].shift()), 1e-12, 0),
    "price_high": (lambda f: np.log(f["high"] / f["close"].shift()), 1e-12, 0),
    "price_low": (lambda f: np.log(f["low"] / f["close"].shift()), 1e-12, 0),
    "price_close": (log_return, 1e-12, 0),
    "range": (lambda f: (f["high"] - f["low"]) / f["close"].shift(), 1e-12, 0),
    "body": (lambda f: np.log(f["close"] / f["open"]), 1e-12, 0),
    "upper_shadow": (lambda f: (f["high"] - f[["open", "close"]].max(axis=1)) / (f["high"] - f["low"]), 1e-9, 0),
    "lower_shadow": (lambda f: (f[["open", "close"]].min(axis=1) - f["low"]) / (f["high"] - f["low"]), 1e-9, 0),
    "close_place": (lambda f: (f["close"] - f["low"]) / (f["high"] - f["low"]) - 0.5, 1e-9, 0),
    "atr_14": (lambda f: talib.NATR(*hlc(f), 14) / 100, 1e-12, 0),
    "parkinson_20": (lambda f: np.sqrt((np.log(f["high"] / f["low"]) ** 2).rolling(20).mean() / (4 * np.log(2))), 1e-10, 0),
    "bollinger_width": (lambda f: (band(f)[0] - band(f)[2]) / band(f)[1], 1e-6, 0),
    "bollinger_place": (lambda f: 2 * (c(f) - band(f)[2]) / (band(f)[0] - band(f)[2]) - 1, 1e-6, 0),
    "bollinger_upper": (lambda f: band(f)[0] / c(f) - 1, 1e-6, 0),
    "bollinger_lower": (lambda f: band(f)[2] / c(f) - 1, 1e-6, 0),
    "donchian_width_20": (lambda f: (talib.MAX(f["high"], 20) - talib.MIN(f["low"], 20)) / c(f), 1e-12, 0),
    "donchian_place_20": (lambda f: 2 * (c(f) - talib.MIN(f["low"], 20)) / (talib.MAX(f["high"], 20) - talib.MIN(f["low"], 20)) - 1, 1e-9, 0),
    "keltner_place_20": (lambda f: (c(f) - talib.EMA(c(f), 20)) / (2 * talib.ATR(*hlc(f), 10)), 1e-9, 0),
    "stochastic_k": (lambda f: talib.STOCH(*hlc(f), 14, 3, 0, 3, 0)[0] / 50 - 1, 1e-9, 17),
    "stochastic_d": (lambda f: talib.STOCH(*hlc(f), 14, 3, 0, 3, 0)[1] / 50 - 1, 1e-9, 0),
    "williams_r_14": (lambda f: talib.WILLR(*hlc(f), 14) / 50 + 1, 1e-9, 0),
    "cci_20": (lambda f: talib.CCI(*hlc(f), 20) / 100, 1e-8, 0),
    "ultimate": (lambda f: talib.ULTOSC(*hlc(f), 7, 14, 28) / 50 - 1, 1e-9, 0),
    "trix_15": (lambda f: talib.TRIX(c(f), 15), 1e-9, 0),
    "ppo": (lambda f: talib.PPO(c(f), 12, 26, 1), 1e-9, 300),
    "macd": (lambda f: 100 * talib.MACD(c(f), 12, 26, 9)[0] / c(f), 1e-9, 300),
    "macd_signal": (lambda f: 100 * talib.MACD(c(f), 12, 26, 9)[1] / c(f), 1e-9, 300),
    "macd_histogram": (lambda f: 100 * talib.MACD(c(f), 12, 26, 9)[2] / c(f), 1e-9, 300),
    "adx_14": (lambda f: talib.ADX(*hlc(f), 14) / 100, 1e-12, 0),
    "di_difference_14": (lambda f: (talib.PLUS_DI(*hlc(f), 14) - talib.MINUS_DI(*hlc(f), 14)) / 100, 1e-12, 0),
    "aroon_up_25": (lambda f: talib.AROON(f["high"], f["low"], 25)[1] / 100, 1e-12, 0),
    "aroon_down_25": (lambda f: talib.AROON(f["high"], f["low"], 25)[0] / 100, 1e-12, 0),
    "psar_distance": (lambda f: c(f) / talib.SAR(f["high"], f["low"], 0.02, 0.2) - 1, 1e-12, 0),
    "kama_distance_10": (lambda f: c(f) / talib.KAMA(c(f), 10) - 1, 1e-9, 0),
    "supertrend_distance": (supertrend, 1e-9, 0),
    "hma_distance_16": (lambda f: f["close"] / ta.hma(f["close"], 16) - 1, 1e-9, 0),
    "ichimoku_conversion": (lambda f: ichimoku(f, "ITS_9"), 1e-12, 0),
    "ichimoku_base": (lambda f: ichimoku(f, "IKS_26"), 1e-12, 0),
    "ichimoku_span_a": (lambda f: ichimoku(f, "ISA_9"), 1e-12, 0),
    "ichimoku_span_b": (lambda f: ichimoku(f, "ISB_26"), 1e-12, 0),
    "mfi_14": (lambda f: talib.MFI(*ohlcv(f), 14) / 50 - 1, 1e-9, 0),
    "cmf_20": (lambda f: ta.cmf(f["high"], f["low"], f["close"], f["volume"], length=20), 1e-9, 0),
    "obv_slope_20": (lambda f: talib.LINEARREG_SLOPE(talib.OBV(c(f), f["volume"].to_numpy()), 20) / f["volume"].rolling(20).mean(), 1e-8, 0),
    "vwap_distance_20": (lambda f: f["close"] / ta.vwma((f["high"] + f["low"] + f["close"]) / 3, f["volume"], length=20) - 1, 1e-9, 0),
    "volume_change": (lambda f: f["volume"].diff() / (f["volume"] + f["volume"].shift()), 1e-12, 0),
    "volume_correlation_20": (lambda f: talib.CORREL(c(f), f["volume"].to_numpy(), 20), 1e-7, 0),
    "high_distance_20": (lambda f: np.log(c(f) / talib.MAX(f["high"], 20)), 1e-12, 0),
    "low_distance_20": (lambda f: np.log(c(f) / talib.MIN(f["low"], 20)), 1e-12, 0),
    "momentum_12_1": (lambda f: np.log(f["close"].shift(21) / f["close"].shift(252)), 1e-12, 252),
    "momentum_6_1": (lambda f: np.log(f["close"].shift(21) / f["close"].shift(126)), 1e-12, 126),
    "volatility_ratio": (lambda f: np.log((log_return(f).rolling(5).std() + 2e-4) / (log_return(f).rolling(21).std() + 2e-4)), 1e-9, 0),
    "up_share_20": (lambda f: np.sign(log_return(f)).rolling(20).mean(), 1e-12, 0),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_agrees_with_the_second_implementation(bars, frame, name):
    reference, tolerance, skip = REFERENCES[name]
    values = registry.compute(bars, [name], workers=1)
    mine = registry.get(name).function(Series(bars))[int(bars.offsets[SYMBOL]):int(bars.offsets[SYMBOL + 1])]
    theirs = np.asarray(reference(frame), dtype=np.float64)
    both = np.isfinite(mine) & np.isfinite(theirs)
    both[:skip] = False
    assert both.sum() > 300, "the comparison must cover most of the series"
    np.testing.assert_allclose(mine[both], theirs[both], rtol=tolerance, atol=tolerance)
    assert values.dtype == np.float32 and np.isfinite(values[-1, 0])
    if not skip:
        assert np.isfinite(mine).argmax() == np.isfinite(theirs).argmax(), "the warm-up is as long as in the other library"


def test_every_indicator_of_one_stock_has_a_reference_or_a_test_of_its_own():
    """Ranks, market columns and calendar facts are tested in their own files; what is listed here has a hand-computed example below."""
    by_hand = {"amihud", "turnover", "streak", "market_correlation_60", "market_beta_60",
               "industry_return_1", "industry_return_5", "industry_return_20"}  # these in test_industries.py
    single = {name for name in registry.names(registry.FEATURE_GROUPS) if registry.get(name).group not in ("rank", "market", "time", "alpha")}
    assert single - set(REFERENCES) == by_hand


def test_supertrend_mostly_agrees_with_pandas_ta(bars, frame):
    mine = registry.get("supertrend_distance").function(Series(bars))[int(bars.offsets[SYMBOL]):int(bars.offsets[SYMBOL + 1])]
    theirs = (frame["close"] / ta.supertrend(frame["high"], frame["low"], frame["close"], 10, 3.0).iloc[:, 0] - 1).to_numpy()
    assert np.mean(np.abs(mine - theirs)[20:] < 1e-9) > 0.9


# ---------------------------------------------------------------- small examples by hand
def only(name, columns, **market):
    columns = {"time": weekdays(len(columns["close"])), **{key: np.asarray(value, float) for key, value in columns.items()}}
    return registry.compute(pack({"600000.SH": columns}, **market), [name], workers=1)[:, 0]


def test_streak_counts_runs():
    closes = [10, 11, 12, 12, 11, 10, 9, 10]
    np.testing.assert_allclose(only("streak", {"close": closes}) * 5, [0, 1, 2, 0, -1, -2, -3, 1], atol=1e-6)


def test_amihud_compares_the_last_week_with_the_last_quarter():
    """Moves of 1 % on one million a day, then on ten million: five days later a tenth of the price move per money."""
    closes = 100 * np.exp(0.01 * np.cumsum(np.where(np.arange(80) % 2, 1.0, -1.0)))
    amount = np.where(np.arange(80) < 70, 1e6, 1e7)
    value = only("amihud", {"close": closes, "amount": amount})
    assert value[69] == pytest.approx(0, abs=1e-6)
    assert value[74] == pytest.approx(np.log((0.1 / ((55 + 0.5) / 60) + 0.01) / 1.01), abs=1e-5)


def test_turnover_is_measured_against_its_own_mean_and_is_neutral_where_unknown():
    closes = np.full(30, 10.0)
    turnover = np.append(np.full(29, 0.02), 0.04)
    assert only("turnover", {"close": closes, "turnover": turnover})[-1] == pytest.approx(np.log((1 + 0.04 / 0.021) / 2), abs=1e-6)
    assert only("turnover", {"close": closes}).tolist() == [0.0] * 30


def test_beta_and_correlation_to_the_market():
    """A stock that moves twice as far as the market, with a little of its own."""
    generator = np.random.default_rng(1)
    market = generator.normal(0, 0.01, 100)
    own = 2 * market + generator.normal(0, 0.005, 100)
    columns = {"close": 10 * np.exp(np.cumsum(own))}
    index = (weekdays(100), 1000 * np.exp(np.cumsum(market)))
    last = slice(40, 100)
    slope = np.cov(own[last], market[last])[0, 1] / np.var(market[last], ddof=1)
    assert only("market_beta_60", columns, market=index)[-1] == pytest.approx(slope, rel=1e-5)
    assert only("market_correlation_60", columns, market=index)[-1] == pytest.approx(np.corrcoef(own[last], market[last])[0, 1], rel=1e-5)
    assert only("market_beta_60", columns, market=index)[39] == 0, "39 pairs are fewer than two thirds of 60"


def test_market_columns_follow_the_index_and_the_members():
    closes = {"600000.SH": [10, 11, 11], "600001.SH": [10, 9, 9.9], "600002.SH": [10, 11, 12.1]}
    bars = pack({s: {"time": weekdays(3), "close": np.array(v, float)} for s, v in closes.items()},
                market=(weekdays(3), np.array([1000.0, 1010.0, 1000.0])))
    values = registry.compute(bars, ["market_return_1", "market_breadth", "market_dispersion"], workers=1)
    np.testing.assert_allclose(values[:3, 0], [0, np.log(1.01), -np.log(1.01)], rtol=1e-6)
    np.testing.assert_allclose(values[:3, 1], [-0.5, 2 / 3 - 0.5, 2 / 3 - 0.5], rtol=1e-6)
    assert values[1, 2] == pytest.approx(np.std(np.log([1.1, 0.9, 1.1])), rel=1e-6)


def test_calendar_facts_of_known_days():
    """Friday 29 March 2024 is the last weekday of its month though the 31st is a Sunday; Monday 1 April is the first of the next."""
    days = np.array(["2024-03-28", "2024-03-29", "2024-04-01", "2024-06-30"], "datetime64[s]").astype(np.int64)
    bars = pack({"AAPL": {"time": days, "close": np.array([10.0, 10, 10, 10])}})
    names = ["month_end", "month_start", "weekday_cos", "month_place", "quarter_place", "day_share"]
    values = registry.compute(bars, names, workers=1)
    assert values[:, 0].tolist() == [0, 1, 0, 0]
    assert values[:, 1].tolist() == [0, 0, 1, 0]
    assert values[2, 2] == 1 and values[1, 2] == pytest.approx(np.cos(2 * np.pi * 4 / 5))
    assert values[2, 3] == -0.5 and values[3, 3] == 0.5
    assert values[2, 4] == -0.5 and values[3, 4] == 0.5
    assert values[0, 5] == -0.5
