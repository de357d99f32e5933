"""Everything before the first step comes from the training part."""

import numpy as np
import pytest

from financial_model.datasets.splits import label_bars
from financial_model.training.preparation import LEAST_VALIDATION, prepare, targets
from tests.training.builders import make_config


def test_windows_of_the_parts_do_not_touch(panel):
    config = make_config(label={"entry": "next_open"})
    prepared = prepare(config, panel)
    ahead = label_bars(2, "next_open")
    assert panel.time[prepared.train + ahead].max() <= prepared.split.train[1] < panel.time[prepared.validation].min()
    assert panel.time[prepared.validation + ahead].max() <= prepared.split.validation[1] < prepared.split.test[0]


def test_the_table_is_fitted_on_training_rows(panel):
    prepared = prepare(make_config(features={"normalisation": "standard"}), panel)
    rows = panel.values[panel.time <= prepared.split.train[1]]
    np.testing.assert_allclose(prepared.table[0], rows.mean(0), atol=1e-6)
    np.testing.assert_allclose(prepared.table[1], 1 / rows.std(0), rtol=1e-5)


def test_the_label_scale_is_the_spread_of_training_labels(panel):
    config = make_config()
    prepared = prepare(config, panel)
    close = panel.prices[:, 0]
    expected = [(close[prepared.train + h] - close[prepared.train]).std() for h in (1, 2)]
    np.testing.assert_allclose(prepared.label_scale, expected, rtol=1e-4)


def test_targets_are_what_the_loader_delivers(panel):
    from financial_model.datasets.loader import WindowLoader

    config = make_config(label={"unit": "return", "entry": "next_close"})
    prepared = prepare(config, panel)
    ends = prepared.validation[:20]
    (batch,) = WindowLoader(panel, ends, config, prepared.table, batch_size=20, shuffle=False, seed=0, label_scale=prepared.label_scale)
    z, label = targets(config, panel, ends, prepared.label_scale)
    np.testing.assert_array_equal(z, (batch.y / batch.unit).numpy())
    np.testing.assert_array_equal(label, batch.label.numpy())


@pytest.mark.parametrize("drawn, limit", [(0, 0), (1000, LEAST_VALIDATION), (40_000, 20_000)])
def test_a_limited_epoch_limits_its_evaluation_too(panel, drawn, limit):
    assert prepare(make_config(windows_per_epoch=drawn), panel).validation_limit == limit
