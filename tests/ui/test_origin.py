"""Choosing where a training starts from fills the form with what the weights need; changing it afterwards is said at its field."""

import gradio as gr
import pytest
import torch
from safetensors.torch import save

from financial_model.config import to_dict
from financial_model.errors import ConfigError
from financial_model.features import registry
from financial_model.serving.runs import RunStore
from financial_model.training.container import METADATA_KEY, encode
from financial_model.ui.choosing import forecasts, usable
from financial_model.ui.page import Page, Services
from financial_model.ui.starting import TrainingForm
from financial_model.ui.tabs import basic, frame
from financial_model.ui.text import Words
from tests.serving.builders import tiny
from tests.training.test_base import SPLIT
from tests.ui.builders import ENGLISH


def finished(runs, config, **changes):
    """A run whose checkpoint has a header and one number for weights."""
    run = runs.create(config, state="stopped")
    header = {"format": "kairos.forecaster", "version": 1, "config": {}, "head": config.head(), "features": [], "inputs": 0, "context_length": 8,
              "symbols": [], "table": None, "label_scale": [], "extras": {}, "weights_hash": "aa", "split": SPLIT, "lineage": [], **changes}
    header["config"] = to_dict(config)
    header["features"] = list(registry.names(config.features.groups, config.features.formulas))
    (run.path / "final.safetensors").write_bytes(save({"one": torch.zeros(1)}, {METADATA_KEY: encode(header)}))
    return run


@pytest.fixture
def tab(workspace):
    """(form, page, base run, encoder run)"""
    runs = RunStore(workspace.checkpoint_dir)
    base = finished(runs, tiny("base", unit="rank", objective="mse"))
    encoder = finished(runs, tiny("encoder", method="pretrain", backbone="transformer", patches=True, context_length=40), kind="encoder")
    services = Services(workspace)
    with gr.Blocks():
        page = Page(services=services, words=Words("en"), preferences=gr.BrowserState({}))
        with gr.Tabs(), frame.training_tab(page, "basic", basic.belongs) as panel:
            form = TrainingForm(page, panel, "basic", essentials=basic.ESSENTIALS, fixed={"condition": "none", "industry": "all"}, values={})
    yield form, page, base, encoder
    services.jobs.close()


def filled(form, *, method, base):
    """The form's values after a choice of base and method."""
    values = dict(zip(form.form.names, (control.value for control in form.form.inputs), strict=True)) | {"method": method, "init_from": base}
    for name, update in zip(form.form.names, form.origin._take_over(ENGLISH, base, method, values["backbone"]), strict=True):
        if "value" in update:
            values[name] = update["value"]
    return values


def test_the_choice_brings_its_settings_along(tab):
    form, _, base, _ = tab
    values = filled(form, method="lora", base=base.id)
    config = form.config([values[name] for name in form.form.names])
    assert (config.model.backbone, config.features.groups, config.label.unit) == ("gru", ("return", "rank"), "rank")
    assert config.split.validation_end == SPLIT["validation"]["last"]
    box, command, *_ = form._look(ENGLISH, *(values[name] for name in form.form.names))
    assert "k-note bad" not in box and f"--init-from {base.id}" in command and "--method lora" in command


def test_what_is_changed_afterwards_is_marked_at_its_field(tab):
    form, _, base, _ = tab
    values = {**filled(form, method="full", base=base.id), "context_length": 12}
    box, *_ = form._look(ENGLISH, *(values[name] for name in form.form.names))
    assert "#basic-set-context_length" in box and "starts from" in box
    with pytest.raises(ConfigError, match="context_length"):
        form._submit(ENGLISH, *(values[name] for name in form.form.names))


@pytest.mark.parametrize("text", ["nobody", "/etc/passwd", "../x.safetensors"])
def test_only_runs_can_be_chosen(tab, text):
    form, *_ = tab
    values = dict(zip(form.form.names, (control.value for control in form.form.inputs), strict=True)) | {"init_from": text}
    box, *_ = form._look(ENGLISH, *(values[name] for name in form.form.names))
    assert "k-note bad" in box and "#basic-set-init_from" in box


def test_pre_training_sets_what_it_needs(tab):
    form, *_ = tab
    values = filled(form, method="pretrain", base="")
    assert values["patches"] is True and values["backbone"] == "transformer"


def test_encoders_are_listed_as_beginnings_and_never_asked_for_a_forecast(tab):
    form, page, base, encoder = tab
    snapshot = page.services.snapshot(fresh=True)
    assert {run.id for run in form.origin._bases(snapshot)} == {base.id, encoder.id}
    assert [run.id for run in usable(snapshot)] == [base.id] and not forecasts(encoder)
    (update,) = form.origin._draw(ENGLISH, snapshot)
    assert [value for _, value in update["choices"]][0] == "" and len(update["choices"]) == 3
