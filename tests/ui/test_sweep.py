"""Searching settings in the page: asked as text, queued, followed from the disk, and refused in one sentence."""

import gradio as gr
import pytest
import torch

from financial_model.errors import ConfigError
from financial_model.ui import charts
from financial_model.ui.page import Page, Services
from financial_model.ui.sweep import SweepView, axis_texts, card
from financial_model.ui.text import Words
from tests.serving.builders import fill_store, tiny, workspace_in
from tests.ui.builders import CHINESE, ENGLISH

torch.set_num_threads(1)


def trial(number, state, value, **more):
    return {"number": number, "state": state, "values": {"hidden": 8 + number}, "value": value, "reports": [] if value is None else [value],
            "run": f"look-t{number:03d}", "reason": None, **more}


def table(by="loss"):
    rows = [trial(0, "complete", 0.7), trial(1, "complete", 0.5), trial(2, "pruned", 0.9), trial(3, "running", None),
            trial(4, "fail", None, run="", reason={"key": "config.heads_divide", "fields": {"heads": "3", "hidden": "16", "good": "1, 2, 4"}})]
    return {"id": "look_1", "by": by, "total": 6, "space": ["hidden=8..16"], "trials": rows, "best": 1 if by == "loss" else 0, "test": None}


def view_on(services):
    with gr.Blocks(), gr.Tabs(), gr.Tab() as opened:
        page = Page(services=services, words=Words("en"), preferences=gr.BrowserState({}))
        with page.building("runs", opened):
            return SweepView(page)


@pytest.mark.parametrize("text, axes", [
    ("learning_rate=1e-4..3e-3, hidden=32,64", ["learning_rate=1e-4..3e-3", "hidden=32,64"]),
    ("hidden=32，64；layers=1、2\nheads=2,4,", ["hidden=32,64", "layers=1,2", "heads=2,4"]),
    ("32, hidden=8,16", ["32", "hidden=8,16"]),
    (" ,\n", []),
])
def test_a_part_without_a_name_is_one_more_value_of_the_setting_before_it(text, axes):
    assert axis_texts(text) == axes


def test_the_best_stands_first_and_is_marked_and_a_trial_nobody_works_on_waits():
    shown = card(ENGLISH, table(), at_work=())
    assert shown.index("look-t001") < shown.index("look-t000") < shown.index("look-t002") and shown.count(">best<") == 1
    assert ">waiting<" in shown and ">running<" not in shown and ">running<" in card(ENGLISH, table(), {"look-t003"})
    assert "4 of 6" in shown and "stays closed" in shown
    chinese = card(CHINESE, table(), at_work=())
    assert "最佳" in chinese and "测试集不会打开" in chinese and "heads_divide" not in chinese


@pytest.mark.parametrize("by, stair", [("loss", (0.7, 0.5)), ("rank_ic", (0.7, 0.7))])
def test_the_stair_of_the_best_follows_finished_trials_in_the_direction_of_the_figure(by, stair):
    finished, others, best = charts.sweep(table(by), ENGLISH).data
    assert tuple(best.y) == stair and tuple(finished.x) == (0, 1) and tuple(others.x) == (2,)


def test_a_sweep_is_queued_followed_and_drawn_from_the_disk_by_a_second_server(tmp_path):
    workspace = workspace_in(tmp_path)
    fill_store(workspace)
    services = Services(workspace)
    view = view_on(services)
    with pytest.raises(ConfigError, match="at least one setting"):
        view._start(ENGLISH, " ", 2, "loss", "quick")
    with pytest.raises(ConfigError) as caught:
        view._start(ENGLISH, "hidden=8,16", 0, "loss", "quick")
    assert caught.value.key == "config.out_of_range" and not services.jobs.list()
    base = services.runs.create(tiny("base", epochs=1))
    services.runs.set_state(base.id, "stopped", "jobs.stopped")
    name = view._start(ENGLISH, "hidden=8,16", 2, "loss", base.id)["value"]
    job = services.jobs.wait(services.jobs.list()[0]["id"], 120)
    assert job["state"] == "finished" and job["kind"] == "sweep", job["message"]
    services.jobs.close()
    other = Services(workspace)
    picker, resume, csv, shown, plot = view_on(other)._draw(CHINESE, other.snapshot(fresh=True), None)
    other.jobs.close()
    assert picker["value"] == name and not resume["interactive"] and csv["interactive"] and plot["visible"]
    assert "最佳" in shown and "测试集只为" in shown and len(job["result"]["trials"]) == 2
