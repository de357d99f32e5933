"""A run that trains anew before each piece of its test: the pieces judged as one, a finished fold never trained twice, stops and kills harmless."""

import json
import shutil
import threading

import numpy as np
import pytest

from financial_model.config import BASELINES
from financial_model.datasets.panel import open_panel
from financial_model.datasets.splits import seconds
from financial_model.errors import CheckpointError, DataError
from financial_model.models.prediction import Prediction
from financial_model.serving import pieces, walkforward
from financial_model.serving.experiment import evaluate_run, run_training
from financial_model.serving.forecaster import load
from financial_model.serving.runs import RunStore
from financial_model.training.checkpoint import read_header
from financial_model.training.events import EventLog, read_events
from tests.serving.builders import fill_store, tiny, workspace_in

WALK = {"walk_forward": "expanding", "folds": 3, "train": 0.5, "validation": 0.15, "epochs": 1, "hidden": 8}


def weights(run):
    return [read_header(path)["weights_hash"] for path in sorted((run.path / "folds").glob("*/final.safetensors"))]


@pytest.fixture(scope="module")
def walked(market, tmp_path_factory):
    """(workspace, finished walk-forward run): read it, do not write into it."""
    workspace = workspace_in(tmp_path_factory.mktemp("walked"))
    shutil.copytree(market.data_dir, workspace.data_dir)
    return workspace, run_training(workspace, tiny("walked", **WALK))


@pytest.fixture
def copied_walk(walked, tmp_path):
    workspace = workspace_in(tmp_path)
    for folder in ("data_dir", "checkpoint_dir"):
        shutil.copytree(getattr(walked[0], folder), getattr(workspace, folder))
    return workspace


# ---------------------------------------------------------------- what such a run leaves
def test_the_pieces_are_judged_as_one_and_each_comes_after_its_own_training(walked):
    found = evaluate_run(*walked_arguments(walked))
    folds = found["folds"]
    assert len(folds) == 3 and found["test_opened"] == 1
    for earlier, later in zip(folds, folds[1:], strict=False):
        assert earlier["split"]["test"]["last"] < later["split"]["test"]["first"]
        assert later["split"]["train"]["last"] > earlier["split"]["train"]["last"]
        assert later["split"]["train"]["first"] == earlier["split"]["train"]["first"]
    assert all(fold["split"]["validation"]["last"] < fold["split"]["test"]["first"] for fold in folds)
    test = found["split"]["test"]
    assert (test["first"], test["last"]) == (folds[0]["split"]["test"]["first"], folds[-1]["split"]["test"]["last"])
    sessions = sum(fold["split"]["test"]["sessions"] for fold in folds)
    assert found["metrics"]["dates"] == sessions - 3, "every session but the last three, whose outcome is not known: no purge between the pieces"
    assert set(found["metrics"]["baselines"]) == set(BASELINES)
    for fold in folds:
        assert set(fold["metrics"]["baselines"]) == set(BASELINES) and fold["metrics"]["baselines"]["ridge"] is not None
        low, high = fold["metrics"]["rank_ic_interval"] or (-1, 1)
        assert low <= fold["metrics"]["rank_ic"] <= high


def walked_arguments(walked):
    return walked[0], walked[1].id


def test_every_forecast_comes_from_the_model_trained_before_its_date(walked):
    workspace, run = walked
    with np.load(run.path / "out_of_sample.npz", allow_pickle=False) as stored:
        symbol, time, fold, expected = (stored[name] for name in ("symbol", "time", "fold", "expected"))
    panel = open_panel(workspace.panels / evaluate_run(workspace, run.id)["fingerprint"])
    assert len(np.unique(np.stack([symbol, time]), axis=1).T) == len(time), "no stock has two forecasts on a date"
    for number in (1, 2, 3):
        model = load(walkforward.fold_folder(run.path, number - 1) / "final.safetensors")
        own = time[fold == number]
        assert seconds(model.header["split"]["validation"]["last"]) < own.min() and own.max() <= seconds(model.header["split"]["test"]["last"])
        rows = np.array([panel.offsets[s] + np.searchsorted(panel.time[panel.offsets[s]:panel.offsets[s + 1]], t)
                         for s, t in zip(symbol[fold == number][:40], own[:40], strict=True)])
        np.testing.assert_allclose(model.predict_panel(panel, rows).expected, expected[fold == number][:40], rtol=1e-4, atol=1e-7)


def test_the_last_fold_is_the_model_that_forecasts_and_only_final_checkpoints_are_kept(walked):
    run = walked[1]
    assert run.state == "finished" and run.checkpoints == ("final",)
    header = read_header(run.path / "final.safetensors")
    assert header["weights_hash"] == weights(run)[-1] and header["metrics"] == run.metrics
    assert header["split"]["train"]["last"] > read_header(run.path / "folds" / "01" / "final.safetensors")["split"]["train"]["last"]
    assert {path.name for path in (run.path / "folds" / "02").iterdir()} == {"final.safetensors", "fold.json"}


def test_the_curve_of_all_folds_is_one_line(walked):
    workspace, run = walked
    steps = RunStore(workspace.checkpoint_dir).curves(run.id)["series"]["train/loss"]["step"]
    assert steps == sorted(set(steps))
    events = read_events(run.path / "events.jsonl")[0]
    assert {event["fold"] for event in events if event["kind"] == "step"} == {1, 2, 3}
    begun = [event["steps"] for event in events if event["kind"] == "run"]
    assert begun[-1] >= steps[-1]


def test_the_report_begins_with_it(walked):
    text = (walked[1].path / "report.html").read_text("utf-8")
    assert "Walk-forward: 3 trainings" in text and text.count("2024-06-28") >= 2


def test_progress_runs_through_all_folds(filled):
    seen = []
    run_training(filled, tiny(**{**WALK, "folds": 2}), progress=lambda stage, done=0, total=0: seen.append((stage, done, total)))
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == ["panel", "train", "evaluate", "baselines", "recalibrate", "backtest", "report"]
    for stage in ("train", "evaluate", "baselines"):
        places = [done / total for name, done, total in seen if name == stage and total]
        assert places[-1] == pytest.approx(1.0) and max(places) <= 1 + 1e-9


# ---------------------------------------------------------------- stopping, resuming, other data
class StopIn(threading.Event):
    """Set once the given fold has taken its first steps."""

    def __init__(self, run_dir, fold):
        super().__init__()
        self.folder = run_dir, fold

    def __call__(self, stage, done=0, total=0):
        root, fold = self.folder
        if stage == "train" and list(root.glob(f"*/folds/{fold:02d}")) and done:
            self.set()


def test_a_stop_in_the_second_fold_keeps_the_first_and_a_resumed_run_reaches_the_same_weights(walked, filled, monkeypatch):
    stop = StopIn(filled.checkpoint_dir, 2)
    stopped = run_training(filled, tiny("walked", **WALK), stop=stop, progress=stop)
    assert stopped.state == "stopped" and "stopped" in stopped.checkpoints and len(weights(stopped)) == 1
    from financial_model.training import trainer

    trained, real = [], trainer.train
    monkeypatch.setattr(trainer, "train", lambda config, panel, run_dir, **options: trained.append(run_dir.name) or real(
        config, panel, run_dir, **options))
    done = run_training(filled, stopped.run_config(), run=stopped, resume=True)
    assert done.state == "finished" and trained == ["02", "03"], "the finished fold is not trained again"
    assert weights(done) == weights(walked[1])
    steps = RunStore(filled.checkpoint_dir).curves(done.id)["series"]["train/loss"]["step"]
    assert steps == sorted(set(steps))


def test_folds_of_other_data_are_not_mixed(walked, copied_walk):
    run = RunStore(copied_walk.checkpoint_dir).get("walked")
    panel = open_panel(copied_walk.panels / evaluate_run(copied_walk, run.id)["fingerprint"])
    facts = run.path / "folds" / "01" / "fold.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "fingerprint": "another"}))
    with pytest.raises(CheckpointError, match="Fold 1 of 3 was trained on other data"):
        walkforward.train_folds(run.run_config(), panel, run.path, events=EventLog(run.path / "events.jsonl"), stop=threading.Event(),
                                score=lambda *_: {}, resume=True)


def test_new_data_lengthens_the_last_piece_only(copied_walk):
    before = evaluate_run(copied_walk, "walked")
    fill_store(copied_walk, days=312, last="2024-07-17")
    after = evaluate_run(copied_walk, "walked")
    assert after["test_opened"] == 2 and after["split"]["test"]["last"] == "2024-07-17"
    assert [fold["split"] for fold in after["folds"][:2]] == [fold["split"] for fold in before["folds"][:2]]
    assert after["metrics"]["dates"] > before["metrics"]["dates"]


def test_too_many_folds_fail_in_words(filled):
    with pytest.raises(DataError, match="walk-forward folds"):
        run_training(filled, tiny(**{**WALK, "folds": 60}))


def test_forecasts_without_quantiles_are_joined_as_they_are():
    def part(rows):
        return Prediction(end=np.array(rows), expected=np.ones((len(rows), 2), np.float32))

    found = pieces.joined([part([1, 2]), part([5])])
    assert found.end.tolist() == [1, 2, 5] and found.quantiles is None and found.expected.shape == (3, 2)
