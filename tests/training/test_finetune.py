"""Starting from a checkpoint: what is frozen stays bit for bit, what learns learns what it should, and the file that comes out is an ordinary one."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from financial_model.config import build
from financial_model.datasets.loader import WindowLoader
from financial_model.datasets.targets import label_returns
from financial_model.datasets.windows import window_ends
from financial_model.errors import CheckpointError, ConfigError
from financial_model.models.forecaster import predict
from financial_model.objectives.transfer import divergence
from financial_model.training import session
from financial_model.training.base import seen_until
from financial_model.training.checkpoint import load_checkpoint, read_header
from financial_model.training.events import EventLog
from financial_model.training.preparation import prepare
from financial_model.training.session import Session
from tests.training.builders import events_of, make_config, make_panel, run
from tests.training.test_resume import KillAfter, Killed, same_weights


@pytest.fixture(scope="module")
def bases(panel, tmp_path_factory):
    """``bases(config)``: the finished checkpoint of a short training, made once per configuration."""
    known = {}

    def of(config):
        if config not in known:
            folder = tmp_path_factory.mktemp("base")
            known[config] = run(config, panel, folder).checkpoint
        return known[config]

    return of


def start(config, method, **changes):
    """The same settings, starting from a checkpoint."""
    return build({"init_from": "base", "method": method, **changes}, base=config)


def follow(config, panel, folder, base, **options):
    return run(config, panel, folder, base=base, **options)


MEASURED = "start.share"
"""How much of the network the validation supports: measured anew like the extras, never learned."""


def changed(path, base):
    ours, theirs = load_file(path), load_file(base)
    assert ours.keys() == theirs.keys()
    return {name for name in ours if not torch.equal(ours[name], theirs[name])} - {MEASURED}


# ---------------------------------------------------------------- what moves
NORMED = {"backbone": "transformer", "hidden": 16, "heads": 2, "norm": "batchnorm"}


@pytest.mark.parametrize("model", [{}, NORMED, {"backbone": "cnn_lstm", "hidden": 8, "condition": "concat"}], ids=["gru", "batchnorm", "conditioned"])
def test_head_only_leaves_everything_else_bit_for_bit(tmp_path, panel, bases, model):
    """The running statistics of a norm too, though the batches pass through it."""
    config = make_config(model=model, epochs=1)
    found = follow(start(config, "head"), panel, tmp_path, bases(config))
    assert changed(found.checkpoint, bases(config)) == {"head.readout.weight", "head.readout.bias"}


def test_without_freezing_the_statistics_would_have_moved(tmp_path, panel, bases):
    config = make_config(model=NORMED, epochs=1)
    found = follow(start(config, "full"), panel, tmp_path, bases(config))
    assert {name for name in changed(found.checkpoint, bases(config)) if "running_mean" in name}


@pytest.mark.parametrize("model", [{}, NORMED], ids=["gru", "batchnorm"])
def test_lora_moves_the_adapted_matrices_and_nothing_else(tmp_path, panel, bases, model):
    config = make_config(model=model, epochs=1)
    found = follow(start(config, "lora"), panel, tmp_path, bases(config))
    moved = changed(found.checkpoint, bases(config)) - {"head.readout.bias"}  # takes in the share of the network that counted
    assert moved and all("weight" in name and "norm" not in name for name in moved)
    model, header = load_checkpoint(found.checkpoint)
    assert header["parameters"] == read_header(bases(config))["parameters"], "an ordinary checkpoint"


def test_adapters_begin_as_the_base_and_are_few(tmp_path, panel, bases):
    config = make_config(epochs=1)
    follow(start(config, "lora", lora_rank=1), panel, tmp_path, bases(config))
    (facts,), baselines = events_of(tmp_path, "run"), {event["name"]: event["metrics"]["loss"] for event in events_of(tmp_path, "baseline")}
    assert 0 < facts["trainable"] < facts["parameters"] / 2
    assert baselines["base"] == pytest.approx(read_header(bases(config))["validation"]["loss"], rel=1e-5), "the curve shows where it started"


def test_full_moves_everything(tmp_path, panel, bases):
    config = make_config(epochs=1)
    found = follow(start(config, "full"), panel, tmp_path, bases(config))
    line = {name for name in load_file(found.checkpoint) if name.startswith("start.")}  # came with the weights, and is no weight
    assert changed(found.checkpoint, bases(config)) == set(load_file(found.checkpoint)) - line


# ---------------------------------------------------------------- what is taken over
def test_scaler_and_unit_come_from_the_base_though_the_days_are_others(tmp_path, panel, bases):
    config = make_config(label={"unit": "return"}, epochs=1)
    later = start(config, "full", train_start="2020-02-10")
    found = read_header(follow(later, panel, tmp_path, bases(config)).checkpoint)
    base = read_header(bases(config))
    assert found["table"] == base["table"] and found["label_scale"] == base["label_scale"]
    fresh = prepare(later, panel)
    assert not np.allclose(fresh.table[0], base["table"]["center"]), "fitted anew they would differ"


def test_the_header_names_the_ancestors_the_nearest_first(tmp_path, panel, bases):
    config = make_config(epochs=1)
    child = follow(start(config, "head"), panel, tmp_path / "child", bases(config)).checkpoint
    grandchild = follow(start(config, "full"), panel, tmp_path / "grandchild", child).checkpoint
    entries = read_header(grandchild)["lineage"]
    assert [entry["method"] for entry in entries] == ["full", "head"]
    assert [entry["weights_hash"] for entry in entries] == [read_header(path)["weights_hash"] for path in (child, bases(config))]
    assert read_header(bases(config))["lineage"] == []


def test_other_features_are_refused(tmp_path, panel, bases, tmp_path_factory):
    config = make_config(epochs=1)
    other = make_panel(tmp_path_factory.mktemp("other") / "panel", features=4)
    with pytest.raises(CheckpointError) as caught:
        follow(start(config, "full"), other, tmp_path, bases(config))
    assert caught.value.key == "transfer.other_features"


# ---------------------------------------------------------------- honest dates
def at(config, train_end, validation_end):
    return build({"train_end": train_end, "validation_end": validation_end}, base=config)


def test_a_base_that_has_seen_the_test_is_refused(tmp_path, panel, bases):
    late = make_config(epochs=1)  # trains to about day 120 of 150, validates to 135
    early = at(late, "2020-03-20", "2020-04-10")
    with pytest.raises(ConfigError) as caught:
        follow(start(early, "full"), panel, tmp_path, bases(late))
    assert caught.value.key == "transfer.base_saw_test" and caught.value.fields["until"] == seen_until(read_header(bases(late)))
    assert not list(tmp_path.glob("*.safetensors"))


def test_what_an_ancestor_has_seen_is_not_forgotten(tmp_path, panel, bases):
    """late -> (refused unless later) ...: a child trained on early days only still knows the late ones through its weights."""
    late = make_config(epochs=1)
    child = follow(start(at(late, "2020-02-20", "2020-05-16"), "full"), panel, tmp_path / "child", bases(late)).checkpoint
    assert read_header(child)["split"]["train"]["last"] == "2020-02-20"
    assert seen_until(read_header(child)) >= seen_until(read_header(bases(late)))
    with pytest.raises(ConfigError):
        follow(start(at(late, "2020-02-10", "2020-03-10"), "full"), panel, tmp_path / "grandchild", child)


def test_validation_days_the_base_was_trained_on_are_flagged(tmp_path, panel, bases):
    late = make_config(epochs=1)
    config = start(at(late, "2020-02-20", "2020-05-16"), "full")
    (note,) = read_header(follow(config, panel, tmp_path, bases(late)).checkpoint)["notes"]
    assert note["key"] == "transfer.base_saw_validation"
    assert read_header(follow(start(late, "full"), panel, tmp_path / "clean", bases(late)).checkpoint)["notes"] == []


# ---------------------------------------------------------------- distillation
@pytest.mark.parametrize("head", ["point", "quantile", "classes"])
def test_a_student_of_another_kind_comes_closer_to_its_teacher_than_without_it(tmp_path, panel, bases, head):
    teacher = bases(make_config(head=head, model={"hidden": 16, "linear_start": False}, epochs=4))
    config = make_config(head=head, model={"backbone": "mlp", "hidden": 8, "linear_start": False}, epochs=2)
    model = load_checkpoint(teacher)[0]

    def distance(path):
        header = read_header(path)
        prepared = prepare(config, panel)
        table = tuple(np.asarray(header["table"][name], np.float32) for name in ("center", "scale"))
        loader = WindowLoader(panel, prepared.validation, config, table, batch_size=4096, shuffle=False, seed=0, label_scale=prepared.label_scale)
        (batch,) = list(loader)
        student = load_checkpoint(path)[0]
        with torch.inference_mode():
            (ours,), (theirs,) = (model_(batch.x, batch.condition, batch.ranks).values() for model_ in (student, model))
        return divergence(ours, theirs, classes=head == "classes", temperature=2.0).item()

    taught = follow(start(config, "distill", distill_weight=1.0), panel, tmp_path / "taught", teacher)
    alone = run(config, panel, tmp_path / "alone")
    untaught = run(dataclasses.replace(config, training=dataclasses.replace(config.training, learning_rate=1e-9)), panel, tmp_path / "untaught")
    assert distance(taught.checkpoint) < distance(alone.checkpoint) < distance(untaught.checkpoint)


# ---------------------------------------------------------------- preference
def margins(path, panel, config):
    """Mean difference of the forecasts between winner and loser over the pairs of a date, in the test part, and over shuffled pairs."""
    model, header = load_checkpoint(path)
    split = prepare(config, panel).split
    ends = window_ends(panel, *split.test, config.features.context_length, config.label.horizon)
    center, scale, label_scale = (np.asarray(part, np.float32) for part in (*header["table"].values(), header["label_scale"]))
    loader = WindowLoader(panel, ends, config, (center, scale), batch_size=512, shuffle=False, seed=0, label_scale=label_scale)
    score = predict(model, loader).expected[:, 0]
    truth, date = label_returns(panel, ends, config.label)[:, 0], panel.time[ends]
    order = np.random.default_rng(0)

    def margin(truth):
        same = (date[:, None] == date) & (truth[:, None] > truth)
        return float((score[:, None] - score)[same].mean() / score.std())

    shuffled = truth.copy()
    for day in np.unique(date):
        shuffled[date == day] = order.permutation(shuffled[date == day])
    return margin(truth), margin(shuffled)


def test_preference_raises_the_margin_on_held_out_pairs_and_not_on_shuffled_ones(tmp_path, tmp_path_factory):
    panel = make_panel(tmp_path_factory.mktemp("pairs") / "panel", stocks=12, days=220, signal=0.4, seed=5)
    config = make_config(label={"unit": "rank"}, model={"hidden": 8, "linear_start": False}, epochs=1, learning_rate=1e-6)
    base = run(config, panel, tmp_path / "base").checkpoint
    aligned = follow(start(config, "preference", epochs=4, learning_rate=5e-3), panel, tmp_path / "aligned", base).checkpoint
    before, shuffled_before = margins(base, panel, config)
    after, shuffled_after = margins(aligned, panel, config)
    assert after > before + 0.1
    assert abs(shuffled_after) < 0.1 and abs(shuffled_after - shuffled_before) < after - before
    first = events_of(tmp_path / "aligned", "step")[0]["metrics"]["loss"]
    assert first == pytest.approx(math.log(2), rel=0.05), "the first step stands where the reference stands: at indifference"


def test_training_begins_at_the_forecast_of_the_base_though_only_a_share_of_its_network_counts(tmp_path, panel, bases):
    config = make_config(label={"unit": "rank"}, epochs=1, model={"dropout": 0.0})
    events = EventLog(tmp_path / "events.jsonl")
    begun = Session(start(config, "preference"), panel, tmp_path, stop=None, events=events, score=None, base=bases(config))
    batch = next(iter(begun.loader))
    begun.model.train()
    said = begun.model(batch.x, batch.condition, batch.ranks)["point"]
    torch.testing.assert_close(said, begun.step.guide(batch.x, batch.condition, batch.ranks)["reference.point"], rtol=0, atol=1e-5)


def test_the_reference_stays_what_it_was(tmp_path, panel, bases):
    config = make_config(label={"unit": "rank"}, epochs=1)
    events = EventLog(tmp_path / "events.jsonl")
    begun = Session(start(config, "preference"), panel, tmp_path, stop=None, events=events, score=None, base=bases(config))
    batch = next(iter(begun.loader))
    inputs = batch.x.clone(), batch.condition.clone(), batch.ranks.clone()
    before = begun.step.guide(*inputs)["reference.point"]
    for batch in begun.loader:
        begun.learn(batch)
    assert torch.equal(begun.step.guide(*inputs)["reference.point"], before)
    begun.model.eval()
    assert not torch.allclose(begun.model(*inputs)["point"], before)


# ---------------------------------------------------------------- kills
@pytest.mark.parametrize("method", ["head", "lora", "distill", "preference"])
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, panel, bases, monkeypatch, method):
    """Adapters, the teacher and the reference are there again."""
    monkeypatch.setattr(session.Session, "seconds_since_save", lambda self: float("inf") if self.progress.step % 3 == 0 else 0.0)
    base = make_config(epochs=1)
    config = start(make_config(epochs=2), method)
    follow(config, panel, tmp_path / "whole", bases(base))
    with pytest.raises(Killed):
        follow(config, panel, tmp_path / "killed", bases(base), stop=KillAfter(10))
    follow(config, panel, tmp_path / "killed", bases(base), resume=True)
    assert same_weights(tmp_path / "killed", tmp_path / "whole")
    assert read_header(tmp_path / "killed" / "final.safetensors")["lineage"] == read_header(tmp_path / "whole" / "final.safetensors")["lineage"]


def test_settings_and_file_must_say_the_same(tmp_path, panel, bases):
    config = make_config(epochs=1)
    with pytest.raises(ValueError, match="init_from"):
        run(start(config, "full"), panel, tmp_path)
    with pytest.raises(ValueError, match="init_from"):
        run(config, panel, tmp_path, base=bases(config))
