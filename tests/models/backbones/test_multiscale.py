import torch
from torch.nn import functional as F

from financial_model.models.backbones.multiscale import RANGES, DecayedAttention, MultiscaleBlock
from tests.models.builders import small_model, windows

torch.set_num_threads(1)


def test_the_three_ranges_are_ten_bars_thirty_bars_and_everything():
    torch.manual_seed(0)
    block, x = MultiscaleBlock(8, 2, norm="layernorm", dropout=0.0, causal=True), torch.randn(1, 50, 8)
    changed = x.clone()
    changed[:, 5] += 3
    heard = []
    for attention in block.ranges:
        moved = (attention(changed) - attention(x)).abs().amax(dim=(0, 2)).nonzero().flatten().tolist()
        assert moved == list(range(5, 5 + len(moved)))
        heard.append(len(moved))
    assert heard == [*RANGES, 45]


def test_the_long_range_decays_with_distance_at_a_rate_each_head_learns():
    torch.manual_seed(0)
    layer = DecayedAttention(8, 2, causal=False)
    penalty = layer.penalty(6)
    rates = F.softplus(layer.rate)
    assert (rates > 0).all() and rates[0] > rates[1]
    for head in range(2):
        assert torch.allclose(penalty[0, head, 3], -rates[head] * torch.tensor([3.0, 2, 1, 0, 1, 2]))
    assert torch.equal(DecayedAttention(8, 2, causal=True).penalty(4).isinf()[0, 0], torch.ones(4, 4).triu(1).bool())
    x = torch.randn(2, 6, 8)
    layer(x).square().sum().backward()
    assert (layer.rate.grad != 0).all()


def test_attention_with_decay_equals_its_definition():
    torch.manual_seed(0)
    layer, x = DecayedAttention(8, 2, causal=False), torch.randn(3, 6, 8)
    query, key, value = layer.query_key_value(x).view(3, 6, 3, 2, 4).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(-1, -2) / 2 + layer.penalty(6)).softmax(-1)
    assert torch.allclose(weights.sum(-1), torch.ones(3, 2, 6))
    assert torch.allclose(layer(x), layer.out((weights @ value).transpose(1, 2).flatten(2)), atol=1e-6)


def test_the_mixture_is_learned_and_begins_even():
    block, x = MultiscaleBlock(8, 2, norm="layernorm", dropout=0.0, causal=False), torch.randn(2, 12, 8)
    assert torch.allclose(block.mix.softmax(0), torch.full((3,), 1 / 3))
    block(x).square().sum().backward()
    assert (block.mix.grad != 0).any()
    with torch.no_grad():
        block.mix.copy_(torch.tensor([50.0, 0, 0]))
    normed = block.attention_norm(x)
    kept = x + block.ranges[0](normed)
    assert torch.allclose(block(x), kept + block.feed(block.feed_norm(kept)), atol=1e-5)


def test_with_the_causal_mask_no_state_hears_of_later_bars():
    model = small_model("multiscale", causal=True).eval()
    x, _, _ = windows(2)
    changed = x.clone()
    changed[:, 7] += 3
    moved = (model.backbone.encode(changed) - model.backbone.encode(x)).abs().amax(dim=(0, 2)) > 0
    assert moved.tolist() == [False] * 7 + [True] * 5
