"""Forecasts by a process beside the server's: the same figures, warm models, one sentence when it dies, and nothing left behind."""

import os
import signal
import threading
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from financial_model.errors import ConfigError, JobError, NotFoundError, Stopped
from financial_model.paths import Workspace
from financial_model.serving import jobs, predictor, process, tasks
from financial_model.serving.answers import ANSWERS, Answers
from financial_model.serving.beside import Beside
from financial_model.serving.jobs import JobService
from financial_model.serving.passing import packed, unpacked
from tests.serving.builders import SYMBOLS

LIMIT = 120


@pytest.fixture(scope="module")
def beside(finished):
    found = Beside(finished[0])
    yield found
    pid = found.companion.pid
    found.close()
    ended(pid)
    with pytest.raises(JobError):
        found.ask("rank", run="finished")


def until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(pid):
    until(lambda: process._started(pid) is None)


@pytest.mark.parametrize("kind, question", [
    ("rank", {"top": 0}), ("forecast", {"symbol": SYMBOLS[0], "days": 2}), ("orders", {"cash": 100_000, "holdings": [[SYMBOLS[1], 100, None, ""]]})])
def test_its_answers_are_those_of_this_process(beside, finished, monkeypatch, kind, question):
    expected = Answers(finished[0]).ask(kind, run="finished", **question)
    monkeypatch.setattr(predictor, "Predictor", None)  # not here
    found = beside.ask(kind, run="finished", **question)
    if kind == "rank":
        pd.testing.assert_frame_equal(found, expected)
        assert found.attrs == unpacked(packed(expected.attrs))
    else:
        assert found == unpacked(packed(expected))


def test_it_stays_tells_how_far_it_is_and_says_what_is_wrong(beside):
    told = []
    beside.ask("rank", run="finished", progress=lambda *stage: told.append(stage))
    first = beside.companion.pid
    assert ("rank", float(len(SYMBOLS)), float(len(SYMBOLS))) in told
    with pytest.raises(ConfigError) as refused:
        beside.ask("forecast", run="finished", symbol=SYMBOLS[0], days=99)
    assert refused.value.key == "serving.beyond_horizon"
    with pytest.raises(NotFoundError):
        beside.ask("rank", run="nobody")
    assert beside.companion.pid == first


def test_a_question_that_is_stopped_leaves_the_others_alone(beside):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        beside.ask("rank", run="finished", stop=stop)
    assert len(beside.ask("rank", run="finished", top=3)) == 3


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL, SIGSTOP")
def test_one_that_dies_is_told_in_a_sentence_and_replaced(beside, finished):
    beside.ask("rank", run="finished")
    first = beside.companion.pid
    service = JobService(finished[0], tasks.questions(beside))
    os.kill(first, signal.SIGSTOP)  # so that the question is under way
    job = service.submit("rank", run="finished", top=2)
    until(lambda: beside.companion._process.asked)
    os.kill(first, signal.SIGKILL)
    failed = service.wait(job.id, LIMIT)
    assert failed["state"] == "failed" and failed["message_key"] == "jobs.companion_died" and "Nothing is lost" in failed["message"]
    again = service.wait(service.submit("rank", run="finished", top=2).id, LIMIT)
    service.close()
    assert again["state"] == "finished" and len(again["result"]) == 2 and beside.companion.pid != first
    ended(first)


def test_it_is_let_go_when_nobody_asks_and_comes_back(finished):
    beside = Beside(finished[0], idle=0.2)
    beside.ask("score", run="finished")
    first = beside.companion._process
    until(lambda: beside.companion.pid is None)
    ended(first.pid)
    assert beside.ask("score", run="finished")["entries"] == []
    beside.close()


def test_every_question_that_is_a_job_is_known():
    assert set(tasks.QUESTIONS) <= set(ANSWERS) and set(tasks.QUESTIONS) <= set(jobs.LANES)
    workspace = Workspace()
    asked = []
    answering = SimpleNamespace(ask=lambda kind, **question: asked.append((kind, question)))
    context = SimpleNamespace(workspace=workspace, run_id="the id", progress=None, stop=None)
    tasks.question("rank", answering)(context, run="a name", top=3)
    assert asked == [("rank", {"run": "the id", "top": 3, "progress": None, "stop": None})]


def test_a_table_passes_as_it_is():
    table = pd.DataFrame({
        "symbol": ["600519.SH", "AAPL"], "day": np.array([1, 2]), "date": np.array(["2024-06-28", "2024-07-01"], "datetime64[s]"),
        "expected": np.array([0.1, np.nan], np.float32), "tradable": [True, False], "name": ["贵州茅台", None]})
    table.attrs.update(as_of="2024-06-28", notes=[{"key": "a", "fields": {"count": np.int64(3)}}])
    found = unpacked(packed({"table": table, "more": (1, np.float32(0.5))}))
    pd.testing.assert_frame_equal(found["table"], table)
    assert found["table"].attrs == {"as_of": "2024-06-28", "notes": [{"key": "a", "fields": {"count": 3}}]} and found["more"] == [1, 0.5]
    with pytest.raises(TypeError):
        packed({"table": object()})
