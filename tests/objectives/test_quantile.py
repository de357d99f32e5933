import numpy as np
import pytest
import torch

from financial_model.objectives.quantile import pinball

torch.set_num_threads(1)


def test_pinball_by_hand():
    quantiles = torch.tensor([[[-1.0, 0.0, 2.0]], [[-1.0, 0.0, 2.0]]])  # two windows, one day, three levels
    target = torch.tensor([[1.0], [-2.0]])
    by_hand = [0.1 * 2, 0.5 * 1, 0.1 * 1,  # above, above, below by 1 at level 0.9
               0.9 * 1, 0.5 * 2, 0.1 * 4]
    assert pinball(quantiles, target, torch.tensor([0.1, 0.5, 0.9])).item() == pytest.approx(sum(by_hand) / 6)


def test_at_the_median_it_is_half_the_absolute_error():
    prediction, target = torch.randn(20, 3), torch.randn(20, 3)
    assert pinball(prediction[..., None], target, torch.tensor([0.5])).item() == pytest.approx(0.5 * (prediction - target).abs().mean().item())


def test_the_true_quantiles_lose_least():
    target = torch.from_numpy(np.random.default_rng(0).standard_t(5, 50_000).astype(np.float32))[:, None]
    levels = torch.tensor([0.1, 0.5, 0.9])
    truth = torch.quantile(target, levels)

    def loss(shift):
        return pinball((truth + shift).expand(len(target), 1, 3), target, levels).item()

    best = loss(torch.zeros(3))
    for level in range(3):
        for step in (-0.1, 0.1):
            shift = torch.zeros(3)
            shift[level] = step
            assert loss(shift) > best
