import numpy as np
import pytest
import torch

from financial_model.objectives.ranking import correlation_loss, pairwise_loss

torch.set_num_threads(1)
DATE = torch.tensor([3, 1, 3, 1, 3, 2, 1, 3, 2, 1])
"""Four stocks on dates 1 and 3, two on date 2 (too few), in no order."""


def pair(seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(10, 2, generator=random), torch.randn(10, 2, generator=random)


def test_ic_is_one_minus_the_mean_correlation_per_date():
    prediction, target = pair()
    found = [np.corrcoef(prediction[DATE == date, day], target[DATE == date, day])[0, 1] for date in (1, 3) for day in (0, 1)]
    assert correlation_loss(prediction, target, DATE).item() == pytest.approx(1 - np.mean(found), abs=1e-5)


def test_dates_count_alike_whatever_their_number_of_stocks():
    date = torch.tensor([0] * 3 + [1] * 30)
    target = torch.randn(33, 1)
    prediction = torch.cat((target[:3], -target[3:]))  # perfect on one date, perfectly wrong on the other
    assert correlation_loss(prediction, target, date).item() == pytest.approx(1.0, abs=1e-4)


def test_pairs_by_hand():
    prediction, target = pair()
    per_date = []
    for date in (1, 3):
        x, y = prediction[DATE == date], target[DATE == date]
        pairs = [(i, j, day) for i in range(4) for j in range(4) for day in (0, 1) if i != j]
        per_date.append(np.mean([np.log1p(np.exp(-float((x[i, day] - x[j, day]) * (y[i, day] - y[j, day]).sign()))) for i, j, day in pairs]))
    assert pairwise_loss(prediction, target, DATE).item() == pytest.approx(np.mean(per_date), rel=1e-5)


@pytest.mark.parametrize("loss", [correlation_loss, pairwise_loss])
def test_the_market_of_the_day_and_the_order_of_the_batch_change_nothing(loss):
    prediction, target = pair()
    market = torch.tensor([0.0, 5.0, -3.0, 9.0])[DATE].unsqueeze(1)
    before = loss(prediction, target, DATE).item()
    assert loss(prediction + market, target - 2 * market, DATE).item() == pytest.approx(before, rel=1e-4)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    assert loss(prediction[order], target[order], DATE[order]).item() == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize("loss", [correlation_loss, pairwise_loss])
def test_a_date_with_too_few_stocks_teaches_nothing(loss):
    prediction, target = pair()
    prediction.requires_grad_()
    loss(prediction, target, DATE).backward()
    assert not prediction.grad[DATE == 2].any() and prediction.grad[DATE != 2].abs().min() > 0


@pytest.mark.parametrize("loss", [correlation_loss, pairwise_loss])
@pytest.mark.parametrize("kind", ["constant", "lonely"])
def test_nothing_to_compare_gives_a_finite_loss_and_gradient(loss, kind):
    prediction, target = (torch.zeros(6, 1), torch.randn(6, 1)) if kind == "constant" else (torch.randn(6, 1), torch.randn(6, 1))
    date = torch.zeros(6) if kind == "constant" else torch.arange(6)
    prediction.requires_grad_()
    value = loss(prediction, target, date)
    value.backward()
    assert value.isfinite() and prediction.grad.isfinite().all()


def test_learning_the_order_recovers_it():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=random)
    date, truth = torch.arange(200) // 20, torch.tensor([[1.0], [-0.5], [0.0]])
    target = x @ truth + 0.5 * torch.randn(200, 1, generator=random) + 4 * (torch.arange(200) // 20 % 3).float().unsqueeze(1)
    for loss in (correlation_loss, pairwise_loss):
        weight = torch.zeros(3, 1).add_(0.01).requires_grad_()
        optimizer = torch.optim.Adam([weight], lr=0.05)
        for _ in range(150):
            optimizer.zero_grad()
            loss(x @ weight, target, date).backward()
            optimizer.step()
        found = weight.detach().flatten() / weight.detach().norm()
        assert torch.allclose(found, truth.flatten() / truth.norm(), atol=0.12)
