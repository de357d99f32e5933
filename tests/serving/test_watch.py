"""A ranking that keeps itself current: asks after the close, once, and never in a tight loop."""

import threading
from datetime import datetime

import numpy as np
import pytest

from financial_model.errors import ConfigError, JobError, SourceError
from financial_model.market.store import Store
from financial_model.serving import watch as module
from financial_model.serving.jobs import JobService
from financial_model.serving.tasks import TASKS
from financial_model.serving.watch import last_closed, next_closed, watch
from tests.serving.builders import bars, tiny, trading_days, workspace_in


@pytest.mark.parametrize(("name", "now", "session"), [
    ("XSHG", "2024-06-12T07:29+00:00", "2024-06-11"),   # 15:29 in Shanghai: closed, not yet settled
    ("XSHG", "2024-06-12T07:31+00:00", "2024-06-12"),
    ("XSHG", "2024-06-10T12:00+00:00", "2024-06-07"),   # Dragon Boat holiday, a Monday
    ("XNYS", "2024-06-12T20:29+00:00", "2024-06-11"),
    ("XNYS", "2024-06-13T01:00+00:00", "2024-06-12"),   # still the evening of the 12th in New York
    ("XNYS", "2024-06-15T12:00+00:00", "2024-06-14"),
])
def test_a_session_counts_half_an_hour_after_its_close(name, now, session):
    assert last_closed(name, datetime.fromisoformat(now)) == np.datetime64(session)


class Rounds(threading.Event):
    """Waits no time, and is set after so many looks."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None and timeout >= 60
        self.left -= 1
        return self.left < 0


@pytest.fixture
def workspace(tmp_path):
    workspace = workspace_in(tmp_path)
    days = trading_days(30)
    Store(workspace.data_dir).write_bars("600519.SH", bars(1, days), source="tdx")
    return workspace


def looked(workspace, monkeypatch, answers, rounds, now="2030-01-02T00:00+00:00"):
    """(times the ranking was made, what was told, times the source was asked)"""
    made, told, asked = [], [], []

    def download(*_, **__):
        asked.append(1)
        answer = answers[min(len(asked), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return {"stored": answer}

    monkeypatch.setattr(module, "download", download)
    watch(workspace, 3600, lambda: made.append(1), stop=Rounds(rounds), tell=lambda key, **_: told.append(key),
          clock=lambda: datetime.fromisoformat(now))
    return len(made), told, len(asked)


def test_new_bars_bring_a_new_ranking_and_a_failure_another_try(workspace, monkeypatch):
    answers = [SourceError("tdx.unreachable", host="127.0.0.1:7709", reason="refused"), [], ["600519.SH"]]
    assert looked(workspace, monkeypatch, answers, 3) == (2, ["watch.failed", "watch.nothing_new", "watch.updated"], 3)


def test_nothing_is_asked_while_no_session_has_closed_since(workspace, monkeypatch):
    last = str(Store(workspace.data_dir).symbols()["last"].iloc[0])[:10]
    assert looked(workspace, monkeypatch, [[]], 4, now=f"{last}T23:00+00:00") == (1, [], 0)


def test_a_minute_is_the_shortest_time_and_files_do_not_grow(workspace, tmp_path):
    with pytest.raises(ConfigError, match="too often"):
        watch(workspace, 5, list, stop=threading.Event(), tell=print)
    other = workspace_in(tmp_path / "other")
    Store(other.data_dir).write_bars("600519.SH", bars(1, trading_days(30)), source="files")
    with pytest.raises(ConfigError, match="cannot be asked"):
        watch(other, 3600, list, stop=threading.Event(), tell=print)


def test_the_next_close_is_the_first_after_the_last_in_the_exchanges_time():
    moment = next_closed("XSHG", datetime.fromisoformat("2024-06-07T09:00+00:00"))  # a Friday evening before a holiday
    assert moment.isoformat(timespec="minutes") == "2024-06-11T15:30+08:00"


def test_as_a_job_it_works_through_other_jobs_says_what_came_last_and_is_one_for_a_run(workspace, monkeypatch):
    monkeypatch.setattr(module, "SHORTEST", 0.01)
    done, answers = [], [SourceError("tdx.unreachable", host="x", reason="y"), {"stored": ["600519.SH"]}]
    updated = threading.Event()

    def download(context, source, symbols):
        done.append(f"{source} {','.join(symbols)}")
        answer = answers.pop(0) if answers else {"stored": []}
        if isinstance(answer, Exception):
            raise answer
        return answer

    def rank(context, run, **_):
        done.append("rank")
        if done.count("rank") == 2:
            updated.set()

    jobs = JobService(workspace, {"watch": TASKS["watch"], "download": download, "rank": rank})
    run = jobs.runs.create(tiny())
    job = jobs.submit("watch", run=run.id, seconds=0.02)
    with pytest.raises(JobError, match="already"):
        jobs.submit("watch", run=run.id)
    assert updated.wait(20)
    found = jobs.snapshot(job.id, "zh")
    assert found["state"] == "running" and found["until"], "it says when it will look again"
    assert done[:4] == ["rank", "tdx 600519.SH", "tdx 600519.SH", "rank"], "a download that failed is tried again, a ranking follows new bars"
    jobs.stop(job.id)
    assert jobs.wait(job.id, 20)["state"] == "stopped"
    assert jobs.submit("watch", run=run.id).id, "after the stop it may begin again"
    jobs.close()


def test_a_first_ranking_that_fails_ends_the_job_with_its_reason(workspace):
    def rank(context, run, **_):
        raise ConfigError("watch.of_the_past", as_of="2020-01-01")

    jobs = JobService(workspace, {"watch": TASKS["watch"], "rank": rank})
    job = jobs.submit("watch", run=jobs.runs.create(tiny()).id)
    ended = jobs.wait(job.id, 20)
    jobs.close()
    assert (ended["state"], ended["message_key"]) == ("failed", "watch.of_the_past")
