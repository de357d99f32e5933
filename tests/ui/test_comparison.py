"""Comparing models in the page: chosen, queued, followed, read and taken away."""

import json
import urllib.request
from pathlib import Path

import gradio as gr
import pytest
import torch
from gradio_client import Client

from financial_model.errors import ConfigError
from financial_model.serving.experiment import run_training
from financial_model.ui import app
from financial_model.ui.comparison import ComparisonView
from financial_model.ui.page import Page, Services
from financial_model.ui.text import Words
from tests.serving.builders import fill_store, tiny, workspace_in
from tests.ui.builders import CHINESE, ENGLISH

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A small market with one tested run."""
    made = workspace_in(tmp_path_factory.mktemp("comparing"))
    fill_store(made)
    run_training(made, tiny("base", epochs=1))
    return made


@pytest.fixture(scope="module")
def shown(workspace):
    """(view, services, id of a finished comparison of the run with a model trained like it)."""
    services = Services(workspace)
    with gr.Blocks(), gr.Tabs(), gr.Tab() as opened:
        page = Page(services=services, words=Words("en"), preferences=gr.BrowserState({}))
        with page.building("runs", opened):
            view = ComparisonView(page)
    run = services.runs.list()[0].id
    update = view._start(ENGLISH, [run], ["mlp"], [], run, "mae_percent")
    job = services.snapshot(fresh=True).jobs[0]
    done = services.jobs.wait(job["id"], 120)
    assert done["state"] == "finished", done["message"]
    yield view, services, update["value"]
    services.jobs.close()


def drawn(shown, language):
    view, services, name = shown
    return view._draw(language, services.snapshot(fresh=True), name)


def test_the_table_names_every_row_in_the_readers_language(shown):
    card = drawn(shown, ENGLISH)[4]
    assert "base" in card and "mlp" in card and "baseline: Ridge regression" in card and "always up" in card
    chinese = drawn(shown, CHINESE)[4]
    assert "基线：" in chinese and "始终“涨”" in chinese.replace("上涨", "涨") and "参数量" in chinese


def test_the_figure_shows_each_row_with_its_interval(shown):
    figure = drawn(shown, ENGLISH)[5]["value"]
    names = [name for trace in figure.data for name in trace.y]
    assert {"base", "mlp"} <= set(names) and figure.data[0].error_x.array is not None


def test_both_files_are_ready_to_be_taken_away(shown):
    _, _, csv, html, _, _ = drawn(shown, CHINESE)
    text = Path(csv["value"]).read_bytes()
    assert text.startswith(b"\xef\xbb\xbf") and b"mae_percent_low" in text and csv["interactive"]
    assert "<svg" in Path(html["value"]).read_text("utf-8") and 'lang="zh"' in Path(html["value"]).read_text("utf-8")


def test_a_finished_comparison_is_drawn_again_only_when_something_changed(shown):
    view, services, name = shown
    first = view._version(services.snapshot(fresh=True), name)
    assert first == view._version(services.snapshot(fresh=True), name)


def test_only_tested_runs_are_offered_and_a_vanished_choice_is_dropped(shown):
    view, services, _ = shown
    runs, like = view._draw_choices(ENGLISH, services.snapshot(fresh=True), ["gone", services.runs.list()[-1].id], "gone")
    assert len(runs["choices"]) == 2 and runs["value"] == [services.runs.list()[-1].id] and like["value"] == "quick"


def test_fine_tunes_of_tested_runs_and_of_chosen_models_are_offered(shown):
    view, services, _ = shown
    run = services.runs.list()[-1].id
    (update,) = view._draw_tuned(ENGLISH, services.snapshot(fresh=True), ["gru"], [f"head:{run}", "lora:mlp"])
    offered = {value for _, value in update["choices"]}
    assert {"head:gru", "lora:gru", f"head:{run}"} <= offered and update["value"] == [f"head:{run}"], "mlp is no longer chosen"


def test_one_model_alone_is_no_comparison(shown):
    view, services, _ = shown
    with pytest.raises(ConfigError) as caught:
        view._start(ENGLISH, [], ["gru"], [], "quick", "rank_ic")
    assert caught.value.key == "ui.compare.too_few" and len(services.snapshot(fresh=True).jobs) == 1


def test_in_the_served_page_the_section_is_there_and_a_start_without_data_is_refused(tmp_path):
    running = app.launch("127.0.0.1", 7900, workspace=workspace_in(tmp_path))
    try:
        with urllib.request.urlopen(f"{running.url}/config", timeout=20) as reply:
            config = json.loads(reply.read())
        named = {component["id"]: component["props"].get("elem_id") for component in config["components"]}
        for name in ("runs", "models", "tuned", "like", "rank", "start", "stop", "pick", "resume", "csv", "html"):
            assert f"compare-{name}" in named.values()
        start = next(entry for entry in config["dependencies"] if any(named[target] == "compare-start" for target, _ in entry["targets"]))
        told = Client(running.url, verbose=False).predict({}, [], ["gru", "mlp"], [], "quick", "rank_ic", fn_index=start["id"])
        assert "no market data" in str(told), "said beside the button"
        assert running.services.runs.list() == [], "a refused start leaves nothing behind"
    finally:
        running.close()
