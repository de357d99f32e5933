import math

import pytest
import torch

from financial_model.objectives.point import POINT_LOSSES, directional, huber_trend, magnitude_error, soft_direction, trend_aware

torch.set_num_threads(1)


def gradient(loss, prediction, target):
    prediction = torch.tensor(prediction, requires_grad=True)
    (result,) = torch.autograd.grad(loss(prediction, torch.tensor(target)), prediction)
    return result


@pytest.mark.parametrize("name, expected", [
    ("mse", (0.25 + 9) / 2), ("mae", (0.5 + 3) / 2),
    ("huber", (0.5 * 0.25 + (3 - 0.5)) / 2)])  # squared up to an error of 1, linear beyond
def test_errors_by_hand(name, expected):
    assert POINT_LOSSES[name](torch.tensor([[1.0], [-1.0]]), torch.tensor([[0.5], [2.0]])).item() == pytest.approx(expected)


def test_direction_by_hand():
    prediction, target = torch.tensor([[0.7], [0.7], [0.7]]), torch.tensor([[2.0], [-0.1], [0.0]])
    expected = (math.log1p(math.exp(-0.7)) + math.log1p(math.exp(0.7)) + math.log(2)) / 3
    assert soft_direction(prediction, target).item() == pytest.approx(expected)


def test_magnitude_by_hand():
    # weights |2| and |-10| limited to 3; squared errors 1 and 81
    assert magnitude_error(torch.tensor([[1.0], [-1.0]]), torch.tensor([[2.0], [-10.0]])).item() == pytest.approx((2 * 1 + 3 * 81) / 2)


def test_trend_aware_is_half_error_and_the_rest_direction_and_magnitude():
    prediction, target = torch.randn(6, 2), torch.randn(6, 2)
    expected = (0.5 * (prediction - target).square().mean() + 0.3 * soft_direction(prediction, target) + 0.2 * magnitude_error(prediction, target))
    assert trend_aware(prediction, target).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("loss, weights, changed", [
    (trend_aware, (0.5, 0.3, 0.2), (0.5, 0.6, 0.2)), (trend_aware, (0.5, 0.3, 0.2), (0.5, 0.3, 0.8)), (huber_trend, (0.7, 0.3), (0.7, 0.9))])
def test_another_weight_is_another_gradient_even_at_horizon_one(loss, weights, changed):
    prediction, target = [[0.1], [-0.2], [0.05]], [[1.0], [0.5], [-0.3]]
    before, after = (gradient(lambda p, z, w=w: loss(p, z, w), prediction, target) for w in (weights, changed))
    assert (before - after).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["trend_aware", "huber_trend", "directional"])
def test_direction_pulls_at_horizon_one_where_counting_hits_would_not(name):
    """At the right size but the wrong side, and at exactly zero, descent moves the forecast to the target's side."""
    for target in (0.02, -0.02):
        assert gradient(POINT_LOSSES[name], [[0.0]], [[target]]).item() * target < 0
        assert gradient(POINT_LOSSES[name], [[-target]], [[target]]).item() * target < 0


def test_only_the_sign_of_the_target_counts_for_direction():
    small, large = gradient(soft_direction, [[0.1]], [[0.01]]), gradient(soft_direction, [[0.1]], [[5.0]])
    assert torch.equal(small, large)


def fitted(loss, *, share=0.52, count=4000):
    """The constant forecast a loss prefers when a rise of one unit has the chance ``share`` and a fall of one unit the rest."""
    target = torch.ones(count, 1)
    target[int(count * share):] = -1
    prediction = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([prediction], max_iter=50, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(prediction.expand(count, 1), target)
        value.backward()
        return value

    optimizer.step(closure)
    return prediction.item()


def test_every_point_loss_leans_to_the_likelier_side_and_keeps_the_scale_of_what_can_be_known():
    mean = 0.04
    for name, loss in POINT_LOSSES.items():
        if name != "mae":  # its optimum is the median, here +1
            assert 0.5 * mean < fitted(loss) < 2.5 * mean, name


def test_the_anchor_holds_the_scale_where_signs_can_be_told_apart():
    free, held = fitted(lambda p, z: directional(p, z, anchor=0.0), share=0.9999), fitted(directional, share=0.9999)
    assert free > 5 and 0.5 < held < 3
