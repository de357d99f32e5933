"""Metrics against hand-computed days and against slow loops."""

import math

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from financial_model.evaluation import metrics


@pytest.fixture
def sample():
    rng = np.random.default_rng(5)
    day = rng.integers(0, 30, 900)
    actual = 0.03 * rng.standard_normal(900)
    return day, 0.1 * actual + 0.01 * rng.standard_normal(900), actual


def test_daily_correlations_equal_scipy_per_date(sample):
    day, predicted, actual = sample
    ic, rank_ic = metrics.daily_ic(day, 31, predicted, actual), metrics.daily_rank_ic(day, 31, predicted, actual)
    for date in range(30):
        rows = day == date
        assert ic[date] == pytest.approx(pearsonr(predicted[rows], actual[rows]).statistic)
        assert rank_ic[date] == pytest.approx(spearmanr(predicted[rows], actual[rows]).statistic)
    assert np.isnan(ic[30]) and np.isnan(rank_ic[30])  # a date without rows


def test_ic_is_the_mean_over_dates_and_icir_its_ratio(sample):
    found, series = metrics.correlation_statistics(sample[0], 30, *sample[1:])
    assert found["ic"].value() == pytest.approx(series["ic"].mean())
    assert found["icir"].value() == pytest.approx(series["ic"].mean() / series["ic"].std(ddof=1))
    assert found["rank_icir"].value() == pytest.approx(series["rank_ic"].mean() / series["rank_ic"].std(ddof=1))


def test_dates_with_fewer_than_five_names_do_not_count():
    day = np.array([0] * 4 + [1] * 5)
    value = np.arange(9.0)
    found, _ = metrics.correlation_statistics(day, 2, value, np.r_[-value[:4], value[4:]])
    assert found["ic"].value() == pytest.approx(1.0)  # the reversed first date has four names


def test_a_constant_prediction_is_undefined_not_zero_and_not_one(sample):
    day, predicted, actual = sample
    found, _ = metrics.correlation_statistics(day, 30, np.full(900, 0.1), actual)
    assert all(math.isnan(found[name].value()) for name in ("ic", "rank_ic", "icir", "rank_icir"))
    per_date = 0.001 * day  # differs between dates, never within one
    assert math.isnan(metrics.correlation_statistics(day, 30, per_date, actual)[0]["rank_ic"].value())


def test_direction_on_a_hand_made_day():
    predicted = np.array([0.01, 0.02, -0.01, -0.02, 0.0])
    actual = np.array([0.03, -0.01, -0.02, 0.01, 0.02])
    found = metrics.direction_statistics(np.zeros(5, np.int64), 1, predicted, actual)
    assert found["direction"].value() == pytest.approx(2.5 / 5)  # two right, the zero counts half
    assert found["direction_base_rate"].value() == pytest.approx(3 / 5)
    assert found["direction_edge"].value() == pytest.approx(-0.1)


def test_a_rising_market_gives_the_constant_answer_a_base_rate_and_no_edge():
    rng = np.random.default_rng(0)
    actual = 0.01 + 0.03 * rng.standard_normal(4000)
    found = metrics.direction_statistics(np.repeat(np.arange(40), 100), 40, np.full(4000, 0.005), actual)
    assert found["direction"].value() > 0.6
    assert found["direction_edge"].value() == 0
    assert math.isnan(found["direction_demeaned"].value())  # a constant says nothing about who beats the date's mean


def test_only_zeros_have_no_direction():
    found = metrics.direction_statistics(np.zeros(6, np.int64), 1, np.zeros(6), np.arange(6.0) - 2)
    assert math.isnan(found["direction"].value())
    assert found["direction_base_rate"].value() == pytest.approx(3 / 5)  # the outcome of zero is left out


def test_demeaned_direction_follows_the_arcsine_rule():
    rng = np.random.default_rng(1)
    day, market = np.repeat(np.arange(200), 200), np.repeat(0.05 * rng.standard_normal(200), 200)
    signal = rng.standard_normal(40_000)
    actual = market + 0.02 * (0.3 * signal + np.sqrt(1 - 0.09) * rng.standard_normal(40_000))
    found = metrics.direction_statistics(day, 200, signal, actual)
    assert found["direction_demeaned"].value() == pytest.approx(0.5 + math.asin(0.3) / math.pi, abs=0.01)
    assert found["direction"].value() < 0.56  # the common market hides most of it


def test_errors_are_in_percent_of_simple_return():
    found = metrics.error_statistics(np.zeros(2, np.int64), 1, np.log([1.02, 1.0]), np.log([1.05, 0.96]))
    assert found["mae_percent"].value() == pytest.approx((3 + 4) / 2)
    assert found["rmse_percent"].value() == pytest.approx(math.sqrt((9 + 16) / 2))


def test_pinball_and_coverage_by_hand():
    levels = (0.1, 0.5, 0.9)
    quantiles = np.array([[-0.02, 0.0, 0.02], [-0.02, 0.0, 0.02]])
    found = metrics.quantile_statistics(np.zeros(2, np.int64), 1, levels, quantiles, np.array([0.01, 0.05]))
    first, second = (0.1 * 3 + 0.5 * 1 + 0.1 * 1) / 3, (0.1 * 7 + 0.5 * 5 + 0.9 * 3) / 3
    assert found["pinball"].value() == pytest.approx((first + second) / 2)
    assert found["coverage_80"].value() == pytest.approx(0.5)
    assert "coverage_50" not in found and "coverage_95" not in found  # these levels cannot say
    assert found["width_80_percent"].value() == pytest.approx(100 * (math.exp(0.02) - math.exp(-0.02)))


def test_true_quantiles_cover_what_they_promise():
    from scipy.stats import norm
    levels = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
    actual = np.random.default_rng(2).standard_normal(20_000)
    found = metrics.quantile_statistics(np.zeros(20_000, np.int64), 1, levels, np.tile(norm.ppf(levels), (20_000, 1)), actual)
    for percent in (50, 80, 95):
        assert found[f"coverage_{percent}"].value() == pytest.approx(percent / 100, abs=0.01)


def test_best_capture_counts_the_overlap_of_two_top_lists():
    actual = np.arange(40.0)
    predicted = actual.copy()
    predicted[[39, 0]] = predicted[[0, 39]]  # the best stock is predicted worst
    assert metrics.best_capture(np.zeros(40, np.int64), 1, actual, actual).value() == 1.0
    assert metrics.best_capture(np.zeros(40, np.int64), 1, predicted, actual).value() == 0.5
    assert math.isnan(metrics.best_capture(np.zeros(19, np.int64), 1, actual[:19], actual[:19]).value())
    assert math.isnan(metrics.best_capture(np.zeros(40, np.int64), 1, np.zeros(40), actual).value())


def test_time_correlation_of_one_stock_is_the_plain_one():
    rng = np.random.default_rng(4)
    actual = rng.standard_normal(80)
    predicted = 0.5 * actual + rng.standard_normal(80)
    found = metrics.time_statistics(np.arange(80), 80, np.zeros(80, np.int64), predicted, actual)
    assert found["time_ic"].value() == pytest.approx(pearsonr(predicted, actual).statistic)
    assert found["time_rank_ic"].value() == pytest.approx(spearmanr(predicted, actual).statistic)


def test_time_correlation_ignores_levels_between_stocks():
    rng = np.random.default_rng(4)
    symbol = np.repeat([0, 1], 300)
    predicted, actual = symbol + rng.standard_normal(600), symbol + rng.standard_normal(600)
    found = metrics.time_statistics(np.tile(np.arange(300), 2), 300, symbol, predicted, actual)
    assert pearsonr(predicted, actual).statistic > 0.15
    assert abs(found["time_ic"].value()) < 0.1


def test_a_difference_is_paired_column_by_column(sample):
    day, predicted, actual = sample
    first, second = metrics.error_statistics(day, 30, predicted, actual), metrics.error_statistics(day, 30, 0 * predicted, actual)
    paired = first["mae_percent"].minus(second["mae_percent"])
    assert paired.value() == pytest.approx(first["mae_percent"].value() - second["mae_percent"].value())
