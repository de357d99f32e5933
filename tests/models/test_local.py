import math

import pytest
import torch

from financial_model.errors import ConfigError
from financial_model.models import local
from financial_model.models.local import LocalAttention, banded

torch.set_num_threads(1)


def parts(length, *, seed=0):
    random = torch.Generator().manual_seed(seed)
    return (torch.randn(2, 3, length, 4, generator=random) for _ in range(3))


@pytest.fixture(params=["whole", "blocks"])
def form(request, monkeypatch):
    """Short windows mask all scores, long ones are cut into blocks: whatever holds has to hold for both."""
    if request.param == "blocks":
        monkeypatch.setattr(local, "SHORT", 0)


def by_hand(query, key, value, window, causal):
    """All scores, masked: the specification."""
    place = torch.arange(query.shape[2])
    distance = place - place[:, None]
    seen = (distance.abs() <= window) & ((distance <= 0) | torch.tensor(not causal))
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    assert torch.allclose(weights.sum(-1), torch.ones(query.shape[:3]))
    return weights @ value


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 2, 4, 5, 6, 9, 17, 40])
@pytest.mark.parametrize("window", [1, 3, 5, 8, 100])
def test_both_forms_compute_the_masked_attention(form, length, window, causal):
    query, key, value = parts(length)
    assert torch.allclose(banded(query, key, value, window, causal=causal), by_hand(query, key, value, window, causal), atol=1e-5)


@pytest.mark.parametrize("window", [1, 4, 20])
@pytest.mark.parametrize("causal", [False, True])
def test_a_bar_at_the_window_is_heard_and_one_further_is_not(form, window, causal):
    torch.manual_seed(0)
    layer, x = LocalAttention(8, 2, window, causal=causal).eval(), torch.randn(1, 60, 8)
    changed = x.clone()
    changed[:, 30] += 3
    moved = (layer(changed) - layer(x)).abs().amax(dim=(0, 2)).nonzero().flatten().tolist()
    assert moved == list(range(30 if causal else 30 - window, 30 + window + 1))


def test_gradients_are_those_of_the_masked_attention(form):
    leaves = [part.requires_grad_() for part in parts(13)]
    ours = torch.autograd.grad(banded(*leaves, 3).square().sum(), leaves)
    theirs = torch.autograd.grad(by_hand(*leaves, 3, False).square().sum(), leaves)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))


def test_the_work_grows_with_the_length_and_not_with_its_square():
    """Counted by torch itself, not timed: eight times the bars are eight times the operations."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    def operations(length):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():  # a fused kernel is not counted
            banded(*parts(length), 20)
        return counter.get_total_flops()

    assert operations(8000) / operations(1000) == pytest.approx(8, rel=0.01)


def test_head_dropout_switches_whole_heads_off_and_scales_the_others():
    torch.manual_seed(0)
    layer = LocalAttention(8, 4, 2, head_dropout=0.5)
    with torch.no_grad():
        layer.out.weight.copy_(torch.eye(8))
        layer.out.bias.zero_()
    x = torch.randn(64, 5, 8)
    whole, dropped = layer.eval()(x).unflatten(2, (4, 2)), layer.train()(x).unflatten(2, (4, 2))
    ratio = dropped / whole
    off = (dropped == 0).all(dim=(1, 3))
    assert torch.equal(off, (dropped == 0).any(1).any(-1))  # a head is off for the whole window or not at all
    assert torch.allclose(ratio[~off[:, None, :, None].expand_as(ratio)], torch.tensor(2.0))
    assert 0.35 < off.float().mean() < 0.65
    assert torch.equal(layer.eval()(x), layer(x))


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ConfigError, match="3 attention heads"):
        LocalAttention(8, 3, 2)
