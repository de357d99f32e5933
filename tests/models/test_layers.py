import math

import pytest
import torch

from financial_model.config import NORMS
from financial_model.errors import ConfigError
from financial_model.models.layers import BarsAgo, Block, build_norm

torch.set_num_threads(1)


def test_norms_against_their_formulas():
    x = torch.randn(3, 5, 8) * 4 + 2
    centred = x - x.mean(-1, keepdim=True)
    assert torch.allclose(build_norm("layernorm", 8)(x), centred / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt(), atol=1e-5)
    assert torch.allclose(build_norm("rmsnorm", 8)(x), x / x.square().mean(-1, keepdim=True).sqrt(), atol=1e-5)
    dyt = build_norm("dyt", 8)
    with torch.no_grad():
        dyt.weight.copy_(torch.arange(8.0))
        dyt.bias.fill_(3)
    assert torch.allclose(dyt(x), torch.arange(8.0) * torch.tanh(0.5 * x) + 3, atol=1e-6)


def test_batchnorm_takes_a_component_over_all_rows_and_bars_of_the_batch():
    x = torch.randn(3, 5, 8) * 4 + 2
    rows = x.reshape(-1, 8)
    norm = build_norm("batchnorm", 8)
    expected = (rows - rows.mean(0)) / (rows.var(0, unbiased=False) + 1e-5).sqrt()
    assert torch.allclose(norm(x), expected.view_as(x), atol=1e-5)
    norm.eval()
    running = (x - 0.1 * rows.mean(0)) / (0.9 + 0.1 * rows.var(0) + 1e-5).sqrt()
    assert torch.allclose(norm(x), running, atol=1e-5)
    assert torch.equal(norm(x[:1]), norm(x)[:1])  # no row sees another outside training


def test_batchnorm_of_a_single_row_in_training_uses_what_it_knows():
    norm, x = build_norm("batchnorm", 4).train(), torch.randn(1, 1, 4)
    assert torch.allclose(norm(x), x, atol=1e-4)


def test_an_unknown_norm_is_refused():
    assert set(NORMS) == {"auto", "layernorm", "rmsnorm", "batchnorm", "dyt"}
    with pytest.raises(ConfigError, match="batchnrm"):
        build_norm("batchnrm", 8)


def test_a_place_means_bars_ago_whatever_the_length_of_the_window():
    position = BarsAgo(20, 6)
    long, short = position(torch.zeros(1, 20, 6))[0], position(torch.zeros(1, 7, 6))[0]
    assert torch.equal(long[-7:], short)
    assert torch.allclose(short[-1], torch.tensor([0.0, 1.0] * 3))  # zero bars ago: sine 0, cosine 1
    assert torch.allclose(short[-3, :2], torch.tensor([math.sin(2), math.cos(2)]))
    assert (torch.cdist(long, long) + torch.eye(20)).min() > 1e-3  # every place has its own code


def test_a_window_longer_than_the_model_was_built_for_is_refused():
    with pytest.raises(ConfigError, match="holds 21 bars.*at most 20"):
        BarsAgo(20, 6)(torch.zeros(1, 21, 6))


@pytest.mark.parametrize("causal", [False, True])
def test_the_last_row_of_a_block_alone_is_the_last_row_of_all(causal):
    torch.manual_seed(0)
    block = Block(8, 2, norm="layernorm", dropout=0.0, causal=causal)
    x = torch.randn(2, 6, 8)
    assert torch.allclose(block(x, last_only=True), block(x)[:, -1:], atol=1e-6)
