"""A run whose batches have windows of different lengths: it resumes exactly, evaluates whole windows and is compiled once a length."""

import functools

import torch
from safetensors.torch import load_file
from torch._dynamo.testing import CompileCounter

from financial_model.training import step as step_module
from financial_model.training.checkpoint import read_header
from tests.training.builders import StopAfter, make_config, run

FEATURES = {"context": "random", "context_low": 3, "context_length": 9}


def test_a_stopped_run_resumes_to_the_same_weights(panel, tmp_path):
    config = make_config(features=FEATURES, epochs=1)
    run(config, panel, tmp_path / "whole")
    run(config, panel, tmp_path / "parts", stop=StopAfter(3))
    run(config, panel, tmp_path / "parts", resume=True)
    whole, parts = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    run(make_config(context_length=9, epochs=1), panel, tmp_path / "fixed")
    assert not torch.equal(whole["head.readout.weight"], load_file(tmp_path / "fixed" / "last.safetensors")["head.readout.weight"])
    assert read_header(tmp_path / "whole" / "last.safetensors")["context_length"] == 9, "forecasts see the whole window"


def test_each_length_is_compiled_once(panel, tmp_path, monkeypatch):
    counter = CompileCounter()
    monkeypatch.setattr(step_module.torch, "compile", functools.partial(torch.compile, backend=counter))
    monkeypatch.setattr(step_module.runtime, "can_compile", lambda device: True)
    options = {"model": {"backbone": "transformer", "heads": 2}, "batch_size": 16, "epochs": 1, "compile": "on"}
    compiled = {}
    for name, features in (("random", FEATURES), ("fixed", {"context_length": 9})):
        torch.compiler.reset()
        counter.clear()
        run(make_config(features=features, **options), panel, tmp_path / name)
        compiled[name] = counter.frame_count
    assert compiled["fixed"] and compiled["random"] == 5 * compiled["fixed"], "3, 4, 6, 8 and 9 bars, nothing in between and nothing twice"
