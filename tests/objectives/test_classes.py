import math

import pytest
import torch
from torch.nn import functional as F

from financial_model.objectives.classes import balanced_weights, cross_entropy, focal, smoothed

torch.set_num_threads(1)
LABEL = torch.tensor([0, 1, 2, 2, 2, 1])


def logits():
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_equals_torchs_own(smoothing):
    expected = F.cross_entropy(logits(), LABEL, label_smoothing=smoothing)
    assert cross_entropy(logits(), LABEL, smoothing=smoothing).item() == pytest.approx(expected.item(), rel=1e-6)


def test_smoothed_labels_sum_to_one():
    assert torch.allclose(smoothed(LABEL, 3, 0.2).sum(-1), torch.ones(6))
    assert smoothed(LABEL, 3, 0.3)[0].tolist() == pytest.approx([0.8, 0.1, 0.1])


def test_focal_by_hand():
    chances = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]])
    by_hand = [-(0.3**2) * math.log(0.7), -(0.75**2) * math.log(0.25)]
    assert focal(chances.log(), torch.tensor([0, 2])).item() == pytest.approx(sum(by_hand) / 2, rel=1e-5)


def test_focal_listens_less_to_what_is_already_known():
    def pull(loss, chance):
        scores = torch.tensor([[math.log(chance), math.log(1 - chance), -20.0]], requires_grad=True)
        loss(scores, torch.tensor([0])).backward()
        return scores.grad.abs().max().item()

    assert pull(focal, 0.95) / pull(focal, 0.3) < 0.2 * pull(cross_entropy, 0.95) / pull(cross_entropy, 0.3)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_certainty_gives_no_infinite_gradient(smoothing):
    scores = torch.tensor([[100.0, -100.0, -100.0]], requires_grad=True)
    focal(scores, torch.tensor([0]), smoothing=smoothing).backward()
    assert scores.grad.isfinite().all()


def test_balanced_weights_by_hand_also_with_an_absent_class():
    # counts 1, 2, 3, each one larger: 2, 3, 4 of 9
    assert balanced_weights(LABEL, 3).tolist() == pytest.approx([9 / 6, 9 / 9, 9 / 12])
    assert balanced_weights(torch.tensor([0, 0]), 3).tolist() == pytest.approx([5 / 9, 5 / 3, 5 / 3])


def test_with_balance_every_class_pulls_about_equally():
    label = torch.tensor([0] * 90 + [1] * 9 + [2] * 1)
    scores = torch.zeros(100, 3, requires_grad=True)
    cross_entropy(scores, label, balanced=True).backward()
    own = scores.grad[torch.arange(100), label].abs()
    pulls = [own[label == k].sum().item() for k in range(3)]
    assert max(pulls) / min(pulls) < 2.1  # 90 without balance


def test_balanced_equals_torchs_weighted_mean():
    weights = balanced_weights(LABEL, 3)
    expected = F.cross_entropy(logits(), LABEL, weight=weights)
    assert cross_entropy(logits(), LABEL, balanced=True).item() == pytest.approx(expected.item(), rel=1e-6)
