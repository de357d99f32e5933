"""What simple rules have paid of late: against pandas, by hand on planted markets, and without a look ahead."""

import numpy as np
import pandas as pd
import pytest

from financial_model.features import registry
from tests.features.builders import pack, random_market, weekdays

NAMES = [f"payoff_{rule}_{n}" for rule in ("reversal", "momentum", "volume", "volatility") for n in (10, 60)]


@pytest.fixture(scope="module")
def bars():
    return random_market(30, 200, seed=3, extras=False)


def _by_pandas(bars, rule) -> pd.Series:
    """Mean over dates of the Spearman correlation of yesterday's signal with today's return (ranks less a half, variance 1/12)."""
    symbol = np.repeat(bars.symbols, np.diff(bars.offsets))
    frame = pd.DataFrame({"symbol": symbol, "time": bars.time, "close": bars.close * bars.factor, "volume": bars.volume / bars.factor})
    stock = frame.groupby("symbol", sort=False)
    log = np.log(frame.close)
    by = log.groupby(frame.symbol, sort=False)
    frame["return"] = by.diff()
    frame["signal"] = {
        "reversal": lambda: -by.diff(5),
        "momentum": lambda: by.diff(60),
        "volume": lambda: frame.volume / stock.volume.transform(lambda x: x.rolling(20).mean()),
        "volatility": lambda: frame["return"].groupby(frame.symbol, sort=False).transform(lambda x: x.rolling(20).std(ddof=0)),
    }[rule]()
    dates = frame.groupby("time")
    for name in ("return", "signal"):
        known = dates[name].transform("count")
        frame[name] = np.where(known >= 5, (dates[name].rank() - 0.5) / known - 0.5, np.where(frame[name].isna(), np.nan, 0.0))
    frame["product"] = 12 * frame.groupby("symbol", sort=False)["signal"].shift(1) * frame["return"]
    daily = frame.groupby("time")["product"].agg(["mean", "count"])
    return daily["mean"].where(daily["count"] >= 20, 0.0)


@pytest.mark.parametrize("rule", ["reversal", "momentum", "volume", "volatility"])
def test_a_payoff_is_the_rank_correlation_with_the_next_return(bars, rule):
    values = registry.compute(bars, [f"payoff_{rule}_10"], workers=1)[:, 0]
    expected = _by_pandas(bars, rule).rolling(10).mean().fillna(0.0).reindex(bars.time).to_numpy()
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(values, expected, atol=2e-6)


def test_the_same_for_all_names_of_a_date_and_nothing_where_few_are_there(bars):
    values = registry.compute(bars, NAMES, workers=1)
    for day in np.unique(bars.time)[::17]:
        assert np.ptp(values[bars.time == day], axis=0).max() == 0
    assert not registry.compute(random_market(12, 120, extras=False), NAMES, workers=1).any()


def test_later_bars_change_no_earlier_payoff(bars):
    cut = np.unique(bars.time)[150]
    columns = {
        symbol: {"time": bars.time[rows], "close": bars.close[rows], "volume": bars.volume[rows], "factor": bars.factor[rows]}
        for symbol, rows in (
            (symbol, np.flatnonzero((bars.time <= cut) & (np.repeat(np.arange(30), np.diff(bars.offsets)) == number)))
            for number, symbol in enumerate(bars.symbols)
        )
        if len(rows)
    }
    before = bars.market_time <= cut
    shorter = pack(columns, market=(bars.market_time[before], bars.market_close[before]))
    np.testing.assert_array_equal(registry.compute(shorter, NAMES, workers=1), registry.compute(bars, NAMES, workers=1)[bars.time <= cut])


def test_the_sign_of_a_payoff_follows_a_rule_that_turns():
    generator, days = np.random.default_rng(1), 160
    returns = np.zeros((days, 40))
    for day in range(days):
        push = -0.4 if day < 80 else 0.4
        returns[day] = 0.01 * generator.normal(size=40) + push * returns[max(0, day - 5) : day].sum(0) / 5
    time, close = weekdays(days), 10 * np.exp(np.cumsum(returns, 0))
    bars = pack({f"{600000 + number}.SH": {"time": time, "close": close[:, number]} for number in range(40)})
    payoff = registry.compute(bars, ["payoff_reversal_10"], workers=1)[:days, 0]
    assert payoff[40:80].mean() > 0.05 and payoff[100:].mean() < -0.05
