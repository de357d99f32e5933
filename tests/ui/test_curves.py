"""The live loss chart: few points, baselines beside the model, the best epoch where it is."""

import pytest

from financial_model.ui.curves import axis_end, detail_rows, epoch_reached, latest, limits, loss_rows, series_colours, smoothed
from tests.ui.builders import CHINESE, ENGLISH, curves


def test_every_series_is_on_the_chart_and_has_a_colour():
    rows, colours = loss_rows(curves(), ENGLISH), series_colours(curves(), ENGLISH)
    assert set(rows["series"]) == {"training", "validation", "best epoch", "Zero return", "Ridge regression"}
    assert set(rows["series"]) <= set(colours)


def test_the_chart_speaks_chinese():
    assert {"训练", "验证", "零收益"} <= set(loss_rows(curves(), CHINESE)["series"])


def test_the_axis_leaves_room_but_never_beyond_the_plan():
    assert [axis_end(curves(), epochs) for epochs in (3, 5, 100)] == [3.0, 4.0, 4.0] and axis_end({}, 100) == 1.0


def test_baselines_are_level_and_reach_across_the_axis():
    rows = loss_rows(curves(), ENGLISH, end=10.0)
    level = rows[rows["series"] == "Zero return"]
    assert level["epoch"].tolist() == [0.0, 10.0] and level["loss"].nunique() == 1


def test_the_best_epoch_is_an_upright_line_at_the_lowest_validation_loss():
    best = loss_rows(curves(), ENGLISH).query("series == 'best epoch'")
    assert best["epoch"].unique().tolist() == [2.0] and best["loss"].nunique() == 2


def test_smoothing_touches_training_only_and_keeps_its_first_point():
    plain, smooth = loss_rows(curves(), ENGLISH), loss_rows(curves(), ENGLISH, smoothing=0.9)
    assert plain.query("series == 'validation'").equals(smooth.query("series == 'validation'"))
    trained = smooth.query("series == 'training'")["loss"].tolist()
    assert trained[0] == pytest.approx(plain["loss"].iloc[0]) and trained[-1] > plain.query("series == 'training'")["loss"].iloc[-1]


def test_smoothing_by_hand():
    assert smoothed([1.0, 3.0], 0.5) == pytest.approx([1.0, (0.5 * 0.5 * 1 + 0.5 * 3) / 0.75])
    assert smoothed([4.0, 4.0, 4.0], 0.95) == pytest.approx([4.0, 4.0, 4.0])


def test_a_logarithmic_chart_leaves_out_what_has_no_logarithm():
    given = curves(3, validation=False)
    given["series"]["train/loss"]["value"] = [1.0, 0.0, 0.1]
    rows = loss_rows(given, ENGLISH, logarithmic=True).query("series == 'training'")
    assert rows["loss"].tolist() == pytest.approx([0.0, -1.0])


def test_nothing_yet_is_an_empty_chart_with_numeric_axes():
    rows = loss_rows({}, ENGLISH)
    assert rows.empty and rows.dtypes["epoch"].kind == rows.dtypes["loss"].kind == "f"
    assert limits(rows) is None and epoch_reached({}) is None and latest({}, "train/loss") is None


def test_the_axis_ignores_a_wild_start():
    given = curves(200)
    given["series"]["train/loss"]["value"][0] = 1e6
    low, high = limits(loss_rows(given, ENGLISH))
    assert low < 0.25 and 0.9 < high < 2


def test_an_ensemble_shows_earlier_members_and_what_they_give_together():
    given = curves()
    earlier = {"step": [1, 2], "epoch": [1.0, 2.0], "value": [0.95, 0.9]}
    given["members"] = {"number": 2, "count": 3, "together": [[2, 0.85]], "validation": {1: earlier, 2: given["series"]["validation/loss"]}}
    rows, colours = loss_rows(given, ENGLISH), series_colours(given, ENGLISH)
    assert rows.query("series == 'validation, member 1'")["loss"].tolist() == [0.95, 0.9]
    assert rows.query("series == 'members together'")["loss"].tolist() == [0.85, 0.85]
    assert set(rows["series"]) <= set(colours) and "validation, member 2" not in colours


def test_the_second_chart_shows_what_was_asked_for_and_is_empty_without_it():
    rows, colours = detail_rows(curves(), ENGLISH, "learning_rate")
    assert list(rows["value"]) == [1e-3, 5e-4] and set(rows["series"]) == set(colours)
    assert detail_rows(curves(), ENGLISH, "skill")[0].empty


def test_the_frame_of_the_chart_hardly_ever_changes_while_the_curve_grows():
    """Every other frame is a whole new chart in the browser, and the old one stays in its memory."""
    frames = set()
    for count in range(20, 2000, 5):
        epochs = [(place + 1) / 50 for place in range(count)]
        given = {"series": {"train/loss": {"step": list(range(count)), "epoch": epochs, "value": [0.7 + 0.3 / (1 + x) for x in epochs]}}}
        rows = loss_rows(given, ENGLISH)
        (low, high), reached = limits(rows), rows["loss"].quantile(0.98)
        assert low < rows["loss"].min() < reached < high and high - low < 2.5 * (reached - rows["loss"].min())
        assert epochs[-1] <= axis_end(given, 1000) <= max(1.0, 2 * epochs[-1])
        frames.add((axis_end(given, 1000), low, high, *series_colours(given, ENGLISH, set(rows["series"]))))
    assert len(frames) <= 20, "of 396 refreshes"


def test_only_series_with_points_have_a_colour_on_the_chart():
    given = curves(3, validation=False)
    shown = set(loss_rows(given, ENGLISH)["series"])
    assert set(series_colours(given, ENGLISH, shown)) == shown and "validation" not in shown
