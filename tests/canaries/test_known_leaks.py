"""How other systems came to believe in themselves, leak by leak: built on purpose on noise, it earns, and its detector rings.

Beside each stands the honest twin. What is not here is in its own file: random rows, other stocks, a missing purge, whole-sample scaling and centred
averages in test_detectors.py, direction and accuracy figures in test_leaks.py, dead gradients in tests/objectives, models that ignore their inputs in
tests/models/test_proofs.py, synthetic bars among real ones in tests/market.
"""

import math

import numpy as np
import pytest

from financial_model.evaluation import detectors
from financial_model.evaluation.metrics import daily_rank_ic
from financial_model.evaluation.significance import overfitting_probability
from financial_model.features import labels
from tests.canaries.noise import HORIZON, NAMES, Noise, momentum
from tests.evaluation.builders import DAY, START

CUT = 300


@pytest.fixture(scope="module")
def noise():
    return Noise()


def nothing(values):
    """Whether figures of several noise markets are zero within their own spread."""
    return abs(np.mean(values)) < 3 * np.std(values, ddof=1) / math.sqrt(len(values)) + 0.005


# ---------------------------------------------------------------- scaling
def minmax_of_each_part(price):
    """Training and test are scaled by the range of their own part: the test knows its lowest and highest price in advance."""
    parts = [price[:, :CUT], price[:, CUT:]]
    return -np.concatenate([(part - part.min(axis=1, keepdims=True)) / np.ptp(part, axis=1, keepdims=True) for part in parts], axis=1)


def minmax_of_training(price):
    seen = price[:, :CUT]
    return -(price - seen.min(axis=1, keepdims=True)) / np.ptp(seen, axis=1, keepdims=True)


def test_a_scaler_fitted_on_each_part_by_itself_earns_on_noise_and_rings(noise):
    late = noise.day >= CUT - noise.first

    def skill(market, feature):
        days = market.last - market.first
        return float(np.nanmean(daily_rank_ic(market.day[late], days, market.rows(feature(market.price))[late], market.label()[late])))

    assert skill(noise, minmax_of_each_part) > 0.05
    assert detectors.future_check(minmax_of_each_part, noise.price, 400).fired
    assert nothing([skill(Noise(seed), minmax_of_training) for seed in range(1, 9)])
    assert not detectors.future_check(minmax_of_training, noise.price, 400).fired


# ---------------------------------------------------------------- style and regime
def style_of_the_last_row(price):
    """The momentum style a stock has when the file ends, given to every window back to the start."""
    return np.broadcast_to(np.sign(price[:, -1:] - np.median(price[:, -1])), price.shape)


def style_of_the_date(price):
    past = momentum(price, 60)
    return np.sign(past - np.median(past, axis=0))


def test_a_style_label_from_the_end_of_the_file_earns_on_noise_and_rings(noise):
    assert noise.rank_ic(noise.rows(style_of_the_last_row(noise.price))) > 0.04
    assert detectors.future_check(style_of_the_last_row, noise.price, CUT).fired
    assert nothing([market.rank_ic(market.rows(style_of_the_date(market.price))) for market in map(Noise, range(1, 9))])
    assert not detectors.future_check(style_of_the_date, noise.price, CUT).fired


STAY, PULL = 0.97, 0.4
"""Of the two-state model: how likely a state lasts a day; how far a state moves the mean, in daily deviations."""


def rising(price, *, smoothed):
    """Probability [days] of the rising state of the market in a two-state Markov model: filtered, or smoothed over the whole series."""
    step = np.diff(price.mean(axis=0), prepend=price.mean(axis=0)[0]) / 0.0104
    likelihood = np.exp(-0.5 * (step[:, None] - np.array([PULL, -PULL])) ** 2)
    turn = np.array([[STAY, 1 - STAY], [1 - STAY, STAY]])
    forward = np.empty((len(step), 2))
    state = np.array([0.5, 0.5])
    for day, seen in enumerate(likelihood):
        state = (state @ turn) * seen
        forward[day] = state = state / state.sum()
    if not smoothed:
        return forward[:, 0]
    backward = np.ones((len(step), 2))
    for day in range(len(step) - 2, -1, -1):
        backward[day] = turn @ (likelihood[day + 1] * backward[day + 1])
        backward[day] /= backward[day].sum()
    both = forward * backward
    return both[:, 0] / both.sum(axis=1)


def test_a_regime_smoothed_over_the_whole_series_foretells_noise_and_rings(noise):
    def foretells(market, *, smoothed):
        index, at = market.price.mean(axis=0), np.arange(market.first, market.last)
        return float(np.corrcoef(rising(market.price, smoothed=smoothed)[at], index[at + HORIZON] - index[at])[0, 1])

    def by_stock(smoothed):
        return lambda price: np.broadcast_to(rising(price, smoothed=smoothed), price.shape)

    assert np.mean([foretells(Noise(seed), smoothed=True) for seed in range(4)]) > 0.3
    assert detectors.future_check(by_stock(True), noise.price, CUT).fired
    assert nothing([foretells(Noise(seed), smoothed=False) for seed in range(1, 13)])
    assert not detectors.future_check(by_stock(False), noise.price, CUT).fired


# ---------------------------------------------------------------- labels and inputs that overlap
def test_labels_from_prices_standardised_over_the_whole_period_are_other_labels_and_are_found(noise, monkeypatch):
    """Rises of 3 % of a z-score are no rises of 3 %, and the mean they are measured from lies in the future."""
    scored = (noise.price - noise.price.mean(axis=1, keepdims=True)) / noise.price.std(axis=1, keepdims=True)
    now = np.arange(noise.first, noise.last)
    true = np.digitize(noise.price[:, now + 3] - noise.price[:, now], [-0.02, 0.03])
    other = np.digitize((scored[:, now + 3] - scored[:, now]) / np.maximum(np.abs(scored[:, now]), 1e-9), [-0.02, 0.03])
    assert (true == other).mean() < 0.7, "a price that lies below its mean falls when the label says it rose"
    future = labels.Future(log_close=noise.price[0], log_open=noise.price[0], ends=np.array([100, 200]), horizon=3)

    def reads_beyond(function):
        monkeypatch.setitem(labels._LABELS, "tried", labels.Label(name="tried", help_en="", help_zh="", function=function))
        return labels.reads_beyond("tried", future, np.array([0, 0]))

    assert reads_beyond(lambda given: given.returns()[:, -1] / given.log_close.std())
    assert not reads_beyond(lambda given: given.returns()[:, -1])


def test_the_same_days_range_as_input_of_its_close_rings(noise):
    """The high and low of the day whose close is asked for are known only with that close."""
    rng = np.random.default_rng(4)
    step = np.diff(noise.price, axis=1, prepend=noise.price[:, :1])
    high, low = (np.maximum(step, 0) + np.abs(0.008 * rng.standard_normal(step.shape)), np.minimum(step, 0) - np.abs(
        0.008 * rng.standard_normal(step.shape)))
    asked = noise.rows(np.roll(step, -1, axis=1))
    late, early = (np.stack([noise.rows(np.roll(side, -shift, axis=1)) for side in (high, low)], axis=1) for shift in (1, 0))
    found = detectors.input_check(late, ("high", "low"), asked, noise.day)
    assert found.fired and "high" in found.fields["names"] and "low" in found.fields["names"]
    assert not detectors.input_check(early, ("high", "low"), asked, noise.day).fired


# ---------------------------------------------------------------- splits and choices
def test_a_split_by_the_rows_of_each_stock_rings():
    """A stock listed late has its first 80 % of rows inside the older stock's last 20 %."""
    old, young = START + DAY * np.arange(500), START + DAY * np.arange(350, 500)
    train = np.concatenate([stock[: int(0.8 * len(stock))] for stock in (old, young)])
    test = np.concatenate([stock[int(0.8 * len(stock)):] for stock in (old, young)])
    finding = detectors.split_check(train, train + HORIZON * DAY, test)
    assert finding.fired and finding.fields["rows"] > 60, "most of the young stock's training lies inside the test"
    cut = START + 400 * DAY
    rows = np.concatenate([old, young])
    kept = rows[rows < cut - HORIZON * DAY]
    assert not detectors.split_check(kept, kept + HORIZON * DAY, rows[rows >= cut]).fired


def test_the_best_epoch_chosen_on_the_test_shines_and_the_one_chosen_before_does_not(noise):
    """A hundred worthless states: the best on the test itself looks significant, the best on validation is nothing on the test."""
    rng, days = np.random.default_rng(5), noise.last - noise.first
    series = np.stack([daily_rank_ic(noise.day, days, rng.standard_normal(len(noise.day)), noise.label()) for _ in range(100)], axis=1)
    validation, test = series[:200].mean(axis=0), series[200:].mean(axis=0)
    error = 1 / math.sqrt(NAMES * (days - 200))
    assert test.max() > 2.2 * error
    assert abs(test[validation.argmax()]) < 2.2 * error
    assert overfitting_probability(series[200:], blocks=8) > 0.2, "the alarm: what is best in one half is nothing special in the other"
