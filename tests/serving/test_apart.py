"""A training in a process of its own: asked, watched, stopped and resumed as if it were in the server's; and the server outlives it."""

import json
import os
import signal
import threading
import time

import pytest

from financial_model.datasets import child
from financial_model.errors import KairosError, Phrase, packed
from financial_model.serving import apart, market, process, tasks
from financial_model.serving.jobs import JobService
from tests.serving.builders import tiny

LIMIT = 240


@pytest.fixture
def service(filled):
    jobs = JobService(filled, apart.TASKS)
    yield jobs
    jobs.close()


def owner(service, run):
    """The process that trains a run."""
    return json.loads((service.runs.root / run / "state.json").read_text())["pid"]


def until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def training(service, job):
    return lambda: service.snapshot(job.id)["state"] == "running" and service.snapshot(job.id)["done"] > 2


@pytest.mark.skipif(os.name == "nt", reason="niceness, SIGKILL")
def test_a_training_works_elsewhere_gives_way_stops_goes_on_and_may_be_killed(service):
    job = service.submit("train", config=tiny("apart", epochs=1000))
    until(training(service, job))
    worker = owner(service, job.run_id)
    assert worker != os.getpid() and os.getpriority(os.PRIO_PROCESS, worker) > os.getpriority(os.PRIO_PROCESS, 0)
    os.kill(worker, signal.SIGTERM)  # whoever ends a service says so to all its processes: what happens is the server's decision
    service.stop(job.id)
    stopped = service.wait(job.id, LIMIT)
    assert stopped["state"] == service.runs.state(job.run_id) == "stopped" and "stopped" in service.runs.info(job.run_id).checkpoints
    assert not process.alive({"pid": worker}) and stopped["result"]["state"] == "stopped"

    resumed = service.submit("resume", run="apart")
    until(lambda: owner(service, job.run_id) not in (worker, os.getpid()))
    os.kill(owner(service, job.run_id), signal.SIGKILL)
    failed = service.wait(resumed.id, LIMIT)
    assert failed["state"] == "failed" and failed["message_key"] == "jobs.child_died" and service.runs.state(job.run_id) == "interrupted"


def test_what_computes_for_long_works_elsewhere_and_brings_the_same(service, monkeypatch):
    context = tasks.JobContext(workspace=service.workspace, runs=service.runs, run_id="", stop=threading.Event(), progress=lambda *_: None,
                               ask=None, tell=None, rest=None)
    expected = tasks.TASKS["analyze"](context)
    monkeypatch.setattr(market, "analyze", None)  # not in this process
    job = service.submit("analyze")
    assert service.wait(job.id, LIMIT)["result"] == json.loads(json.dumps(expected))
    failed = service.wait(service.submit("integrity", symbols=["000000"]).id, LIMIT)
    assert failed["state"] == "failed" and "000000" in failed["message"] and failed["error_id"] == ""


def test_a_sentence_inside_a_sentence_keeps_its_language():
    error = KairosError("sweep.all_failed", reason=KairosError("serving.no_data", folder="data"), other=Phrase("jobs.closed"))
    again = child._error({"type": "ConfigError", "key": error.key, "fields": json.loads(json.dumps(packed(error.fields)))})
    assert again.message("zh") == error.message("zh") and type(again).__name__ == "ConfigError"


def test_a_process_that_acts_for_another_may_begin_what_that_one_queued(monkeypatch):
    monkeypatch.setattr(process, "_principals", [])
    other = {"pid": 1, "started": "before"}
    assert not process.is_mine(other)
    process.act_for(other)
    assert process.is_mine(other) and process.is_mine(process.identity())
