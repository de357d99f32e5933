"""Intervals over blocks of dates, Newey-West, and the price of having tried often."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from financial_model.evaluation import significance
from financial_model.evaluation.metrics import DateStatistic, ratio, series_mean
from tests.evaluation.interval_calibration import rejections


def moving_average(rng, length, window):
    return np.convolve(rng.standard_normal(length + window - 1), np.ones(window) / math.sqrt(window), mode="valid")


def test_totals_are_the_sums_over_circular_blocks():
    sums = np.random.default_rng(0).standard_normal((23, 2))
    plan = significance.DateBootstrap(starts=np.array([[0, 20, 5, 9, 22]]), dates=23, block=5)  # four whole blocks and one of three dates
    picked = [day % 23 for start, length in zip(plan.starts[0], (5, 5, 5, 5, 3), strict=True) for day in range(start, start + length)]
    np.testing.assert_allclose(plan.totals(sums)[0], sums[picked].sum(axis=0))


def test_every_date_is_drawn_equally_often():
    plan = significance.DateBootstrap.plan(60, 7, draws=4000)
    totals = plan.totals(np.eye(60))
    assert totals.sum(axis=1) == pytest.approx(60)
    assert totals.mean(axis=0) == pytest.approx(1.0, abs=0.1)


def test_the_interval_of_independent_dates_is_the_textbook_one():
    series = np.random.default_rng(1).standard_normal(500)
    low, high = significance.DateBootstrap.plan(500, 1, draws=4000).interval(series_mean(series))
    half = 1.96 * series.std() / math.sqrt(500)
    assert low == pytest.approx(series.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(series.mean() + half, abs=0.1 * half)


def test_overlapping_dates_need_blocks_to_cover_the_truth():
    """95 % intervals on overlapping noise: single dates miss the true mean of zero far too often, blocks of twice the overlap do not."""
    rng = np.random.default_rng(2)
    missed = {1: 0, 20: 0}
    for _ in range(200):
        statistic = series_mean(moving_average(rng, 240, 10))
        for block in missed:
            low, high = significance.DateBootstrap.plan(240, block, draws=300).interval(statistic)
            missed[block] += not low <= 0 <= high
    assert missed[1] > 80
    assert missed[20] < 26  # 5 % would be 10


def test_noise_is_called_significant_about_as_rarely_as_promised():
    found = rejections(250, 5, 20, markets=80, draws=300)
    assert found["naive"] > 0.25
    assert found["ours"] < 0.15 and found["ours"] <= found["percentile"]


def test_too_few_dates_have_no_interval():
    assert significance.DateBootstrap.plan(79, 10) is None
    assert significance.DateBootstrap.plan(80, 10) is not None


def test_an_undefined_figure_has_no_interval():
    plan = significance.DateBootstrap.plan(100, 5, draws=50)
    assert plan.interval(series_mean(np.full(100, np.nan))) is None


def test_an_interval_stays_inside_what_the_figure_can_be():
    hits = np.column_stack([np.r_[np.zeros(2), np.full(98, 10.0)], np.full(100, 10.0)])
    low, high = significance.DateBootstrap.plan(100, 10, draws=500).interval(DateStatistic(hits, ratio, (0.0, 1.0)))
    assert low < high <= 1.0


def test_paired_differences_are_narrower_than_their_parts():
    rng = np.random.default_rng(3)
    common = rng.standard_normal(300)
    first, second = series_mean(common + 0.05 + 0.1 * rng.standard_normal(300)), series_mean(common)
    plan = significance.DateBootstrap.plan(300, 5)
    low, high = plan.interval(first.minus(second))
    alone = plan.interval(first)
    assert high - low < 0.3 * (alone[1] - alone[0])
    assert low > 0


def test_newey_west_without_lag_is_the_plain_t():
    series = np.random.default_rng(4).standard_normal(200) + 0.1
    test = significance.newey_west(series, 0)
    assert test.t == pytest.approx(series.mean() / (series.std(ddof=1) / math.sqrt(200)))
    assert test.effective == pytest.approx(200, abs=1.5)


def test_newey_west_by_hand():
    series = np.array([1.0, 2.0, 0.0, 1.0, 3.0])
    centred = series - 1.4
    own, one = centred @ centred / 5, centred[1:] @ centred[:-1] / 5
    error = math.sqrt((own + 2 * 0.5 * one) * 5 / 4 / 5)
    assert significance.newey_west(series, 1).error == pytest.approx(error)


def test_newey_west_leaves_out_unknown_dates_and_refuses_two():
    assert significance.newey_west(np.array([1.0, np.nan, 2.0]), 2) is None
    assert significance.newey_west(np.array([1.0, np.nan, 2.0, 4.0]), 1).mean == pytest.approx(7 / 3)


def test_overlapping_labels_leave_few_effective_dates():
    series = moving_average(np.random.default_rng(5), 2000, 10)
    assert 2000 / 10 * 0.6 < significance.newey_west(series, 30).effective < 2000 / 10 * 2


def test_signal_overlap_is_the_memory_of_the_forecast():
    rng = np.random.default_rng(6)
    names, days, window = 60, 200, 12
    slow = np.stack([moving_average(rng, days, window) for _ in range(names)])
    symbol, day = np.repeat(np.arange(names), days), np.tile(np.arange(days), names)
    order = rng.permutation(names * days)
    assert 9 <= significance.signal_overlap(symbol[order], day[order], slow.ravel()[order], 60) <= 12
    assert significance.signal_overlap(symbol, day, rng.standard_normal(names * days), 60) == 1
    assert significance.signal_overlap(symbol, day, np.repeat(rng.standard_normal(names), days), 60) == 60  # never changes: the limit
    assert significance.signal_overlap(symbol, day, np.ones(names * days), 60) == 1


def test_signal_overlap_of_one_stock_is_measured_along_time():
    series = moving_average(np.random.default_rng(7), 600, 15)
    assert 8 <= significance.signal_overlap(np.zeros(600, np.int64), np.arange(600), series, 60) <= 20


def test_block_length_covers_label_and_signal_but_leaves_blocks():
    assert significance.block_length(5, 1, 500) == 10  # never below twice the horizon
    assert significance.block_length(5, 20, 500) == 24
    assert significance.block_length(5, 60, 200) == 25  # a slow signal may not use up the data


def test_the_best_of_many_worthless_strategies_looks_good_and_is_deflated():
    rng = np.random.default_rng(8)
    returns = 0.01 * rng.standard_normal((500, 200))
    sharpes = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    best = returns[:, sharpes.argmax()]
    assert significance.expected_best_sharpe(200, sharpes.var()) == pytest.approx(sharpes.max(), rel=0.2)
    assert significance.deflated_sharpe(best, 1, 0.0) > 0.97
    assert 0.1 < significance.deflated_sharpe(best, 200, float(sharpes.var())) < 0.9


def test_one_trial_is_the_probabilistic_sharpe_ratio():
    returns = np.random.default_rng(9).standard_normal(400) + 0.1
    sharpe = returns.mean() / returns.std(ddof=1)
    assert significance.deflated_sharpe(returns, 1, 0.0) == pytest.approx(norm.cdf(sharpe * math.sqrt(399 / (1 + sharpe**2 / 2))), abs=0.01)
    assert significance.deflated_sharpe(np.zeros(50), 1, 0.0) is None


def test_overfitting_probability_separates_luck_from_skill():
    rng = np.random.default_rng(10)
    noise = rng.standard_normal((640, 20))
    skilled = noise.copy()
    skilled[:, 3] += 0.5
    assert significance.overfitting_probability(skilled) < 0.02
    assert 0.2 < np.mean([significance.overfitting_probability(rng.standard_normal((640, 20)), blocks=8) for _ in range(20)]) < 0.8
    assert significance.overfitting_probability(noise[:, :1]) is None
    assert significance.overfitting_probability(noise[:20]) is None
