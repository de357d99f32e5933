"""A sweep chooses on the validation part, keeps every other test closed, counts what it tried, and goes on where it was stopped."""

import shutil
import threading
import time

import pytest

from financial_model.errors import ConfigError, DataError, Stopped
from financial_model.serving import sweep, trials
from financial_model.serving.judging import stored
from financial_model.serving.runs import RunStore
from financial_model.serving.search import parse
from financial_model.serving.study import Study
from financial_model.training.checkpoint import read_header
from tests.serving.builders import SYMBOLS, bars, tiny, trading_days, workspace_in

SPACE = ("learning_rate=1e-4..1e-2", "hidden=8,16")


@pytest.fixture(scope="module")
def swept(market, tmp_path_factory):
    """(workspace, table) of three trials, the second of which was stopped in its middle: read it, do not write into it."""
    workspace = workspace_in(tmp_path_factory.mktemp("swept"))
    shutil.copytree(market.data_dir, workspace.data_dir)
    asked, stop = sweep.begin(workspace, tiny("look"), SPACE, count=3, prune=False), threading.Event()

    def watch(stage, done=0, total=0):
        if stage == "sweep" and done > 1.4:
            stop.set()

    with pytest.raises(Stopped):
        sweep.work(workspace, asked.id, progress=watch, stop=stop)
    begun = sweep.find(workspace, "look").study().trials()
    assert [trial["state"] for trial in begun] == ["complete", "running"]
    assert not any(run.metrics for run in RunStore(workspace.checkpoint_dir).list()), "no test is open before the end"
    return workspace, sweep.work(workspace, asked.id), begun


def test_a_stopped_trial_goes_on_with_its_own_values_and_run(swept):
    _, table, begun = swept
    assert [row["state"] for row in table["trials"]] == ["complete"] * 3 and table["running"] == 0
    assert table["trials"][1]["values"] == begun[1]["values"] and table["trials"][1]["run"] == begun[1]["notes"]["run"]
    assert len(RunStore(swept[0].checkpoint_dir).list()) == 3


def test_the_best_by_validation_is_tested_and_no_other(swept):
    workspace, table, _ = swept
    runs = RunStore(workspace.checkpoint_dir)
    values = [read_header(runs.checkpoint(row["run"]))["validation"]["loss"] for row in table["trials"]]
    assert [row["value"] for row in table["trials"]] == values and table["best"] == values.index(min(values))
    best = table["trials"][table["best"]]["run"]
    assert [run.id for run in runs.list() if run.metrics] == [best] == [table["test"]["run"]]
    assert stored(runs.get(best))["test_opened"] == 1


def test_every_trial_counts_in_what_deflates_the_figures(swept):
    workspace, table, _ = swept
    runs = RunStore(workspace.checkpoint_dir)
    best = runs.get(table["test"]["run"])
    assert table["tried"] == table["test"]["trials"] == stored(best)["result"]["trials"] == trials.count(runs, best) == 3


def test_the_figures_of_every_evaluation_are_kept(swept):
    assert all(len(row["reports"]) == 2 and min(row["reports"]) == pytest.approx(row["value"]) for row in swept[1]["trials"])
    table = sweep.frame(swept[1])
    assert list(table.columns) == ["trial", "state", "learning_rate", "hidden", "loss", "evaluations", "run"] and len(table) == 3


def test_a_finished_sweep_trains_and_opens_nothing_again(swept):
    workspace, table, _ = swept
    again = sweep.work(workspace, "look")
    assert {**again, "updated": ""} == {**table, "updated": ""}


def test_a_trial_that_cannot_be_trained_fails_alone_and_a_hopeless_one_is_given_up(filled, monkeypatch):
    monkeypatch.setattr("financial_model.serving.study.COMPARED", 1)
    monkeypatch.setattr("financial_model.serving.study.WARM", 0)
    config = tiny("mixed", backbone="transformer", heads=2, hidden=16, epochs=1)
    asked = sweep.begin(filled, config, ["heads=2,3", "learning_rate=1e-5..1e-2"], count=5)
    table = sweep.work(filled, asked.id)
    failed = [row for row in table["trials"] if row["state"] == "fail"]
    assert failed and {row["reason"]["key"] for row in failed} == {"config.heads_divide"} and {row["run"] for row in failed} == {""}
    given_up = [row for row in table["trials"] if row["state"] == "pruned"]
    runs = RunStore(filled.checkpoint_dir)
    assert given_up and all(runs.get(row["run"]).message_key == "sweep.given_up" for row in given_up)
    assert table["tried"] == 5 - len(failed) and table["trials"][table["best"]]["state"] == "complete"


def test_data_that_changed_end_the_sweep(filled):
    from financial_model.market.store import Store

    asked = sweep.begin(filled, tiny("moved", epochs=1), SPACE, count=1)
    sweep.work(filled, asked.id)
    Store(filled.data_dir).write_bars(SYMBOLS[0], bars(99, trading_days(300)), source="files")
    with pytest.raises(DataError) as caught:
        sweep.work(filled, asked.id, count=2)
    assert caught.value.key == "sweep.data_changed"


@pytest.mark.parametrize("changes, options, key", [
    ({"seeds": 2}, {}, "sweep.one_model"), ({"name": "x" * 31}, {}, "sweep.name_too_long"), ({}, {"by": "luck"}, "config.not_a_choice"),
    ({}, {"count": 0}, "config.out_of_range")])
def test_what_is_wrong_is_said_before_anything_begins(market, changes, options, key):
    with pytest.raises(ConfigError) as caught:
        sweep.begin(market, tiny(**{"name": "w", **changes}), SPACE, **{"count": 2, **options})
    assert caught.value.key == key and not (market.checkpoint_dir / sweep.FOLDER).exists()


def test_two_processes_share_one_study_and_an_interrupted_one_asks_the_same(tmp_path):
    axes = parse(SPACE, "loss")
    whole = Study(tmp_path / "whole.log", axes, largest=False, seed=3)
    for value in range(4):
        whole.finish(whole.next(4), value)
    for value in range(4):
        study = Study(tmp_path / "parts.log", axes, largest=False, seed=3)  # opened anew each time, as by another process
        study.finish(study.next(4), value)
    assert study.next(4) is None and [t["values"] for t in study.trials()] == [t["values"] for t in whole.trials()]
    assert len({t["values"]["learning_rate"] for t in whole.trials()}) == 4


def test_a_trial_of_another_machine_is_left_to_it(tmp_path, monkeypatch):
    study = Study(tmp_path / "study.log", parse(SPACE, "loss"), largest=False, seed=3)
    study.next(2)
    assert len(study.left()) == 1
    monkeypatch.setattr("financial_model.serving.study.socket.gethostname", lambda: "another")
    assert study.left() == []


def test_a_machine_without_a_sign_of_life_loses_its_trial_and_a_living_one_keeps_it(tmp_path, monkeypatch):
    study = Study(tmp_path / "study.log", parse(SPACE, "loss"), largest=False, seed=3)
    monkeypatch.setattr("financial_model.serving.study.BEAT", 0.01)
    trial, now = study.next(2), time.time()
    another = Study(tmp_path / "study.log", parse(SPACE, "loss"), largest=False, seed=3)
    monkeypatch.setattr("financial_model.serving.study.time.time", lambda: now + 1000)
    with study.beating(trial):
        while _seen(another) < now + 1000:
            time.sleep(0.01)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("financial_model.serving.study.socket.gethostname", lambda: "another")
        assert another.fail_lost() == [], "it was seen just now"
        elsewhere.setattr("financial_model.serving.study.time.time", lambda: now + 1950)
        assert another.fail_lost() == [0] and another.fail_lost() == []
    (row,) = study.trials()
    assert row["state"] == "fail" and row["notes"]["reason"]["key"] == "sweep.lost" and study.lost(trial)
    study.finish(trial, 0.1)  # it comes back, too late
    assert study.trials()[0]["state"] == "fail" and study.fail_lost() == []


def _seen(study):
    return study._running()[0][1]["seen"]


def test_a_sweep_whose_other_machine_died_ends_and_opens_the_test(filled, monkeypatch):
    asked = sweep.begin(filled, tiny("widow", epochs=1), SPACE, count=2)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("financial_model.serving.study.socket.gethostname", lambda: "another")
        asked.study().next(2)
    table = sweep.work(filled, asked.id)
    assert table["running"] == 1 and table["test"] is None, "it may still live"
    monkeypatch.setattr("financial_model.serving.study.GRACE", -1.0)
    table = sweep.work(filled, asked.id)
    assert [row["state"] for row in table["trials"]] == ["fail", "complete"] and table["running"] == 0
    assert table["test"]["run"] == table["trials"][1]["run"] and table["trials"][0]["reason"]["fields"]["host"] == "another"


def test_a_training_whose_trial_was_given_up_elsewhere_ends_and_tells_nothing(filled):
    asked = sweep.begin(filled, tiny("late"), SPACE, count=1)

    def watch(stage, done=0, total=0):
        study = asked.study()
        if stage == "sweep" and done > 0.4 and study.trials()[0]["state"] == "running":
            study.fail(study.left()[0], "sweep.lost", {"host": "here", "minutes": 15})

    with pytest.raises(ConfigError) as caught:
        sweep.work(filled, asked.id, progress=watch)
    assert caught.value.key == "sweep.all_failed"
    (run,) = RunStore(filled.checkpoint_dir).list()
    assert run.message_key == "sweep.taken_for_dead" and run.state == "stopped"
