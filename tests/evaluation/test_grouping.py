"""Groups: every vectorised figure equals the one computed group by group."""

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata

from financial_model.evaluation.grouping import Groups, correlation


@pytest.fixture
def rows():
    rng = np.random.default_rng(3)
    numbers = rng.integers(0, 40, 2000)
    numbers[numbers == 7] = 8  # a number that never occurs
    return numbers, rng.standard_normal(2000).round(1), rng.standard_normal(2000)


def test_ranks_share_ties_as_scipy_does(rows):
    numbers, tied, _ = rows
    groups = Groups.of(numbers)
    ranks = groups.ranks(tied)
    for key, start, size in zip(groups.keys, groups.starts, groups.sizes, strict=True):
        assert 7 not in groups.keys
        np.testing.assert_array_equal(ranks[start:start + size], rankdata(tied[numbers == key]))


def test_ranks_hold_for_more_groups_than_sixteen_bits_count(rows):
    numbers, tied, _ = rows
    np.testing.assert_array_equal(Groups.of(numbers + 70_000).ranks(tied), Groups.of(numbers).ranks(tied))


def test_correlation_equals_scipy_in_every_group(rows):
    numbers, x, y = rows
    groups = Groups.of(numbers)
    found = correlation(groups, x[groups.order], y[groups.order], 5)
    for key, value in zip(groups.keys, found, strict=True):
        assert value == pytest.approx(pearsonr(x[numbers == key], y[numbers == key]).statistic, abs=1e-12)


def test_a_constant_side_has_no_correlation_even_when_its_mean_is_rounded():
    groups = Groups.of(np.zeros(7, np.int64))
    assert np.isnan(correlation(groups, np.full(7, 0.1), np.arange(7.0), 5)).all()
    assert np.isnan(correlation(groups, np.arange(7.0), np.full(7, 0.1), 5)).all()


def test_too_few_rows_have_no_correlation():
    groups = Groups.of(np.array([0, 0, 0, 0, 1, 1, 1, 1, 1]))
    found = correlation(groups, np.arange(9.0), np.arange(9.0), 5)
    assert np.isnan(found[0]) and found[1] == pytest.approx(1.0)


def test_no_rows_give_no_groups():
    groups = Groups.of(np.zeros(0, np.int64))
    assert len(groups.keys) == 0 and len(correlation(groups, np.zeros(0), np.zeros(0), 5)) == 0
