"""The rows a forecast is judged on: labels by hand, blocked entries, alignment."""

import numpy as np
import pytest

from financial_model.config import LabelConfig
from financial_model.errors import DataError
from financial_model.evaluation.sample import aligned, build_sample
from financial_model.features.labels import OPENS_AT_LIMIT_UP, TRADES
from tests.evaluation.builders import all_ends, make_panel, predict_from


@pytest.fixture(scope="module")
def panel():
    return make_panel(names=6, days=40)


@pytest.mark.parametrize(("entry", "start", "column"), [("close", 0, 0), ("next_open", 1, 1), ("next_close", 1, 0)])
def test_realised_returns_start_at_the_entry_and_end_h_bars_later(panel, entry, start, column):
    sample = build_sample(np.array([45]), panel, LabelConfig(entry=entry), 5)
    expected = panel.prices[45 + start + np.arange(1, 6), 0] - panel.prices[45 + start, column]
    np.testing.assert_allclose(sample.actual[0], expected, atol=1e-6)


def test_rows_without_a_full_label_inside_their_stock_are_left_out(panel):
    ends = np.array([33, 34, 35, 39, 40])  # the first stock has the rows 0..39
    assert build_sample(ends, panel, LabelConfig(), 5).end.tolist() == [40, 33, 34]  # by date: row 40 is the first day
    assert build_sample(ends, panel, LabelConfig(entry="next_open"), 5).end.tolist() == [40, 33]


def test_no_judgeable_row_is_an_error(panel):
    with pytest.raises(DataError, match="Nothing can be judged"):
        build_sample(np.array([39]), panel, LabelConfig(), 5)
    with pytest.raises(DataError, match="240 rows"):
        build_sample(np.array([240]), panel, LabelConfig(), 5)
    with pytest.raises(DataError, match="more than once"):
        build_sample(np.array([3, 3]), panel, LabelConfig(), 5)


def test_classes_use_simple_returns_at_the_class_horizon(panel):
    sample = build_sample(all_ends(panel), panel, LabelConfig(up=0.03, down=-0.02, class_horizon=3), 5)
    simple = np.expm1(sample.actual[:, 2])
    np.testing.assert_array_equal(sample.label, np.where(simple >= 0.03, 0, np.where(simple <= -0.02, 2, 1)))
    assert build_sample(all_ends(panel), panel, LabelConfig(class_horizon=3), 1).class_horizon == 1


def test_a_stock_suspended_or_at_its_limit_tomorrow_cannot_be_bought():
    panel = make_panel(names=2, days=20)
    panel.tradable[6], panel.tradable[8] = 0, TRADES | OPENS_AT_LIMIT_UP
    sample = build_sample(np.arange(4, 9), panel, LabelConfig(), 5)
    assert sample.buyable.tolist() == [True, False, True, False, True]


def test_other_forecasts_are_aligned_by_row_and_must_hold_them_all(panel):
    ends = all_ends(panel)
    sample = build_sample(ends, panel, LabelConfig(), 5)
    shuffled = np.random.default_rng(0).permutation(np.r_[ends, 1, 2])
    prediction = predict_from(shuffled.astype(float), shuffled)
    np.testing.assert_array_equal(prediction.end[aligned(prediction, sample, "other")], sample.end)
    with pytest.raises(DataError, match="“ridge” has no forecast for 3 of"):
        aligned(predict_from(ends[3:].astype(float), ends[3:]), sample, "ridge")
