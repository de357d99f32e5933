"""Pre-training as a run: it learns to fill in what was hidden, on days it never saw; it goes on after a kill; its file is only a beginning."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from financial_model.config import build
from financial_model.errors import CheckpointError
from financial_model.training import session
from financial_model.training.base import is_encoder
from financial_model.training.checkpoint import load_checkpoint, read_header
from tests.training.builders import StopAfter, events_of, make_config, make_panel, run
from tests.training.test_resume import KillAfter, Killed, same_weights

MODEL = {"backbone": "transformer", "patches": True, "hidden": 32, "layers": 1, "heads": 2, "dropout": 0.0, "linear_start": False}
CONTEXT = 40


@pytest.fixture(scope="module")
def smooth(tmp_path_factory):
    """A panel whose features move slowly, so that a hidden bar can be told from its neighbours."""
    panel = make_panel(tmp_path_factory.mktemp("smooth") / "panel", stocks=6, days=260, seed=2)
    values = np.array(panel.values).reshape(6, 260, -1)
    for day in range(1, 260):
        values[:, day] = 0.95 * values[:, day - 1] + 0.31 * values[:, day]
    return dataclasses.replace(panel, values=values.reshape(panel.values.shape).astype(np.float32))


def config(**training):
    base = make_config(context_length=CONTEXT, model=MODEL, **{"epochs": 6, "learning_rate": 2e-3, **training})
    return build({"method": "pretrain"}, base=base)


@pytest.fixture(scope="module")
def pretrained(smooth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    return run(config(), smooth, folder)


def test_hidden_bars_of_unseen_days_are_guessed_better_than_by_the_mean(pretrained):
    assert pretrained.state == "finished"
    assert pretrained.best_loss < 0.9 * pretrained.baselines["constant"]


def test_noise_cannot_be_filled_in(panel, tmp_path):
    """Features without memory: whoever beat the mean here would have seen what was hidden."""
    found = run(config(epochs=2), panel, tmp_path)
    assert found.best_loss > 0.97 * found.baselines["constant"]


def test_the_curve_is_an_ordinary_one(pretrained):
    folder = pretrained.checkpoint.parent
    assert [event["name"] for event in events_of(folder, "baseline")] == ["constant"]
    losses = [event["metrics"]["loss"] for event in events_of(folder, "epoch")]
    assert len(losses) == 6 and losses[-1] < losses[0] and events_of(folder, "step")


def test_the_file_holds_a_backbone_and_is_no_forecaster(pretrained):
    assert is_encoder(read_header(pretrained.checkpoint))
    assert not [name for name in load_file(pretrained.checkpoint) if name.startswith(("head", "token", "decode", "stem"))]
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(pretrained.checkpoint)
    assert caught.value.key == "checkpoint.encoder_only"


def test_a_forecaster_starts_with_its_weights_and_none_but_those(pretrained, smooth, tmp_path):
    finetune = build({"method": "full", "init_from": "encoder", "epochs": 1, "learning_rate": 1e-12}, base=config())
    started = load_file(run(finetune, smooth, tmp_path / "from", base=pretrained.checkpoint).checkpoint)
    fresh = load_file(run(build({"init_from": ""}, base=finetune), smooth, tmp_path / "fresh").checkpoint)
    for name, tensor in load_file(pretrained.checkpoint).items():
        torch.testing.assert_close(started[f"backbone.{name}"], tensor, rtol=0, atol=1e-6)
    head = [name for name in started if name.startswith("head.")]
    assert head and all(torch.allclose(started[name], fresh[name], atol=1e-6) for name in head)
    assert any(not torch.allclose(started[name], fresh[name]) for name in started)


def test_a_killed_run_goes_on_to_the_same_weights(smooth, tmp_path, monkeypatch):
    monkeypatch.setattr(session.Session, "seconds_since_save", lambda self: float("inf") if self.progress.step % 3 == 0 else 0.0)
    short = config(epochs=2)
    run(short, smooth, tmp_path / "whole")
    with pytest.raises(Killed):
        run(short, smooth, tmp_path / "killed", stop=KillAfter(16))
    run(short, smooth, tmp_path / "killed", resume=True)
    assert same_weights(tmp_path / "killed", tmp_path / "whole")


def test_a_stopped_run_leaves_what_it_has(smooth, tmp_path):
    stopped = run(config(), smooth, tmp_path, stop=StopAfter(4))
    assert stopped.state == "stopped" and is_encoder(read_header(stopped.checkpoint))


def test_labels_play_no_part(smooth, tmp_path):
    """Other prices, the same features: the same weights, bit for bit."""
    short = config(epochs=1)
    one = run(short, smooth, tmp_path / "one").checkpoint
    other = dataclasses.replace(smooth, prices=smooth.prices[::-1].copy())
    two = run(short, other, tmp_path / "two").checkpoint
    ours, theirs = load_file(one), load_file(two)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
