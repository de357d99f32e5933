"""A run for other programs, from the page: converted by a job, offered as one archive, or refused with a sentence."""

import zipfile

import gradio as gr
import pytest
import torch

from financial_model.errors import ConfigError
from financial_model.serving import portable
from financial_model.serving.experiment import run_training
from financial_model.ui.exporting import ExportView
from financial_model.ui.page import Page, Services
from financial_model.ui.text import Words
from tests.serving.builders import fill_store, tiny, workspace_in
from tests.ui.builders import CHINESE, ENGLISH

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """(view, services, a finished run)."""
    workspace = workspace_in(tmp_path_factory.mktemp("exporting"))
    fill_store(workspace)
    run = run_training(workspace, tiny("base", epochs=1))
    services = Services(workspace)
    with gr.Blocks(), gr.Tabs(), gr.Tab() as opened:
        page = Page(services=services, words=Words("en"), preferences=gr.BrowserState({}))
        with page.building("runs", opened):
            view = ExportView(page, gr.Dropdown())
    yield view, services, run.id
    services.jobs.close()


def convert(shown, form="onnx"):
    view, services, run = shown
    view._convert(ENGLISH, run, form)
    done = services.jobs.wait(services.snapshot(fresh=True).jobs[0]["id"], 120)
    return done, services.snapshot(fresh=True)


def test_at_first_it_says_what_it_is(shown):
    view, services, run = shown
    status, file = view._draw(CHINESE, services.snapshot(fresh=True), run)
    assert "计算图" in status and file["visible"] is False


def test_no_other_run_is_converted_in_place_of_one_that_cannot_be(shown):
    view, services, run = shown
    with pytest.raises(ConfigError) as caught:
        view._convert(ENGLISH, "waiting", "onnx")
    assert caught.value.key == "ui.export.no_checkpoint" and not services.snapshot(fresh=True).jobs


def test_what_this_machine_cannot_do_is_a_sentence(shown, monkeypatch):
    monkeypatch.setattr(portable, "find_spec", lambda name: None)
    done, snapshot = convert(shown)
    status, file = shown[0]._draw(ENGLISH, snapshot, shown[2])
    assert done["state"] == "failed" and "pip install onnx" in status and file["visible"] is False


def test_a_finished_conversion_is_one_archive_with_its_description(shown, monkeypatch):
    def graph(raw, path):
        """The conversion itself has its own tests; here the file is a stand-in that forecasts as the checkpoint does."""
        path.write_bytes(b"graph")
        return "any", raw

    monkeypatch.setattr(portable, "_onnx", graph)
    done, snapshot = convert(shown)
    assert done["state"] == "finished", done["message"]
    status, file = shown[0]._draw(ENGLISH, snapshot, shown[2])
    assert "at most 0" in status and file["visible"]
    with zipfile.ZipFile(file["value"]) as packed:
        assert packed.namelist() == [f"{shown[2]}.final.onnx", f"{shown[2]}.final.onnx.json"] and packed.read(packed.namelist()[0]) == b"graph"
    assert shown[0]._version(snapshot, shown[2]) == shown[0]._version(shown[1].snapshot(fresh=True), shown[2])
