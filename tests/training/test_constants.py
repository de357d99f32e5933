"""The lines a loss curve has to get below are real losses of real forecasts."""

import numpy as np
import pytest
import torch

from financial_model.objectives import objective
from financial_model.training.constants import constant_forecasts, constant_losses, mean_loss
from tests.training.builders import make_config

LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture
def known():
    random = np.random.default_rng(0)
    return (random.normal(0.2, 1.0, (5000, 2)) * [1.0, 2.0]).astype(np.float32), random.choice(3, 5000, p=[0.2, 0.5, 0.3])


def test_names_say_what_they_are(known):
    assert {head: list(constant_forecasts(head, *known, LEVELS)) for head in ("point", "quantile", "classes")} == {
        "point": ["zero", "train_mean"], "quantile": ["train_quantiles"], "classes": ["train_frequencies"]}


def test_zero_and_mean_under_squared_error(known):
    z, label = known
    losses = constant_losses(objective("mse", make_config()), constant_forecasts("point", z, label, LEVELS), z, label, 512)
    assert losses["zero"] == pytest.approx(np.square(z).mean(), rel=1e-5)
    assert losses["train_mean"] == pytest.approx(z.var(0).mean(), rel=1e-4)


def test_training_quantiles_are_the_best_constant(known):
    z, label = known
    config = make_config(head="quantile", model={"quantile_levels": LEVELS})
    loss = objective("quantile", config)
    outputs = constant_forecasts("quantile", z, label, LEVELS)["train_quantiles"]
    assert outputs["quantiles"].shape == (2, 3)
    best = constant_losses(loss, {"a": outputs}, z, label, 512)["a"]
    for shift in (-0.2, 0.2):
        assert constant_losses(loss, {"a": {"quantiles": outputs["quantiles"] + np.float32(shift)}}, z, label, 512)["a"] > best


def test_class_frequencies_give_the_entropy(known):
    z, label = known
    losses = constant_losses(objective("cross_entropy", make_config(head="classes")), constant_forecasts("classes", z, label, LEVELS), z, label, 512)
    share = np.bincount(label) / len(label)
    assert losses["train_frequencies"] == pytest.approx(-(share * np.log(share)).sum(), rel=1e-4)


def test_constants_of_the_head_multi_answer_every_task(known):
    z, label = np.concatenate((known[0], np.full((5000, 2), [0.5, -0.1], np.float32)), axis=1), known[1]
    found = constant_forecasts("multi", z, label, LEVELS)
    assert list(found) == ["zero", "train_mean"] and found["train_mean"]["volatility"] == pytest.approx(0.5) and not found["zero"]["momentum"]
    losses = constant_losses(objective("multi_task", make_config(head="multi")), found, z, label, 512)
    assert losses["train_mean"] < losses["zero"]


def test_a_class_that_never_came_is_not_impossible(known):
    outputs = constant_forecasts("classes", known[0], np.zeros(5000, np.int64), LEVELS)["train_frequencies"]
    assert np.isfinite(outputs["logits"]).all()


def test_a_smaller_last_batch_weighs_less():
    z = np.arange(5, dtype=np.float32)[:, None]
    found = mean_loss(lambda outputs, target, label, date: (outputs["point"] - target).square().mean(), {"point": np.zeros((5, 1), np.float32)}, z,
                      np.zeros(5, np.int64), 2)
    assert found == pytest.approx(np.square(z).mean())
    assert isinstance(found, float) and not torch.is_tensor(found)
