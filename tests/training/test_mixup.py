"""Mixup: blends that sum to one, drawn by seed and batch number alone, and gone in an evaluation."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from financial_model.config import TrainConfig, build, problems
from financial_model.objectives.classes import cross_entropy, expected_cost, focal
from financial_model.text import has
from financial_model.training.mixup import blended, share_of
from tests.training.builders import StopAfter, make_config, run
from tests.training.test_graph import Replayer, learn, source  # noqa: F401
from tests.training.test_step import Small, gradient, make_batch, make_step

ON = {"mixup": True, "mixup_probability": 1.0}
HALF = torch.tensor(0.75)


def labelled(windows=32, seed=0):
    batch = make_batch(windows, seed)
    batch.label = torch.arange(windows) % 3
    batch.ranks = torch.linspace(-0.5, 0.5, windows)[:, None].expand(-1, 4)
    return batch


# ---------------------------------------------------------------- a blend
def test_labels_sum_to_one_and_name_both_windows():
    batch = labelled(5)
    label = blended(batch, HALF).label
    assert torch.allclose(label.sum(1), torch.ones(5))
    assert label[0].tolist() == [0.75, 0.25, 0.0], "itself is class 0, its partner class 1"
    assert label[2].tolist() == [0.0, 0.0, 1.0], "the middle one is its own partner"


def test_inputs_ranks_and_targets_are_blended_alike_and_classes_stay():
    batch = labelled(6)
    found = blended(batch, HALF)
    for name in ("x", "ranks", "z"):
        own = getattr(batch, name)
        torch.testing.assert_close(getattr(found, name), 0.75 * own + 0.25 * own[[5, 4, 3, 2, 1, 0]])
    assert found.condition is batch.condition, "of a pair the larger part is the window itself"


def test_a_whole_share_changes_no_bit():
    batch = labelled()
    found = blended(batch, torch.ones(()))
    assert all(torch.equal(getattr(found, name), getattr(batch, name)) for name in ("x", "ranks", "z"))


def test_shares_are_those_of_the_settings():
    config = TrainConfig(mixup=True, seed=1)
    drawn = np.array([share_of(config, number) for number in range(4000)])
    assert drawn.min() >= 0.5 and drawn.max() == 1
    assert np.mean(drawn == 1) == pytest.approx(0.5, abs=0.03), "half of the batches stay as they are"
    reference = np.random.default_rng(0).beta(0.2, 0.2, 40_000)
    assert np.mean(drawn[drawn < 1]) == pytest.approx(np.maximum(reference, 1 - reference).mean(), abs=0.01)
    assert drawn[:50].tolist() == [share_of(config, number) for number in range(50)]
    assert {share_of(TrainConfig(), number) for number in range(20)} == {1.0}, "off unless it is asked for"


@pytest.mark.parametrize("loss", [cross_entropy, focal, lambda *a, **b: expected_cost(*a, torch.tensor([[0, .5, 1], [.5, 0, .5], [2, .5, 0]]), **b)])
@pytest.mark.parametrize("options", [{}, {"smoothing": 0.2, "balanced": True}])
def test_certain_chances_lose_what_class_numbers_lose(loss, options):
    logits, label = torch.randn(9, 3), torch.arange(9) % 3
    certain = torch.nn.functional.one_hot(label, 3).float()
    assert loss(logits, certain, **options).item() == loss(logits, label, **options).item()


def test_the_loss_of_a_blend_is_the_blend_of_the_losses():
    logits, batch = torch.randn(6, 3), labelled(6)
    mixed = cross_entropy(logits, blended(batch, HALF).label)
    assert mixed.item() == pytest.approx(
        (0.75 * cross_entropy(logits, batch.label) + 0.25 * cross_entropy(logits, batch.label.flip(0))).item(), rel=1e-5)


# ---------------------------------------------------------------- in a step
def test_the_step_learns_from_blends():
    step, batch = make_step(**ON), labelled()
    loss = step.backward(batch, 1.0, 3)
    mixed = blended(batch, torch.tensor(share_of(TrainConfig(**ON, seed=7), 3)))
    with torch.no_grad():
        forecast = step.model(mixed.x, mixed.condition, mixed.ranks)["point"]
    assert float(loss) == pytest.approx(float((forecast - mixed.z).square().mean()), rel=1e-6)


def test_partners_are_those_of_the_whole_batch_also_when_memory_halves_it():
    batch, whole = labelled(50), make_step(**ON)
    halved = make_step(model=Small(15, "forward", torch.OutOfMemoryError("CUDA out of memory.")), **ON)
    whole.backward(batch, 1.0, 0), halved.backward(batch, 1.0, 0)
    torch.testing.assert_close(gradient(halved), gradient(whole), atol=1e-7, rtol=1e-5)


def test_a_recorded_step_blends_like_a_plain_one(source):  # noqa: F811
    options = {"mixup": True, "mixup_alpha": 1.0}
    plain, recorded, without = learn(source, None, **options), learn(source, Replayer(), **options), learn(source, None)
    for one, two in zip(plain[0], recorded[0], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)
    assert not all(torch.equal(one, two) for one, two in zip(plain[0], without[0], strict=True))


# ---------------------------------------------------------------- in a run
@pytest.mark.parametrize("head", ["point", "quantile", "classes", "multi"])
def test_a_stopped_run_resumes_to_the_same_weights(panel, tmp_path, head):
    config = make_config(head=head, mixup=True, epochs=1)
    run(config, panel, tmp_path / "whole")
    run(config, panel, tmp_path / "parts", stop=StopAfter(3))
    run(config, panel, tmp_path / "parts", resume=True)
    whole, parts = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("settings, key", [
    ({"objective": "ic"}, "mixup_by_date"), ({"objective": "pairwise_rank"}, "mixup_by_date"), ({"cross_section": True}, "mixup_by_date"),
    ({"method": "pretrain", "backbone": "transformer", "patches": True}, "mixup_pretrain")])
def test_what_cannot_be_blended_is_said_at_the_field(settings, key):
    assert [(problem.field, problem.key, problem.warning) for problem in problems(build({"mixup": True, **settings}))] == [
        ("mixup", f"config.{key}", False)] and has(f"config.{key}")
    assert not problems(build({"mixup": True}))
