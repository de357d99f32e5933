"""Trailing windows against plain numpy, with the traps of running sums: drift, poison, rounding at large levels."""

import numpy as np
import pytest

from financial_model.features import pairs, recursions, rolling, trees

OFFSETS = np.array([0, 1, 1, 40, 41, 300], dtype=np.int64)
"""One row, an empty symbol, several blocks, one row, many blocks."""


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(5, 1, 300)


def brute(x, n, function):
    out = np.full(len(x), np.nan)
    for a, b in zip(OFFSETS, OFFSETS[1:], strict=False):
        for t in range(a + n - 1, b):
            out[t] = function(x[t - n + 1:t + 1])
    return out


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 14, 16, 20, 26, 39, 63, 64, 68, 128, 255, 260])
def test_windows_equal_numpy(x, n):
    close = dict(rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(trees.window_sum(x, OFFSETS, n), brute(x, n, np.sum), **close)
    np.testing.assert_array_equal(trees.window_extreme(x, OFFSETS, n, 1.0), brute(x, n, np.max))
    np.testing.assert_array_equal(trees.window_extreme(x, OFFSETS, n, -1.0), brute(x, n, np.min))
    np.testing.assert_allclose(trees.window_mean(x, OFFSETS, n), brute(x, n, np.mean), **close)
    mean, variance = trees.window_moments(x, OFFSETS, n)
    np.testing.assert_allclose(mean, brute(x, n, np.mean), **close)
    np.testing.assert_allclose(variance, brute(x, n, np.var), rtol=1e-9, atol=1e-14)
    weights = np.random.default_rng(1).normal(size=n)
    np.testing.assert_allclose(rolling.weighted(x, OFFSETS, weights), brute(x, n, lambda w: w @ weights), **close)
    np.testing.assert_allclose(rolling.absolute_deviation(x, mean, OFFSETS, n), brute(x, n, lambda w: np.abs(w - w.mean()).mean()), **close)
    np.testing.assert_array_equal(trees.bars_since_extreme(x.round(), OFFSETS, n, 1.0), brute(x.round(), n, lambda w: np.argmax(w[::-1])))


@pytest.mark.parametrize("n", [3, 20, 60])
def test_joint_moments_use_the_pairs_that_are_known(x, n):
    generator = np.random.default_rng(2)
    y = 0.5 * x + generator.normal(size=300)
    x, y = np.where(generator.random(300) < 0.2, np.nan, x), np.where(generator.random(300) < 0.2, np.nan, y)
    pair = pairs.window_pair(x, y, OFFSETS, n)
    for a, b in zip(OFFSETS, OFFSETS[1:], strict=False):
        for t in range(a, b):
            window = slice(max(a, t - n + 1), t + 1)
            known = ~np.isnan(x[window] + y[window])
            assert pair[t, 0] == known.sum()
            if known.any():
                u, v = x[window][known], y[window][known]
                expected = [u.mean(), v.mean(), u.var(), v.var(), np.mean((u - u.mean()) * (v - v.mean()))]
                np.testing.assert_allclose(pair[t, 1:], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kernel", [
    lambda x, o: trees.window_sum(x, o, 5), lambda x, o: trees.window_extreme(x, o, 5, 1.0), lambda x, o: trees.window_moments(x, o, 5)[1],
    lambda x, o: rolling.weighted(x, o, np.ones(5)),
])
def test_a_gap_spoils_its_own_windows_only(x, kernel):
    holed = x.copy()
    holed[100] = np.nan
    value, whole = kernel(holed, OFFSETS), kernel(x, OFFSETS)
    spoiled = np.zeros(300, bool)
    spoiled[100:105] = True
    assert np.isnan(value[spoiled]).all()
    np.testing.assert_array_equal(value[~spoiled], whole[~spoiled])


def test_a_constant_window_has_exactly_no_spread_after_a_wild_one():
    x = np.concatenate([np.random.default_rng(0).normal(0, 1e6, 500), np.full(100, 0.1)])
    offsets = np.array([0, 600])
    assert (trees.window_moments(x, offsets, 20)[1][520:] == 0).all()
    assert (pairs.window_pair(x, x, offsets, 20)[520:, 3:] == 0).all()
    np.testing.assert_allclose(trees.window_sum(x, offsets, 20)[520:], 2.0, rtol=1e-15)


def test_a_small_spread_at_a_high_level_keeps_its_digits():
    x = 3000 + 1e-5 * np.random.default_rng(0).normal(size=400)
    variance = trees.window_moments(x, np.array([0, 400]), 20)[1]
    np.testing.assert_allclose(variance[19:], [np.var(x[t - 19:t + 1] - 3000) for t in range(19, 400)], rtol=1e-6)


def test_exponential_mean_starts_at_the_plain_mean_and_holds_over_a_gap():
    x = np.array([np.nan, 1.0, 2.0, 3.0, np.nan, 7.0])
    np.testing.assert_allclose(recursions.exponential(x, np.array([0, 6]), 0.5, 2), [np.nan, np.nan, 1.5, 2.25, 2.25, 4.625])
