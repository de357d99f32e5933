"""The list of features and the one function that computes them."""

import numpy as np
import pytest

from financial_model.config import FEATURE_GROUPS, FeatureConfig
from financial_model.errors import ConfigError, DataError, Stopped
from financial_model.features import registry
from tests.features.builders import pack, random_market, weekdays

ALL = registry.names(FEATURE_GROUPS)
DEFAULT = registry.names(FeatureConfig().groups)


@pytest.fixture
def own_features():
    """A registry that forgets what the test adds."""
    before = dict(registry.features())
    yield
    registry._FEATURES.clear()
    registry._FEATURES.update(before)


@pytest.fixture(scope="module")
def market():
    return random_market(symbols=7, rows=300, seed=2)


def test_every_group_has_features_and_every_name_is_used_once():
    for group in FEATURE_GROUPS:
        assert registry.names([group]), group
    assert len(ALL) == len(set(ALL)) == len(registry.features()) > 130


def test_the_first_four_columns_are_open_high_low_close():
    """What the window kernel's last-close mode relies on."""
    assert DEFAULT[:4] == ("price_open", "price_high", "price_low", "price_close")


def test_names_come_in_registration_order_whatever_the_order_asked_for():
    assert registry.names(["return", "price"]) == registry.names(["price", "return"])


def test_every_feature_explains_itself_in_one_line_of_both_languages():
    for entry in registry.describe():
        assert entry["group"] in FEATURE_GROUPS
        for language in ("en", "zh"):
            assert entry[language].strip() and "\n" not in entry[language] and "{" not in entry[language], entry["name"]
        assert entry["en"].isascii() and not entry["zh"].isascii(), entry["name"]


def test_columns_come_in_the_order_asked_for(market):
    one = registry.compute(market, ["return_5", "rank_return_5", "streak"])
    other = registry.compute(market, ["streak", "return_5", "rank_return_5"])
    np.testing.assert_array_equal(one[:, [2, 0, 1]], other)
    assert one.dtype == np.float32 and one.shape == (len(market.time), 3)


def test_default_features_are_complete_after_64_bars(market):
    values = registry.compute(market, DEFAULT)
    for s in range(len(market.symbols)):
        rows = values[market.offsets[s]:market.offsets[s + 1]]
        assert np.isfinite(rows[63:]).all()
        assert np.isfinite(rows).all(axis=1).argmax() == 63


def test_the_longest_warm_up_is_below_a_trading_year(market):
    values = registry.compute(market, ALL)[:market.offsets[1]]
    late = {name: int(np.isfinite(values[:, i]).argmax()) for i, name in enumerate(ALL)}
    assert max(late.values()) == late["sma_distance_200"] == 199


def test_results_can_be_written_into_an_array_of_the_caller(market, tmp_path):
    target = np.lib.format.open_memmap(tmp_path / "values.npy", mode="w+", dtype=np.float32, shape=(len(market.time), 2))
    assert registry.compute(market, ["return_1", "rank_return_1"], out=target) is target
    np.testing.assert_array_equal(target, registry.compute(market, ["return_1", "rank_return_1"]))


def test_progress_is_reported_and_can_stop_the_work(market, monkeypatch):
    from financial_model.features import blocks

    monkeypatch.setattr(blocks, "BLOCK_ROWS", 100)
    seen = []
    registry.compute(market, ["return_1", "rank_return_1"], lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] and [done for done, _ in seen] == list(range(1, len(seen) + 1))

    def stop(done, total):
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        registry.compute(market, ["return_1"], stop)


# ---------------------------------------------------------------- a user's own feature
def test_one_decorated_function_is_a_feature(market, own_features):
    @registry.feature("gap_size", "technical", help_en="size of the opening gap", help_zh="跳空幅度")
    def gap_size(bars):
        return np.abs(bars.open / bars.previous_close - 1)

    assert "gap_size" in registry.names(["technical"])
    assert {"name": "gap_size", "group": "technical", "en": "size of the opening gap", "zh": "跳空幅度"} in registry.describe()
    assert not registry.get("gap_size").built_in
    value = registry.compute(market, ["gap_size"])[1, 0]
    adjusted = market.close * market.factor
    assert value == pytest.approx(abs(market.open[1] * market.factor[1] / adjusted[0] - 1), rel=1e-5)


def test_a_family_is_one_function_and_many_names(market, own_features):
    @registry.feature("typical_{n}", "technical", over=(3, 7), help_en="typical price against {n} bars", help_zh="典型价相对 {n} 日")
    def typical(bars, n):
        return bars.typical / bars.mean("typical", n) - 1

    assert registry.get("typical_7").help_en == "typical price against 7 bars"
    values = registry.compute(market, ["typical_3", "typical_7"])
    assert np.isfinite(values[2, 0]) and np.isnan(values[5, 1]) and np.isfinite(values[6, 1])


def test_a_cross_sectional_feature_is_ranked_after_its_function(market, own_features):
    @registry.feature("rank_price", "rank", cross_section=True, help_en="rank of the price", help_zh="价格排名")
    def rank_price(bars):
        return bars.raw("close")

    values = registry.compute(market, ["rank_price"])[:, 0]
    day = market.time == market.time.max()
    assert np.array_equal(np.argsort(values[day]), np.argsort(market.close[day]))
    assert values[day].sum() == pytest.approx(0, abs=1e-6)


def test_a_feature_that_looks_ahead_is_refused_by_name(market, own_features):
    @registry.feature("tomorrow", "technical", help_en="return of the next bar", help_zh="次日收益")
    def tomorrow(bars):
        return np.append(bars.log_return[1:], np.nan)

    with pytest.raises(DataError, match="tomorrow") as caught:
        registry.compute(market, ["return_1", "tomorrow"])
    assert "偷看" in caught.value.message("zh")


def test_a_name_belongs_to_one_feature(own_features):
    with pytest.raises(ConfigError, match="return_5"):
        @registry.feature("return_5", "technical", help_en="x", help_zh="甲")
        def mine(bars):
            return bars.close


def test_wrong_numbers_of_values_are_named(market, own_features):
    @registry.feature("short", "technical", help_en="x", help_zh="甲")
    def short(bars):
        return bars.close[:-1]

    with pytest.raises(DataError, match="short"):
        registry.compute(market, ["short"])


@pytest.mark.parametrize(("call", "match"), [
    (lambda: registry.get("nothing"), "nothing"),
    (lambda: registry.names(["price", "prices"]), "prices"),
    (lambda: registry.feature("a", "nowhere", help_en="x", help_zh="甲")(lambda bars: bars.close), "nowhere"),
])
def test_unknown_names_are_one_clear_sentence(call, match):
    with pytest.raises(ConfigError, match=match):
        call()


# ---------------------------------------------------------------- invariance and hostile bars
def test_no_feature_depends_on_the_scale_of_prices_or_volume():
    """Prices times ten, volume times a hundred: prices in another currency or before a split say the same."""
    bars = random_market(symbols=7, rows=300, seed=4)
    columns = {}
    for s, symbol in enumerate(bars.symbols):
        rows = slice(int(bars.offsets[s]), int(bars.offsets[s + 1]))
        columns[symbol] = {"time": bars.time[rows], "factor": bars.factor[rows],
                           **{name: 10 * getattr(bars, name)[rows] for name in ("open", "high", "low", "close")},
                           "volume": 100 * bars.volume[rows], "amount": 1000 * bars.amount[rows],
                           "total_shares": 100 * bars.extra["total_shares"][rows], "turnover": bars.extra["turnover"][rows],
                           "book_per_share": 10 * bars.extra["book_per_share"][rows]}
    scaled = pack(columns, market=(bars.market_time, 7 * bars.market_close), industries=bars.industries)
    one, other = registry.compute(bars, ALL), registry.compute(scaled, ALL)
    for i, name in enumerate(ALL):
        np.testing.assert_allclose(other[:, i], one[:, i], rtol=2e-4, atol=2e-5, err_msg=name)


def test_a_split_is_invisible():
    """Prices halved and the factor doubled from one day on: adjusted prices are the same, and so is every feature of the stock."""
    generator = np.random.default_rng(6)
    n = 300
    close = 20 * np.exp(np.cumsum(generator.normal(0, 0.02, n)))
    volume = 1e6 * np.exp(generator.normal(0, 0.3, n))
    split = np.where(np.arange(n) >= 150, 2.0, 1.0)
    plain = pack({"600000.SH": {"time": weekdays(n), "close": close, "volume": volume, "amount": close * volume}})
    halved = pack({"600000.SH": {"time": weekdays(n), "close": close / split, "volume": volume * split, "factor": split, "amount": close * volume}})
    names = [name for name in ALL if registry.get(name).group not in ("rank", "market")]
    np.testing.assert_allclose(registry.compute(halved, names), registry.compute(plain, names), rtol=1e-5, atol=1e-6)


def hostile():
    generator = np.random.default_rng(8)
    time, n = weekdays(280), 280
    calm = 10 + 0.01 * np.sin(np.arange(n))
    jump = np.where(np.arange(n) < 140, 1e-2, 1e5)
    gap = np.where((np.arange(n) > 50) & (np.arange(n) < 90), np.nan, 0.01)
    return pack({
        "600000.SH": {"time": time, "close": np.full(n, 10.0), "volume": np.zeros(n)},
        "600001.SH": {"time": time[-1:], "close": np.array([5.0])},
        "600002.SH": {"time": time, "close": jump, "high": jump * 1e3, "low": jump / 1e3},
        "600003.SH": {"time": time, "close": calm, "volume": np.where(np.arange(n) % 2, 1e12, 0.0), "amount": np.where(np.arange(n) % 2, 1e13, 0.0)},
        "600004.SH": {"time": time[-2:], "close": np.array([5.0, 5.5])},
        "600005.SH": {"time": time, "close": 10 * np.exp(np.arange(n) * np.log(1.1)), "volume": np.full(n, 1.0)},
        "600006.SH": {"time": time, "close": 10 * np.exp(np.cumsum(generator.normal(0, 0.02, n))),
                      "turnover": gap, "total_shares": gap * 1e9, "pb": -gap},
        "600007.SH": {"time": time, "close": np.full(n, 3000.0) + np.where(np.arange(n) == 200, 0.01, 0.0)},
    })


def test_hostile_bars_give_finite_numbers_after_the_warm_up():
    """Flat, untraded, one row, a jump of seven orders of magnitude, limit-up every day for a year, gaps in the extra columns."""
    bars = hostile()
    values = registry.compute(bars, ALL)
    assert not np.isinf(values).any()
    for s, symbol in enumerate(bars.symbols):
        rows = values[bars.offsets[s]:bars.offsets[s + 1]]
        for i, name in enumerate(ALL):
            finite = np.isfinite(rows[:, i])
            assert finite[finite.argmax():].all() or not finite.any(), (symbol, name)
        if len(rows) > 252:
            assert np.isfinite(rows[252:]).all(), symbol


def test_a_stock_that_never_moves_reads_zero_wherever_zero_means_nothing_happened():
    bars = hostile()
    flat = registry.compute(bars, ALL)[260]
    moving = {"return_5", "range", "body", "volatility_21", "atr_14", "bollinger_place", "rsi_14", "macd", "cci_20", "adx_14", "slope_50", "skew_20",
              "kurtosis_20", "obv_slope_20", "mfi_14", "cmf_20", "volume_ratio_20", "amihud", "reversal_5", "streak", "momentum_20", "ultimate",
              "stochastic_k", "williams_r_14", "donchian_place_20", "sma_distance_20", "ema_distance_20", "volume_correlation_20", "market_beta_60"}
    assert {name: float(flat[ALL.index(name)]) for name in moving if flat[ALL.index(name)] != 0} == {}


def test_one_row_is_enough_to_ask():
    single = pack({"600000.SH": {"time": weekdays(1), "close": np.array([1.0])}})
    assert registry.compute(single, ["rank_return_1", "month_end"]).shape == (1, 2)
