import dataclasses

import pytest
import torch

from financial_model.config import DATE_OBJECTIVES, OBJECTIVES, ModelConfig, RunConfig, TrainConfig
from financial_model.errors import ConfigError
from financial_model.objectives import objective
from financial_model.objectives.point import POINT_LOSSES

torch.set_num_threads(1)
OUTPUTS = {"point": ("point", (8, 2)), "quantile": ("quantiles", (8, 2, 7)), "classes": ("logits", (8, 3))}
TASKS = {"logits": (8, 3), "point": (8, 2), "volatility": (8,), "momentum": (8,)}


@pytest.mark.parametrize("name, head", OBJECTIVES.items())
def test_every_objective_reads_the_output_of_its_head_and_moves_it(name, head):
    shapes = TASKS if head == "multi" else dict([OUTPUTS[head]])
    outputs = {key: torch.randn(shape, requires_grad=True) for key, shape in shapes.items()}
    z = torch.randn(8, 4 if head == "multi" else 2)
    loss = objective(name, RunConfig())(outputs, z, torch.randint(0, 3, (8,)), torch.arange(8) // 4)
    assert loss.shape == () and loss.isfinite()
    loss.backward()
    assert all((output.grad.reshape(8, -1) != 0).any(dim=1).all() for output in outputs.values())


def test_the_tasks_of_the_head_multi_are_weighed_as_asked():
    """Each part is the loss its own head would have; a weight of zero leaves its output alone."""
    torch.manual_seed(0)
    outputs = {name: torch.randn(shape, requires_grad=True) for name, shape in TASKS.items()}
    z, label = torch.randn(8, 4), torch.randint(0, 3, (8,))
    alone = {"classes": objective("cross_entropy", RunConfig())(outputs, z, label),
             "return": objective("trend_aware", RunConfig())(outputs, z[:, :2], label),
             "volatility": (outputs["volatility"] - z[:, 2]).square().mean(), "momentum": (outputs["momentum"] - z[:, 3]).square().mean()}
    for weights in ((1.0, 1.0, 0.5, 0.5), (0.0, 2.0, 0.0, 3.0)):
        config = dataclasses.replace(RunConfig(), training=TrainConfig(task_weights=weights))
        loss = objective("multi_task", config)(outputs, z, label)
        torch.testing.assert_close(loss, sum(weight * part for weight, part in zip(weights, alone.values(), strict=True)))
    grads = torch.autograd.grad(loss, list(outputs.values()))
    assert [bool(grad.any()) for grad in grads] == [False, True, False, True]


def test_all_point_objectives_are_different():
    prediction, target = torch.randn(8, 2), torch.randn(8, 2)
    values = {name: loss(prediction, target).item() for name, loss in POINT_LOSSES.items()}
    assert set(values) == {name for name, head in OBJECTIVES.items() if head == "point" and name not in DATE_OBJECTIVES}
    assert len({round(value, 5) for value in values.values()}) == len(values)


def test_the_quantile_objective_uses_the_levels_of_the_configuration():
    config = RunConfig(model=ModelConfig(quantile_levels=(0.2, 0.5, 0.8)))
    outputs = {"quantiles": torch.tensor([[[-1.0, 0.0, 1.0]]])}
    assert objective("quantile", config)(outputs, torch.tensor([[2.0]]), torch.tensor([0])).item() == pytest.approx((0.2 * 3 + 0.5 * 2 + 0.8 * 1) / 3)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "cost_matrix"])
@pytest.mark.parametrize("change", [{"label_smoothing": 0.2}, {"class_weights": "balanced"}])
def test_the_settings_of_class_objectives_are_heard(name, change):
    outputs, label = {"logits": torch.randn(8, 3)}, torch.tensor([0, 0, 0, 0, 0, 0, 1, 2])
    plain = RunConfig()
    other = dataclasses.replace(plain, training=TrainConfig(**change))
    z = torch.zeros(8, 2)
    assert objective(name, plain)(outputs, z, label) != objective(name, other)(outputs, z, label)


@pytest.mark.parametrize("change", [{"label_smoothing": 0.2}, {"class_weights": "balanced"},
                                    {"cost_matrix": (0.0, 3.0, 1.0, 0.5, 0.0, 0.5, 2.0, 0.5, 0.0)}])
def test_the_settings_of_class_objectives_change_what_is_learned(change):
    """Not only the number that is shown: the gradient points elsewhere, not just further."""
    torch.manual_seed(0)
    label, name = torch.tensor([0, 0, 0, 0, 0, 0, 1, 2]), "cost_matrix" if "cost_matrix" in change else "cross_entropy"
    directions = []
    for config in (RunConfig(), dataclasses.replace(RunConfig(), training=TrainConfig(**change))):
        torch.manual_seed(1)
        logits = torch.randn(8, 3, requires_grad=True)
        objective(name, config)({"logits": logits}, torch.zeros(8, 2), label).backward()
        directions.append(logits.grad / logits.grad.norm())
    assert (directions[0] * directions[1]).sum() < 0.999


def test_an_unknown_objective_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="no objective called “mape”.*mse, mae, huber"):
        objective("mape", RunConfig())


@pytest.mark.parametrize("name", DATE_OBJECTIVES)
def test_an_objective_that_compares_stocks_insists_on_dates(name):
    with pytest.raises(ValueError, match="needs the dates"):
        objective(name, RunConfig())({"point": torch.zeros(4, 1)}, torch.zeros(4, 1), torch.zeros(4))


def test_the_costs_are_those_of_the_configuration():
    """By default a fall predicted as a rise costs 2, a rise predicted as a fall 1, every other mistake a half."""
    certain = {"logits": 1e3 * torch.eye(3)}  # predicts up, flat, down in turn

    def cost(config, truth):
        loss = objective("cost_matrix", config)
        return [loss({"logits": certain["logits"][[i]]}, torch.zeros(1, 1), torch.tensor([truth])).item() for i in range(3)]

    assert [cost(RunConfig(), truth) for truth in range(3)] == [[0, 0.5, 1], [0.5, 0, 0.5], [2, 0.5, 0]]
    edited = dataclasses.replace(RunConfig(), training=TrainConfig(cost_matrix=(0.0, 1.0, 2.0, 3.0, 0.0, 5.0, 6.0, 7.0, 0.0)))
    assert [cost(edited, truth) for truth in range(3)] == [[0, 1, 2], [3, 0, 5], [6, 7, 0]]
