"""The queue: in the order in which things will be done, with a way out of each; what was interrupted is offered again."""

from pathlib import Path

import gradio as gr
import pytest

from financial_model.errors import NotFoundError
from financial_model.serving.runs import RunInfo
from financial_model.ui.page import Page, Services, Snapshot
from financial_model.ui.queue import QueueCard, card, ordered
from financial_model.ui.text import Words
from tests.ui.builders import CHINESE, ENGLISH

MARKET = {"stocks": 1, "rows": 1}


def job(number, state="queued", position=0, **values):
    fields = {"kind": "train", "stage": "", "done": 0.0, "total": 0.0, "eta": None, "run": f"run_{number}"}
    return {"id": f"job{number}", "state": state, "position": position, **fields, **values}


def run(name, state):
    return RunInfo(id=name, name=name, path=Path("-"), state=state, created="", updated="", config={})


def test_what_works_comes_first_then_what_waits_in_its_order():
    newest_first = [job(3, position=2), job(2, position=1), job(1, "running", stage="train", done=5, total=10, eta=65)]
    snapshot = Snapshot(jobs=newest_first, runs=[], market=MARKET)
    assert [entry["id"] for entry in ordered(snapshot)] == ["job1", "job2", "job3"]
    html = card(ENGLISH, snapshot)
    assert html.index("run_1") < html.index("run_2") < html.index("run_3") and "50%" in html and "1:05" in html
    assert html.count('data-act="cancel"') == 3 and "Number 2 in the queue" in html


def test_a_job_that_is_stopping_cannot_be_stopped_twice():
    assert "disabled" in card(ENGLISH, Snapshot(jobs=[job(1, "stopping")], runs=[], market=MARKET))


def test_nothing_to_do_is_nothing_to_see():
    done = Snapshot(jobs=[job(1, "finished")], runs=[run("a", "finished"), run("b", "stopped")], market=MARKET)
    assert card(ENGLISH, done) == ""


def test_an_interrupted_run_is_offered_for_resuming():
    html = card(CHINESE, Snapshot(jobs=[], runs=[run("night_20240101", "interrupted")], market=MARKET))
    assert 'data-act="resume" data-id="night_20240101"' in html and "中断" in html


def test_a_button_acts_on_the_servers_own_list_and_on_nothing_else(workspace):
    services = Services(workspace)
    with gr.Blocks():
        page = Page(services=services, words=Words("en"), preferences=gr.BrowserState({}))
        shown = QueueCard(page, "basic")
    for data in ({"act": "cancel", "id": "../../x"}, {"act": "resume", "id": "/etc/passwd"}, {"act": "burn", "id": "job1"}, {}):
        with pytest.raises(NotFoundError):
            shown._act(ENGLISH, data)
    services.jobs.close()
