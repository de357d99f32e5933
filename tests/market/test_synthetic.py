"""The demo market's process: what it says it expects is what happens on average."""

import numpy as np
import pytest

from financial_model.market.sources.synthetic import HORIZONS, TRANSITION, VARIANTS, simulate


def path(name, *, seed=1, stocks=150, days=900, kappa=None):
    plan = VARIANTS[name]
    return simulate(plan, stocks=stocks, days=days, seed=seed, kappa=plan.kappa if kappa is None else kappa)


def demeaned(values):
    return values - values.mean(1, keepdims=True)


def daily_ic(expected, realised):
    a, b = demeaned(expected), demeaned(realised)
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


def future(found, horizon):
    """[days - horizon, stocks] sum of the next returns."""
    total = np.vstack([np.zeros((1, found.returns.shape[1])), np.cumsum(found.returns, 0)])
    return total[1 + horizon :] - total[1:-horizon]


PLANTED = [name for name, plan in VARIANTS.items() if plan.kappa]


def test_rows_of_the_chain_are_probabilities():
    np.testing.assert_allclose(TRANSITION.sum(1), 1)


def test_the_same_seed_is_the_same_market_and_another_is_not():
    first, second, other = (path("linear", seed=seed, stocks=20, days=60) for seed in (3, 3, 4))
    for name in ("returns", "expected", "activity", "regime", "market"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert not np.array_equal(first.returns, other.returns)


@pytest.mark.parametrize("name", PLANTED)
def test_the_oracle_is_worth_what_it_promises(name):
    """One-day IC is 0.06 by design. Between markets it also varies with how long each regime lasts, so three markets are averaged."""
    series = [daily_ic(found.expected[:-1, :, 0].astype(float), found.returns[1:]) for found in (path(name, seed=seed) for seed in (1, 2, 3))]
    means = np.array([one.mean() for one in series])
    error = np.hypot(np.concatenate(series).std() / np.sqrt(sum(map(len, series))), means.std() / np.sqrt(3))
    assert abs(means.mean() - 0.06) < 3 * error
    assert means.mean() > 0.04


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("horizon", [1, 3, 10])
def test_the_truth_is_calibrated(name, horizon):
    """Realised returns regressed on expected ones, within dates: slope 1 within three standard errors over blocks of days."""
    numerators, denominators = [], []
    for seed in (1, 2):
        found = path(name, seed=seed)
        a, b = demeaned(found.expected[:-horizon, :, horizon - 1].astype(float)), demeaned(future(found, horizon))
        blocks = np.array_split(np.arange(len(a)), len(a) // 30)
        numerators += [(a[block] * b[block]).sum() for block in blocks]
        denominators += [(a[block] ** 2).sum() for block in blocks]
    top, bottom = np.array(numerators), np.array(denominators)
    slope = top.sum() / bottom.sum()
    error = np.sqrt(((top - slope * bottom) ** 2).sum()) / bottom.sum()
    assert abs(slope - 1) < 3 * error
    assert error < 0.2  # the test can tell 1 from 0


@pytest.mark.parametrize("name", ["null", "volatility_only"])
def test_markets_without_a_signal_expect_nothing(name):
    found = path(name)
    assert not found.expected.any()
    past = np.cumsum(found.returns, 0)
    reversal = -(past[5:] - past[:-5])[:-1]
    ic = daily_ic(reversal, found.returns[6:])
    assert abs(ic.mean()) < 3 * ic.std() / np.sqrt(len(ic))
    assert abs(found.market.mean()) < 3 * found.market.std() / np.sqrt(len(found.market))


def test_the_five_day_reversal_sees_part_of_the_linear_signal():
    found = path("linear")
    past = np.cumsum(found.returns, 0)
    ic = daily_ic(-(past[5:] - past[:-5])[:-1], found.returns[6:]).mean()
    assert 0.01 < ic < 0.06


def test_the_sign_of_sign_flip_turns_with_the_regime():
    found = path("sign_flip", days=1500)
    past = np.cumsum(found.returns, 0)
    ic = daily_ic(-(past[5:] - past[:-5])[:-1], found.returns[6:])
    regime = found.regime[5:-1]
    assert ic[np.isin(regime, (0, 2))].mean() > 0.01 > -0.01 > ic[np.isin(regime, (1, 3))].mean()


def test_one_style_forecasts_small_stocks_only():
    found = path("one_style")
    market_only = found.expected[:, found.style[:, 0] >= np.median(found.style[:, 0]), 0]
    small = found.expected[:, found.style[:, 0] < np.median(found.style[:, 0]), 0]
    assert market_only.std(1).mean() < 0.3 * small.std(1).mean()


def test_volatility_clusters_and_tails_are_fat():
    found = path("volatility_only", stocks=200)
    own = found.returns - found.market[:, None]
    squares = demeaned((own**2).T)
    assert (squares[:, 1:] * squares[:, :-1]).mean() / (squares**2).mean() > 0.05
    assert (own**4).mean() / (own**2).mean() ** 2 > 4
    assert np.abs(found.returns).max() <= 0.0931


@pytest.mark.parametrize("name", PLANTED)
def test_a_longer_market_begins_with_the_shorter_one(name):
    """So neither returns nor expectations of a day know anything of the days after it."""
    short, long = path(name, stocks=30, days=100), path(name, stocks=30, days=160)
    for part in ("returns", "volatility", "activity", "suspended", "regime", "market"):
        np.testing.assert_array_equal(getattr(short, part), getattr(long, part)[:100])
    np.testing.assert_allclose(short.expected, long.expected[:100], atol=1e-9)
    assert short.expected.shape == (100, 30, HORIZONS)
