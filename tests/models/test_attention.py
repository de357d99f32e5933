import math

import pytest
import torch

from financial_model.errors import ConfigError
from financial_model.models.attention import SelfAttention

torch.set_num_threads(1)


def attention(causal=False, size=8, heads=2):
    torch.manual_seed(0)
    return SelfAttention(size, heads, causal=causal)


def weights(layer, x):
    """[B, heads, asking, answering], written out: the specification the fast kernel has to meet."""
    size, heads = x.shape[-1], layer.heads
    query = layer.query(x).view(*x.shape[:2], heads, size // heads)
    key = layer.key_value(x)[..., :size].view(*x.shape[:2], heads, size // heads)
    scores = torch.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(size // heads)
    if layer.causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    return scores.softmax(dim=-1)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_a_softmax_over_keys_and_equals_its_definition(causal):
    layer, x = attention(causal), torch.randn(3, 6, 8)
    w = weights(layer, x)
    assert torch.allclose(w.sum(-1), torch.ones(3, 2, 6))
    value = layer.key_value(x)[..., 8:].view(3, 6, 2, 4)
    expected = layer.out(torch.einsum("bhqk,bkhd->bqhd", w, value).flatten(2))
    assert torch.allclose(layer(x), expected, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_weights_sum_to_one_so_equal_values_pass_unchanged(causal):
    layer, x = attention(causal), torch.randn(2, 6, 8)
    with torch.no_grad():
        layer.key_value.weight[8:] = 0
    assert torch.allclose(layer(x), layer.out(layer.key_value.bias[8:]).expand(2, 6, 8), atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_the_last_row_alone_is_the_last_row_of_all(causal):
    layer, x = attention(causal), torch.randn(2, 6, 8)
    assert torch.allclose(layer(x, last_only=True), layer(x)[:, -1:], atol=1e-6)


def test_heads_that_do_not_divide_are_refused_with_those_that_do():
    with pytest.raises(ConfigError, match="3 attention heads do not divide a hidden size of 8; use one of: 1, 2, 4, 8"):
        SelfAttention(8, 3, causal=False)
