"""Jobs wait in order, can be watched and stopped at any time, and one that fails leaves the next ones alone."""

import json
import logging
import threading
import time

import pytest

from financial_model import config as settings
from financial_model.errors import DataError, JobError, NotFoundError, Stopped
from financial_model.serving.jobs import JobService
from financial_model.serving.runs import RunStore

LIMIT = 20


class Gate:
    """A task that reports, then waits until the test lets it go or stops it."""

    def __init__(self):
        self.order, self.began, self.go = [], threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, context, **parameters):
        self.order.append(parameters.get("tag", context.run_id))
        context.progress("train", 1, 10)
        self.began.release()
        while not self.go.acquire(timeout=0.01):
            if context.stop.is_set():
                raise Stopped
        context.progress("train", 10, 10)
        return {"tag": parameters.get("tag")}

    def wait_begun(self):
        assert self.began.acquire(timeout=LIMIT)


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def service(workspace, gate):
    tasks = {"train": gate, "resume": gate, "download": gate, "import": gate, "rank": gate, "evaluate": gate}
    jobs = JobService(workspace, tasks)
    yield jobs
    jobs.close()


def finished(service, job):
    return service.wait(job.id, LIMIT)


def test_jobs_of_one_queue_run_one_after_the_other_in_order(service, gate):
    jobs = [service.submit("download", tag=tag) for tag in "abc"]
    gate.wait_begun()
    assert [service.snapshot(job.id)["state"] for job in jobs] == ["running", "queued", "queued"]
    assert [service.snapshot(job.id)["position"] for job in jobs] == [0, 1, 2]
    for _ in jobs:
        gate.go.release()
    assert [finished(service, job)["state"] for job in jobs] == ["finished"] * 3
    assert gate.order == ["a", "b", "c"]


def test_data_does_not_wait_for_a_training(service, gate):
    service.submit("train", config=settings.build())
    gate.wait_begun()
    data, forecast = service.submit("download", tag="data"), service.submit("rank", run=RunStore(service.workspace.checkpoint_dir).list()[0].id)
    gate.wait_begun()
    gate.wait_begun()
    assert service.snapshot(data.id)["state"] == service.snapshot(forecast.id)["state"] == "running"


def test_a_second_gpu_has_a_queue_of_its_own(service, gate):
    jobs = [service.submit("train", config=settings.build({"name": name, "device": device}))
            for name, device in (("a", "auto"), ("b", "cuda:1"), ("c", "cuda:0"), ("d", "cuda:1"))]
    gate.wait_begun()
    gate.wait_begun()
    assert [service.snapshot(job.id)["state"] for job in jobs] == ["running", "running", "queued", "queued"]


def test_a_queued_job_is_taken_out_at_once_and_never_begins(service, gate):
    first, second = service.submit("download", tag="first"), service.submit("download", tag="second")
    gate.wait_begun()
    service.stop(second.id)
    assert service.snapshot(second.id)["state"] == "stopped"
    gate.go.release()
    finished(service, first)
    assert gate.order == ["first"]


def test_a_training_taken_out_of_the_queue_leaves_no_run(service, gate):
    service.submit("train", config=settings.build({"name": "first"}))
    gate.wait_begun()
    second = service.submit("train", config=settings.build({"name": "second"}))
    assert [run.state for run in service.runs.list()] == ["queued", "queued"]  # this gate writes no states of its own
    service.stop(second.id)
    assert [run.name for run in service.runs.list()] == ["first"]


def test_a_resume_taken_out_of_the_queue_leaves_the_run_as_it_was(service, gate):
    run = service.runs.create(settings.build({"name": "old"}), state="stopped")
    service.submit("train", config=settings.build({"name": "first"}))
    gate.wait_begun()
    job = service.submit("resume", run="old")
    assert service.runs.state(run.id) == "queued"
    service.stop(job.id)
    assert service.runs.state(run.id) == "stopped"


def test_a_running_job_stops_at_its_next_look(service, gate):
    job = service.submit("download", tag="x")
    gate.wait_begun()
    service.stop(job.id)
    assert service.snapshot(job.id)["state"] in ("stopping", "stopped")
    assert finished(service, job)["state"] == "stopped"
    service.stop(job.id)  # once more does no harm
    assert service.snapshot(job.id)["state"] == "stopped"


def test_the_same_run_is_not_started_twice(service, gate):
    run = service.runs.create(settings.build({"name": "old"}), state="stopped")
    service.submit("resume", run=run.id)
    with pytest.raises(JobError, match="already"):
        service.submit("resume", run=run.id)
    assert len(service.list()) == 1


def test_of_two_starts_at_once_one_is_refused(service, gate):
    run = service.runs.create(settings.build({"name": "old"}), state="stopped")
    outcomes, barrier = [], threading.Barrier(2)

    def start():
        barrier.wait()
        try:
            outcomes.append(service.submit("resume", run=run.id).kind)
        except JobError as error:
            outcomes.append(error.key)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["resume", "runs.already_active"]


def test_a_failure_carries_its_sentence_and_the_next_job_runs(workspace):
    def fail(context):
        raise DataError("paths.outside", name="x")

    service = JobService(workspace, {"download": fail, "import": lambda context: {"rows": 3}})
    try:
        failed = finished(service, service.submit("download"))
        assert failed["state"] == "failed" and failed["message_key"] == "paths.outside" and failed["error_id"] == ""
        assert "“x”" in failed["message"]
        assert service.wait(service.submit("import").id, LIMIT)["result"] == {"rows": 3}
    finally:
        service.close()


def test_a_bug_is_logged_under_an_id_that_the_user_sees(workspace, caplog):
    def bug(context):
        raise ZeroDivisionError("secret detail")

    service = JobService(workspace, {"download": bug, "import": lambda context: 1})
    try:
        with caplog.at_level(logging.ERROR):
            failed = finished(service, service.submit("download"))
        assert failed["state"] == "failed" and len(failed["error_id"]) == 8
        assert failed["error_id"] in failed["message"] and "secret" not in failed["message"]
        assert any(failed["error_id"] in record.message and record.exc_info for record in caplog.records)
        assert finished(service, service.submit("import"))["state"] == "finished"
    finally:
        service.close()


def test_a_snapshot_is_consistent_while_a_job_reports(workspace):
    def count(context):
        number = 0
        while not context.stop.is_set():
            number += 1
            context.progress("train", number, 2 * number)
        raise Stopped

    service = JobService(workspace, {"download": count})
    try:
        job = service.submit("download")
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            seen = service.snapshot(job.id)
            assert seen["total"] == 2 * seen["done"]
            json.dumps(seen)
        assert seen["rate"] > 0 and seen["eta"] is not None
    finally:
        service.close()


def test_a_job_prepares_until_its_own_work_begins(workspace):
    asked, seen = threading.Event(), []

    def work(context):
        for stage in ("panel", "rank"):
            context.progress(stage, 1, 2)
            seen.append(service.snapshot(job.id)["state"] if asked.wait(LIMIT) else "")

    service = JobService(workspace, {"rank": work})
    try:
        job = service.submit("rank")
        asked.set()
        finished(service, job)
        assert seen == ["preparing", "running"]
    finally:
        service.close()


def test_the_rate_counts_from_the_begin_of_the_stage(service, gate):
    job = service.submit("download", tag="x")
    gate.wait_begun()
    time.sleep(0.02)
    seen = service.snapshot(job.id)
    assert seen["stage"] == "train" and seen["done"] == 1 and seen["total"] == 10 and seen["rate"] == 0 and seen["eta"] is None


def test_what_is_unknown_is_said(service):
    with pytest.raises(NotFoundError, match="kind"):
        service.submit("dance")
    with pytest.raises(NotFoundError):
        service.snapshot("nope")
    with pytest.raises(NotFoundError):
        service.submit("resume", run="nope")


def test_the_newest_job_stands_first(service, gate):
    jobs = [service.submit("download", tag=n) for n in range(3)]
    assert [entry["id"] for entry in service.list()] == [job.id for job in jobs[::-1]]


def test_who_waits_for_the_end_of_a_job_is_called_once_whenever_he_asks(service, gate):
    called = []
    running, queued = (service.submit("download", tag=n) for n in range(2))
    for number, job in enumerate((running, queued)):
        service.when_done(job.id, lambda number=number: called.append(number))
    gate.wait_begun()
    assert called == []
    service.stop(queued.id)
    service.stop(running.id)
    finished(service, running)
    service.when_done(running.id, lambda: called.append("late"))
    assert called == [1, 0, "late"]


def test_closing_stops_everything_and_takes_nothing_new(workspace, gate):
    service = JobService(workspace, {"download": gate})
    running, queued = service.submit("download"), service.submit("download")
    gate.wait_begun()
    service.close(LIMIT)
    assert service.snapshot(running.id)["state"] == service.snapshot(queued.id)["state"] == "stopped"
    with pytest.raises(JobError):
        service.submit("download")


def test_a_server_without_work_carries_no_torch():
    import subprocess
    import sys

    script = "import sys, financial_model.serving.jobs, financial_model.serving.runs; print('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
