"""The rules of thumb on the loss chart: the best each can do, never turned round."""

import numpy as np
import pytest

from financial_model.config import CLASSES, build
from financial_model.datasets.panel import LOG_CLOSE
from financial_model.datasets.targets import label_returns, label_unit
from financial_model.models.baselines import baseline_class
from financial_model.training.preparation import prepare
from financial_model.training.rivals import RULES, outputs, rules_of_thumb, validation_loss
from tests.datasets.builders import make_bars, make_panel
from tests.training.builders import make_config, run

SCALE = np.ones(3, np.float32)


def lines(panel, z, train, asked):
    found = rules_of_thumb(panel, build({"horizon": 3, "unit": "return", "head": "point"}), train, (z, np.zeros(len(z), np.int64)), asked, SCALE)
    return {name: said["point"] for name, said in found.items()}


def test_each_rule_stands_at_the_size_that_fits_training_best(tmp_path):
    panel = make_panel(tmp_path, make_bars((400,)), warm_up=0)
    train, asked = np.arange(260, 360), np.arange(365, 390)
    past = panel.prices[train, LOG_CLOSE] - panel.prices[train - 5, LOG_CLOSE]
    z = np.stack([-0.7 * past] * 3, axis=1)  # outcomes that are exactly a reversal of the last five days
    found = lines(panel, z, train, asked)
    assert set(found) == set(RULES) and all(line.shape == (25, 3) and np.isfinite(line).all() for line in found.values())
    wanted = -0.7 * (panel.prices[asked, LOG_CLOSE] - panel.prices[asked - 5, LOG_CLOSE])
    np.testing.assert_allclose(found["reversal_5"], np.stack([wanted] * 3, axis=1), rtol=1e-4, atol=1e-7)


def test_a_rule_that_was_wrong_in_training_says_nothing_and_is_not_turned_round(tmp_path):
    panel = make_panel(tmp_path, make_bars((400,)), warm_up=0)
    train, asked = np.arange(260, 360), np.arange(365, 390)
    past = panel.prices[train, LOG_CLOSE] - panel.prices[train - 5, LOG_CLOSE]
    assert not lines(panel, np.stack([0.7 * past] * 3, axis=1), train, asked)["reversal_5"].any()


def test_the_lines_lose_no_more_on_training_than_doing_nothing(tmp_path):
    panel = make_panel(tmp_path, make_bars((400,)), warm_up=0)
    config, train = build({"horizon": 3, "unit": "return", "head": "point"}), np.arange(260, 360)
    z = label_returns(panel, train, config.label) / label_unit(panel, train, config.label, SCALE)
    for name, line in lines(panel, z, train, train).items():
        assert (np.square(line - z).mean(axis=0) <= np.square(z).mean(axis=0) + 1e-9).all(), name


def test_quantiles_are_what_is_said_and_what_it_missed_training_by():
    random = np.random.default_rng(0)
    known, miss = random.normal(size=(4000, 2)), random.normal(0, [0.5, 3.0], (4000, 2))
    config = build({"head": "quantile", "horizon": 2})
    said = np.array([[0.0, 1.0], [2.0, -1.0]])
    found = outputs(config, known, said, known + miss, np.zeros(4000, np.int64))["quantiles"]
    expected = said[:, :, None] + np.quantile(miss, config.model.quantile_levels, axis=0).T
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_classes_are_as_often_as_after_such_a_forecast_in_training():
    """Of the lowest fifth of the forecasts all fell, of the highest all rose, in between nothing happened; a silent rule leaves the base rates."""
    known = np.tile(np.arange(1000.0)[:, None], (1, 3))
    label = np.where(known[:, 1] < 200, CLASSES.index("down"), np.where(known[:, 1] >= 800, CLASSES.index("up"), CLASSES.index("flat")))
    config = build({"head": "classes", "horizon": 3, "class_horizon": 2})
    said = np.zeros((3, 3))
    said[:, 1] = [-5.0, 500.0, 2000.0]
    logits = outputs(config, known, said, known, label)["logits"]
    assert [CLASSES[k] for k in logits.argmax(1)] == ["down", "flat", "up"]
    np.testing.assert_allclose(np.exp(logits).max(1), 201 / 203, rtol=1e-5)
    silent = outputs(config, np.zeros_like(known), np.zeros((1, 3)), known, label)["logits"]
    np.testing.assert_allclose(np.exp(silent[0, CLASSES.index("flat")]), 601 / 1003, rtol=1e-5)


@pytest.mark.parametrize("head, constant", [("quantile", "train_quantiles"), ("classes", "train_frequencies")])
def test_other_heads_have_the_ridge_and_the_rules_beside_them(head, constant, panel, tmp_path):
    """The planted signal is linear: the ridge is clearly below the constant, and a rule hardly above it."""
    found = run(make_config(head=head, epochs=1), panel, tmp_path).baselines
    assert set(found) == {constant, "ridge", *RULES}
    assert found["ridge"] < 0.97 * found[constant] and all(found[name] < 1.1 * found[constant] for name in RULES)


@pytest.mark.parametrize("head", ("point", "multi"))
def test_a_baseline_fitted_later_is_measured_as_those_before_the_first_step(head, panel, tmp_path):
    config = make_config(head=head, epochs=1)
    before = run(config, panel, tmp_path).baselines
    train = prepare(config, panel).train
    for name, rel in {"point": {"zero": 1e-6, "ridge": 0.01}, "multi": {"ridge": 0.01}}[head].items():  # a ridge with a table of its own
        assert validation_loss(baseline_class(name)().fit(panel, train, config), panel, config) == pytest.approx(before[name], rel=rel)
