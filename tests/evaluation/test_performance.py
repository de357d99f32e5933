"""Figures of a portfolio by hand, and what an honest backtest of noise looks like."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from financial_model.datasets.splits import seconds
from financial_model.evaluation import performance
from financial_model.evaluation.backtest import BacktestSettings, run_backtest
from financial_model.evaluation.market_days import MarketDays
from financial_model.features.labels import TRADES
from tests.evaluation.builders import DAY


def test_figures_by_hand():
    found = performance.figures(np.array([0.1, -0.2, 0.05]), 252.0)
    assert found["total_return"] == pytest.approx(1.1 * 0.8 * 1.05 - 1)
    assert found["max_drawdown"] == pytest.approx(-0.2)
    assert found["annual_return"] == pytest.approx((1.1 * 0.8 * 1.05) ** 84 - 1)
    assert found["calmar"] == pytest.approx(found["annual_return"] / 0.2)
    assert found["sharpe"] == pytest.approx(np.mean([0.1, -0.2, 0.05]) / np.std([0.1, -0.2, 0.05], ddof=1) * math.sqrt(252))
    assert found["win_rate"] == pytest.approx(2 / 3)


def test_a_first_day_loss_is_a_drawdown():
    assert performance.drawdown(np.array([-0.1, 0.05]))[0] == pytest.approx(-0.1)


def test_months_compound_their_days():
    time = np.array([seconds("2024-01-30"), seconds("2024-01-31"), seconds("2024-02-01")])
    assert performance.monthly(np.array([0.1, 0.1, -0.5]), time) == {"2024": {"1": pytest.approx(0.21), "2": pytest.approx(-0.5)}}


def test_break_even_cost_is_the_cost_that_eats_the_advantage():
    gross, turnover = np.array([0.01, 0.02]), np.array([1.0, 2.0])
    assert performance.break_even_cost(gross, np.zeros(2), turnover) == pytest.approx(0.01)
    assert performance.break_even_cost(gross, np.full(2, 0.03), turnover) < 0
    assert math.isnan(performance.break_even_cost(gross, np.zeros(2), np.zeros(2)))


def noise_market(days=400, names=40, seed=0):
    rng = np.random.default_rng(seed)
    close = 10 * np.exp(np.cumsum(0.02 * rng.standard_normal((days, names)), axis=0))
    return MarketDays(time=seconds("2022-01-03") + DAY * np.arange(days), symbols=tuple(f"{600000 + i}.SH" for i in range(names)), open=close,
                      close=close, factor=np.ones_like(close), amount=np.full_like(close, np.inf), flags=np.full(close.shape, TRADES, np.uint8),
                      index=100 + np.arange(days) * 0.01, index_name="000300.SH"), rng


@pytest.fixture(scope="module")
def noise():
    market, rng = noise_market()
    return performance.summarize(run_backtest(market, rng.standard_normal(market.open.shape), BacktestSettings(top=10)), market, trials=5,
                                 trial_variance=0.002, draws=300)


def test_trading_on_noise_earns_about_minus_the_costs(noise):
    metrics = noise["metrics"]
    assert metrics["turnover"] > 0.4  # half of the book a day
    gross, net = noise["gross"]["annual_return"], metrics["annual_return"]
    assert math.log1p(gross) - math.log1p(net) == pytest.approx(metrics["cost_per_year"], rel=0.05)
    low, high = metrics["excess_equal_weight_interval"]
    assert low < metrics["excess_equal_weight"] < high and metrics["excess_equal_weight"] < 0
    assert abs(metrics["break_even_cost_equal_weight"]) < 0.002
    assert metrics["deflated_sharpe"] < 0.5


def test_the_summary_is_json_with_every_part(noise):
    assert json.loads(json.dumps(noise, allow_nan=False)) == noise
    assert set(noise["series"]) == {"time", "net", "gross", "drawdown", "equal_weight", "index"}
    assert len({len(values) for values in noise["series"].values()}) == 1
    assert noise["series"]["gross"][-1] > noise["series"]["net"][-1]
    assert len(noise["trades"]) == noise["metrics"]["trades"]
    assert performance.trades_csv(noise).count("\n") == noise["metrics"]["trades"] + 1
    assert noise["blocked"] == {"buy": {}, "sell": {}}


def test_a_perfect_forecast_beats_both_benchmarks():
    market, _ = noise_market(seed=1)
    future = np.full(market.open.shape, np.nan)
    future[:-2] = market.open[2:] / market.open[1:-1] - 1  # from the next open, where it is bought, to the one after
    data = performance.summarize(run_backtest(market, future, BacktestSettings(top=10, drop=0)), market, draws=300)
    assert data["metrics"]["excess_equal_weight_interval"][0] > 0 and data["metrics"]["information_ratio_index"] > 5
    assert data["verdict"][0]["key"].endswith("excess_above")


def test_trials_are_deflated_even_where_their_spread_is_not_known():
    market, rng = noise_market(days=300)
    result = run_backtest(market, rng.standard_normal(market.open.shape), BacktestSettings(top=10))
    alone, many = (performance.summarize(result, market, trials=trials, draws=20)["metrics"]["deflated_sharpe"] for trials in (1, 50))
    assert many < 0.7 * alone


@pytest.mark.parametrize(("changes", "said", "unsaid"), [
    ({}, {"st_unknown", "dividends", "price_index"}, set()),
    ({"st_known": True}, {"dividends", "price_index"}, {"st_unknown"}),
    ({"index": None, "index_name": ""}, {"st_unknown"}, {"price_index"}),
    ({"symbols": tuple(f"US{number}" for number in range(40))}, {"dividends"}, {"st_unknown"}),
])
def test_what_flatters_is_said_where_it_applies(changes, said, unsaid):
    market, rng = noise_market(days=60)
    market = replace(market, **changes)
    found = performance.summarize(run_backtest(market, rng.standard_normal(market.open.shape)), market, draws=20)["verdict"]
    keys = {item["key"].rpartition(".")[2] for item in found}
    assert said <= keys and not unsaid & keys


def test_few_days_have_no_interval_and_say_so():
    market, rng = noise_market(days=30)
    data = performance.summarize(run_backtest(market, rng.standard_normal(market.open.shape)), market)
    assert data["metrics"]["sharpe_interval"] is None and data["verdict"][0]["key"].endswith("few_days")
