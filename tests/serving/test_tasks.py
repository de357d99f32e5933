"""The real jobs through the real queue, on a small market."""

import json
import time

import pytest

from financial_model import config as settings
from financial_model.errors import NotFoundError
from financial_model.market.store import Store
from financial_model.serving.jobs import JobService
from tests.serving.builders import SYMBOLS, bars, tiny, trading_days

LIMIT = 120


@pytest.fixture
def service(filled):
    jobs = JobService(filled)
    yield jobs
    jobs.close()


def until(service, job, condition):
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        seen = service.snapshot(job.id)
        if condition(seen):
            return seen
        assert seen["state"] not in ("failed", "finished"), seen
        time.sleep(0.01)
    raise AssertionError("nothing happened")


def test_a_training_can_be_watched_stopped_resumed_and_asked(service):
    """What the page does with a run, from start to forecast."""
    job = service.submit("train", config=tiny("watched", epochs=40))
    assert service.runs.get("watched").id == job.run_id
    seen = until(service, job, lambda seen: seen["state"] == "running" and seen["done"] >= 22)
    assert seen["stage"] == "train" and seen["total"] == 40 * 11 and seen["rate"] > 0 and seen["eta"] > 0
    json.dumps(seen)
    assert service.runs.state(job.run_id) == "running" and service.runs.curves(job.run_id)["series"]["validation/loss"]["step"]
    service.stop(job.id)
    stopped = service.wait(job.id, LIMIT)
    assert stopped["state"] == "stopped" and service.runs.state(job.run_id) == "stopped"

    kept = service.runs.curves(job.run_id)["series"]["train/loss"]["step"]
    resumed = service.submit("resume", run="watched")
    assert service.runs.state(job.run_id) in ("queued", "preparing", "running")
    again = until(service, resumed, lambda seen: seen["done"] > max(kept) or seen["state"] == "finished")
    assert again["total"] == 440
    service.stop(resumed.id)
    service.wait(resumed.id, LIMIT)

    ranked = service.wait(service.submit("rank", run="watched", top=3).id, LIMIT)
    assert ranked["state"] == "finished" and len(ranked["result"]) == 3
    evaluated = service.wait(service.submit("evaluate", run="watched").id, LIMIT)
    assert evaluated["state"] == "finished" and evaluated["result"]["test_opened"] == 1


def test_a_finished_training_gives_the_run_as_its_result(service):
    done = service.wait(service.submit("train", config=tiny("short", epochs=1)).id, LIMIT)
    assert done["state"] == "finished" and done["result"]["metrics"]["rows"] > 0 and done["result"]["state"] == "finished"
    json.dumps(done)


def test_a_training_that_cannot_be_fails_with_the_sentence_of_the_run(service):
    failed = service.wait(service.submit("train", config=tiny("bad", context_length=400)).id, LIMIT)
    run = service.runs.get("bad")
    assert failed["state"] == run.state == "failed" and failed["message_key"] == run.message_key and failed["error_id"] == ""


def test_a_bug_has_the_same_number_in_the_job_and_in_the_run(service, monkeypatch):
    from financial_model.training import trainer

    def bug(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(trainer, "train", bug)
    failed = service.wait(service.submit("train", config=tiny("bug")).id, LIMIT)
    assert failed["error_id"] and failed["error_id"] in service.runs.get("bug").message()


def test_after_a_crash_the_run_reads_interrupted_and_a_new_service_resumes_it(service, filled):
    """A server that vanished leaves runs as running or queued, owned by a process that is gone."""
    run = service.runs.create(tiny("crashed", epochs=1))
    for state in ("queued", "running"):
        path = run.path / "state.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "state": state, "pid": 2**22 + 7}))
        assert service.runs.state(run.id) == "interrupted"
    assert service.wait(service.submit("resume", run="crashed").id, LIMIT)["state"] == "finished"


def test_import_and_analyze_as_jobs(workspace, tmp_path):
    for seed, symbol in enumerate(SYMBOLS):
        bars(seed, trading_days(60)).to_csv(tmp_path / f"{symbol}.csv", index=False)
    service = JobService(workspace)
    try:
        done = service.wait(service.submit("import", paths=[str(tmp_path / f"{symbol}.csv") for symbol in SYMBOLS]).id, LIMIT)
        assert done["state"] == "finished" and len(done["result"]["imported"]) == 8 and done["done"] == done["total"] == 8
        seen = service.wait(service.submit("analyze").id, LIMIT)
        assert seen["state"] == "finished" and seen["result"]["stocks"] == 8
    finally:
        service.close()


def test_the_demo_market_as_a_job_marks_the_store(workspace):
    service = JobService(workspace)
    try:
        done = service.wait(service.submit("download", source="demo", stocks=12, years=1, seed=3, variant="null").id, LIMIT)
        assert done["state"] == "finished" and done["result"]["summary"]["synthetic"] is True
        assert Store(workspace.data_dir).summary()["stocks"] == 12
    finally:
        service.close()


def test_what_a_source_does_not_know_fails_with_a_sentence(workspace):
    service = JobService(workspace)
    try:
        for parameters in ({"source": "demo", "colour": "red"}, {"source": "demo", "years": "many"}, {"source": "moon"}):
            failed = service.wait(service.submit("download", **parameters).id, LIMIT)
            assert failed["state"] == "failed" and failed["error_id"] == "" and failed["message"]
    finally:
        service.close()


def test_an_unknown_run_is_refused_before_it_is_queued(service):
    for kind in ("resume", "evaluate", "rank"):
        with pytest.raises(NotFoundError):
            service.submit(kind, run="nobody")
    assert service.list() == []


def test_the_public_functions_do_what_the_jobs_do(filled):
    import financial_model

    folders = {"data_dir": filled.data_dir, "checkpoint_dir": filled.checkpoint_dir}
    run = financial_model.train(**folders, **{name: value for name, value in settings.flatten(tiny("public", epochs=1)).items()})
    assert run.state == "finished"
    assert financial_model.evaluate("public", **folders)["metrics"] == run.metrics
    assert len(financial_model.rank("public", 2, **folders)) == 2
    assert financial_model.load(run.path / "final.safetensors").horizon == 3
