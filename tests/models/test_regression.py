import numpy as np
import pytest

from financial_model.config import FeatureConfig, LabelConfig, RunConfig
from financial_model.datasets.targets import label_returns
from financial_model.models.regression import CHUNK, Boosting, Moments, Ridge
from tests.models.builders import ends_between, planted_panel

CONFIG = RunConfig(features=FeatureConfig(normalisation="standard"), label=LabelConfig(horizon=2))


@pytest.fixture(scope="module")
def market():
    panel, truth = planted_panel(stocks=30, days=500, strength=0.3)
    return panel, truth, ends_between(panel, 0, 380), ends_between(panel, 390, 490)


def correlation(panel, prediction):
    return np.corrcoef(prediction.expected[:, 0], label_returns(panel, prediction.end, CONFIG.label)[:, 0])[0, 1]


def test_ridge_finds_the_planted_direction_and_its_size(market):
    panel, truth, train, _ = market
    weights = Ridge().fit(panel, train, CONFIG).weights[:4, 0]  # inputs have a spread of one, the target is in units of volatility
    assert weights @ truth / np.linalg.norm(weights) > 0.98
    assert np.linalg.norm(weights) == pytest.approx(0.3, rel=0.15)


@pytest.mark.parametrize("kind, least", [(Ridge, 0.26), (Boosting, 0.2)])
def test_both_recover_most_of_what_can_be_known_out_of_sample(market, kind, least):
    panel, _, train, test = market
    result = kind().fit(panel, train, CONFIG).predict(panel, test)
    assert least < correlation(panel, result) < 0.36  # the truth: 0.3
    assert result.quantiles.shape == (len(test), 2, 7) and np.isfinite(result.quantiles).all()


@pytest.mark.parametrize("kind", [Ridge, Boosting])
def test_where_nothing_is_planted_nothing_is_found(kind):
    panel, _ = planted_panel(stocks=30, days=500, strength=0.0)
    train, test = ends_between(panel, 0, 380), ends_between(panel, 390, 490)
    assert abs(correlation(panel, kind().fit(panel, train, CONFIG).predict(panel, test))) < 3.5 / np.sqrt(len(test))


@pytest.mark.parametrize("kind", [Ridge, Boosting])
def test_the_same_data_give_the_same_forecast(market, kind):
    panel, _, train, test = market
    first, second = (kind().fit(panel, train[::10], CONFIG).predict(panel, test).expected for _ in range(2))
    assert np.array_equal(first, second)


def test_ridge_equals_least_squares_with_extra_rows_for_the_penalty():
    random = np.random.default_rng(0)
    x, z = np.c_[random.standard_normal((50, 3)), np.ones(50)], random.standard_normal((50, 2))
    extra = np.sqrt(50 * 0.1) * np.eye(4)[:3]
    expected = np.linalg.lstsq(np.vstack((x, extra)), np.vstack((z, np.zeros((3, 2)))), rcond=None)[0]
    assert np.allclose(Moments(50, x.T @ x, x.T @ z).solve(0.1), expected, atol=1e-6)


def test_blocks_and_parts_add_up_to_the_whole(market, monkeypatch):
    panel, _, train, test = market
    whole = Ridge().fit(panel, train, CONFIG).predict(panel, test).expected
    monkeypatch.setattr("financial_model.models.regression.CHUNK", 1000)
    assert CHUNK > 1000
    assert np.allclose(Ridge().fit(panel, train, CONFIG).predict(panel, test).expected, whole, atol=1e-8)


def test_noise_asks_for_more_penalty_than_signal():
    clear, _ = planted_panel(stocks=10, days=200, strength=0.5)
    noise, _ = planted_panel(stocks=10, days=200, strength=0.0)
    ends = ends_between(clear, 0, 190)
    assert Ridge().fit(clear, ends, CONFIG).penalty < Ridge().fit(noise, ends, CONFIG).penalty


def test_the_penalty_is_chosen_on_late_dates_that_no_early_label_reaches(market):
    panel, _, train, _ = market
    model = Ridge()
    model.config = CONFIG
    early, late = model.held_out(panel, train)
    day = panel.time[train] // 86_400
    assert day[late].min() == 304 and day[late].max() == 379  # the last fifth of 380 days
    assert day[early].max() + 2 < day[late].min()  # two days of label
    assert not (early & late).any()


def test_the_ranks_are_inputs_too(market):
    panel, truth, train, test = market
    hidden = type(panel)(**vars(panel))
    hidden.ranks = np.zeros_like(panel.ranks)
    hidden.ranks[:, 2] = (panel.values @ truth) / 6  # the whole signal
    hidden.values = np.random.default_rng(5).standard_normal(panel.values.shape).astype(np.float32)
    assert correlation(hidden, Ridge().fit(hidden, train, CONFIG).predict(hidden, test)) > 0.26


@pytest.mark.parametrize("normalisation", ["robust", "standard", "minmax", "zscore", "last_close"])
def test_any_normalisation_of_the_model_works(market, normalisation):
    panel, _, train, test = market
    config = RunConfig(features=FeatureConfig(normalisation=normalisation), label=LabelConfig(horizon=2))
    assert correlation(panel, Ridge().fit(panel, train, config).predict(panel, test)) > 0.26


@pytest.mark.parametrize("kind", [Ridge, Boosting])
def test_a_handful_of_windows_is_enough_to_answer(kind):
    panel, _ = planted_panel(stocks=1, days=60)
    for ends in (np.array([30]), np.arange(20, 50)):
        assert np.isfinite(kind().fit(panel, ends, CONFIG).predict(panel, np.array([55])).expected).all()
