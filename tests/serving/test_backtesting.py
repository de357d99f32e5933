"""A portfolio that follows a run: made with every evaluation, repeated with other settings, each of them counted."""

import json

import numpy as np
import pytest

from financial_model.datasets.panel import open_panel
from financial_model.errors import DataError, NotFoundError
from financial_model.evaluation.backtest import BacktestSettings
from financial_model.market.store import Store
from financial_model.serving import backtesting, judging, trials
from financial_model.serving.backtesting import backtest_run
from financial_model.serving.experiment import evaluate_run, run_training
from financial_model.serving.runs import RunStore
from financial_model.training.checkpoint import read_header
from tests.serving.builders import SYMBOLS, tiny


# ---------------------------------------------------------------- what every evaluation leaves
def test_a_finished_run_has_a_backtest_and_a_recalibration_and_its_report_shows_both(finished):
    workspace, run = finished
    made, found = trials.read_backtest(run), judging.stored(run)
    assert made["test"] == found["split"]["test"] and made["settings"]["top"] == 30 and made["metrics"]["days"] == found["metrics"]["dates"] + 3 - 1
    assert found["missing"] == []
    rows = {row["name"]: row for row in found["recalibration"]["rows"]}
    assert {"coverage_80", "pinball", "mark_score_gated"} <= set(rows) and 0 <= rows["coverage_80"]["after"] <= 1
    header = read_header(run.path / "final.safetensors")
    assert set(header["recalibration"]) >= {"quantiles", "gate"} and header["recalibration"] == found["recalibration"]["adjustments"][-1]
    text = (run.path / "report.html").read_text("utf-8")
    assert "Backtest" in text and "Deepest drawdown" in text and "Recalibrat" in text


def test_a_panel_without_dates_enough_for_recalibration_says_so_and_costs_nothing_else(filled):
    run = run_training(filled, tiny("short", validation=0.05, train=0.85, epochs=1))
    found = judging.stored(run)
    assert run.state == "finished" and found["recalibration"] is None
    assert found["missing"][0]["key"] == "evaluation.calibration_few_dates"
    assert "too few to recalibrate" in (run.path / "report.html").read_text("utf-8")


def test_recalibration_never_sees_a_test_date(finished, monkeypatch):
    from financial_model.evaluation import calibration

    workspace, run = finished
    panel = open_panel(workspace.panels / evaluate_run(workspace, run.id)["fingerprint"])
    seen, real = [], calibration.fit_quantiles
    monkeypatch.setattr(calibration, "fit_quantiles", lambda validation, *rest: seen.append(validation.end) or real(validation, *rest))
    judging.judge(run.path / "final.safetensors", panel, progress=lambda *_: None)
    split = read_header(run.path / "final.safetensors")["split"]
    from financial_model.datasets.splits import seconds

    assert panel.time[seen[0]].max() <= seconds(split["validation"]["last"]) and panel.time[seen[0]].min() >= seconds(split["validation"]["first"])


# ---------------------------------------------------------------- on request
def test_other_settings_give_another_portfolio_and_are_counted_as_trials(copied):
    first = backtest_run(copied, "finished", settings=BacktestSettings(top=3, drop=1))
    assert first["settings"]["top"] == 3 and first["metrics"]["trades"] > 0 and first["metrics"]["trials"] == 2
    again = backtest_run(copied, "finished", settings=BacktestSettings(top=3, drop=1))
    assert again["metrics"]["trials"] == 2 and again["series"] == first["series"], "the same settings are no new trial"
    third = backtest_run(copied, "finished", settings=BacktestSettings(top=2, drop=1))
    assert third["metrics"]["trials"] == 3 and [entry["settings"]["top"] for entry in third["tried"]] == [30, 3, 2]
    run = RunStore(copied.checkpoint_dir).get("finished")
    assert trials.read_backtest(run)["settings"]["top"] == 2 and json.loads((run.path / "evaluation.json").read_text())["test_opened"] == 1
    held = max(np.bincount([SYMBOLS.index(trade["symbol"]) for trade in third["trades"]]))
    assert held >= 1 and "Backtest" in (run.path / "report.html").read_text("utf-8")


def test_it_trades_only_on_test_dates_after_the_signal(copied):
    found = backtest_run(copied, "finished", settings=BacktestSettings(top=3))
    first = evaluate_run(copied, "finished")["split"]["test"]["first"]
    assert all(trade["date"] > first for trade in found["trades"])


def test_a_run_whose_forecasts_are_lost_says_so(copied):
    run = RunStore(copied.checkpoint_dir).get("finished")
    panel = open_panel(copied.panels / evaluate_run(copied, run.id)["fingerprint"])
    assert len(judging.stored_forecasts(run, panel)) > 0
    (run.path / judging.FORECASTS).unlink()
    with pytest.raises(DataError, match="Evaluate the run again"):
        judging.stored_forecasts(run, panel)
    with pytest.raises(NotFoundError):
        backtest_run(copied, "nobody")


def test_bars_within_the_day_are_refused(finished):
    workspace, run = finished
    panel = open_panel(workspace.panels / evaluate_run(workspace, run.id)["fingerprint"])
    forecasts = judging.stored_forecasts(run, panel)
    vars_of = {**vars_or_slots(panel), "time": panel.time + 3600}
    with pytest.raises(DataError, match="needs daily bars"):
        backtesting.backtest(forecasts, type(panel)(**vars_of), Store(workspace.data_dir), run.run_config())


def vars_or_slots(panel):
    from dataclasses import fields

    return {field.name: getattr(panel, field.name) for field in fields(panel)}


# ---------------------------------------------------------------- how often it was tried
def test_every_run_on_the_same_market_is_a_trial_of_the_next(copied):
    run_training(copied, tiny("second", epochs=1))
    runs = RunStore(copied.checkpoint_dir)
    second = judging.stored(runs.get("second"))
    assert second["result"]["trials"] == 2 and any(item["key"].endswith("trials") for item in second["result"]["verdict"])
    runs.delete("finished")
    assert trials.count(runs, runs.get("second")) == 2, "what was deleted was tried all the same"
    runs.trash.empty()
    assert trials.count(runs, runs.get("second")) == 2, "also when it is gone for good"


def test_the_probability_of_overfitting_is_stated_from_ten_portfolios_on():
    rng = np.random.default_rng(0)
    time = [86_400 * day for day in range(64)]

    def other():
        return {"series": {"time": time, "net": np.cumprod(1 + 0.01 * rng.standard_normal(64)).tolist()}}

    result = {**other(), "verdict": []}
    few, many = [other() for _ in range(5)], [other() for _ in range(12)]
    assert backtesting._overfitting(result, few) == {"overfitting": None, "verdict": []}
    found = backtesting._overfitting(result, many)
    assert 0.1 < found["overfitting"] <= 1, "the best of thirteen worthless portfolios is luck"
    assert found["verdict"][-1]["fields"] == {"count": 13, "value": found["overfitting"]}
    elsewhere = [{"series": {"time": entry["series"]["time"][1:], "net": entry["series"]["net"][1:]}} for entry in many]
    assert backtesting._overfitting(result, elsewhere)["overfitting"] is None, "only portfolios on the same days are compared"
