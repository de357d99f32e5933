"""Volatility and momentum of the head multi stand beside naive forecasts that read no bar after the window."""

import dataclasses

import numpy as np
import pytest

from financial_model.evaluation.evaluate import evaluate
from financial_model.evaluation.report import render_report
from financial_model.evaluation.report_tasks import task_tables
from financial_model.evaluation.report_words import Words
from financial_model.evaluation.tasks import weighted_volatility
from financial_model.features.labels import future_momentum, future_volatility
from financial_model.ui import results
from financial_model.ui.text import View
from tests.evaluation.builders import all_ends, config, make_panel, predict_from


@pytest.fixture(scope="module")
def judged():
    """A model that knows the coming volatility exactly, and always says no momentum."""
    panel = make_panel(names=8, days=200)
    ends = all_ends(panel)
    truth = future_volatility(panel.prices[:, 0], ends, 5).astype(np.float32)
    said = dataclasses.replace(predict_from(np.zeros(len(ends)), ends), volatility=truth, momentum=np.zeros(len(ends), np.float32))
    return panel, ends, evaluate(said, panel, config(), draws=200)


def test_a_perfect_volatility_has_no_error_and_beats_both_naive_ones(judged):
    found = judged[2]["tasks"]["volatility"]
    assert found["mae"] < 1e-5 and found["rank_ic"] == pytest.approx(1) and set(found["baselines"]) == {"trailing", "ewma"}
    for naive in found["baselines"].values():
        low, high = naive["difference"]["mae_interval"]
        assert naive["mae"] > 0.1 and high < 0 and naive["difference"]["mae"] == pytest.approx(found["mae"] - naive["mae"])


def test_errors_are_percent_per_bar_and_momentum_is_a_number_between_minus_one_and_one(judged):
    panel, ends, result = judged
    trailing = np.abs(100 * (panel.volatility[ends] - future_volatility(panel.prices[:, 0], ends, 5))).mean()
    assert result["tasks"]["volatility"]["baselines"]["trailing"]["mae"] == pytest.approx(trailing, rel=1e-6)
    momentum = result["tasks"]["momentum"]
    assert momentum["mae"] == pytest.approx(np.abs(future_momentum(panel.prices[:, 0], ends, 5)).mean()) and momentum["rank_ic"] is None
    assert momentum["baselines"]["zero"]["difference"]["mae"] == 0 and momentum["baselines"]["persistence"]["mae"] > momentum["mae"]


def test_the_naive_forecasts_know_nothing_that_comes_later(judged):
    """With every later price changed, what they said up to a day stays bit for bit."""
    panel, cut = judged[0], 120
    log_close = panel.prices[:200, 0].copy()
    changed = np.concatenate((log_close[:cut], log_close[cut:] + np.random.default_rng(1).normal(0, 0.1, 80)))
    one = np.array([0, 200])
    before, after = (weighted_volatility(prices, one, panel.volatility, 0.94) for prices in (log_close, changed))
    assert np.array_equal(before[:cut], after[:cut]) and not np.array_equal(before, after)
    moves = np.diff(log_close[:4])
    by_hand = 0.94**3 * 0.02**2 + 0.06 * (0.94**2 * moves[0] ** 2 + 0.94 * moves[1] ** 2 + moves[2] ** 2)
    assert before[3] ** 2 == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("language, word", [("en", "trailing 21 bars"), ("zh", "过去 21 根")])
def test_the_tables_stand_in_the_report_and_any_other_head_has_none(judged, language, word):
    panel, ends, result = judged
    assert word in render_report(result, name="multi", language=language)
    tables = task_tables(result["tasks"], Words(language))
    assert len(tables) == 2 and len(tables[0]["rows"]) == 5 and tables[0]["rows"][0]["model"]
    assert word in results.tasks(View(language, "red_up"), {"result": result})
    assert evaluate(predict_from(np.zeros(len(ends)), ends), panel, config(), draws=50)["tasks"] == {}
