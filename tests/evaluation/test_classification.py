"""Confusion figures by hand, constant answers, probabilities and their calibration."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from financial_model.evaluation import classification

UP, FLAT, DOWN = range(3)


def score(predicted, actual):
    day = np.zeros(len(actual), np.int64)
    return {name: s.value() for name, s in classification.class_statistics(day, 1, np.asarray(predicted), np.asarray(actual)).items()}


def test_figures_by_hand():
    actual = [UP, UP, UP, FLAT, FLAT, DOWN, DOWN, DOWN]
    predicted = [UP, UP, FLAT, FLAT, UP, UP, DOWN, FLAT]
    found = score(predicted, actual)
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1 / 3) / 3)
    assert found["up_recall"] == pytest.approx(2 / 3)
    assert found["false_rise_rate"] == pytest.approx(1 / 4)
    assert found["mark_score"] == pytest.approx((4 * 1 - 1 - 2) / 8)  # four right, one missed rise, one rise predicted for a fall
    assert found["class_accuracy"] == pytest.approx(0.5)


def test_figures_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    actual, predicted = rng.integers(0, 3, 500), rng.integers(0, 3, 500)
    found = score(predicted, actual)
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(actual, predicted))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(actual, predicted, average="macro"))


def test_a_constant_class_wins_accuracy_but_not_balanced_accuracy():
    actual = np.array([FLAT] * 67 + [UP] * 17 + [DOWN] * 16)
    found = score(np.full(100, FLAT), actual)
    assert found["class_accuracy"] == pytest.approx(0.67)
    assert found["balanced_accuracy"] == pytest.approx(1 / 3)
    assert math.isnan(found["false_rise_rate"])  # no rise was predicted
    assert found["up_recall"] == 0


def test_one_class_alone_in_the_outcome_says_nothing():
    assert math.isnan(score([UP, FLAT], [UP, UP])["balanced_accuracy"])


def test_brier_and_its_skill_over_the_class_shares():
    actual = np.array([UP, UP, FLAT, DOWN])
    day = np.zeros(4, np.int64)
    perfect = classification.probability_statistics(day, 1, np.eye(3)[actual], actual)
    assert perfect["brier"].value() == 0 and perfect["brier_skill"].value() == 1
    shares = np.tile([0.5, 0.25, 0.25], (4, 1))
    assert classification.probability_statistics(day, 1, shares, actual)["brier_skill"].value() == pytest.approx(0.0)
    certain_and_wrong = classification.probability_statistics(day, 1, np.tile([0.0, 0.0, 1.0], (4, 1)), actual)
    assert certain_and_wrong["brier"].value() == pytest.approx(1.5) and certain_and_wrong["brier_skill"].value() < 0


def test_quantiles_imply_class_probabilities():
    from scipy.stats import norm
    levels = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
    quantiles = 0.04 * norm.ppf(levels)[None, :]
    found = classification.class_probabilities(levels, quantiles, 0.03, -0.02)[0]
    assert found.sum() == pytest.approx(1.0)
    assert found[UP] == pytest.approx(1 - norm.cdf(math.log1p(0.03) / 0.04), abs=0.02)
    assert found[DOWN] == pytest.approx(norm.cdf(math.log1p(-0.02) / 0.04), abs=0.02)


def test_reliability_bins_hold_equal_counts_and_keep_ties_together():
    rng = np.random.default_rng(1)
    probability = rng.random(1000)
    table = classification.reliability(probability, rng.random(1000) < probability)
    assert [row["count"] for row in table] == [100] * 10
    assert classification.calibration_error(table) < 0.06
    tied = classification.reliability(np.full(50, 0.3), np.arange(50) < 15)
    assert tied == [{"predicted": pytest.approx(0.3), "observed": pytest.approx(0.3), "count": 50}]
    assert classification.reliability(np.zeros(0), np.zeros(0, bool)) == []


def test_overconfidence_shows_as_calibration_error():
    rng = np.random.default_rng(2)
    happened = rng.random(2000) < 0.5
    table = classification.reliability(np.where(rng.random(2000) < 0.5, 0.9, 0.1), happened)
    assert classification.calibration_error(table) == pytest.approx(0.4, abs=0.04)
