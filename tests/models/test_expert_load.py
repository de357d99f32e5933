"""Who does the work: every row that comes through a layer is counted at the experts it was sent to, and the model answers as before."""

import pytest
import torch
from torch import nn

from financial_model.models.expert_load import expert_load, has_experts
from financial_model.models.experts import Experts


class Two(nn.Module):
    """Two layers of experts, the router of the first of which has one favourite."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (Experts(8, 4, 16, gated=False, shared=False) for _ in range(2))
        with torch.no_grad():
            self.first.router.weight.zero_()
            self.first.router.weight[2] = 5.0

    def forward(self, x):
        return self.second(self.first(x)[0])[0]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_shares_of_a_layer_sum_to_one_and_show_the_favourite():
    torch.manual_seed(1)
    model, x = Two().eval(), torch.rand(6, 5, 8)
    before = model(x)
    load = expert_load(model, lambda: model(x))
    assert [len(layer) for layer in load] == [4, 4] and [sum(layer) for layer in load] == pytest.approx([1, 1])
    assert load[0][2] == pytest.approx(0.5), "every row has two experts, and one of them is the favourite"
    assert torch.equal(model(x), before) and not model.first._forward_pre_hooks, "nothing is left behind"
    assert has_experts(model) and not has_experts(nn.Linear(2, 2))
