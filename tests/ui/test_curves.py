"""The live loss chart: few points, baselines beside the model, the best epoch where it is."""

import pytest

from financial_model.ui.curves import axis_end, detail_lines, epoch_reached, latest, limits, loss_lines, near, series_colours, smoothed, span
from tests.ui.builders import CHINESE, ENGLISH, curves


def test_every_series_is_on_the_chart_and_has_a_colour():
    lines, colours = loss_lines(curves(), ENGLISH), series_colours(curves(), ENGLISH)
    assert set(lines) == {"training", "validation", "best epoch", "Zero return", "Ridge regression"}
    assert set(lines) <= set(colours)


def test_the_chart_speaks_chinese():
    assert {"训练", "验证", "零收益"} <= set(loss_lines(curves(), CHINESE))


def test_the_axis_leaves_room_but_never_beyond_the_plan():
    assert [axis_end(curves(), epochs) for epochs in (3, 5, 100)] == [3.0, 4.0, 4.0] and axis_end({}, 100) == 1.0


def test_baselines_are_level_and_reach_across_the_axis():
    assert loss_lines(curves(), ENGLISH, end=10.0)["Zero return"] == ((0.0, 10.0), (0.7, 0.7))
    assert loss_lines(curves(), ENGLISH)["Zero return"][0] == span(loss_lines(curves(), ENGLISH)) == (0.075, 3.0)


def test_the_best_epoch_is_an_upright_line_at_the_lowest_validation_loss():
    places, values = loss_lines(curves(), ENGLISH)["best epoch"]
    assert places == (2.0, 2.0) and values == (0.25, 1 / 1.075)


def test_smoothing_touches_training_only_and_keeps_its_first_point():
    plain, smooth = loss_lines(curves(), ENGLISH), loss_lines(curves(), ENGLISH, smoothing=0.9)
    assert plain["validation"] == smooth["validation"]
    assert smooth["training"][1][0] == pytest.approx(plain["training"][1][0]) and smooth["training"][1][-1] > plain["training"][1][-1]


def test_from_close_up_the_chart_is_as_high_as_validation_and_baselines():
    lines = loss_lines(curves(), ENGLISH)
    close = near(lines, ENGLISH)
    assert set(lines) - set(close) == {"training"} and limits(close)[1] - limits(close)[0] < limits(lines)[1] - limits(lines)[0]
    assert close["best epoch"][0] == lines["best epoch"][0]
    alone = {"training": lines["training"]}
    assert near(alone, ENGLISH) == alone


def test_smoothing_by_hand():
    assert smoothed([1.0, 3.0], 0.5) == pytest.approx([1.0, (0.5 * 0.5 * 1 + 0.5 * 3) / 0.75])
    assert smoothed([4.0, 4.0, 4.0], 0.95) == pytest.approx([4.0, 4.0, 4.0])


def test_a_logarithmic_chart_leaves_out_what_has_no_logarithm():
    given = curves(3, validation=False)
    given["series"]["train/loss"]["value"] = [1.0, 0.0, 0.1]
    places, values = loss_lines(given, ENGLISH, logarithmic=True)["training"]
    assert values == pytest.approx([0.0, -1.0]) and places == [1.0, 3.0]
    given["series"]["train/loss"]["value"] = [0.0, 0.0, -1.0]
    assert "training" not in loss_lines(given, ENGLISH, logarithmic=True)


def test_nothing_yet_is_an_empty_chart():
    assert loss_lines({}, ENGLISH) == {} and limits({}) is None and epoch_reached({}) is None and latest({}, "train/loss") is None


def test_the_axis_ignores_a_wild_start():
    given = curves(200)
    given["series"]["train/loss"]["value"][0] = 1e6
    low, high = limits(loss_lines(given, ENGLISH))
    assert low < 0.25 and 0.9 < high < 2
    assert limits(loss_lines(given, ENGLISH), 1.0)[1] > 1e6


def test_an_ensemble_shows_earlier_members_and_what_they_give_together():
    given = curves()
    earlier = {"step": [1, 2], "epoch": [1.0, 2.0], "value": [0.95, 0.9]}
    given["members"] = {"number": 2, "count": 3, "together": [[2, 0.85]], "validation": {1: earlier, 2: given["series"]["validation/loss"]}}
    lines, colours = loss_lines(given, ENGLISH), series_colours(given, ENGLISH)
    assert lines["validation, member 1"] == ([1.0, 2.0], [0.95, 0.9])
    assert lines["members together"][1] == (0.85, 0.85)
    assert set(lines) <= set(colours) and "validation, member 2" not in colours


def test_the_second_chart_shows_what_was_asked_for_and_is_empty_without_it():
    lines, colours = detail_lines(curves(), ENGLISH, "learning_rate")
    assert [values for _, values in lines.values()] == [[1e-3, 5e-4]] and set(lines) == set(colours)
    assert detail_lines(curves(), ENGLISH, "skill")[0] == {}


def test_the_frame_of_the_chart_hardly_ever_changes_while_the_curve_grows():
    """A curve that grows on axes that move with every point cannot be read."""
    frames = set()
    for count in range(20, 2000, 5):
        epochs = [(place + 1) / 50 for place in range(count)]
        given = {"series": {"train/loss": {"step": list(range(count)), "epoch": epochs, "value": [0.7 + 0.3 / (1 + x) for x in epochs]}}}
        values = sorted(loss_lines(given, ENGLISH)["training"][1])
        (low, high), reached = limits(loss_lines(given, ENGLISH)), values[int(0.98 * (count - 1))]
        assert low < values[0] < reached < high and high - low < 2.5 * (reached - values[0])
        assert epochs[-1] <= axis_end(given, 1000) <= max(1.0, 2 * epochs[-1])
        frames.add((axis_end(given, 1000), low, high))
    assert len(frames) <= 20, "of 396 refreshes"
