"""The rules of thumb on the loss chart: the best each can do, never turned round."""

import numpy as np
import pytest

from financial_model.config import build
from financial_model.datasets.panel import LOG_CLOSE
from financial_model.datasets.targets import label_returns, label_unit
from financial_model.models.baselines import baseline_class
from financial_model.training.preparation import prepare
from financial_model.training.rivals import DIRECTED, RULES, rules_of_thumb, validation_loss
from tests.datasets.builders import make_bars, make_panel
from tests.training.builders import make_config, run

SCALE = np.ones(3, np.float32)


def lines(panel, z, train, asked):
    return rules_of_thumb(panel, build({"horizon": 3, "unit": "return"}), train, z, asked, SCALE)


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
    config, train = build({"horizon": 3, "unit": "return"}), np.arange(260, 360)
    z = label_returns(panel, train, config.label) / label_unit(panel, train, config.label, SCALE)
    for name, line in lines(panel, z, train, train).items():
        assert (np.square(line - z).mean(axis=0) <= np.square(z).mean(axis=0) + 1e-9).all(), name


@pytest.mark.parametrize("head", DIRECTED)
def test_a_baseline_fitted_later_is_measured_as_those_before_the_first_step(head, panel, tmp_path):
    config = make_config(head=head, epochs=1)
    before = run(config, panel, tmp_path).baselines
    train = prepare(config, panel).train
    for name, rel in {"point": {"zero": 1e-6, "ridge": 0.01}, "multi": {"ridge": 0.01}}[head].items():  # a ridge with a table of its own
        assert validation_loss(baseline_class(name)().fit(panel, train, config), panel, config) == pytest.approx(before[name], rel=rel)
