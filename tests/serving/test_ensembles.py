"""An ensemble goes every way a single model goes: training, evaluation, ranking, one stock, bars in hand, walk-forward, the page's curve."""

import shutil

import numpy as np
import pytest

from financial_model.datasets.panel import open_panel
from financial_model.serving.curves import Curves
from financial_model.serving.experiment import evaluate_run, run_training
from financial_model.serving.forecaster import load
from financial_model.serving.predictor import Predictor
from financial_model.serving.runs import RunStore
from financial_model.training.checkpoint import read_header
from tests.serving.builders import SYMBOLS, bars, tiny, trading_days, workspace_in


@pytest.fixture(scope="module")
def trained(market, tmp_path_factory):
    """(workspace, run) of two members: read it, do not write into it."""
    workspace = workspace_in(tmp_path_factory.mktemp("ensemble"))
    shutil.copytree(market.data_dir, workspace.data_dir)
    return workspace, run_training(workspace, tiny("together", seeds=2, condition="concat"))


def test_the_run_ends_with_one_checkpoint_that_was_judged(trained):
    workspace, run = trained
    assert run.state == "finished" and run.checkpoints == ("final",)
    header = read_header(run.path / "final.safetensors")
    assert header["members"] == 2 and header["metrics"] == run.metrics and header["recalibration"]
    assert sorted(path.parent.name for path in run.path.glob("members/*/final.safetensors")) == ["01", "02"]


def test_the_evaluation_shows_the_members_beside_their_average(trained):
    workspace, run = trained
    found = evaluate_run(workspace, run.id)["members"]
    assert [entry["seed"] for entry in found["alone"]] == [42, 43]
    assert found["alone"][0]["rank_ic"] is not None and found["together"]["loss"] < np.mean([entry["loss"] for entry in found["alone"]])
    text = (run.path / "report.html").read_text("utf-8")
    assert "Members of the ensemble" in text and "Member 2, seed 43" in text and "The 2 together" in text


def test_it_forecasts_and_ranks_the_mean_of_its_members(trained):
    workspace, run = trained
    predictor = Predictor(workspace)
    table = predictor.rank(run.id, top=0).set_index("symbol")["expected_return"]
    one = predictor.forecast(run.id, SYMBOLS[0])
    assert one["table"][-1]["expected_return"] == pytest.approx(table[SYMBOLS[0]], abs=1e-6)
    panel = open_panel(workspace.panels / evaluate_run(workspace, run.id)["fingerprint"])
    ends = panel.offsets[1:] - 1
    alone = [load(path).predict_panel(panel, ends).expected for path in sorted(run.path.glob("members/*/final.safetensors"))]
    together = load(run.path / "final.safetensors").predict_panel(panel, ends).expected
    np.testing.assert_allclose(together, np.mean(alone, axis=0), atol=1e-6)
    given = load(run.path / "final.safetensors").predict(bars(0, trading_days(300)))
    assert given["q0.025"].lt(given["q0.975"]).all()


def test_the_curve_has_a_line_for_every_member(trained):
    workspace, run = trained
    found = RunStore(workspace.checkpoint_dir).curves(run.id)
    members = found["members"]
    assert (members["number"], members["count"]) == (2, 2) and list(members["validation"]) == [1, 2]
    assert all(points["epoch"] == [1.0, 2.0] for points in members["validation"].values())
    assert found["series"]["validation/loss"] == members["validation"][2] and found["series"]["train/loss"]["epoch"][-1] == 2.0
    assert members["together"] == [[2, read_header(run.path / "final.safetensors")["validation"]["loss"]]]
    assert found["best"]["value"] == min(value for points in members["validation"].values() for value in points["value"])


def test_what_a_resume_trains_again_leaves_the_curve():
    def events(member, *steps):
        return [{"kind": "epoch", "step": step, "epoch": 1.0, "split": "validation", "metrics": {"loss": 1.0}, "member": member, "members": 3}
                for step in steps]

    curves = Curves()
    curves.feed([*events(1, 4, 8), *events(2, 13, 17), {"kind": "ensemble", "step": 17, "members": 2, "metrics": {"loss": 0.9}}, *events(3, 22)])
    curves.feed([{"kind": "resume", "step": 13, "member": 2, "members": 3}])
    members = curves.series()["members"]
    assert members["number"] == 2 and members["together"] == []
    assert {number: points["step"] for number, points in members["validation"].items()} == {1: [4, 8], 2: [13], 3: []}


def test_a_walk_forward_trains_the_members_of_every_fold(filled):
    run = run_training(filled, tiny("walked", seeds=2, walk_forward="expanding", folds=2, train=0.5, validation=0.15, epochs=1, hidden=8))
    assert run.state == "finished" and [read_header(path)["members"] for path in sorted(run.path.glob("folds/*/final.safetensors"))] == [2, 2]
    events, _ = RunStore(filled.checkpoint_dir).events(run.id)
    parts = list(dict.fromkeys((event["fold"], event["member"]) for event in events if event["kind"] == "step"))
    assert parts == [(1, 1), (1, 2), (2, 1), (2, 2)]
    steps = [event["step"] for event in events if event["kind"] == "step"]
    assert steps == sorted(set(steps)) and [event["steps"] for event in events if event["kind"] == "run"][-1] >= steps[-1]
