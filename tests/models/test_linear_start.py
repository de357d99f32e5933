"""A point forecast begins at a ridge regression; what the network adds counts as far as validation supports it."""

import numpy as np
import pytest
import torch

from financial_model import config
from financial_model.datasets.splits import date_split
from financial_model.datasets.windows import window_ends
from financial_model.features.scaling import fit_table
from financial_model.models.baselines import baseline_class
from financial_model.models.forecaster import build_forecaster
from financial_model.models.linear_start import LinearStart, supported_share
from tests.training.builders import make_panel


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    panel = make_panel(tmp_path_factory.mktemp("panel"))
    settings = config.build({"horizon": 2, "class_horizon": 2, "context_length": 5, "unit": "volatility", "normalisation": "robust"})
    split = date_split(panel.time, settings.split, 2, "close")
    train, test = (window_ends(panel, *split.part(part), 5, 2) for part in ("train", "test"))
    table = fit_table(panel.values, train, "robust")
    start = LinearStart(len(panel.feature_names), 2)
    start.fit(panel, train, settings, table)
    return panel, settings, train, test, table, start


def test_the_line_is_the_ridge_baseline(fitted):
    panel, settings, train, test, table, start = fitted
    ridge = baseline_class("ridge")().fit(panel, train, settings)
    said = start.line(panel, test, settings, table) * ridge.unit(panel, test)
    np.testing.assert_allclose(said, ridge.predict(panel, test).expected, atol=1e-6)


def test_training_sees_the_whole_correction_and_a_forecast_its_share(fitted):
    *_, start = fitted
    row, ranks, correction = torch.randn(7, start.weight.shape[0] - 4), torch.rand(7, 4) - 0.5, torch.randn(7, 2)
    condition = torch.zeros(7, 6, dtype=torch.int64)
    line = torch.cat((row, ranks), 1) @ start.weight + start.bias
    start.share.fill_(0.25)
    try:
        torch.testing.assert_close(start.train()(row, ranks, condition, correction), line + correction)
        torch.testing.assert_close(start.eval()(row, ranks, condition, correction), line + 0.25 * correction)
    finally:
        start.share.fill_(1.0)


def test_nothing_of_the_line_is_trained_and_all_of_it_is_stored():
    settings = config.build({"backbone": "gru", "hidden": 8})
    model = build_forecaster(settings.model, head="point", inputs=3, context_length=5, horizon=2)
    assert not [name for name, _ in model.named_parameters() if name.startswith("start.")]
    assert {"start.weight", "start.bias", "start.share"} <= set(model.state_dict())


@pytest.mark.parametrize(("settings", "head"), [({"linear_start": False}, "point"), ({"skip": False}, "point"), ({}, "quantile"), ({}, "classes"),
                                                ({"backbone": "lstm_tutorial"}, "point")])
def test_other_heads_and_networks_without_a_path_from_the_last_row_have_no_line(settings, head):
    model = build_forecaster(config.build(settings).model, head=head, inputs=3, context_length=5, horizon=2)
    assert model.start is None


def test_the_share_is_the_least_squares_one_between_none_and_all():
    random = np.random.default_rng(0)
    correction, block = random.standard_normal((4000, 2)).astype(np.float32), np.arange(4000) // 10
    assert supported_share(correction, 0.4 * correction, block) == pytest.approx(0.4, abs=1e-6)
    assert supported_share(correction, -correction, block) == 0.0
    assert supported_share(correction, 3 * correction, block) == 1.0
    assert supported_share(np.zeros((5, 2), np.float32), correction[:5], block[:5]) == 0.0


def test_a_share_that_few_blocks_support_loses_a_standard_error():
    random = np.random.default_rng(1)
    correction = random.standard_normal((4000, 1)).astype(np.float32)
    missed = 0.5 * correction + 3 * np.repeat(random.standard_normal((20, 1)), 200, axis=0) * correction  # right on the mean of many dates
    many, few = np.arange(4000) // 2, np.arange(4000) // 200
    assert supported_share(correction, missed, few) < supported_share(correction, missed, many)
    noise = [supported_share(correction, random.standard_normal((4000, 1)), many) for _ in range(50)]
    assert np.mean(np.array(noise) == 0.0) > 0.7  # without the standard error: a half
