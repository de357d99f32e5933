import numpy as np
import pytest

from financial_model.config import LabelConfig, RunConfig
from financial_model.datasets.targets import label_returns
from financial_model.errors import ConfigError
from financial_model.models.rules import SMALLEST_SIZE, Momentum, MovingAverage, Persistence, Reversal, TrainMean, Zero, past_return, thin
from tests.models.builders import ends_between, planted_panel

CONFIG = RunConfig(label=LabelConfig(horizon=3))
RULES = [Zero, TrainMean, Persistence, Reversal, Momentum, MovingAverage]


@pytest.fixture(scope="module")
def market():
    panel, _ = planted_panel()
    return panel, ends_between(panel, 0, 300), ends_between(panel, 310, 390)


def ramp():
    """Two stocks whose logarithms rise by 0.01 and fall by 0.02 a day, 300 days each."""
    panel, _ = planted_panel(stocks=2, days=300)
    panel.prices[:, 0] = np.concatenate((np.arange(300) * 0.01, -np.arange(300) * 0.02)) + 3
    return panel


@pytest.mark.parametrize("kind", RULES)
def test_a_rule_answers_in_order_with_ordered_quantiles(market, kind):
    panel, train, test = market
    shuffled = np.random.default_rng(0).permutation(test)
    result = kind().fit(panel, train, CONFIG).predict(panel, shuffled)
    assert np.array_equal(result.end, shuffled)
    assert result.expected.shape == (len(test), 3) and np.isfinite(result.expected).all()
    assert result.quantiles.shape == (len(test), 3, 7) and (np.diff(result.quantiles, axis=-1) > 0).all()
    truth = label_returns(panel, shuffled, CONFIG.label)
    inside = (truth > result.quantiles[..., 1]) & (truth < result.quantiles[..., 5])  # levels 0.1 and 0.9
    assert 0.75 < inside.mean() < 0.85


@pytest.mark.parametrize("kind", RULES)
def test_a_forecast_uses_nothing_after_its_end_row(market, kind):
    panel, train, _ = market
    fitted = kind().fit(panel, train, CONFIG)
    ends = ends_between(panel, 310, 311)
    before = fitted.predict(panel, ends)
    changed = type(panel)(**{**vars(panel), "prices": panel.prices.copy()})
    for end in ends:
        changed.prices[end + 1:end + 60] += 5
    assert np.array_equal(fitted.predict(changed, ends).expected, before.expected)


def test_zero_is_zero(market):
    panel, train, test = market
    assert not Zero().fit(panel, train, CONFIG).predict(panel, test).expected.any()


def test_the_mean_of_training_is_the_same_for_every_window(market):
    panel, train, test = market
    expected = TrainMean().fit(panel, train, CONFIG).predict(panel, test).expected
    assert np.allclose(expected[0], label_returns(panel, train, CONFIG.label).mean(0), atol=1e-7)
    assert (expected == expected[0]).all()


def test_persistence_repeats_the_last_days():
    panel = ramp()
    expected = Persistence().fit(panel, ends_between(panel, 10, 250), CONFIG).predict(panel, np.array([100, 400])).expected
    assert np.allclose(expected, [[0.01, 0.02, 0.03], [-0.02, -0.04, -0.06]], atol=1e-6)


def test_signals_by_hand():
    panel, ends = ramp(), np.array([290, 590])  # last rows of both stocks, nearly
    assert np.allclose(Reversal().signal(panel, ends), [-0.05, 0.10])
    assert np.allclose(Momentum().signal(panel, ends), [(252 - 21) * 0.01, -(252 - 21) * 0.02])
    assert np.allclose(MovingAverage().signal(panel, ends), [7.5 * 0.01, -7.5 * 0.02])  # centres 2 and 9.5 days ago


def test_a_young_stock_has_no_signal_and_never_looks_into_its_neighbour():
    panel = ramp()
    assert past_return(panel, np.array([304]), 5)[0] == 0 and past_return(panel, np.array([305]), 5)[0] == pytest.approx(-0.1)
    assert Momentum().signal(panel, np.array([300 + 251]))[0] == 0 and Momentum().signal(panel, np.array([300 + 252]))[0] != 0
    assert MovingAverage().signal(panel, np.array([300 + 18]))[0] == 0 and MovingAverage().signal(panel, np.array([300 + 19]))[0] != 0


def test_the_size_of_a_rule_is_fitted_and_its_sign_is_not():
    panel = ramp()  # everything goes on as it did: the worst market for reversal
    ends = ends_between(panel, 10, 250)
    reversal, trend = Reversal().fit(panel, ends, CONFIG), MovingAverage().fit(panel, ends_between(panel, 30, 250), CONFIG)
    assert (reversal.size == 1e-3).all()
    assert np.allclose(trend.size, np.arange(1, 4) / 7.5, rtol=1e-4)
    assert (reversal.predict(panel, np.array([100])).expected < 0).all()


def test_a_rule_that_spoke_on_a_few_dates_alone_gets_no_size_from_them(market):
    """A year-long signal in a training of a year and a week: its size would be that of five windows, and the rule a rival of straw."""
    panel, _, test = market
    short, long = (Momentum().fit(panel, ends_between(panel, 0, last), CONFIG) for last in (257, 390))
    assert (short.size == SMALLEST_SIZE).all() and short.predict(panel, test).expected.any(), "its order is still there"
    assert long.size.shape == (3,)


def test_the_interval_is_as_wide_as_the_stock_is_restless(market):
    panel, train, test = market
    fitted = Zero().fit(panel, train, CONFIG)
    restless = type(panel)(**{**vars(panel), "volatility": panel.volatility * 2})
    assert np.allclose(fitted.predict(restless, test).quantiles, 2 * fitted.predict(panel, test).quantiles)


@pytest.mark.parametrize("unit", ["auto", "return", "rank"])
def test_a_restless_stock_has_a_wider_fan_whatever_the_objective_sees(market, unit):
    panel, train, test = market
    config = RunConfig(label=LabelConfig(horizon=3, unit=unit))
    restless = type(panel)(**{**vars(panel), "volatility": panel.volatility * 2})
    fitted = Zero().fit(panel, train, config)
    assert np.allclose(fitted.predict(restless, test).quantiles, 2 * fitted.predict(panel, test).quantiles, rtol=1e-5)


def test_a_fan_can_be_measured_on_other_windows_than_the_forecast_was_learned_from(market):
    panel, train, test = market
    wild = type(panel)(**{**vars(panel), "prices": panel.prices * 2})
    expected = TrainMean().fit(panel, train, CONFIG).measure(wild, train).predict(panel, test)
    plain = TrainMean().fit(panel, train, CONFIG).predict(panel, test)
    assert np.array_equal(expected.expected, plain.expected)
    spread, before = (found.quantiles[:, -1, 6] - found.quantiles[:, -1, 0] for found in (expected, plain))
    assert np.allclose(spread, 2 * before, rtol=0.01)


def test_no_windows(market):
    panel, train, _ = market
    nothing = np.zeros(0, np.int64)
    with pytest.raises(ConfigError, match="no training window"):
        Zero().fit(panel, nothing, CONFIG)
    for kind in RULES:
        assert kind().fit(panel, train, CONFIG).predict(panel, nothing).quantiles.shape == (0, 3, 7)


def test_thinning_is_even_and_only_where_needed():
    assert thin(np.arange(10), 10).tolist() == list(range(10))
    assert thin(np.arange(10), 4).tolist() == [0, 3, 6, 9]
