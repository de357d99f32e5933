"""Industry, style and regime: the three dimensions of a row."""

import numpy as np
import pytest

from financial_model.config import INDUSTRIES, MOMENTA, REGIMES, SIZES, VALUES, VOLATILITIES
from financial_model.features import regime as regimes
from financial_model.features.industry import UNKNOWN, industry_codes
from financial_model.features.regime import daily_verdict, regime
from financial_model.features.series import Series
from financial_model.features.style import CUTS, book_to_price, cut, market_value, residual_volatility, style
from financial_model.features.universe import conditions
from tests.features.builders import pack, random_market, walk, weekdays


def named(code):
    return REGIMES[code] if code < len(REGIMES) else "unknown"


# ---------------------------------------------------------------- industry
def test_industry_comes_from_the_mapping_and_never_from_the_code():
    mapping = {"000001.SZ": "finance", "600837.SH": "finance", "300750.SZ": "warp"}
    codes = industry_codes(("000001.SZ", "600837.SH", "300750.SZ", "600519.SH"), mapping)
    assert codes.tolist() == [INDUSTRIES.index("finance"), INDUSTRIES.index("finance"), UNKNOWN, UNKNOWN]
    assert codes.dtype == np.int8 and len(INDUSTRIES) == UNKNOWN == 11


# ---------------------------------------------------------------- style
@pytest.fixture(scope="module")
def market():
    return random_market(symbols=100, rows=300, seed=21)


@pytest.fixture(scope="module")
def styled(market):
    return style(market)


def on_last_day(market, values):
    return values[market.time == market.time.max()]


@pytest.mark.parametrize(("column", "names", "shares"), [
    (0, SIZES, (5, 10, 20, 35, 30)), (1, VALUES, (10, 20, 40, 30)), (2, VOLATILITIES, (33, 34, 33)),
])
def test_labels_carry_their_share_of_a_hundred_names(market, styled, column, names, shares):
    counts = np.bincount(on_last_day(market, styled[0])[:, column], minlength=len(names) + 1)
    assert counts.tolist() == [*shares, 0]


def test_momentum_shares_before_the_reversal_takes_its_part():
    ranks = (np.arange(1, 101) - 0.5) / 100 - 0.5
    counts = np.bincount(cut(ranks, "momentum"), minlength=6)
    assert dict(zip(MOMENTA, counts[:5].tolist(), strict=True)) == {"strong": 20, "positive": 20, "neutral": 20, "negative": 40, "reversal": 0}


def test_the_ends_of_the_ranking_carry_the_right_names():
    ranks = np.array([0.495, -0.495], np.float32)
    assert [SIZES[i] for i in cut(ranks, "size")] == ["mega", "micro"]
    assert [VALUES[i] for i in cut(ranks, "value")] == ["deep_value", "growth"]
    assert [VOLATILITIES[i] for i in cut(ranks, "volatility")] == ["high", "low"]
    assert [MOMENTA[i] for i in cut(ranks, "momentum")] == ["strong", "negative"]
    assert cut(np.array([np.nan]), "size")[0] == len(SIZES)
    assert all(sum(shares) == pytest.approx(1) for _, shares in CUTS.values())


def test_the_largest_names_are_mega(market, styled):
    value = on_last_day(market, market.close * market.extra["total_shares"])
    labels = on_last_day(market, styled[0])[:, 0]
    assert set(np.argsort(-value)[:5]) == set(np.flatnonzero(labels == SIZES.index("mega")))


def test_a_winner_that_fell_in_the_last_month_is_a_reversal():
    """Sixty stocks drift apart for a year; in the last month the best loses and the worst gains."""
    rows, symbols = 300, 60
    generator = np.random.default_rng(0)
    steps = generator.normal(0, 0.002, (symbols, rows)) + np.linspace(-0.005, 0.005, symbols)[:, None]
    steps[-1, -21:], steps[0, -21:] = -0.02, 0.02
    bars = pack({f"{600000 + s}.SH": {"time": weekdays(rows), "close": 10 * np.exp(np.cumsum(steps[s]))} for s in range(symbols)})
    labels = on_last_day(bars, style(bars)[0])[:, 3]
    assert np.flatnonzero(labels == MOMENTA.index("reversal")).tolist() == [0, symbols - 1]
    assert labels[-2] == MOMENTA.index("strong") and labels[1] == MOMENTA.index("negative")


def test_fewer_than_fifty_names_have_no_style():
    bars = random_market(symbols=49, rows=300, seed=1)
    labels, ranks = style(bars)
    assert (labels == [len(SIZES), len(VALUES), len(VOLATILITIES), len(MOMENTA)]).all()
    assert (ranks == 0).all()


def test_names_are_counted_per_market():
    """Forty stocks here and forty there are not eighty."""
    here, there = random_market(symbols=40, rows=120, seed=1), random_market(symbols=40, rows=120, seed=2)
    columns = {}
    for bars, rename in ((here, lambda s: s), (there, lambda s: "U" + s[:6])):
        for s, symbol in enumerate(bars.symbols):
            rows = slice(int(bars.offsets[s]), int(bars.offsets[s + 1]))
            columns[rename(symbol)] = {"time": bars.time[rows], "close": bars.close[rows]}
    assert (style(pack(columns))[1] == 0).all()


def test_missing_inputs_are_unknown_never_the_middle():
    bars = random_market(symbols=60, rows=140, seed=3, extras=False)
    labels, ranks = style(bars)
    assert (labels[:, 0] == len(SIZES)).all() and (labels[:, 1] == len(VALUES)).all()
    assert (ranks[:, :2] == 0).all()
    assert (on_last_day(bars, labels)[:, 3] == len(MOMENTA)).all(), "a year of history is not there"
    assert (on_last_day(bars, labels)[:, 2] < len(VOLATILITIES)).all()


def test_two_thirds_of_the_window_must_be_there():
    generator = np.random.default_rng(0)
    bars = pack({f"{600000 + s}.SH": {"time": weekdays(200), **walk(generator, 200)} for s in range(60)})
    labels = style(bars)[0][:int(bars.offsets[1])]
    assert (labels[:, 2] < len(VOLATILITIES)).argmax() == 40
    assert (labels[:, 3] < len(MOMENTA)).argmax() == 168


def test_descriptors_take_the_best_source_there_is():
    n = 40
    base = {"time": weekdays(n), "close": np.full(n, 5.0), "amount": np.full(n, 1e7)}
    bars = pack({
        "600000.SH": {**base, "total_shares": np.full(n, 1e9), "book_per_share": np.full(n, 2.0), "pb": np.full(n, 9.0)},
        "600001.SH": {**base, "float_shares": np.full(n, 1e8), "pb": np.full(n, 2.0)},
        "600002.SH": {**base, "turnover": np.full(n, 2.0), "book_per_share": np.full(n, -1.0)},
        "600003.SH": base,
    })
    last = bars.offsets[1:] - 1
    np.testing.assert_allclose(np.exp(market_value(Series(bars))[last]), [5e9, 5e8, 5e8, np.nan])
    np.testing.assert_allclose(book_to_price(Series(bars))[last], [0.4, 0.5, np.nan, np.nan])


def test_residual_volatility_leaves_the_market_and_suspended_days_out():
    n = 61
    generator = np.random.default_rng(0)
    market, own = generator.normal(0, 0.02, n), generator.normal(0, 0.01, n)
    volume = np.full(n, 1e6)
    own[30:40], volume[30:40] = -1.5 * market[30:40], 0.0  # the price stands still while the market moves
    bars = pack({"600000.SH": {"time": weekdays(n), "close": 10 * np.exp(np.cumsum(1.5 * market + own)), "volume": volume}},
                market=(weekdays(n), 1000 * np.exp(np.cumsum(market))))
    traded = np.flatnonzero(volume[1:]) + 1
    x, y = (1.5 * market + own)[traded], market[traded]
    slope = np.cov(x, y, bias=True)[0, 1] / y.var()
    assert residual_volatility(Series(bars))[-1] == pytest.approx(np.std(x - slope * y), rel=1e-9)


# ---------------------------------------------------------------- regime
def path(*legs):
    """Closes from (days, daily log drift, daily swing) legs; the swing alternates, so that volatility is exact."""
    steps = np.concatenate([drift + swing * np.where(np.arange(days) % 2, 1.0, -1.0) for days, drift, swing in legs])
    return 1000 * np.exp(np.cumsum(steps))


def test_a_steady_rise_is_a_bull_and_a_long_fall_a_bear():
    close = path((300, 0.002, 0.005), (120, -0.003, 0.005))
    verdict = regime(close)
    assert named(verdict[118]) == "unknown" and named(verdict[122]) == "unknown"
    assert {named(code) for code in verdict[124:290]} == {"bull"}
    assert named(verdict[-1]) == "bear"


def test_a_flat_market_is_sideways():
    assert {named(code) for code in regime(path((400, 0.0, 0.004)))[130:]} == {"sideways"}


def test_wild_days_after_a_quiet_year_are_volatile_but_not_before_a_year_is_known():
    close = path((300, 0.0, 0.004), (60, 0.0, 0.03))
    verdict = regime(close)
    assert named(verdict[-1]) == "volatile"
    young = regime(path((150, 0.0, 0.004), (60, 0.0, 0.03)))
    assert "volatile" not in {named(code) for code in young}


def test_a_regime_begins_after_five_days_of_the_same_verdict():
    close = path((300, 0.002, 0.005), (120, -0.003, 0.005))
    verdict, confirmed = daily_verdict(close), regime(close)
    changes = np.flatnonzero(np.diff(confirmed)) + 1
    assert len(changes) >= 2
    for day in changes:
        assert len(set(verdict[day - 4:day + 1])) == 1 and verdict[day] == confirmed[day]
        assert verdict[day - 5] != verdict[day]


def test_one_odd_day_changes_nothing():
    assert regimes._confirmed(np.array([0, 0, 0, 0, 0, 1, 0, 2, 2, 2, 2, 2, 0]), 5, 4).tolist() == [4, 4, 4, 4, 0, 0, 0, 0, 0, 0, 0, 2, 2]


def test_too_short_a_series_is_unknown():
    assert set(regime(path((100, 0.001, 0.01)))) == {len(REGIMES)}
    assert regime(np.array([])).shape == (0,)


# ---------------------------------------------------------------- all three
def test_conditions_put_the_dimensions_together(market, styled):
    industries = {symbol: INDUSTRIES[i % 11] for i, symbol in enumerate(market.symbols) if i % 7}
    codes, ranks = conditions(market, industries)
    assert codes.dtype == np.int8 and codes.shape == (len(market.time), 6)
    assert ranks.dtype == np.float32 and ranks.shape == (len(market.time), 4)
    np.testing.assert_array_equal(codes[:, 1:5], styled[0])
    np.testing.assert_array_equal(ranks, styled[1])
    for s, symbol in enumerate(market.symbols[:20]):
        own = codes[market.offsets[s]:market.offsets[s + 1], 0]
        assert set(own) == {INDUSTRIES.index(industries[symbol]) if symbol in industries else 11}
    daily = dict(zip(market.market_time.tolist(), regime(market.market_close).tolist(), strict=True))
    assert codes[:, 5].tolist() == [daily[t] for t in market.time.tolist()]


def test_rows_before_the_markets_first_day_have_no_regime():
    bars = pack({"600000.SH": {"time": weekdays(200), "close": np.full(200, 10.0)}}, market=(weekdays(200)[5:], np.full(195, 1000.0)))
    codes, _ = conditions(bars, {})
    assert (codes[:5, 5] == len(REGIMES)).all() and named(codes[-1, 5]) == "sideways"
