"""Objectives that compare the stocks of a date: they learn the order, find a size for it afterwards, and resume like any other."""

import dataclasses

import numpy as np
import pytest
from safetensors.torch import load_file

from financial_model.config import DATE_OBJECTIVES
from financial_model.datasets.loader import WindowLoader
from financial_model.errors import DataError
from financial_model.objectives import objective
from financial_model.text import has
from financial_model.training import session, step
from financial_model.training.checkpoint import load_checkpoint, read_header
from financial_model.training.constants import constant_forecasts, constant_losses
from financial_model.training.validation import fit_scale
from tests.training.builders import StopAfter, events_of, make_config, make_panel, run

QUICK = {"epochs": 4, "batch_size": 30, "learning_rate": 1e-2, "model": {"dropout": 0.0}}


@pytest.mark.parametrize("name", DATE_OBJECTIVES)
def test_the_planted_order_is_found_and_gets_the_right_size(tmp_path, panel, name):
    seen = []
    run(make_config(objective=name, **QUICK), panel, tmp_path, score=lambda prediction, panel: seen.append(prediction) or {})
    losses = [event["metrics"]["loss"] for event in events_of(tmp_path, "epoch")]
    constant = {event["name"]: event["metrics"]["loss"] for event in events_of(tmp_path, "baseline")}
    assert min(losses) < 0.75 * constant["zero"]
    best = seen[int(np.argmin(losses))]
    unit = panel.volatility[best.end]
    truth, forecast = (panel.prices[best.end + 1, 0] - panel.prices[best.end, 0]) / unit, best.expected[:, 0] / unit
    slope = (forecast * truth).sum() / np.square(forecast).sum()
    assert slope == pytest.approx(1, abs=1e-3)  # the size was fitted on these very dates
    scale = read_header(tmp_path / "final.safetensors")["extras"]["scale"]
    assert len(scale) == 2 and min(scale) > 0


def test_a_constant_has_no_order(panel):
    """1 - correlation of a constant is 1; a pair without a preference costs log 2."""
    z, label = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32), np.zeros(60, np.int64)
    date = np.arange(60) // 6
    for name, expected in (("ic", 1.0), ("pairwise_rank", np.log(2))):
        found = constant_losses(objective(name, make_config()), constant_forecasts("point", z, label, (0.5,)), z, label, 16, date)
        assert found["zero"] == pytest.approx(expected, rel=1e-5) and found["train_mean"] == pytest.approx(expected, rel=1e-5)


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path, panel):
    config = make_config(objective="ic", **QUICK)
    run(config, panel, tmp_path / "whole")
    run(config, panel, tmp_path / "cut", stop=StopAfter(7))
    run(config, panel, tmp_path / "cut", resume=True)
    whole, cut = (load_file(tmp_path / name / "final.safetensors") for name in ("whole", "cut"))
    assert all((whole[name] == cut[name]).all() for name in whole)


def test_accumulated_steps_weigh_every_window_alike(tmp_path, panel):
    """Batches of dates differ in size; the shares of a step still sum to one."""
    result = run(make_config(objective="ic", accumulation=3, **QUICK), panel, tmp_path)
    assert result.state == "finished"
    assert load_checkpoint(tmp_path / "final.safetensors")[1]["training"]["objective"] == "ic"


@pytest.mark.parametrize("size, key, rows", [(32, "training.compile_on", {30}), (0, "training.compile_dates", set())])
def test_batches_of_one_size_are_compiled_and_others_are_not_called_so(tmp_path, panel, monkeypatch, size, key, rows):
    """Five stocks a date: six dates go into a batch of 32, which then has 30 windows. ``size`` 0: as where no two dates have as many stocks."""
    compiled, found = set(), WindowLoader.usual_size
    monkeypatch.setattr(session, "choose_compile", lambda choice, device: (True, "training.compile_on"))
    monkeypatch.setattr(step.torch, "compile", lambda work, **options: lambda x, *rest: compiled.add(len(x)) or work(x, *rest))
    monkeypatch.setattr(WindowLoader, "usual_size", lambda loader: size and found(loader))
    run(make_config(objective="ic", **QUICK | {"batch_size": 32, "epochs": 1}), panel, tmp_path)
    assert compiled == rows and [event["compile_key"] for event in events_of(tmp_path, "run")] == [key] and has(key)


def test_a_single_stock_has_nobody_to_be_compared_with(tmp_path):
    alone = make_panel(tmp_path / "panel", stocks=2)
    with pytest.raises(DataError, match="a usual date has 2 of them"):
        run(dataclasses.replace(make_config(objective="ic", **QUICK)), alone, tmp_path / "run")


def test_the_scale_keeps_the_order_whatever_the_scores_are_worth():
    scores = np.array([[1.0, 1.0], [-1.0, -1.0]])
    found = fit_scale(scores, np.array([[0.4, -0.4], [-0.4, 0.4]]))
    assert found[0] == pytest.approx(0.4) and 0 < found[1] < 0.01
