import pytest
import torch

from financial_model.errors import ConfigError
from financial_model.models.rotary import Rotary, RotaryAttention, groups_of

torch.set_num_threads(1)


def attention(heads=4, groups=0, size=16, longest=12):
    torch.manual_seed(0)
    return RotaryAttention(size, heads, longest, groups=groups)


def test_a_score_depends_on_the_distance_alone():
    rotary = Rotary(20, 6)
    query, key = torch.randn(6), torch.randn(6)
    turned_query, turned_key = rotary(query.expand(20, 6)), rotary(key.expand(20, 6))
    scores = turned_query @ turned_key.T
    for distance in range(-19, 20):
        along = scores.diagonal(distance)
        assert torch.allclose(along, along[:1].expand_as(along), atol=1e-5)
    assert scores[10].diff().abs().min() > 1e-4


def test_a_rotation_keeps_lengths_and_the_newest_bar_is_not_turned():
    rotary, x = Rotary(9, 8), torch.randn(2, 9, 8)
    assert torch.allclose(rotary(x).norm(dim=-1), x.norm(dim=-1), atol=1e-5)
    assert torch.equal(rotary(x)[:, -1], x[:, -1])


def test_a_shorter_window_keeps_its_places_and_a_longer_one_is_refused():
    rotary, x = Rotary(9, 8), torch.randn(9, 8)
    assert torch.equal(rotary(x)[-4:], rotary(x[-4:]))
    with pytest.raises(ConfigError, match="10 bars"):
        rotary(torch.randn(10, 8))
    with pytest.raises(ValueError, match="even"):
        Rotary(9, 7)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_attention_equals_its_definition(groups):
    """Softmax over the keys up to the own bar; each group of query heads shares one head of keys and values."""
    layer, x = attention(groups=groups), torch.randn(3, 7, 16)
    query = layer.rotary(layer.query(x).view(3, 7, 4, 4).transpose(1, 2))
    key, value = layer.key_value(x).view(3, 7, 2, groups, 4).unbind(2)
    key = layer.rotary(key.transpose(1, 2))
    expected = []
    for head in range(4):
        group = head // (4 // groups)
        scores = query[:, head] @ key[:, group].transpose(1, 2) / 2
        weights = scores.masked_fill(torch.ones(7, 7).triu(1).bool(), -torch.inf).softmax(-1)
        assert torch.allclose(weights.sum(-1), torch.ones(3, 7))
        expected.append(weights @ value[:, :, group])
    assert torch.allclose(layer(x), layer.out(torch.cat(expected, dim=-1)), atol=1e-5)


@pytest.mark.parametrize("groups", [1, 4])
def test_the_last_row_alone_is_the_last_row_of_all(groups):
    layer, x = attention(groups=groups), torch.randn(2, 9, 16)
    assert torch.allclose(layer(x, last_only=True), layer(x)[:, -1:], atol=1e-6)


def test_groups_are_about_a_quarter_of_the_heads_and_always_divide_them():
    assert [groups_of(heads) for heads in (1, 2, 4, 6, 8, 12, 16)] == [1, 1, 1, 1, 2, 3, 4]
    assert groups_of(9) == 1 and groups_of(8, 4) == 4
    with pytest.raises(ConfigError, match="3 heads of keys and values do not divide 8.*1, 2, 4, 8"):
        groups_of(8, 3)
