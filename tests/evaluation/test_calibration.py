"""Recalibration: fitted on validation alone, better on test, harmless where nothing is wrong."""

import numpy as np
import pytest

from financial_model.config import LabelConfig
from financial_model.errors import DataError
from financial_model.evaluation import calibration
from tests.evaluation.builders import DAY, LEVELS, START, all_ends, make_panel, predict_from

LABEL = LabelConfig(horizon=3)
TRUE_SPREAD = 0.0224  # 2 % of its own and 1 % of the common factor


@pytest.fixture(scope="module")
def market():
    panel = make_panel(names=40, days=300, seed=3)
    ends = all_ends(panel, horizon=3)
    cut = START + 160 * DAY
    return panel, ends[panel.time[ends] < cut - 5 * DAY], ends[panel.time[ends] >= cut]


def narrow(panel, ends, spread=0.01, seed=0):
    score = 0.002 * np.random.default_rng(seed).standard_normal(len(ends))
    return predict_from(score, ends, 3, spread=spread)


def test_intervals_that_are_too_narrow_are_stretched_to_what_they_promise(market):
    panel, validation, test = market
    stretch = calibration.fit_quantiles(narrow(panel, validation), panel, LABEL)
    before, after = narrow(panel, test), stretch.apply(narrow(panel, test))
    rows = {row["name"]: row for row in calibration.compare(before, after, panel, LABEL)["rows"]}
    assert rows["coverage_80"]["before"] < 0.55
    assert rows["coverage_80"]["after"] == pytest.approx(0.8, abs=0.06)
    assert rows["coverage_95"]["after"] == pytest.approx(0.95, abs=0.04)
    assert rows["pinball"]["after"] < rows["pinball"]["before"]
    assert rows["log_loss"]["after"] < rows["log_loss"]["before"]


def test_right_intervals_stay_nearly_as_they_are(market):
    panel, validation, _ = market
    stretch = calibration.fit_quantiles(narrow(panel, validation, TRUE_SPREAD), panel, LABEL)
    factors = np.array(stretch.factors)[:, [0, 1, 5, 6]]
    np.testing.assert_allclose(factors, 1.0, atol=0.15)


def test_the_median_and_the_expected_return_are_left_alone_and_quantiles_never_cross(market):
    panel, validation, test = market
    stretch = calibration.fit_quantiles(narrow(panel, validation, 0.05), panel, LABEL)
    before = narrow(panel, test, 0.05)
    after = stretch.apply(before)
    middle = LEVELS.index(0.5)
    np.testing.assert_allclose(after.quantiles[..., middle], before.quantiles[..., middle], atol=1e-7)
    np.testing.assert_array_equal(after.expected, before.expected)
    assert (np.diff(after.quantiles, axis=-1) >= 0).all()


def test_an_adjustment_survives_its_json(market):
    panel, validation, test = market
    stretch = calibration.fit_quantiles(narrow(panel, validation), panel, LABEL)
    again = calibration.quantiles_from_json(calibration.to_json(stretch))
    np.testing.assert_array_equal(again.apply(narrow(panel, test)).quantiles, stretch.apply(narrow(panel, test)).quantiles)


def test_what_cannot_be_fitted_or_applied_is_refused(market):
    panel, validation, test = market
    with pytest.raises(DataError, match="neither quantiles"):
        calibration.fit_quantiles(predict_from(np.zeros(len(validation)), validation, 3), panel, LABEL)
    early = validation[panel.time[validation] < START + 30 * DAY]
    with pytest.raises(DataError, match="too few to recalibrate"):
        calibration.fit_quantiles(narrow(panel, early), panel, LABEL)
    stretch = calibration.fit_quantiles(narrow(panel, validation), panel, LABEL)
    with pytest.raises(DataError, match="3 days ahead"):
        stretch.apply(predict_from(np.zeros(len(test)), test, 5, spread=0.02))


def overconfident(rng, rows):
    """True probabilities, labels drawn from them, and the same probabilities sharpened."""
    truth = rng.dirichlet((3, 6, 3), rows)
    label = (rng.random(rows)[:, None] > truth.cumsum(axis=1)).sum(axis=1)
    sharp = truth**3 / (truth**3).sum(axis=1, keepdims=True)
    return truth, label, sharp


def test_overconfident_probabilities_are_softened_towards_the_truth():
    rng = np.random.default_rng(0)
    _, label, sharp = overconfident(rng, 6000)
    soft = calibration.fit_classes(sharp, label)
    assert soft.temperature == pytest.approx(3.0, abs=0.6)
    truth, _, fresh = overconfident(rng, 2000)
    assert np.abs(soft.apply(fresh) - truth).mean() < 0.3 * np.abs(fresh - truth).mean()
    np.testing.assert_allclose(soft.apply(fresh).sum(axis=1), 1.0)


def test_class_rows_come_from_quantiles_where_no_probabilities_are_given(market):
    panel, validation, _ = market
    probabilities, label, _ = calibration.class_rows(narrow(panel, validation, TRUE_SPREAD), panel, LABEL)
    assert probabilities.shape == (len(label), 3)
    assert probabilities.mean(axis=0) == pytest.approx(np.bincount(label, minlength=3) / len(label), abs=0.05)


USUAL = np.full(4000, 0.02)


def test_a_gate_speaks_only_when_sure():
    probabilities = np.array([[0.65, 0.2, 0.15], [0.65, 0.0, 0.35], [0.1, 0.1, 0.8], [0.25, 0.0, 0.75], [0.3, 0.4, 0.3]])
    assert calibration.Gate().apply(probabilities, USUAL[:5]).tolist() == [0, 0 if 0.65 > 2 * 0.35 else 1, 2, 1 if 0.75 <= 3 * 0.25 else 2, 1]


def test_gates_are_compared_on_the_rows_whose_outcome_is_known(market):
    """A gate that never speaks announces flat everywhere: its mean mark is what that earns."""
    from financial_model.evaluation import classification

    panel, _, test = market
    forecast = narrow(panel, np.concatenate([test, [len(panel.time) - 1]]), TRUE_SPREAD)
    silent = {"up": 1.0, "up_over_down": 9.0, "down": 1.0, "down_over_up": 9.0}
    row = calibration.compare_gates([forecast], [silent], panel, LABEL)
    _, label, _ = calibration.class_rows(narrow(panel, test, TRUE_SPREAD), panel, LABEL)
    assert row["name"] == "mark_score_gated" and row["after"] == pytest.approx(classification.MARKS[label, 1].mean())
    likeliest = calibration.class_rows(narrow(panel, test, TRUE_SPREAD), panel, LABEL)[0].argmax(axis=1)
    assert row["before"] == pytest.approx(classification.MARKS[label, likeliest].mean())
    unknown = narrow(panel, np.array([len(panel.time) - 1]), TRUE_SPREAD)
    assert calibration.compare_gates([unknown], [silent], panel, LABEL) == {"name": "mark_score_gated", "before": None, "after": None}


def test_the_chosen_gate_is_the_best_on_validation_and_silent_on_noise():
    rng = np.random.default_rng(1)
    truth, label, _ = overconfident(rng, 4000)
    gate = calibration.choose_gate(truth, label, USUAL)
    assert calibration.mark_score(gate.apply(truth, USUAL), label) >= calibration.mark_score(calibration.Gate().apply(truth, USUAL), label)
    noise = rng.dirichlet((3, 3, 3), 4000)
    falls = np.where(rng.random(4000) < 0.6, 2, 1)  # rises never happen: a gate that announces them is punished
    assert not (calibration.choose_gate(noise, falls, USUAL).apply(noise, USUAL) == 0).mean() > 0.02


def test_thresholds_follow_volatility_within_bounds():
    """0.62 is enough at the usual volatility; a stock that swings ten times as much would need 0.6 x 1.25."""
    probabilities = np.array([[0.62, 0.28, 0.1], [0.62, 0.28, 0.1], [0.76, 0.14, 0.1]])
    gate = calibration.Gate(scaling=0.25)
    assert gate.apply(probabilities, np.array([0.02, 0.2, 0.2])).tolist() == [0, 1, 0]
    assert calibration.Gate().apply(probabilities, np.array([0.02, 0.2, 0.2])).tolist() == [0, 0, 0]


def test_the_scaling_is_chosen_where_volatile_rows_deserve_less_trust():
    rng = np.random.default_rng(3)
    volatility = np.where(rng.random(4000) < 0.5, 0.01, 0.04)
    said = np.tile([0.65, 0.2, 0.15], (4000, 1))
    truth = np.where((volatility < 0.02) | (rng.random(4000) < 0.1), 0, 2)  # the calm rise as announced, the others fall
    gate = calibration.choose_gate(said, truth, volatility)
    assert gate.scaling > 0 and gate.apply(said, volatility).tolist() == np.where(volatility < 0.02, 0, 1).tolist()
