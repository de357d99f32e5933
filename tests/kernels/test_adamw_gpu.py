"""Clipping and AdamW in a few launches reach torch's weights; without a GPU Triton's interpreter runs them on the CPU."""

import pytest
import torch

from tests.kernels import PLACE

pytest.importorskip("triton")
adamw_gpu = pytest.importorskip("financial_model.kernels.adamw_gpu")

SHAPES = [(40, 100), (3,), (1, 2048), (5, 1, 7), ()]
DECAYS = [0.1, 0.0, 0.1, 0.1, 0.0]


def like(shapes, scale=1.0):
    return [scale * torch.randn(shape, device=PLACE) for shape in shapes]


def mover(parameters):
    empty = [torch.zeros_like(part) for part in parameters], [torch.zeros_like(part) for part in parameters]
    counts = [torch.zeros((), device=PLACE) for _ in parameters]
    return adamw_gpu.Mover(parameters, *empty, counts, DECAYS, betas=(0.9, 0.999), eps=1e-8), empty, counts


def test_weights_moments_counts_and_norm_are_torchs():
    torch.manual_seed(0)
    ours = like(SHAPES)
    theirs = [part.clone().requires_grad_() for part in ours]
    optimizer = torch.optim.AdamW([{"params": [part], "weight_decay": decay} for part, decay in zip(theirs, DECAYS, strict=True)], lr=0.01)
    move, (means, squares), counts = mover(ours)
    rate, lost = torch.tensor(0.01, device=PLACE), torch.zeros((), device=PLACE)
    for number, scale in enumerate((0.001, 1.0, 30.0), 1):  # below the limit, and above it
        gradients = like(SHAPES, scale)
        for part, gradient in zip(theirs, gradients, strict=True):
            part.grad = gradient.clone()
        expected = torch.nn.utils.clip_grad_norm_(theirs, 5.0)
        optimizer.step()
        torch.testing.assert_close(move(gradients, rate=rate, lost=lost, limit=5.0), expected)
        for index, part in enumerate(theirs):
            state = optimizer.state[part]
            torch.testing.assert_close(ours[index], part.detach(), rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(means[index], state["exp_avg"])
            torch.testing.assert_close(squares[index], state["exp_avg_sq"])
            assert counts[index] == number
    assert not lost


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_moves_nothing_now_or_later(bad):
    torch.manual_seed(0)
    ours = like(SHAPES)
    before = [part.clone() for part in ours]
    move, (means, _), counts = mover(ours)
    rate, lost = torch.tensor(0.01, device=PLACE), torch.zeros((), device=PLACE)
    gradients = like(SHAPES)
    gradients[2][0, 7] = bad
    assert not move(gradients, rate=rate, lost=lost, limit=5.0).isfinite() and lost == 1
    move(like(SHAPES), rate=rate, lost=lost, limit=5.0)
    assert all(torch.equal(one, other) for one, other in zip(ours, before, strict=True))
    assert lost == 1 and not any(part.any() for part in means) and not any(counts)
