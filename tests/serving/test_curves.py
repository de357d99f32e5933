"""Curves are gathered from events, whole after a resume, and thinned without losing their end."""

import pytest

from financial_model.serving.curves import Curves, thin


def step(number, loss, **metrics):
    return {"kind": "step", "step": number, "epoch": number / 10, "split": "train", "metrics": {"loss": loss, **metrics}}


def validated(number, loss):
    return {"kind": "epoch", "step": number, "epoch": number / 10, "split": "validation", "metrics": {"loss": loss}}


def test_each_split_and_metric_is_a_series():
    curves = Curves()
    curves.feed([step(1, 0.9, learning_rate=1e-3), step(2, 0.8, learning_rate=2e-3), validated(2, 0.85)])
    series = curves.series()["series"]
    assert series["train/loss"] == {"step": [1, 2], "epoch": [0.1, 0.2], "value": [0.9, 0.8]}
    assert series["train/learning_rate"]["value"] == [1e-3, 2e-3]
    assert series["validation/loss"]["step"] == [2]


def test_baselines_are_level_lines_by_name():
    curves = Curves()
    curves.feed([{"kind": "baseline", "name": "zero", "split": "validation", "metrics": {"loss": 0.9, "ic": None}}])
    assert curves.series()["baselines"] == {"zero": {"loss": 0.9}}


def test_the_best_point_is_the_lowest_of_all_points_also_of_those_not_drawn():
    curves = Curves()
    curves.feed(validated(number, 0.1 if number == 501 else 1.0) for number in range(1, 1000))
    assert curves.series(10)["best"]["step"] == 501


def test_a_resumed_run_shows_each_step_once():
    curves = Curves()
    curves.feed([step(n, 1.0) for n in range(1, 8)] + [validated(5, 1.0), validated(7, 1.0)])
    curves.feed([{"kind": "resume", "step": 5}])
    curves.feed([step(n, 2.0) for n in range(6, 9)])
    series = curves.series()["series"]
    assert series["train/loss"]["step"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert series["train/loss"]["value"] == [1.0] * 5 + [2.0] * 3
    assert series["validation/loss"]["step"] == [5]


def test_a_resume_from_the_very_beginning_leaves_no_best_point():
    curves = Curves()
    curves.feed([validated(5, 1.0), {"kind": "resume", "step": 0}])
    assert curves.series()["best"] is None


def test_values_that_are_no_numbers_are_left_out():
    curves = Curves()
    curves.feed([step(1, float("nan")), step(2, None), step(3, "x"), step(4, True), step(5, 1.0)])
    assert curves.series()["series"]["train/loss"]["step"] == [5]


@pytest.mark.parametrize("count", [0, 1, 399, 400, 401, 799, 800, 801, 12_345, 100_001])
def test_thinning_keeps_first_and_last_and_the_limit(count):
    kept = thin(count, 400)
    assert len(kept) <= 400 and kept == sorted(set(kept))
    if count:
        assert kept[0] == 0 and kept[-1] == count - 1
    if count > 400:
        assert len(kept) >= 199


def test_points_once_shown_stay_while_the_curve_grows():
    for count in range(401, 780):
        assert set(thin(count, 400)[:-1]) <= set(thin(count + 1, 400))
