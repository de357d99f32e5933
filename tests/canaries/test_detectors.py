"""Every classical leak, built on purpose on a market of pure noise: it must look brilliant, and its detector must ring.

Beside each stands the honest twin, which must look like nothing and leave the detector silent.
"""

import math

import numpy as np
import pytest

from financial_model.evaluation import detectors
from financial_model.evaluation.evaluate import evaluate
from financial_model.evaluation.metrics import daily_rank_ic
from financial_model.evaluation.significance import newey_west
from tests.canaries.noise import HORIZON, NAMES, Noise, momentum
from tests.evaluation.builders import DAY, START, all_ends, config, make_panel, noise_prediction, predict_from


def centred_average(price: np.ndarray) -> np.ndarray:
    """Distance to a five-day mean that ends two days in the future."""
    padded = np.pad(price, ((0, 0), (2, 2)), mode="edge")
    return np.mean([padded[:, i:i + price.shape[1]] for i in range(5)], axis=0) - price


def trailing_average(price: np.ndarray) -> np.ndarray:
    padded = np.pad(price, ((0, 0), (4, 0)), mode="edge")
    return np.mean([padded[:, i:i + price.shape[1]] for i in range(5)], axis=0) - price


def ridge(train_x, train_y, test_x, penalty=1.0):
    center, scale = train_x.mean(axis=0), train_x.std(axis=0) + 1e-12
    x = (train_x - center) / scale
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (train_y - train_y.mean()))
    return (test_x - center) / scale @ weights


@pytest.fixture(scope="module")
def noise():
    return Noise()


# ---------------------------------------------------------------- the evaluator itself
def test_shuffling_outcomes_within_a_date_leaves_no_correlation(noise):
    oracle = noise.label() + 0.01 * np.random.default_rng(0).standard_normal(len(noise.day))
    assert noise.rank_ic(oracle) > 0.8
    finding = detectors.shuffle_check(oracle, noise.label(), noise.day)
    assert not finding.fired and abs(finding.fields["value"]) < 0.01


def test_shuffling_keeps_every_date_whole(noise):
    shuffled = detectors.shuffle_within_date(noise.label(), noise.day, np.random.default_rng(1))
    for day in (0, 100, 300):
        np.testing.assert_array_equal(np.sort(shuffled[noise.day == day]), np.sort(noise.label()[noise.day == day]))
    assert (shuffled != noise.label()).mean() > 0.9


def test_an_oracle_forecast_gives_exactly_the_oracle_ic():
    panel = make_panel(names=80, days=400, planted=0.1, seed=5)
    ends = all_ends(panel, horizon=1)
    result = evaluate(predict_from(panel.oracle[ends, 0], ends, 1), panel, config(horizon=1), {}, draws=200)
    assert result["ic"] == pytest.approx(result["oracle_ic"], abs=1e-9) and result["recovery"] == pytest.approx(1.0)
    error = 1 / math.sqrt(80 * result["sample"]["dates"])
    assert result["ic"] == pytest.approx(0.1, abs=4 * error)  # what was planted
    assert not [item for item in result["verdict"] if item["level"] == "warning"]


def test_a_constant_forecast_is_undefined():
    panel = make_panel(names=20, days=150)
    ends = all_ends(panel)
    for constant in (0.0, 0.013):
        result = evaluate(predict_from(np.full(len(ends), constant), ends), panel, config(), {}, draws=50)
        assert result["ic"] is None and result["rank_ic"] is None and result["icir"] is None
        assert result["verdict"][0]["key"].endswith("constant")


def test_twenty_null_markets_report_nothing():
    """|IC| within three standard errors over seeds, and the 95 % intervals miss zero about as rarely as they say."""
    values, missed, direction = [], 0, []
    for seed in range(20):
        panel = make_panel(names=30, days=260, seed=100 + seed)
        ends = all_ends(panel)
        result = evaluate(noise_prediction(panel, ends, seed=seed), panel, config(), {}, draws=200)
        values.append(result["rank_ic"])
        missed += not result["rank_ic_interval"][0] <= 0 <= result["rank_ic_interval"][1]
        direction.append(result["direction_edge_interval"][0] <= 0)
    assert abs(np.mean(values)) < 3 * np.std(values, ddof=1) / math.sqrt(20)
    assert missed <= 4 and sum(direction) >= 18


# ---------------------------------------------------------------- labels
def test_labels_one_day_early_are_easy_and_ring(noise):
    """A ridge on trailing returns learns nothing from the right labels and a great deal from labels that start one day too soon."""
    x = np.stack([noise.rows(momentum(noise.price, days)) for days in (1, 2, 5, 10, 20)], axis=1)
    train = noise.day < 250
    test = noise.day >= 250 + HORIZON

    def skill(label):
        score = np.full(len(label), np.nan)
        score[test] = ridge(x[train], label[train], x[test])
        return float(np.nanmean(daily_rank_ic(noise.day[test], int(noise.day.max()) + 1, score[test], label[test])))

    honest, early = skill(noise.label()), skill(noise.label(shift=-1))
    assert abs(honest) < 0.05 and early > 0.3
    assert detectors.label_shift_check(honest, early).fired
    assert not detectors.label_shift_check(honest, skill(noise.label(shift=1))).fired


def test_a_label_among_the_inputs_is_named(noise):
    rng = np.random.default_rng(2)
    clean = np.stack([noise.rows(momentum(noise.price, days)) for days in (1, 5, 20)], axis=1)
    assert not detectors.input_check(clean, ("r1", "r5", "r20"), noise.label(), noise.day).fired
    leaked = np.column_stack([clean, noise.label() + 0.03 * rng.standard_normal(len(noise.day))])
    finding = detectors.input_check(leaked, ("r1", "r5", "r20", "future_return"), noise.label(), noise.day)
    assert finding.fired and finding.fields["names"].startswith("future_return")
    assert "future_return" in finding.sentence() and "未来" in finding.sentence("zh")


# ---------------------------------------------------------------- features that know the whole sample
def whole_sample_zscore(price):
    return -(price - price.mean(axis=1, keepdims=True)) / price.std(axis=1, keepdims=True)


def whole_sample_minmax(price):
    low, high = price.min(axis=1, keepdims=True), price.max(axis=1, keepdims=True)
    return -(price - low) / (high - low)


@pytest.mark.parametrize(("feature", "at_least"), [(centred_average, 0.2), (whole_sample_zscore, 0.04), (whole_sample_minmax, 0.04)])
def test_a_feature_that_sees_the_whole_sample_earns_on_noise_and_rings(noise, feature, at_least):
    assert noise.rank_ic(noise.rows(feature(noise.price))) > at_least
    assert detectors.future_check(feature, noise.price, 300).fired


@pytest.mark.parametrize("feature", [lambda price: momentum(price, 20), trailing_average])
def test_an_honest_feature_earns_nothing_on_noise_and_stays_silent(feature):
    skills = [market.rank_ic(market.rows(feature(market.price))) for market in map(Noise, range(1, 9))]
    assert abs(np.mean(skills)) < 3 * np.std(skills, ddof=1) / math.sqrt(8) + 0.005
    assert not detectors.future_check(feature, Noise().price, 300).fired


# ---------------------------------------------------------------- splits
def nearest_training_label(noise, train):
    """The simplest learner that a leaking split rewards: for each row, the label of its stock's nearest training day."""
    label = noise.label().reshape(noise.names, -1)
    days = np.flatnonzero(train)
    nearest = days[np.abs(np.arange(label.shape[1])[:, None] - days).argmin(axis=1)]
    return label[:, nearest].ravel()


def split_finding(noise, train):
    time = START + DAY * noise.day
    rows = train[noise.day]
    return detectors.split_check(time[rows], time[rows] + HORIZON * DAY, time[~rows])


def test_a_random_split_of_dates_rewards_memory_and_rings(noise):
    train = np.random.default_rng(3).random(int(noise.day.max()) + 1) < 0.8
    test = ~train[noise.day]
    score = nearest_training_label(noise, train)
    days = int(noise.day.max()) + 1
    assert np.nanmean(daily_rank_ic(noise.day[test], days, score[test], noise.label()[test])) > 0.5  # the overlapping label repeats itself
    assert split_finding(noise, train).fired


def test_a_split_by_date_with_a_purge_rewards_nothing_and_stays_silent(noise):
    days = int(noise.day.max()) + 1
    test = noise.day >= 300
    skills = []
    for seed in range(1, 9):
        market = Noise(seed)
        score = nearest_training_label(market, np.arange(days) < 300 - HORIZON)
        skills.append(np.nanmean(daily_rank_ic(market.day[test], days, score[test], market.label()[test])))
    assert abs(np.mean(skills)) < 3 * np.std(skills, ddof=1) / math.sqrt(8) + 0.005
    time = START + DAY * noise.day
    kept = noise.day < 300 - HORIZON
    assert not detectors.split_check(time[kept], time[kept] + HORIZON * DAY, time[test]).fired


def test_a_missing_purge_rings(noise):
    time = START + DAY * noise.day
    kept, test = noise.day < 300, noise.day >= 300
    finding = detectors.split_check(time[kept], time[kept] + HORIZON * DAY, time[test])
    assert finding.fired and finding.fields["rows"] == NAMES * HORIZON


def test_a_test_of_other_stocks_on_the_same_dates_rings(noise):
    """The common factor of the training dates gives the raw direction of the test dates away."""
    train, test = noise.stock < 30, noise.stock >= 30
    label = noise.label()
    market = np.bincount(noise.day[train], weights=label[train]) / 30
    hit = ((market[noise.day[test]] > 0) == (label[test] > 0)).mean()
    base = max((label[test] > 0).mean(), (label[test] <= 0).mean())
    assert hit > base + 0.05
    time = START + DAY * noise.day
    assert detectors.split_check(time[train], time[train] + HORIZON * DAY, time[test]).fired
    assert detectors.universe_check({f"{i}" for i in range(30)}, {f"{i}" for i in range(30, 60)}).fired
    assert not detectors.universe_check({f"{i}" for i in range(60)}, {f"{i}" for i in range(5, 60)}).fired


# ---------------------------------------------------------------- t values
def test_the_naive_t_of_an_overlapping_label_finds_noise_significant_and_newey_west_does_not():
    naive = honest = rang = 0
    markets = 100
    for seed in range(markets):
        noise = Noise(seed, names=40, days=560, horizon=10)
        series = daily_rank_ic(noise.day, noise.last - noise.first, noise.rows(momentum(noise.price, 20)), noise.label())
        naive += abs(newey_west(series, 0).t) > 2
        honest += abs(newey_west(series, 29).t) > 2
        rang += detectors.overlap_check(series, 29).fired
    assert naive > 0.3 * markets
    assert honest < 0.16 * markets
    assert rang > 0.25 * markets


def test_a_raw_hit_rate_in_a_rising_market_is_no_skill():
    panel = make_panel(names=40, days=300, seed=8, drift=0.004)
    ends = all_ends(panel)
    bullish = 0.02 + 0.005 * np.random.default_rng(0).standard_normal(len(ends))
    result = evaluate(predict_from(bullish, ends), panel, config(), {}, draws=200)
    assert result["direction"] > 0.58  # it reads like skill
    assert result["direction_base_rate"] >= result["direction"] - 0.01
    assert result["direction_edge_interval"][0] <= 0 and result["rank_ic_interval"][0] < 0 < result["rank_ic_interval"][1]
