"""Several seeds in one run: members are plain trainings, the checkpoint averages them, kills and stops cost nothing that was finished."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from financial_model.datasets.targets import label_returns, label_spread
from financial_model.errors import CheckpointError
from financial_model.models.ensemble import Ensemble
from financial_model.training import ensemble, reporter, trainer
from financial_model.training.checkpoint import load_checkpoint, read_header, update_header
from financial_model.training.events import read_events
from tests.training.builders import StopAfter, events_of, make_config, run, with_training
from tests.training.test_resume import KillAfter, Killed, story

ROOT = Path(__file__).resolve().parents[2]
CONFIG = make_config(seeds=3)


@pytest.fixture(scope="module")
def trained(panel, tmp_path_factory):
    """(folder, result, validation forecast of the average): read it, do not write into it."""
    folder, seen = tmp_path_factory.mktemp("ensemble"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporter, "POINT_SECONDS", 0.0)
        result = run(CONFIG, panel, folder, score=lambda prediction, panel: seen.append(prediction) or {"rank_ic": 0.1})
    return folder, result, seen[-1]


def member(folder, number):
    return folder / "members" / f"{number:02d}" / "final.safetensors"


def same_weights(left, right):
    return read_header(left)["weights_hash"] == read_header(right)["weights_hash"]


# ---------------------------------------------------------------- what it is
def test_every_member_is_the_plain_training_of_its_seed(trained, panel, tmp_path):
    folder, _, _ = trained
    for number, seed in ((1, 7), (3, 9)):
        run(with_training(CONFIG, seeds=1, seed=seed), panel, tmp_path / str(seed))
        assert same_weights(member(folder, number), tmp_path / str(seed) / "final.safetensors")
    assert not same_weights(member(folder, 1), member(folder, 2))


def test_the_checkpoint_holds_the_members_and_names_their_own_scores(trained):
    folder, result, _ = trained
    model, header = load_checkpoint(result.checkpoint)
    assert isinstance(model, Ensemble) and not model.training and header["members"] == 3
    weights = load_file(result.checkpoint)
    for number in (1, 2, 3):
        own = load_file(member(folder, number))
        assert all(torch.equal(weights[f"members.{number - 1}.{name}"], tensor) for name, tensor in own.items())
    scores = header["member_scores"]
    assert [entry["seed"] for entry in scores] == [7, 8, 9] and all(entry["rank_ic"] == 0.1 for entry in scores)
    assert [entry["loss"] for entry in scores] == [read_header(member(folder, n))["validation"]["loss"] for n in (1, 2, 3)]
    assert header["validation"]["loss"] == result.best_loss
    assert result.best_loss <= np.mean([entry["loss"] for entry in scores]) + 1e-9, "squares: the average never loses more than the members do"


def test_quantiles_of_a_point_ensemble_are_measured_on_the_averaged_forecasts(trained, panel):
    _, result, found = trained
    header = read_header(result.checkpoint)
    residual = (label_returns(panel, found.end, CONFIG.label) - found.expected) / label_spread(panel, found.end, 2)
    expected = np.quantile(residual, CONFIG.model.quantile_levels, axis=0).T
    np.testing.assert_allclose(header["extras"]["residual_quantiles"], expected, rtol=1e-3, atol=1e-4)


def test_scores_without_a_size_are_brought_to_one(tmp_path, panel):
    run(make_config(objective="ic", seeds=2, batch_size=30), panel, tmp_path)
    model, header = load_checkpoint(tmp_path / "final.safetensors")
    own = [read_header(member(tmp_path, number))["extras"]["scale"] for number in (1, 2)]
    np.testing.assert_allclose(model.scale.numpy(), own, rtol=1e-6)
    assert len(header["extras"]["scale"]) == 2


def test_a_fresh_process_forecasts_the_same_bits(tmp_path, panel):
    heads = ("quantile", "classes")
    for head in heads:
        run(make_config(head=head, seeds=2, epochs=1), panel, tmp_path / head)
    inputs = {"x": torch.randn(5, 6, 3), "condition": torch.ones(5, 6, dtype=torch.int64), "ranks": torch.zeros(5, 4)}
    save_file(inputs, tmp_path / "inputs")
    script = (
        "import sys, torch; from safetensors.torch import load_file, save_file\n"
        "from financial_model.training.checkpoint import load_checkpoint\n"
        "torch.set_num_threads(1); given = load_file('inputs')\n"
        "for folder in sys.argv[1:]:\n"
        "    with torch.inference_mode(): (output,) = load_checkpoint(folder + '/final.safetensors')[0](**given).values()\n"
        "    save_file({'output': output.contiguous()}, folder + '/output')"
    )
    subprocess.run([sys.executable, "-c", script, *heads], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    for head in heads:
        model = load_checkpoint(tmp_path / head / "final.safetensors")[0]
        with torch.inference_mode():
            (output,) = model(**inputs).values()
        assert torch.equal(load_file(tmp_path / head / "output")["output"], output), head


@pytest.mark.parametrize("count", [0, 51, 2])
def test_a_header_with_a_wrong_number_of_members_is_refused(trained, tmp_path, count):
    path = tmp_path / "final.safetensors"
    path.write_bytes(trained[1].checkpoint.read_bytes())
    update_header(path, {"members": count})
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


# ---------------------------------------------------------------- what it tells
def test_members_are_stages_on_one_time_line(trained):
    folder, result, _ = trained
    events = read_events(folder / "events.jsonl")[0]
    assert [event["member"] for event in events if event.get("stage") == "member"] == [1, 2, 3]
    steps = [event["step"] for event in events if event["kind"] == "step"]
    assert steps == sorted(set(steps)) and steps[-1] == result.step
    assert [event["steps"] for event in events if event["kind"] == "run"][-1] == result.step
    together = [event for event in events if event["kind"] == "ensemble"]
    assert [event["members"] for event in together] == [2, 3] and together[-1]["metrics"]["loss"] == result.best_loss


def test_only_what_forecasts_is_kept(trained):
    folder, _, _ = trained
    assert {path.name for path in folder.iterdir()} == {"members", "events.jsonl", "final.safetensors"}
    assert {path.name for path in (folder / "members" / "02").iterdir()} == {"member.json", "final.safetensors"}


def test_the_seeds_after_the_last_one_begin_at_zero():
    config = ensemble.member_config(with_training(CONFIG, seed=2**31 - 1), 1)
    assert config.training.seed == 0 and config.training.seeds == 1


# ---------------------------------------------------------------- stops, kills, other data
def test_a_stop_in_the_first_member_keeps_what_it_had_learned(tmp_path, panel):
    result = run(CONFIG, panel, tmp_path, stop=StopAfter(5))
    assert result.state == "stopped" and "members" not in read_header(result.checkpoint)


def test_a_stop_in_the_third_member_keeps_the_first_two_together_and_a_resume_reaches_the_same_weights(trained, tmp_path, panel, monkeypatch):
    per_member = 2 * (events_of(trained[0], "run")[0]["steps_per_epoch"] + 2)
    result = run(CONFIG, panel, tmp_path, stop=StopAfter(2 * per_member + 12))
    assert result.state == "stopped" and result.checkpoint.name == "stopped.safetensors"
    assert read_header(result.checkpoint)["members"] == 2 and len(load_checkpoint(result.checkpoint)[0].members) == 2
    before, real = [], trainer.Session
    monkeypatch.setattr(trainer, "Session", lambda config, *rest, **options: before.append(config.training.seed) or real(config, *rest, **options))
    done = run(CONFIG, panel, tmp_path, resume=True)
    assert done.state == "finished" and before == [9], "finished members are not trained again"
    assert same_weights(done.checkpoint, trained[1].checkpoint) and dataclasses.replace(done, checkpoint=None, seconds=0) == dataclasses.replace(
        trained[1], checkpoint=None, seconds=0)


def test_a_kill_at_any_moment_changes_nothing(trained, tmp_path, panel, monkeypatch):
    monkeypatch.setattr(reporter, "POINT_SECONDS", 0.0)
    looks, killed = 10, 0
    while True:
        try:
            run(CONFIG, panel, tmp_path, stop=KillAfter(looks), resume=True, score=lambda prediction, panel: {"rank_ic": 0.1})
            break
        except Killed:
            killed, looks = killed + 1, looks + 9
    assert killed > 2
    ours, theirs = read_header(tmp_path / "final.safetensors"), read_header(trained[1].checkpoint)
    assert {**ours, "created": ""} == {**theirs, "created": ""}
    assert story(tmp_path) == story(trained[0])


def test_a_stop_while_the_average_is_measured_loses_no_member(trained, tmp_path, panel, monkeypatch):
    stop, measure = StopAfter(10**9), ensemble.evaluate

    def stopped_at_the_last(model, *rest):
        stop.looks = 0 if len(model.members) == 3 else 10**9
        return measure(model, *rest)

    monkeypatch.setattr(ensemble, "evaluate", stopped_at_the_last)
    result = run(CONFIG, panel, tmp_path, stop=stop)
    assert result.state == "stopped" and read_header(result.checkpoint)["members"] == 2
    monkeypatch.undo()
    done = run(CONFIG, panel, tmp_path, resume=True)
    assert done.state == "finished" and same_weights(done.checkpoint, trained[1].checkpoint)


def test_members_of_other_data_are_not_mixed(tmp_path, panel):
    run(CONFIG, panel, tmp_path, stop=StopAfter(60))
    facts = tmp_path / "members" / "01" / "member.json"
    content = json.loads(facts.read_text())
    facts.write_text(json.dumps({**content, "identity": {**content["identity"], "data": "another"}}))
    with pytest.raises(CheckpointError, match="another configuration, other data"):
        run(CONFIG, panel, tmp_path, resume=True)
    facts.write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        run(CONFIG, panel, tmp_path, resume=True)


def test_a_run_that_is_not_resumed_begins_anew(trained, tmp_path, panel):
    run(with_training(CONFIG, learning_rate=1e-4), panel, tmp_path, stop=StopAfter(60))
    assert same_weights(run(CONFIG, panel, tmp_path).checkpoint, trained[1].checkpoint)
