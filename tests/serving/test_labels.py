"""A model asked another label than returns: trained, judged and ranked in that label's unit; what needs a return refuses in one sentence."""

import json
import shutil

import numpy as np
import pytest

from financial_model.datasets.panel import build_panel, open_panel
from financial_model.datasets.targets import label_returns
from financial_model.errors import ConfigError
from financial_model.evaluation.own_label import BASELINES
from financial_model.features.labels import future_volatility
from financial_model.models.baselines import baseline_class
from financial_model.serving import compare
from financial_model.serving.backtesting import backtest_run
from financial_model.serving.experiment import evaluate_run, run_training
from financial_model.serving.judging import stored
from financial_model.serving.label_forecasts import forecast_label, rank_label
from financial_model.serving.portable import export_run
from financial_model.serving.predictor import Predictor
from financial_model.training.checkpoint import read_header
from tests.serving.builders import SYMBOLS, tiny, workspace_in


@pytest.fixture(scope="module")
def asked(market, tmp_path_factory):
    """(workspace, run) of a model that forecasts the volatility of the coming days."""
    workspace = workspace_in(tmp_path_factory.mktemp("labels"))
    shutil.copytree(market.data_dir, workspace.data_dir)
    return workspace, run_training(workspace, tiny("calm", target="future_volatility", epochs=2))


def test_it_is_judged_in_its_own_unit_beside_baselines_that_mean_something(asked):
    found = stored(asked[1])
    metrics = found["metrics"]
    assert metrics["label"] == "future_volatility" and set(metrics["baselines"]) == set(BASELINES)
    assert 0 < metrics["mae"] < 0.02, "daily volatility of a few percent, as a fraction"
    assert metrics["mae"] < 1.5 * metrics["baselines"]["train_mean"]["mae"] and not {"direction", "mae_percent", "balanced_accuracy"} & set(metrics)
    assert found["recalibration"] is None and not (asked[1].path / "backtest.json").exists()
    assert "future_volatility" in (asked[1].path / "report.html").read_text("utf-8")
    header = read_header(asked[1].path / "final.safetensors")
    assert header["label"]["target"] == "future_volatility" and header["label"]["unit"] == "return" and "return" not in header["label"]
    assert evaluate_run(asked[0], "calm")["metrics"] == metrics
    assert any(item["key"].startswith("evaluation.own.") for item in found["result"]["verdict"])


def test_persistence_is_the_label_of_the_last_window_that_is_over(asked):
    """At day t it says what the label was for the window that ended so long ago that its last label bar is t, and reads nothing later."""
    config = asked[1].run_config()
    panel = open_panel(build_panel(asked[0], config))
    ends = np.arange(40, 60)
    said = baseline_class("persistence")().fit(panel, np.arange(20, 200), config).predict(panel, ends).expected
    np.testing.assert_allclose(said[:, 2], future_volatility(panel.prices[:, 0], ends - 3, 3), rtol=1e-5)
    np.testing.assert_allclose(said[:, 0], future_volatility(panel.prices[:, 0], ends - 1, 1), rtol=1e-5)
    young = baseline_class("persistence")().fit(panel, np.arange(20, 200), config).predict(panel, np.array([1])).expected
    np.testing.assert_allclose(young[0, 2], label_returns(panel, np.arange(20, 200), config.label)[:, 2].mean(), rtol=1e-5)


def test_forecasts_carry_the_name_of_the_label(asked):
    predictor = Predictor(asked[0])
    table = rank_label(predictor, "calm", top=5)
    assert list(table["rank"]) == [1, 2, 3, 4, 5] and (np.diff(table["future_volatility"]) <= 0).all()
    assert (table["future_volatility_low_80"] < table["future_volatility_high_80"]).all() and table.attrs["considered"] == len(SYMBOLS)
    one = forecast_label(predictor, "calm", "600519")
    assert one["label"] == "future_volatility" and one["horizon"] == len(one["table"]) == 3
    known = rank_label(predictor, "calm", top=0).set_index("symbol").loc["600519.SH", "future_volatility"]
    assert one["table"][-1]["future_volatility"] == pytest.approx(known, rel=1e-5)
    json.dumps(one)


@pytest.mark.parametrize("ask", [
    lambda workspace: Predictor(workspace).forecast("calm", "600519"),
    lambda workspace: Predictor(workspace).rank("calm"),
    lambda workspace: backtest_run(workspace, "calm"),
    lambda workspace: compare.begin(workspace, tiny(target="future_volatility"), ("gru", "mlp")),
    lambda workspace: export_run(workspace, "calm", workspace.data_dir / "model.onnx"),
], ids=["fan", "pool", "backtest", "compare", "onnx"])
def test_what_needs_a_return_refuses_in_one_sentence(asked, ask):
    with pytest.raises(ConfigError) as caught:
        ask(asked[0])
    assert caught.value.key == "label.no_return" and "future_volatility" in str(caught.value)


@pytest.mark.parametrize("change", [{"head": "classes"}, {"head": "multi"}, {"objective": "trend_aware"}, {"objective": "ic"}, {"unit": "rank"}])
def test_heads_objectives_and_units_of_returns_are_refused(change):
    from financial_model.config import problems

    found = [problem.key for problem in problems(tiny(target="future_volatility", **change)) if not problem.warning]
    assert found and set(found) <= {"config.label_needs_value", "config.label_unit", "config.rank_needs_point", "config.class_horizon"}


def test_an_unknown_label_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="log_return, future_volatility"):
        tiny(target="luck")


def test_a_quantile_model_of_a_label_begins_around_its_mean(asked):
    """A volatility is far from zero in units of its own spread; the first evaluation must not have to learn that."""
    from financial_model.training.events import read_events

    run = run_training(asked[0], tiny("levels", target="future_volatility", head="quantile", epochs=1, learning_rate=1e-9))
    first = next(event for event in read_events(run.path / "events.jsonl")[0] if event["kind"] == "epoch")
    levels = stored(run)["metrics"]
    assert levels["mae"] < 1.2 * levels["baselines"]["train_mean"]["mae"] and first["metrics"]["loss"] < 1
