"""Comparisons among the names of one date."""

import numpy as np
import pytest
from scipy.stats import rankdata

from financial_model.features.cross_section import group_by_date, rank_by_date


@pytest.fixture
def table():
    generator = np.random.default_rng(0)
    time = generator.permutation(np.repeat(np.arange(40) * 86_400, 31))
    values = generator.normal(size=len(time)).round(1)  # many ties
    values[generator.random(len(values)) < 0.1] = np.nan
    return values, time


def test_ranks_equal_the_mean_ranks_of_scipy(table):
    values, time = table
    ranks = rank_by_date(values, time)
    assert ranks.dtype == np.float32
    for day in np.unique(time):
        known = (time == day) & ~np.isnan(values)
        expected = (rankdata(values[known].astype(np.float32)) - 0.5) / known.sum() - 0.5
        np.testing.assert_allclose(ranks[known], expected, atol=1e-6)
        assert ranks[known].mean() == pytest.approx(0, abs=1e-6)
    assert np.isnan(ranks[np.isnan(values)]).all()


def test_several_columns_are_ranked_each_on_its_own(table):
    values, time = table
    both = rank_by_date(np.stack([values, -values], axis=1), time)
    np.testing.assert_array_equal(both[:, 0], rank_by_date(values, time))
    np.testing.assert_allclose(both[:, 0], -both[:, 1], atol=1e-6)


def test_negative_zero_subnormal_and_huge_values_sort_as_numbers():
    values = np.array([-0.0, 0.0, 1e-42, -1e-42, 3e38, -3e38, 1.0])
    ranks = rank_by_date(values, np.zeros(7))
    assert ranks[0] == ranks[1] == pytest.approx(2.5 / 7 + 0.5 / 7 - 0.5, abs=1e-6)
    assert np.argsort(ranks, kind="stable").tolist() == [5, 3, 0, 1, 2, 6, 4]


def test_infinity_is_unknown_not_the_largest():
    ranks = rank_by_date(np.array([1, 2, 3, 4, 5, np.inf]), np.zeros(6))
    assert np.isnan(ranks[5]) and ranks[4] == pytest.approx(0.4)


def test_a_date_with_fewer_than_five_names_is_unknown():
    time = np.array([0] * 4 + [1] * 5)
    ranks = rank_by_date(np.arange(9.0), time)
    assert np.isnan(ranks[:4]).all() and np.isfinite(ranks[4:]).all()


def test_names_of_another_market_are_not_counted():
    values, time = np.arange(10.0), np.zeros(10)
    apart = rank_by_date(values, time, market=np.repeat([0, 1], 5))
    np.testing.assert_allclose(apart[:5], apart[5:])


def test_a_thousand_names_sort_exactly():
    values = np.random.default_rng(1).normal(size=5000).astype(np.float32)
    np.testing.assert_array_equal(np.argsort(rank_by_date(values, np.zeros(5000))), np.argsort(values))


def test_groups_cover_every_row_once(table):
    _, time = table
    groups = group_by_date(time)
    assert sorted(groups.order) == list(range(len(time)))
    for g in range(len(groups)):
        rows = groups.order[groups.starts[g]:groups.starts[g + 1]]
        assert len(set(time[rows])) == 1 and (np.diff(rows) > 0).all()
