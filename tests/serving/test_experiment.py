"""The main job: states that are true at every moment, the test opened once, and a kill that costs nothing."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from financial_model.cli.main import run as command
from financial_model.config import BASELINES
from financial_model.errors import ConfigError, DataError, JobError, NotFoundError
from financial_model.market.store import Store
from financial_model.paths import Workspace
from financial_model.serving import experiment
from financial_model.serving.deciding import context_of
from financial_model.serving.experiment import evaluate_run, run_training
from financial_model.serving.runs import RunStore
from financial_model.training.checkpoint import read_header
from financial_model.training.events import read_events
from tests.serving.builders import SYMBOLS, bars, fill_store, tiny, trading_days

METRICS = {"ic", "rank_ic", "icir", "direction", "direction_base_rate", "direction_interval", "balanced_accuracy", "mae_percent", "rmse_percent",
           "coverage_80", "pinball"}


# ---------------------------------------------------------------- a run that goes well
def test_a_finished_run_has_everything_a_reader_needs(finished):
    workspace, run = finished
    assert run.state == "finished" and run.message() == ""
    assert {"final", "best", "last"} <= set(run.checkpoints)
    for name in ("config.json", "events.jsonl", "log.txt", "state.json", "evaluation.json", "report.html"):
        assert (run.path / name).stat().st_size > 0, name
    log = (run.path / "log.txt").read_text("utf-8")
    assert "validation loss" in log and "data: 8 stocks, 2400 bars, " in log


def test_the_metrics_have_their_names_and_stand_beside_the_baselines(finished):
    metrics = finished[1].metrics
    assert METRICS <= set(metrics)
    assert set(metrics["baselines"]) == set(BASELINES)
    for entry in metrics["baselines"].values():
        assert METRICS <= set(entry)
    assert -1 <= metrics["ic"] <= 1 and 0 <= metrics["direction"] <= 1


def test_the_same_figures_stand_in_the_checkpoint_the_list_and_the_result(finished):
    workspace, run = finished
    header = read_header(run.path / "final.safetensors")
    assert header["metrics"] == run.metrics == json.loads((run.path / "evaluation.json").read_text())["metrics"]
    assert header["test_opened"] == 1
    assert read_header(run.path / "best.safetensors")["metrics"] == {}


def test_an_automatic_context_is_decided_by_the_training_dates_and_told(market, tmp_path, capsys):
    workspace = Workspace(data_dir=market.data_dir, checkpoint_dir=tmp_path)
    config = tiny("memory", context="auto", context_low=3, context_high=8, epochs=1)
    run = run_training(workspace, config)
    found, used = context_of(run), run.run_config()
    assert used.features.context == "auto" and used.features.context_length == found["context_length"] and 3 <= found["context_length"] <= 8
    assert read_header(run.path / "final.safetensors")["context_length"] == found["context_length"]
    assert "1.96/√" in (run.path / "report.html").read_text("utf-8")
    folders = ["--data-dir", str(workspace.data_dir), "--checkpoint-dir", str(workspace.checkpoint_dir)]
    assert command(["evaluate", run.id, "--json", *folders]) == 0
    assert json.loads(capsys.readouterr().out)["context"] == found


def test_the_curves_are_there(finished):
    curves = RunStore(finished[0].checkpoint_dir).curves(finished[1].id)
    assert {"train/loss", "validation/loss", "train/learning_rate", "train/grad_norm", "train/windows_per_second"} <= set(curves["series"])
    assert curves["baselines"]["train_quantiles"]["loss"] > 0 and curves["best"]["step"] > 0


def test_a_single_stock_can_be_compared_with_the_training_data(finished):
    reference = read_header(finished[1].path / "final.safetensors")["extras"]["rank_reference"]
    assert reference and all(values == sorted(values) and len(values) == 101 for values in reference.values())


def test_progress_tells_each_stage_in_order_and_the_trees_join_the_chart(filled):
    seen = []
    run = run_training(filled, tiny(epochs=1, head="point"), progress=lambda stage, done=0, total=0: seen.append((stage, done, total)))
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == ["panel", "train", "evaluate", "baselines", "recalibrate", "backtest", "report"]
    steps = [(done, total) for stage, done, total in seen if stage == "train" and total]
    assert steps and steps[-1][0] == steps[-1][1]
    lines = RunStore(filled.checkpoint_dir).curves(run.id)["baselines"]
    assert {"zero", "reversal_5", "lightgbm"} <= set(lines) and lines["lightgbm"]["loss"] == pytest.approx(lines["zero"]["loss"], rel=0.5)


# ---------------------------------------------------------------- the test is opened once
def test_evaluating_again_gives_the_stored_result(copied, monkeypatch):
    import financial_model.serving.judging as judging

    monkeypatch.setattr(judging, "judge", lambda *_, **__: pytest.fail("the test was opened again"))
    found = evaluate_run(copied, "finished")
    assert found["test_opened"] == 1 and found["notes"] == []


def test_new_data_opens_the_test_again_and_says_so(copied):
    before = evaluate_run(copied, "finished")
    store = fill_store(copied, days=312, last="2024-07-17")
    assert store.summary()["last"] == "2024-07-17"
    after = evaluate_run(copied, "finished")
    assert after["test_opened"] == 2 and after["notes"][0]["key"] == "serving.note_data_changed"
    assert after["split"]["train"] == before["split"]["train"] and after["split"]["validation"] == before["split"]["validation"]
    assert after["split"]["test"]["first"] == before["split"]["test"]["first"] and after["split"]["test"]["last"] == "2024-07-17"
    assert after["metrics"]["rows"] > before["metrics"]["rows"]
    again = evaluate_run(copied, "finished")
    assert again["test_opened"] == 2 and again["notes"] == []


def test_without_the_data_the_stored_result_is_shown(copied):
    shutil.rmtree(copied.data_dir)
    found = evaluate_run(copied, "finished")
    assert found["notes"][0]["key"] == "serving.note_no_data" and found["metrics"]["rows"] > 0


def test_an_unknown_run_cannot_be_evaluated(workspace):
    with pytest.raises(NotFoundError):
        evaluate_run(workspace, "nope")


# ---------------------------------------------------------------- a run that goes wrong
def test_without_data_no_run_is_made(workspace):
    with pytest.raises(DataError, match="no market data"):
        run_training(workspace, tiny())
    assert RunStore(workspace.checkpoint_dir).list() == []


def test_impossible_settings_are_refused_before_anything(filled):
    with pytest.raises(ConfigError, match="heads"):
        run_training(filled, tiny(backbone="transformer", hidden=16, heads=3))
    assert RunStore(filled.checkpoint_dir).list() == []


@pytest.mark.parametrize("settings, sentence", [
    ({"context_length": 400}, "window"), ({"symbols": "600001.SH"}, "600001"), ({"industry": "energy"}, "energy"), ({"start": "2024-06-20"}, "")])
def test_a_failure_is_kept_with_the_run_and_raised(filled, settings, sentence):
    with pytest.raises((DataError, NotFoundError)) as caught:
        run_training(filled, tiny("bad", **settings))
    run = RunStore(filled.checkpoint_dir).get("bad")
    assert run.state == "failed" and run.message("en") == str(caught.value) and sentence in run.message("en")
    assert run.message("zh") != run.message("en")
    assert str(caught.value) in (run.path / "log.txt").read_text("utf-8")


def test_a_bug_leaves_a_failed_run_and_its_number_in_the_log(filled, monkeypatch):
    from financial_model.training import trainer

    def bug(*_, **__):
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(trainer, "train", bug)
    with pytest.raises(ZeroDivisionError) as caught:
        run_training(filled, tiny())
    run = RunStore(filled.checkpoint_dir).list()[0]
    assert run.state == "failed" and caught.value.error_id in run.message("en")
    log = (run.path / "log.txt").read_text("utf-8")
    assert caught.value.error_id in log and "ZeroDivisionError" in log


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")], ids=["machine", "gpu"])
def test_no_memory_is_a_sentence(filled, monkeypatch, error):
    from financial_model.training import trainer

    def full(*_, **__):
        raise error

    monkeypatch.setattr(trainer, "train", full)
    with pytest.raises(JobError, match="batch size"):
        run_training(filled, tiny())
    assert RunStore(filled.checkpoint_dir).list()[0].state == "failed"


def test_an_abort_leaves_an_interrupted_run(filled, monkeypatch):
    from financial_model.training import trainer

    def abort(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "train", abort)
    with pytest.raises(KeyboardInterrupt):
        run_training(filled, tiny())
    run = RunStore(filled.checkpoint_dir).list()[0]
    assert run.state == "interrupted" and run.resumable


# ---------------------------------------------------------------- stopping and resuming
class StopAt(threading.Event):
    """Set as soon as the training has made so many steps."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def __call__(self, stage, done=0, total=0):
        if stage == "train" and done >= self.steps:
            self.set()


def test_a_stopped_run_can_be_resumed_to_its_end(filled):
    stop = StopAt(12)
    stopped = run_training(filled, tiny("two-halves", epochs=3), stop=stop, progress=stop)
    assert stopped.state == "stopped" and "stopped" in stopped.checkpoints and stopped.metrics == {} and stopped.resumable
    done = run_training(filled, stopped.run_config(), run=stopped, resume=True)
    assert done.id == stopped.id and done.state == "finished" and done.metrics["rows"] > 0
    steps = RunStore(filled.checkpoint_dir).curves(done.id)["series"]["train/loss"]["step"]
    assert steps == sorted(set(steps))


def test_who_looks_at_the_test_before_the_end_is_counted(filled):
    stop = StopAt(12)
    run = run_training(filled, tiny(epochs=2), stop=stop, progress=stop)
    assert evaluate_run(filled, run.id)["test_opened"] == 1
    run_training(filled, run.run_config(), run=run, resume=True)
    assert evaluate_run(filled, run.id)["test_opened"] == 2


def test_stopping_before_the_training_leaves_a_run_to_resume(filled):
    stop = threading.Event()
    stop.set()
    run = run_training(filled, tiny(epochs=1), stop=stop)
    assert run.state == "stopped"
    assert run_training(filled, run.run_config(), run=run, resume=True).state == "finished"


def test_a_resumed_run_goes_on_with_the_data_it_began_with(filled):
    stop = StopAt(3)
    run = run_training(filled, tiny(epochs=1), stop=stop, progress=stop)
    before = json.loads((run.path / "data.json").read_text())["fingerprint"]
    fill_store(filled, days=305, last="2024-07-05")
    done = run_training(filled, run.run_config(), run=run, resume=True)
    assert read_header(done.path / "final.safetensors")["data"]["fingerprint"] == before


def test_a_finished_run_is_not_resumed(finished):
    workspace, run = finished
    with pytest.raises(JobError, match="finished"):
        run_training(workspace, run.run_config(), run=run, resume=True)


CHILD = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from financial_model.serving.experiment import run_training
from tests.serving.builders import tiny, workspace_in

def slowly(stage, done=0, total=0):
    if stage == "train":
        time.sleep(0.15)

run_training(workspace_in(Path(sys.argv[1])), tiny("killed", epochs=6), progress=slowly)
"""


def test_a_killed_training_reads_interrupted_and_resumes_to_the_same_weights(filled, tmp_path):
    runs, root = RunStore(filled.checkpoint_dir), Path(experiment.__file__).parents[2]
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(filled.data_dir.parent)], cwd=root, stderr=subprocess.PIPE,
                             env={**os.environ, "PYTHONPATH": str(root)})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        found = runs.list()
        if found and sum(event["kind"] == "epoch" for event in read_events(found[0].path / "events.jsonl")[0]) >= 2:
            break
        time.sleep(0.02)
    assert child.poll() is None, child.stderr.read().decode()
    assert runs.get("killed").state == "running"
    child.send_signal(signal.SIGKILL)
    child.wait()
    run = runs.get("killed")
    assert run.state == "interrupted" and run.resumable and "resume" in run.message("en").lower()
    done = run_training(filled, run.run_config(), run=run, resume=True)
    assert done.state == "finished"
    whole = run_training(filled, tiny("whole", epochs=6))
    assert "computed before and found again" in (whole.path / "log.txt").read_text("utf-8")
    assert read_header(done.path / "final.safetensors")["weights_hash"] == read_header(whole.path / "final.safetensors")["weights_hash"]
    assert done.metrics == whole.metrics


# ---------------------------------------------------------------- two at once
def test_a_run_that_is_being_worked_on_is_refused(filled):
    stop = StopAt(1)
    run = run_training(filled, tiny(epochs=1), stop=stop, progress=stop)
    began, refused = threading.Event(), []

    def slowly(stage, done=0, total=0):
        if stage == "train":
            began.set()
            time.sleep(0.2)

    thread = threading.Thread(target=lambda: run_training(filled, run.run_config(), run=run, resume=True, progress=slowly))
    thread.start()
    assert began.wait(60)
    with pytest.raises(JobError) as caught:
        run_training(filled, run.run_config(), run=run, resume=True)
    refused.append(caught.value.key)
    thread.join()
    assert refused == ["runs.already_active"] and RunStore(filled.checkpoint_dir).state(run.id) == "finished"


def test_the_log_of_a_run_holds_only_its_own_thread(filled):
    logger = logging.getLogger("financial_model.test")

    def chatter(stage, done=0, total=0):
        thread = threading.Thread(target=lambda: logger.info("from another thread"))
        thread.start()
        thread.join()
        logger.info("from its own thread")

    run = run_training(filled, tiny(epochs=1), progress=chatter)
    log = (run.path / "log.txt").read_text("utf-8")
    assert "from its own thread" in log and "another" not in log


def test_one_symbol_is_enough_to_train_on(workspace):
    store = fill_store(workspace)
    store.write_bars(SYMBOLS[0], bars(0, trading_days(400)), source="files")
    run = run_training(workspace, tiny("one", symbols=SYMBOLS[0], groups="return", epochs=1))
    assert run.state == "finished" and run.metrics["ic"] is None and 0 <= run.metrics["direction"] <= 1


def test_stocks_the_model_never_learned_from_are_said_to_have_changed_the_universe(copied):
    """Four stocks with a full history come into the store after the training: they are tested, but they were never trained on."""
    assert "evaluation.detector.universe" not in {item["key"] for item in evaluate_run(copied, "finished")["result"]["verdict"]}
    store = Store(copied.data_dir)
    for seed in range(4):
        store.write_bars(f"60100{seed}.SH", bars(50 + seed, trading_days(300)), source="files")
    found = evaluate_run(copied, "finished")
    (flag,) = [item for item in found["result"]["verdict"] if item["key"] == "evaluation.detector.universe"]
    assert flag["level"] == "warning" and flag["fields"]["share"] == pytest.approx(4 / 12) and "601000.SH" in flag["fields"]["examples"]
    text = (RunStore(copied.checkpoint_dir).get("finished").path / "report.html").read_text("utf-8")
    assert "33% of the tested stocks were never trained on" in text and "Test opened (times)</td><td>2</td>" in text
