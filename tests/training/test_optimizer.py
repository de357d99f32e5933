"""The optimiser: which weights decay, and that clipping and moving in one go is what torch does in two. The kernel runs through the interpreter."""

import pytest
import torch

from financial_model.config import TrainConfig
from financial_model.training.optimizer import ClippingAdamW, adamw
from tests.kernels import PLACE


def test_weight_decay_is_for_matrices():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    groups = adamw(model, TrainConfig(weight_decay=0.1), torch.device("cpu")).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.1, 1), (0.0, 3)]


def steps(optimizer, model, batches, limit):
    """Norms of the gradients; after two steps the optimiser is put aside and a new one goes on from what it remembered."""
    norms = []
    for number, (x, y) in enumerate(batches):
        if number == 2:
            remembered = optimizer.state_dict()
            optimizer = type(optimizer)(optimizer.param_groups, lr=optimizer.param_groups[0]["lr"], capturable=isinstance(optimizer, ClippingAdamW))
            optimizer.load_state_dict(remembered)
        (model(x) - y).square().sum().backward()
        if isinstance(optimizer, ClippingAdamW):
            norms.append(optimizer.clip_and_step(limit, torch.zeros((), device=PLACE)).clone())
        else:
            norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), limit))
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return torch.stack(norms)


@pytest.mark.parametrize("limit", [0.5, float("inf")])
def test_clipping_and_moving_in_one_go_is_what_torch_does(limit):
    pytest.importorskip("triton")
    torch.manual_seed(0)
    one = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)).to(PLACE)
    other = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)).to(PLACE)
    other.load_state_dict(one.state_dict())
    batches = [(torch.randn(7, 5, device=PLACE), torch.randn(7, 3, device=PLACE)) for _ in range(4)]

    def groups(model):
        return [{"params": [part for part in model.parameters() if part.ndim > 1], "weight_decay": 0.1},
                {"params": [part for part in model.parameters() if part.ndim == 1], "weight_decay": 0.0}]

    found = steps(ClippingAdamW(groups(one), lr=torch.tensor(0.01, device=PLACE), capturable=True), one, batches, limit)
    expected = steps(torch.optim.AdamW(groups(other), lr=0.01), other, batches, limit)
    torch.testing.assert_close(found, expected)
    for part, theirs in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(part, theirs, rtol=1e-5, atol=1e-6)
