"""A run that was killed reaches the very weights it would have reached, and its curve has no gap and no double point."""

import dataclasses
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from financial_model import runtime
from financial_model.errors import CheckpointError
from financial_model.training import reporter, session
from financial_model.training.checkpoint import read_header
from financial_model.training.events import EventLog, read_events
from financial_model.training.resume import identity, load_resume, resume_path, save_resume
from financial_model.training.trainer import train
from tests.training import child
from tests.training.builders import StopAfter, events_of, make_config, run, with_training

ROOT = Path(__file__).resolve().parents[2]


class Killed(BaseException):
    """What a kill looks like from inside: nothing is tidied up."""


class KillAfter:
    def __init__(self, looks):
        self.looks = looks

    def is_set(self):
        self.looks -= 1
        if self.looks < 0:
            raise Killed
        return False


@pytest.fixture
def every_step(monkeypatch):
    """Every step is a point of the curve."""
    monkeypatch.setattr(reporter, "POINT_SECONDS", 0.0)


def saved_every(monkeypatch, steps):
    monkeypatch.setattr(session.Session, "seconds_since_save", lambda self: float("inf") if self.progress.step % steps == 0 else 0.0)


def story(folder):
    """What a reader sees of a run, without the clock."""
    told = []
    for event in read_events(folder / "events.jsonl")[0]:
        if event["kind"] in ("step", "epoch", "baseline"):
            metrics = {name: value for name, value in event["metrics"].items() if name not in ("windows_per_second", "eta_seconds")}
            told.append((event["kind"], event["step"], event["epoch"], event.get("best"), metrics))
    return told


def same_weights(folder, reference, name="final"):
    found, expected = load_file(folder / f"{name}.safetensors"), load_file(reference / f"{name}.safetensors")
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


def assert_same_run(folder, reference):
    for name in ("final", "best", "last"):
        assert same_weights(folder, reference, name), name
    ours, theirs = read_header(folder / "final.safetensors"), read_header(reference / "final.safetensors")
    assert {**ours, "created": ""} == {**theirs, "created": ""}
    assert story(folder) == story(reference)


# ---------------------------------------------------------------- kill -9, for real
def test_kill_9_at_a_random_moment(tmp_path, panel, every_step):
    uninterrupted, killed = tmp_path / "uninterrupted", tmp_path / "killed"
    total = run(child.CONFIG, panel, uninterrupted).step
    moment = random.Random(time.time_ns()).randrange(1, total)
    command = [sys.executable, "-m", "tests.training.child", str(panel.path), str(killed), "resume"]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and max((event["step"] for event in events_of(killed, "step")), default=0) < moment:
            assert time.monotonic() < deadline, "the child does not train"
            time.sleep(0.02)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL, "the child ended before it was killed"
    subprocess.run(command, cwd=ROOT, check=True)
    assert_same_run(killed, uninterrupted)
    steps = [event["step"] for event in events_of(killed, "step")]
    assert steps == list(range(1, total + 1)), f"killed at step {moment}"


# ---------------------------------------------------------------- every moment, from inside
@pytest.mark.parametrize("settings", [
    {}, {"accumulation": 3, "evaluations_per_epoch": 2}, {"schedule": "plateau", "patience": 2, "evaluations_per_epoch": 3},
    {"windows_per_epoch": 200, "schedule": "onecycle"},
], ids=["plain", "accumulation", "plateau", "drawn"])
@pytest.mark.parametrize("interval", [1, 4])
def test_a_kill_at_any_step_changes_nothing(tmp_path, panel, every_step, monkeypatch, settings, interval):
    config = make_config(epochs=2, **settings)
    run(config, panel, tmp_path / "reference")
    saved_every(monkeypatch, interval)
    looks, killed, folder = 3, 0, tmp_path / "killed"
    while True:
        try:
            run(config, panel, folder, stop=KillAfter(looks), resume=True)
            break
        except Killed:
            killed, looks = killed + 1, looks + 2
    assert killed > 1
    assert_same_run(folder, tmp_path / "reference")


def test_a_kill_between_evaluation_and_resume_point_evaluates_again_the_same(tmp_path, panel, every_step, monkeypatch):
    config = make_config(epochs=2)
    run(config, panel, tmp_path / "reference")
    original = session.Session.save_resume_point

    def die(self):
        if self.progress.epoch == 1 and self.progress.batch == 0:
            raise Killed
        original(self)

    with monkeypatch.context() as patch:
        patch.setattr(session.Session, "save_resume_point", die)
        with pytest.raises(Killed):
            run(config, panel, tmp_path / "killed")
    assert len(events_of(tmp_path / "killed", "epoch")) == 1
    run(config, panel, tmp_path / "killed", resume=True)
    assert_same_run(tmp_path / "killed", tmp_path / "reference")


def test_kills_between_two_resume_points_leave_every_point_of_the_curve_once(tmp_path, panel, monkeypatch):
    """A session that goes on says at once what was learned before its resume point; the next one from the same point says it again."""
    for looks, interval in ((5, 3), (2, 1000), (2, 1000)):
        saved_every(monkeypatch, interval)
        with pytest.raises(Killed):
            run(make_config(epochs=1), panel, tmp_path, stop=KillAfter(looks), resume=True)
    run(make_config(epochs=1), panel, tmp_path, resume=True)
    steps = [event["step"] for event in read_events(tmp_path / "events.jsonl")[0] if event["kind"] == "step"]
    assert steps == sorted(set(steps))


def test_before_the_first_resume_point_a_run_begins_anew(tmp_path, panel, every_step):
    config = make_config(epochs=1)
    run(config, panel, tmp_path / "reference")
    with pytest.raises(Killed):
        run(config, panel, tmp_path / "killed", stop=KillAfter(4))
    assert not resume_path(tmp_path / "killed").exists()
    run(config, panel, tmp_path / "killed", resume=True)
    assert_same_run(tmp_path / "killed", tmp_path / "reference")


def test_other_work_in_the_process_does_not_change_the_weights(tmp_path, panel):
    """A forecast for a user between two steps draws random numbers and loads models; the training must not notice."""
    config = make_config()
    run(config, panel, tmp_path / "alone")

    class Busy:
        def is_set(self):
            torch.manual_seed(int(torch.randint(0, 1000, ())))
            torch.rand(7)
            return False

    run(config, panel, tmp_path / "busy", stop=Busy())
    assert_same_run(tmp_path / "busy", tmp_path / "alone")


def test_a_finished_run_finishes_again_the_same(tmp_path, panel):
    config = make_config()
    run(config, panel, tmp_path / "run")
    before = (tmp_path / "run" / "final.safetensors").read_bytes()
    (tmp_path / "run" / "final.safetensors").unlink()
    result = run(config, panel, tmp_path / "run", resume=True)
    assert result.state == "finished" and result.checkpoint.read_bytes() == before


def test_the_resume_point_of_a_finished_run_is_small(tmp_path, panel):
    run(make_config(), panel, tmp_path / "run")
    assert resume_path(tmp_path / "run").stat().st_size < 10_000


def test_the_precision_that_was_tried_out_once_stays(tmp_path, panel, monkeypatch):
    """Trials are timings: a second one may end otherwise."""
    config = make_config(precision="auto", epochs=2)
    monkeypatch.setattr(runtime, "best_precision", lambda place: "bf16")
    run(config, panel, tmp_path / "reference")
    run(config, panel, tmp_path / "run", stop=StopAfter(5))
    monkeypatch.setattr(runtime, "best_precision", lambda place: "fp32")
    run(config, panel, tmp_path / "run", resume=True)
    assert same_weights(tmp_path / "run", tmp_path / "reference")
    run(config, panel, tmp_path / "other")
    assert not same_weights(tmp_path / "other", tmp_path / "reference"), "the test needs precisions that differ"


# ---------------------------------------------------------------- what does not belong together
@pytest.fixture
def stopped(tmp_path, panel):
    """A run that was stopped in its first epoch, with its configuration."""
    config = make_config()
    assert run(config, panel, tmp_path / "run", stop=StopAfter(3)).state == "stopped"
    return tmp_path / "run", config


def refused(folder, config, panel, key):
    before = resume_path(folder).read_bytes()
    with pytest.raises(CheckpointError) as caught:
        run(config, panel, folder, resume=True)
    assert caught.value.key == key
    assert resume_path(folder).read_bytes() == before
    return str(caught.value)


def test_other_settings_are_refused(stopped, panel):
    folder, config = stopped
    assert "configuration" in refused(folder, with_training(config, learning_rate=1e-4), panel, "training.resume_other_run")


def test_other_data_is_refused(stopped, panel):
    folder, config = stopped
    assert "data" in refused(folder, config, dataclasses.replace(panel, fingerprint="other"), "training.resume_other_run")


def test_a_renamed_run_goes_on(stopped, panel):
    folder, config = stopped
    renamed = with_training(dataclasses.replace(config, name="other"), save_every=1, resume_every=5)
    assert run(renamed, panel, folder, resume=True).state == "finished"


@pytest.mark.parametrize("kept", [0, 5, 500, -1])
def test_a_damaged_resume_point_is_refused(stopped, panel, kept):
    folder, config = stopped
    path = resume_path(folder)
    path.write_bytes(path.read_bytes()[:kept])
    refused(folder, config, panel, "training.resume_corrupt")


def test_a_resume_point_of_other_tensors_is_refused(stopped, panel):
    folder, config = stopped
    known = identity(config, panel.fingerprint)
    point = load_resume(folder, known)
    save_resume(folder, known, point.facts, torch.nn.Linear(2, 2), torch.optim.AdamW([torch.zeros(2)]))
    refused(folder, config, panel, "training.resume_corrupt")


def test_a_run_without_resume_begins_anew_beside_an_old_point(stopped, panel, tmp_path):
    folder, config = stopped
    run(config, panel, tmp_path / "reference")
    with EventLog(tmp_path / "fresh.jsonl") as events:
        train(config, panel, folder, events=events)
    assert same_weights(folder, tmp_path / "reference")
