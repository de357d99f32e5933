"""The validation loss is the objective of the very forecasts that are made, and the extras describe the truth around them."""

import numpy as np
import pytest
import torch

from financial_model.datasets.loader import WindowLoader
from financial_model.errors import Stopped
from financial_model.models.forecaster import build_forecaster, predict
from financial_model.objectives import objective
from financial_model.training.preparation import prepare, targets
from financial_model.training.validation import evaluate, fit_extras, in_units
from tests.training.builders import StopAfter, make_config


def parts(panel, head, **label):
    config = make_config(head=head, label=label)
    prepared = prepare(config, panel)
    loader = WindowLoader(panel, prepared.validation, config, prepared.table, batch_size=32, shuffle=False, seed=0, label_scale=prepared.label_scale)
    torch.manual_seed(3)
    model = build_forecaster(config.model, head=head, inputs=3, context_length=6, horizon=2)
    for parameter in model.head.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return config, prepared, loader, model


@pytest.mark.parametrize("head", ["point", "quantile", "classes", "multi"])
@pytest.mark.parametrize("unit", ["volatility", "return"])
def test_the_loss_is_the_mean_objective_over_all_windows(panel, head, unit):
    config, prepared, loader, model = parts(panel, head, unit=unit)
    loss = objective(config.objective(), config)
    found = evaluate(model, loader, loss, config, prepared.label_scale)
    total = 0.0
    model.eval()
    with torch.no_grad():
        for batch in loader:
            total += float(loss(model(batch.x, batch.condition, batch.ranks), batch.z, batch.label)) * len(batch)
    assert found.loss == pytest.approx(total / 65, rel=1e-5)
    assert len(found.prediction) == 65


def test_evaluating_changes_nothing(panel):
    config, prepared, loader, model = parts(panel, "point")
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    losses = {evaluate(model, loader, objective("mse", config), config, prepared.label_scale).loss for _ in range(2)}
    assert len(losses) == 1 and model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_stop_ends_an_evaluation(panel):
    config, prepared, loader, model = parts(panel, "point")
    with pytest.raises(Stopped):
        evaluate(model, loader, objective("mse", config), config, prepared.label_scale, StopAfter(1))


@pytest.mark.parametrize("head", ["point", "classes"])
def test_extras_cover_what_they_say(panel, head):
    """With the extras, a forecast's quantiles hold as many validation returns below them as their levels say."""
    config, prepared, loader, model = parts(panel, head)
    found = evaluate(model, loader, objective(config.objective(), config), config, prepared.label_scale)
    prediction = predict(model, loader, extras=found.extras)
    returns = np.stack([panel.prices[prediction.end + h, 0] - panel.prices[prediction.end, 0] for h in (1, 2)], axis=1)
    below = (returns[..., None] <= prediction.quantiles).mean(0)
    np.testing.assert_allclose(below, np.tile(prediction.levels, (2, 1)), atol=1.5 / 65)


def test_a_quantile_head_needs_no_extras(panel):
    config, prepared, loader, model = parts(panel, "quantile")
    assert evaluate(model, loader, objective("quantile", config), config, prepared.label_scale).extras == {}


def test_class_means_are_the_mean_returns_of_the_classes(panel):
    config, prepared, loader, model = parts(panel, "classes")
    found = evaluate(model, loader, objective("cross_entropy", config), config, prepared.label_scale)
    z, label = targets(config, panel, found.prediction.end, prepared.label_scale)
    assert found.extras["class_means"].shape == (2, 3)
    np.testing.assert_allclose(found.extras["class_means"][:, 0], z[label == 0].mean(0), rtol=1e-5)


def test_a_class_that_never_came_has_the_mean_zero():
    z = np.ones((4, 2), np.float32)
    extras = fit_extras({"logits": np.zeros((4, 3), np.float32)}, z, z, z, np.array([0, 0, 1, 1]), (0.1, 0.5, 0.9))
    np.testing.assert_array_equal(extras["class_means"], [[1, 1, 0], [1, 1, 0]])
    assert np.isfinite(extras["residual_quantiles"]).all()


def test_a_certain_class_has_a_finite_logit(panel):
    config, prepared, loader, model = parts(panel, "classes")
    model.head.readout.bias.data.copy_(torch.tensor([500.0, 0.0, 0.0]))
    prediction = predict(model, loader, extras={})
    assert np.isfinite(in_units(prediction, *2 * [np.ones((65, 2), np.float32)], "classes")["logits"]).all()
