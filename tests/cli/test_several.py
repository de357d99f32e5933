"""`torchrun -m financial_model train`: one process is killed, the launcher starts both anew, and the weights are those of a single process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from financial_model import cli
from financial_model.datasets.panel import build_panel, open_panel
from financial_model.serving.runs import RunStore
from financial_model.training.checkpoint import load_checkpoint
from financial_model.training.events import EventLog, read_events
from financial_model.training.trainer import train
from tests.serving.builders import fill_store, workspace_in

ROOT = Path(cli.__file__).parents[2]
SETTINGS = ["--model", "gru", "--hidden", "16", "--layers", "1", "--context-length", "8", "--epochs", "6", "--patience", "0", "--batch-size", "67",
            "--horizon", "3", "--groups", "return,rank", "--precision", "fp32", "--dropout", "0", "--name", "shared"]
"""67 windows: an odd batch, of which two processes cannot have equal parts."""


def kill_the_second(launcher, events, epoch):
    """SIGKILL to the process of rank 1 once the curve has come so far."""
    deadline = time.monotonic() + 240
    while launcher.poll() is None and time.monotonic() < deadline:
        if events and any(event["kind"] == "epoch" and event["epoch"] >= epoch for event in read_events(events[0])[0]):
            for child in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split():
                if b"\0RANK=1\0" in b"\0" + Path(f"/proc/{child}/environ").read_bytes():
                    os.kill(int(child), signal.SIGKILL)
                    return
        events = events or list(launcher.runs.glob("shared_*/events.jsonl"))
        time.sleep(0.02)
    pytest.fail("the training never came so far")


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of the launcher in /proc")
def test_a_killed_process_is_restarted_and_two_reach_the_weights_of_one(tmp_path):
    workspace = workspace_in(tmp_path)
    fill_store(workspace)
    runs = tmp_path / "several"
    launcher = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=1", "-m", "financial_model", "train", *SETTINGS,
         "--device", "cpu", "--json", "--data-dir", str(tmp_path / "data"), "--checkpoint-dir", str(runs)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    launcher.runs = runs
    try:
        kill_the_second(launcher, [], epoch=2)
        out, err = launcher.communicate(timeout=300)
    finally:
        launcher.kill()
    assert launcher.returncode == 0, err
    problem, answer = map(json.loads, out.splitlines())  # of the attempt that was broken off, and of the one that was not
    assert "resume point" in problem["error"] and "Traceback" not in err
    (run,) = RunStore(runs).list()
    assert run.id == answer["run"] and run.state == "finished" and answer["metrics"] == run.metrics

    events = read_events(run.path / "events.jsonl")[0]
    assert [event["kind"] for event in events].count("run") == 1 and [event["kind"] for event in events].count("resume") == 1
    assert [event["epoch"] for event in events if event["kind"] == "epoch"] == [1, 2, 3, 4, 5, 6]

    alone = tmp_path / "alone"
    with EventLog(alone / "events.jsonl") as log:
        train(run.run_config(), open_panel(build_panel(workspace, run.run_config())), alone, events=log)
    losses = [[event["metrics"]["loss"] for event in found if event["kind"] == "epoch"] for found in (events, read_events(log.path)[0])]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    one, two = (load_checkpoint(folder / "last.safetensors")[0].state_dict() for folder in (alone, run.path))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-5, rtol=1e-4, msg=name)
