"""The tear sheet by hand and on planted markets: groups, decay, turnover, and what is left without industry, size and volatility."""

import numpy as np
import pytest

from financial_model.evaluation import tearsheet
from financial_model.evaluation.grouping import Groups
from financial_model.evaluation.metrics import daily_rank_ic
from financial_model.evaluation.sample import build_sample
from financial_model.evaluation.significance import DateBootstrap
from tests.evaluation.builders import all_ends, config, make_panel


def sheet(panel, score, ends, horizon=5):
    sample = build_sample(ends, panel, config(horizon).label, horizon)
    order = np.argsort(ends)
    values = score[order[np.searchsorted(ends[order], sample.end)]]
    return tearsheet.tear_sheet(values, sample, panel.ranks[sample.end], DateBootstrap.plan(sample.days, 2 * horizon)), sample, values


@pytest.fixture(scope="module")
def planted():
    panel = make_panel(names=60, days=260, planted=0.3, seed=3)
    ends = all_ends(panel)
    return panel, ends, panel.values[ends, 0].astype(np.float64)


# ---------------------------------------------------------------- groups
def test_groups_are_fifths_of_each_date_by_score():
    panel = make_panel(names=10, days=40)
    ends = all_ends(panel)
    sample = build_sample(ends, panel, config(5).label, 5)
    score = sample.symbol.astype(np.float64)
    place, known = tearsheet.quantile_groups(score, sample)
    assert known.all() and all((place[sample.symbol == stock] == stock // 2).all() for stock in range(10))


def test_a_planted_score_earns_group_by_group_and_only_on_the_next_day(planted):
    tomorrow, _, _ = sheet(planted[0], planted[2], planted[1], horizon=1)
    means = [entry["value"] for entry in tomorrow["groups"]]
    assert means == sorted(means) and tomorrow["monotonicity"] == pytest.approx(1.0)
    found, _, _ = sheet(planted[0], planted[2], planted[1])
    means = [entry["value"] for entry in found["groups"]]
    assert found["long_short"]["value"] == pytest.approx(means[4] - means[0], rel=1e-6) and found["long_short"]["interval"][0] > 0
    assert found["right_days"] > 0.6
    decay = [row["value"] for row in found["decay"]]
    assert decay[0] == pytest.approx(0.3, abs=0.04) and all(abs(value) < 0.04 for value in decay[1:]), "the signal is of one day"
    assert found["decay"][-1]["cumulative"]["value"] < decay[0]


def test_the_curves_end_at_the_sum_of_the_daily_means(planted):
    found, sample, score = sheet(planted[0], planted[2], planted[1])
    place, _ = tearsheet.quantile_groups(score, sample)
    top = place == 4
    per_date = np.bincount(sample.day[top], sample.actual[top, -1]) / np.bincount(sample.day[top])
    assert found["curves"]["groups"][4][-1] == pytest.approx(per_date.sum() / 5)
    assert found["groups"][4]["value"] == pytest.approx(per_date.mean())


def test_noise_has_no_order_that_the_interval_believes(planted):
    noise = np.random.default_rng(0).standard_normal(len(planted[1]))
    found, _, _ = sheet(planted[0], noise, planted[1])
    assert found["long_short"]["interval"][0] < 0 < found["long_short"]["interval"][1]


# ---------------------------------------------------------------- turnover and memory
def test_a_score_that_never_changes_trades_nothing_and_remembers_itself(planted):
    panel, ends, _ = planted
    found, _, _ = sheet(panel, panel.symbol_index(ends).astype(np.float64), ends)
    assert found["turnover"] == {"top": 0.0, "bottom": 0.0} and found["autocorrelation"] == {1: pytest.approx(1.0), 5: pytest.approx(1.0)}


def test_a_score_drawn_anew_each_day_replaces_four_of_five(planted):
    found, _, _ = sheet(planted[0], planted[2], planted[1])
    assert found["turnover"]["top"] == pytest.approx(0.8, abs=0.03) and abs(found["autocorrelation"][1]) < 0.03


# ---------------------------------------------------------------- without the usual suspects
def test_the_residual_is_that_of_a_regression_on_each_date():
    rng = np.random.default_rng(2)
    day, industry, style = np.repeat(np.arange(4), 40), rng.integers(0, 3, 160), rng.standard_normal((160, 2))
    score = rng.standard_normal(160) + 2 * style[:, 0] + industry
    found = tearsheet.residual(score, day, industry, style)
    for number in range(4):
        rows = day == number
        x = np.column_stack([np.eye(3)[industry[rows]], style[rows]])
        wanted = score[rows] - x @ np.linalg.lstsq(x, score[rows], rcond=None)[0]
        np.testing.assert_allclose(found[rows], wanted, atol=1e-8)


def test_a_score_that_is_only_size_has_nothing_left_without_size():
    panel = make_panel(names=40, days=200, seed=5)
    ends = all_ends(panel)
    ranks = np.tile(np.random.default_rng(1).uniform(-0.5, 0.5, (len(panel.time), 4)), 1).astype(np.float32)
    vars(panel)["ranks"] = ranks
    future = build_sample(ends, panel, config(5).label, 5)
    ranks[future.end, 0] += (20 * future.actual[:, -1]).astype(np.float32)  # size foretells the return
    found, sample, score = sheet(panel, ranks[ends, 0].astype(np.float64), ends)
    neutral = found["neutral"]
    assert neutral["none"]["value"] > 0.5 and neutral["industry"]["value"] > 0.5
    assert neutral["size"]["value"] is None or abs(neutral["size"]["value"]) < 0.05
    assert neutral["all"]["value"] is None or abs(neutral["all"]["value"]) < 0.05


def test_a_score_that_is_only_its_industry_has_no_ic_left_at_all():
    panel = make_panel(names=40, days=120, seed=5)
    ends = all_ends(panel)
    found, _, _ = sheet(panel, panel.conditions[ends, 0].astype(np.float64), ends)
    assert found["neutral"]["none"]["value"] is not None and found["neutral"]["industry"]["value"] is None


# ---------------------------------------------------------------- what cannot be said
def test_few_names_and_constant_scores_say_why():
    few = make_panel(names=6, days=60)
    assert sheet(few, np.arange(len(all_ends(few)), dtype=float), all_ends(few))[0]["why"]["key"] == "evaluation.tear.few_names"
    many = make_panel(names=20, days=60)
    assert sheet(many, np.zeros(len(all_ends(many))), all_ends(many))[0]["why"]["key"] == "evaluation.tear.constant"


def test_any_feature_has_a_sheet(planted):
    panel, ends, score = planted
    shuffled = np.random.default_rng(0).permutation(len(ends))
    found = tearsheet.factor_sheet(score[shuffled], ends[shuffled], panel, config(5))
    assert found["decay"][0]["value"] == pytest.approx(0.3, abs=0.04)
    sample = build_sample(ends, panel, config(5).label, 5)
    assert found["neutral"]["none"]["value"] == pytest.approx(float(np.nanmean(daily_rank_ic(
        sample.day, sample.days, panel.values[sample.end, 0].astype(float), sample.actual[:, -1]))))
    assert len(Groups.of(sample.day).keys) == sample.days
