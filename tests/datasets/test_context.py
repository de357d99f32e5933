"""How long a window is: drawn for each batch, or estimated from what returns remember on training dates."""

import numpy as np
import pytest

from financial_model import config as settings
from financial_model.config import FeatureConfig
from financial_model.datasets.context import STOCKS, chosen, estimate, of_panel, random_lengths
from tests.datasets.builders import make_bars, make_panel


def noise(count, seed=0):
    return np.random.default_rng(seed).normal(0, 0.01, count)


def echo(count, lag, seed=0):
    """Noise and the same ``lag`` bars before: its autocorrelation is a half at that lag and nothing elsewhere."""
    source = noise(count + lag, seed)
    return source[lag:] + source[:-lag]


# ---------------------------------------------------------------- random
def test_a_random_context_has_a_few_lengths_up_to_the_whole_window():
    assert random_lengths(FeatureConfig(context_length=100)) == (20, 40, 60, 80, 100)
    assert random_lengths(FeatureConfig(context_length=7, context_low=6)) == (6, 7)
    assert random_lengths(FeatureConfig(context_length=10)) == (10,), "never longer than the window"


# ---------------------------------------------------------------- automatic
def test_the_last_lag_that_chance_does_not_explain_is_the_length():
    found = estimate([echo(4000, 11, seed) for seed in range(8)], 2, 100)
    assert found.band == pytest.approx(1.96 / np.sqrt(4000)) and found.bars == 4000 and found.stocks == 8
    assert found.last == found.context_length == 11
    assert found.returns[10] == pytest.approx(0.5, abs=0.02) and found.outside == 2, "of the returns, and of their size"


def test_restlessness_remembers_where_returns_do_not():
    restless = [noise(4000, seed) * np.exp(80 * echo(4000, 30, seed + 100)) for seed in range(8)]
    found = estimate(restless, 2, 100)
    assert found.last == 30 and found.outside == 1 and abs(found.returns[29]) < found.band < found.absolute[29]


def test_the_autocorrelation_is_the_textbooks():
    series = echo(300, 5)
    centred = series - series.mean()
    by_hand = [centred[lag:] @ centred[:-lag] / (centred @ centred) for lag in range(1, 21)]
    assert np.allclose(estimate([series], 2, 20).returns, by_hand, atol=1e-6)


def test_noise_of_many_stocks_remembers_nothing_and_the_bounds_hold():
    quiet = estimate([noise(2000, seed) for seed in range(20)], 20, 100)
    assert (quiet.last, quiet.outside, quiet.context_length) == (0, 0, 20)
    assert estimate([echo(3000, 29, seed) for seed in range(20)], 5, 20).context_length == 5, "lags beyond the bounds are not looked at"
    assert estimate([echo(3000, 7, seed) for seed in range(20)], 10, 20).context_length == 10


def test_little_or_nothing_to_look_at():
    short = estimate([noise(30), noise(9)], 5, 100)
    assert len(short.returns) <= 15 and 5 <= short.context_length <= 100
    for nothing in ([], [np.zeros(50)], [np.array([0.1])]):
        found = estimate(nothing, 20, 100)
        assert (found.context_length, found.stocks, found.returns) == (20, 0, ())


def test_later_bars_have_no_say(tmp_path):
    """Training dates alone: another future gives the same estimate."""
    bars = make_bars((300, 260, 300))
    config = settings.build({"context": "auto", "horizon": 3, "context_low": 2, "context_high": 40})
    before = of_panel(make_panel(tmp_path / "one", bars), config)
    last = 0.8 * 300
    day = (bars.time - bars.time.min()) // 86_400
    bars.close = np.where(day >= last, 20 + np.sin(np.arange(len(day))), bars.close)
    after = of_panel(make_panel(tmp_path / "two", bars), config)
    assert before == after and before.stocks == 3 and 180 < before.bars < 0.8 * 300
    bars.close = np.where(day >= last - 30, 20 + np.sin(np.arange(len(day))), bars.close)
    assert of_panel(make_panel(tmp_path / "three", bars), config) != before


def test_many_stocks_are_sampled_evenly():
    assert list(chosen(3)) == [0, 1, 2] and len(chosen(5000)) <= STOCKS and chosen(5000)[-1] > 4700


# ---------------------------------------------------------------- settings
def test_the_length_is_decided_once_the_data_are_known():
    assert settings.resolve(settings.build({"context": "random"}), 3).features.context_length == 100
    auto = settings.build({"context": "auto"})
    assert settings.resolve(auto, 3, 34).features.context_length == 34
    again = settings.resolve(settings.resolve(auto, 3, 34), 3, 34)
    assert again.features.context_length == 34 and again.features.context == "auto"
    assert settings.resolve(settings.build({"context_length": 48}), 3, 34).features.context_length == 48


@pytest.mark.parametrize(("given", "field", "key"), [
    ({"context": "random", "context_low": 50, "context_high": 40}, "context_low", "context_bounds"),
    ({"context": "random", "method": "pretrain", "backbone": "transformer", "patches": True, "context_low": 30}, "context", "context_pretrain"),
    ({"context": "auto", "method": "lora", "init_from": "base"}, "context", "context_of_base"),
    ({"context": "random", "backbone": "transformer", "patches": True}, "patches", "shorter_than_patch"),
    ({"context": "auto", "method": "pretrain", "backbone": "transformer", "patches": True, "context_low": 24}, "context_low",
     "pretrain_needs_two_patches")])
def test_what_leaves_no_length_is_said_at_its_field(given, field, key):
    assert [(problem.field, problem.key) for problem in settings.problems(settings.build(given))] == [(field, f"config.{key}")]


def test_bounds_that_nobody_uses_are_no_problem():
    assert not settings.problems(settings.build({"context_low": 50, "context_high": 40}))
