from statistics import NormalDist

import numpy as np
import pytest

from financial_model.config import ModelConfig
from financial_model.models.decode import expected_from_classes, expected_from_quantiles, probability_above

LEVELS = ModelConfig().quantile_levels


def quantiles_of(mean, sd):
    return np.array([NormalDist(mean, sd).inv_cdf(level) for level in LEVELS])


@pytest.mark.parametrize("mean, sd", [(0.0, 1.0), (0.3, 1.0), (-0.02, 0.04), (5.0, 0.1)])
def test_a_normal_forecast_gives_its_mean_and_its_chance_of_a_rise(mean, sd):
    quantiles = quantiles_of(mean, sd)
    assert expected_from_quantiles(LEVELS, quantiles) == pytest.approx(mean, abs=1e-9 * sd + 1e-12)
    assert probability_above(LEVELS, quantiles) == pytest.approx(1 - NormalDist(mean, sd).cdf(0), abs=0.01)


def test_a_skewed_forecast_has_its_mean_above_its_median():
    random = np.random.default_rng(0).lognormal(0, 0.5, 1_000_000)
    quantiles = np.quantile(random, LEVELS)
    assert expected_from_quantiles(LEVELS, quantiles) == pytest.approx(random.mean(), rel=0.02)
    assert expected_from_quantiles(LEVELS, quantiles) > quantiles[3]


def test_a_uniform_forecast_by_hand():
    levels, quantiles = (0.25, 0.5, 0.75), np.array([1.0, 2.0, 3.0])
    assert probability_above(levels, quantiles, 2.0) == pytest.approx(0.5)
    assert probability_above(levels, quantiles, 1.5) == pytest.approx(0.625)
    assert probability_above(levels, quantiles, 3.0) == pytest.approx(0.25)
    # beyond 3 an exponential tail that halves every unit: from 0.5 at 2 to 0.25 at 3 to 0.125 at 4
    assert probability_above(levels, quantiles, 4.0) == pytest.approx(0.125)
    assert probability_above(levels, quantiles, 0.0) == pytest.approx(0.875)


def test_the_mean_is_the_area_under_the_chance_of_exceeding():
    """Two functions, one distribution: E[X] = integral of P(X > t) above zero, minus that of P(X < t) below."""
    quantiles = np.sort(np.random.default_rng(1).normal(0.2, 1, len(LEVELS)))
    t = np.linspace(0, 60, 601)
    above = [probability_above(LEVELS, quantiles, x) for x in t]
    below = [1 - probability_above(LEVELS, quantiles, -x) for x in t]
    assert expected_from_quantiles(LEVELS, quantiles) == pytest.approx(np.trapezoid(above, t) - np.trapezoid(below, t), abs=5e-3)


def test_the_chance_falls_as_the_threshold_rises_and_stays_between_zero_and_one():
    quantiles = np.sort(np.random.default_rng(2).normal(size=(50, 4, len(LEVELS))), axis=-1)
    chances = np.stack([probability_above(LEVELS, quantiles, t) for t in np.linspace(-8, 8, 101)])
    assert chances.shape == (101, 50, 4)
    assert (np.diff(chances, axis=0) <= 1e-12).all() and chances.min() >= 0 and chances.max() <= 1


def test_a_forecast_without_spread():
    flat = np.zeros(len(LEVELS))
    assert probability_above(LEVELS, flat) == pytest.approx(0.5)
    assert probability_above(LEVELS, flat + 1) == pytest.approx(1)
    assert probability_above(LEVELS, flat - 1) == pytest.approx(0)
    assert expected_from_quantiles(LEVELS, flat + 1) == pytest.approx(1)


def test_classes_become_a_return_through_the_mean_move_of_each():
    probabilities = [[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]]
    means = [[1.0, 0.0, -2.0], [3.0, 0.5, -3.0]]
    assert np.allclose(expected_from_classes(probabilities, means, 2), [[0.1, 1.05], [0.0, 0.5]])
    assert np.allclose(expected_from_classes(probabilities, None, 2), [[0.3, 0.3], [0.0, 0.0]])
