import pytest
import torch

from financial_model.models.latent import LatentAttention

torch.set_num_threads(1)


def attention(size=32, heads=4, longest=16):
    torch.manual_seed(0)
    return LatentAttention(size, heads, longest)


@pytest.mark.parametrize("size, heads", [(32, 4), (256, 4), (8, 4), (24, 3)])
@pytest.mark.parametrize("last_only", [False, True])
def test_the_absorbed_form_is_the_plain_form(size, heads, last_only):
    layer, x = attention(size, heads), 3 * torch.randn(3, 16, size)
    plain, absorbed = layer.train()(x, last_only=last_only), layer.eval()(x, last_only=last_only)
    assert (plain - absorbed).abs().max() < 1e-5
    assert not torch.equal(plain, absorbed)  # they are two computations


def test_training_takes_the_plain_form_and_evaluation_the_absorbed_one(monkeypatch):
    layer, taken = attention(), []
    for name in ("_plain", "_absorbed"):
        inner = getattr(layer, name)
        monkeypatch.setattr(layer, name, lambda *a, inner=inner, name=name, **k: taken.append(name) or inner(*a, **k))
    layer.train()(torch.randn(1, 4, 32))
    layer.eval()(torch.randn(1, 4, 32))
    assert taken == ["_plain", "_absorbed"]


@pytest.mark.parametrize("training", [False, True])
def test_attention_equals_its_definition(training):
    layer, x = attention().train(training), torch.randn(2, 6, 32)
    content, turned, latent, turned_key = layer._parts(x, x)
    keys, values = layer.key_up(latent).view(2, 6, 4, -1), layer.value_up(latent).view(2, 6, 4, -1)
    expected = []
    for head in range(4):
        scores = content[:, head] @ keys[:, :, head].transpose(1, 2) + turned[:, head] @ turned_key[:, 0].transpose(1, 2)
        weights = (scores * layer.scale).masked_fill(torch.ones(6, 6).triu(1).bool(), -torch.inf).softmax(-1)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 6))
        expected.append(weights @ values[:, :, head])
    assert torch.allclose(layer(x), layer.out(torch.cat(expected, dim=-1)), atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_later_bars_are_not_heard_and_the_last_row_alone_is_the_last_row_of_all(training):
    layer, x = attention().train(training), torch.randn(2, 9, 32)
    changed = x.clone()
    changed[:, 5] += 4
    moved = (layer(changed) - layer(x)).abs().amax(dim=(0, 2)) > 1e-7
    assert moved.tolist() == [False] * 5 + [True] * 4
    assert torch.allclose(layer(x, last_only=True), layer(x)[:, -1:], atol=1e-6)


def test_what_is_kept_of_a_bar_is_one_short_vector_for_all_heads():
    layer = attention(256, 4)
    _, _, latent, turned_key = layer._parts(torch.randn(1, 5, 256), torch.randn(1, 5, 256))
    assert latent.shape == (1, 5, 64) and turned_key.shape == (1, 1, 5, 32)  # 96 numbers a bar; heads of their own would keep 512
