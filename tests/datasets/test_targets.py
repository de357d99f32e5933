"""Labels by hand, and equal to the specification in ``features/labels.py``."""

import math

import numpy as np
import pytest

from financial_model.config import CLASSES, LabelConfig, RunConfig, build
from financial_model.datasets.loader import WindowLoader
from financial_model.datasets.targets import check_label, fit_label_scale, label_classes, label_figures, label_places, label_returns, label_unit
from financial_model.errors import ConfigError, DataError
from financial_model.features import labels
from tests.datasets.builders import make_bars, make_panel, with_values

CLOSES = [10.0, 11.0, 12.0, 9.0, 10.0, 20.0]
OPENS = [10.0, 10.5, 11.5, 12.5, 9.5, 10.0]


@pytest.fixture
def six_bars(tmp_path):
    bars = make_bars((6,))
    bars.close[:], bars.open[:] = CLOSES, OPENS
    return make_panel(tmp_path, bars, warm_up=0)


@pytest.mark.parametrize(("entry", "expected"), [
    ("close", [math.log(12 / 11), math.log(9 / 11), math.log(10 / 11)]),  # bought at the close of bar 1
    ("next_open", [math.log(9 / 11.5), math.log(10 / 11.5), math.log(20 / 11.5)]),  # at the open of bar 2, sold from bar 3 on
    ("next_close", [math.log(9 / 12), math.log(10 / 12), math.log(20 / 12)]),
])
def test_returns_by_hand(six_bars, entry, expected):
    y = label_returns(six_bars, np.array([1]), LabelConfig(horizon=3, entry=entry))
    np.testing.assert_allclose(y, [expected], rtol=1e-6)


def test_adjusted_prices_make_an_ex_day_no_loss(tmp_path):
    bars = make_bars((6,))
    bars.close[:], bars.factor[:] = [10, 10, 5, 5, 5, 5], [1, 1, 2, 2, 2, 2]  # two for one
    y = label_returns(make_panel(tmp_path, bars, warm_up=0), np.array([0]), LabelConfig(horizon=3))
    np.testing.assert_allclose(y, np.zeros((1, 3)), atol=1e-7)


def test_the_further_tasks_of_the_head_multi_by_hand(six_bars):
    """From the same prices as the returns: three bars after the entry, against the trailing volatility of the window's last bar."""
    steps = np.diff(np.log(CLOSES))[1:4]
    size = math.sqrt((steps**2).mean())
    expected = [math.log(size / six_bars.volatility[1]), steps.mean() / size]
    np.testing.assert_allclose(label_figures(six_bars, np.array([1]), LabelConfig(horizon=3)), [expected], rtol=1e-5)
    later = label_figures(six_bars, np.array([0]), LabelConfig(horizon=3, entry="next_open"))
    np.testing.assert_allclose(later[0, 1], expected[1], rtol=1e-5)


def test_a_stock_that_stands_still_has_the_least_volatility_there_is_and_no_momentum(tmp_path):
    bars = make_bars((6,))
    bars.close[:] = 10.0
    still = label_figures(make_panel(tmp_path, bars, warm_up=0), np.array([1]), LabelConfig(horizon=3))
    np.testing.assert_allclose(still, [[-3.0, 0.0]])


def test_another_label_is_what_is_gathered_in_its_own_unit(six_bars):
    """The loader's y and z, and every figure fitted on labels, are the named label's."""
    config = build({"target": "future_volatility", "horizon": 2, "unit": "return", "context_length": 1, "normalisation": "zscore"})
    ends = np.array([0, 1, 3])
    steps = np.diff(np.log(CLOSES))
    by_hand = [[abs(steps[end]), math.sqrt((steps[end:end + 2] ** 2).mean())] for end in ends]
    np.testing.assert_allclose(label_returns(six_bars, ends, config.label), by_hand, rtol=1e-6)
    scale = fit_label_scale(six_bars, ends, config)
    np.testing.assert_allclose(scale, np.std(by_hand, axis=0), rtol=1e-5)
    (batch,) = WindowLoader(six_bars, ends, config, None, batch_size=3, shuffle=False, seed=0, label_scale=scale)
    np.testing.assert_allclose(batch.y, by_hand, rtol=1e-6)
    np.testing.assert_allclose(batch.z, by_hand / scale, rtol=1e-5)


def test_a_label_that_is_no_number_or_leaks_is_refused(six_bars, monkeypatch):
    config = LabelConfig(target="tried", horizon=2)

    def register(function):
        monkeypatch.setitem(labels._LABELS, "tried", labels.Label(name="tried", help_en="", help_zh="", function=function))

    register(lambda future: np.full(len(future.ends), np.nan))
    with pytest.raises(DataError, match="tried"):
        label_returns(six_bars, np.array([0, 1]), config)
    register(lambda future: future.log_close[future.ends + 3])
    with pytest.raises(ConfigError, match="beyond its 2 days"):
        check_label(six_bars, np.array([0, 1]), config)
    check_label(six_bars, np.array([0, 1]), LabelConfig(target="future_volatility", horizon=2))


def test_classes_by_hand(six_bars):
    # simple returns two bars ahead: 12/10 up, 9/11 down, 10/12 down, 20/9 up
    y = label_returns(six_bars, np.arange(4), LabelConfig(horizon=2, class_horizon=2))
    assert [CLASSES[i] for i in label_classes(y, LabelConfig(horizon=2, class_horizon=2))] == ["up", "down", "down", "up"]


def test_thresholds_are_simple_returns_and_belong_to_the_class():
    config = LabelConfig(horizon=1, class_horizon=1, up=0.03, down=-0.02)
    y = np.log1p(np.array([[0.0301], [0.0299], [0.0], [-0.0199], [-0.0201]])).astype(np.float32)
    assert [CLASSES[i] for i in label_classes(y, config)] == ["up", "flat", "flat", "flat", "down"]


@pytest.mark.parametrize("entry", ["close", "next_open", "next_close"])
def test_equal_to_the_specification(tmp_path, entry):
    panel, config = make_panel(tmp_path), LabelConfig(horizon=4, entry=entry, class_horizon=3, up=0.01, down=-0.01)
    ends = np.arange(10, 70)
    start = panel.prices[:, 1 if entry == "next_open" else 0]
    expected = labels.log_returns(start, panel.prices[:, 0], ends, 4, entry=entry)
    y = label_returns(panel, ends, config)
    np.testing.assert_allclose(y, expected, atol=1e-7)
    np.testing.assert_array_equal(label_classes(y, config), labels.classes(expected, 0.01, -0.01, 3))


def test_unit_is_the_stocks_own_volatility_times_root_days(tmp_path):
    panel, ends = make_panel(tmp_path), np.array([30, 100])
    unit = label_unit(panel, ends, LabelConfig(horizon=4))
    np.testing.assert_allclose(unit, panel.volatility[ends][:, None] * np.sqrt([1, 2, 3, 4]), rtol=1e-6)


def test_label_scale_is_the_spread_of_the_training_labels(tmp_path):
    panel, config = make_panel(tmp_path), RunConfig()
    ends = np.arange(5, 60)
    scale = fit_label_scale(panel, ends, config)
    np.testing.assert_allclose(scale, label_returns(panel, ends, config.label).std(0), rtol=1e-4)
    unit = label_unit(panel, ends, LabelConfig(unit="return"), scale)
    assert unit.shape == (55, 5) and (unit == scale).all()
    with pytest.raises(ValueError, match="label_scale"):
        label_unit(panel, ends, LabelConfig(unit="return"))


def test_shifting_future_prices_shifts_labels_and_only_them(tmp_path):
    """A label reads bars after the window: changing one of them must show, changing earlier ones must not."""
    bars = make_bars((60,))
    before = label_returns(make_panel(tmp_path / "a", bars, warm_up=0), np.array([30]), LabelConfig())
    bars.close[33] *= 1.1
    after = label_returns(make_panel(tmp_path / "b", bars, warm_up=0), np.array([30]), LabelConfig())
    np.testing.assert_allclose(after - before, [[0, 0, math.log(1.1), 0, 0]], atol=1e-6)
    bars.close[:30] *= 2
    again = label_returns(make_panel(tmp_path / "c", bars, warm_up=0), np.array([30]), LabelConfig())
    np.testing.assert_array_equal(again, after)


def labelled_ends(panel):
    """Every row of the panel that has a label of three days."""
    return np.concatenate([np.arange(first, last - 3) for first, last in zip(panel.offsets[:-1], panel.offsets[1:], strict=True)])


def test_places_compare_the_stocks_of_one_date_and_nothing_else(tmp_path):
    panel = make_panel(tmp_path / "panel", make_bars((60,) * 8))
    label, ends = LabelConfig(horizon=3, unit="rank"), labelled_ends(panel)
    places, returns = label_places(panel, ends, label), label_returns(panel, ends, label)
    for date in np.unique(panel.time[ends]):
        mine = panel.time[ends] == date
        assert np.array_equal(np.argsort(places[ends[mine], 2]), np.argsort(returns[mine, 2]))
        assert abs(places[ends[mine]].mean()) < 1e-6
    assert abs(places[ends].std() - 1) < 0.2 and np.abs(places).max() < np.sqrt(3)


def test_a_market_wide_move_changes_no_place_and_a_row_without_label_has_none(tmp_path):
    panel = make_panel(tmp_path / "panel", make_bars((60,) * 8))
    label, ends = LabelConfig(horizon=3, unit="rank"), labelled_ends(panel)
    crash = np.where(panel.time >= np.unique(panel.time)[40], -0.3, 0.0)[:, None] * np.array([1.0, 1.0, 0.0, 0.0])
    places = label_places(panel, ends, label)
    assert np.allclose(label_places(with_values(panel, prices=panel.prices + crash), ends, label), places, atol=1e-6)
    assert not places[panel.offsets[1:] - 1].any()


def test_a_suspended_stock_tells_the_others_nothing_of_what_came_after_their_part(tmp_path):
    """The first stock is halted after row 40: its labels before the halt end long after the part does."""
    panel = make_panel(tmp_path / "panel", make_bars((60,) * 8))
    label, time = LabelConfig(horizon=3, unit="rank"), np.array(panel.time)
    time[41:60] += 400 * 86_400
    future = np.array(panel.prices)
    future[41:60] += 1.0
    halted, changed = with_values(panel, time=time), with_values(panel, time=time, prices=future)
    every = labelled_ends(panel)
    part = every[time[every + 3] <= panel.time[43]]
    assert np.array_equal(label_places(halted, part, label)[part], label_places(changed, part, label)[part])
    assert not np.array_equal(label_places(halted, every, label)[part], label_places(changed, every, label)[part]), "the test could not fail"
