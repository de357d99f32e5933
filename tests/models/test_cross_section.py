"""Stocks of one date see each other, whatever their order and batch; stocks of other dates do not exist for them."""

import numpy as np
import pytest
import torch

from financial_model.models.cross_section import CrossSection
from financial_model.models.ensemble import Ensemble
from financial_model.models.prediction import Prediction
from tests.models.builders import ALL_BACKBONES, small_model, windows

DATE = torch.arange(24) // 8
"""Three dates of eight stocks."""


def answer(model, x, condition, ranks, date):
    with torch.no_grad():
        return next(iter(model.eval()(x, condition, ranks, date).values()))


@pytest.fixture(scope="module", params=["none", "concat", "film"])
def model(request):
    return small_model("gru", condition=request.param, cross_section=True, dropout=0.3)


@pytest.mark.parametrize("backbone", ALL_BACKBONES)
def test_every_backbone_lets_the_stocks_of_a_date_see_each_other_and_no_others(backbone):
    model, (x, condition, ranks) = small_model(backbone, cross_section=True), windows()
    before, changed = answer(model, x, condition, ranks, DATE), x.clone()
    changed[5] += 1
    moved = (answer(model, changed, condition, ranks, DATE) - before).abs().amax(1)
    assert (moved[:8] > 0).all() and (moved[8:] == 0).all()


def test_without_the_option_the_date_says_nothing():
    model, batch = small_model("gru", condition="concat"), windows()
    assert torch.equal(answer(model, *batch, DATE), answer(model, *batch, None))


def test_order_changes_nothing(model):
    batch, order = windows(), torch.randperm(24, generator=torch.Generator().manual_seed(3))
    shuffled = answer(model, *(part[order] for part in batch), DATE[order])
    assert torch.allclose(shuffled, answer(model, *batch, DATE)[order], rtol=0, atol=1e-6)


def test_a_date_alone_and_among_others_is_the_same(model):
    batch = windows()
    alone = torch.cat([answer(model, *(part[DATE == day] for part in batch), DATE[DATE == day]) for day in range(3)])
    assert torch.allclose(alone, answer(model, *batch, DATE), rtol=0, atol=1e-6)


def test_a_missing_stock_is_a_smaller_date(model):
    """The others see what they would see if it had never been listed: the masked answer is the answer of the smaller set."""
    x, condition, ranks = windows()
    gone = torch.arange(24) != 3
    elsewhere = DATE.clone()
    elsewhere[3] = 99
    masked = answer(model, x, condition, ranks, elsewhere)[gone]
    assert torch.allclose(masked, answer(model, x[gone], condition[gone], ranks[gone], DATE[gone]), rtol=0, atol=1e-6)
    assert not torch.allclose(masked[:7], answer(model, x, condition, ranks, DATE)[gone][:7], rtol=0, atol=1e-6)


def test_a_stock_without_peers_sees_itself_only(model):
    batch = windows()
    alone = answer(model, *batch, torch.arange(24))
    assert torch.allclose(answer(model, *batch, None), alone, rtol=0, atol=1e-6)


def test_attention_is_the_plain_formula():
    """softmax over the stocks of the date, written out."""
    torch.manual_seed(0)
    layer, state, condition = CrossSection(10, by_industry=True, dropout=0.0).eval(), torch.randn(24, 10), windows()[1]
    normed = layer.norm(state)
    query, key = layer.query_key(torch.cat((normed, layer.industry(condition[:, 0])), 1)).view(24, 2, 4, 16).unbind(1)
    value, rows = layer.value(normed).view(24, 4, 16), []
    for row in range(24):
        peers = torch.nonzero(DATE == DATE[row]).flatten()
        weights = (torch.einsum("hd,nhd->nh", query[row], key[peers]) / 4).softmax(0)
        assert torch.allclose(weights.sum(0), torch.ones(4))
        rows.append(torch.einsum("nh,nhd->hd", weights, value[peers]).flatten())
    assert torch.allclose(layer(state, condition, DATE), state + layer.out(torch.stack(rows)), atol=1e-6)


def test_one_industry_can_follow_another():
    """Whom a stock looks at turns with its peers' industries, where industries may be known at all."""
    x, condition, ranks = windows()
    moved = condition.clone()
    moved[1, 0] = (moved[1, 0] + 1) % 11
    for mode, seen in (("none", False), ("concat", True)):
        model = small_model("gru", condition=mode, cross_section=True)
        difference = (answer(model, x, moved, ranks, DATE) - answer(model, x, condition, ranks, DATE))[[0, *range(2, 8)]].abs().max()
        assert bool(difference > 0) is seen


@pytest.mark.parametrize("condition", ["none", "concat"])
def test_gradients_reach_every_part_of_it(condition):
    model = small_model("transformer", condition=condition, cross_section=True).train()
    x, classes, ranks = windows()
    model(x, classes, ranks, DATE)["point"].square().sum().backward()
    silent = [name for name, parameter in model.cross_section.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert silent == []


def test_the_path_starts_small():
    batch = windows()
    plain, seeing = small_model("gru"), small_model("gru", cross_section=True)
    seeing.load_state_dict(plain.state_dict(), strict=False)
    apart = (answer(seeing, *batch, DATE) - answer(plain, *batch, None)).abs().mean() / answer(plain, *batch, None).abs().mean()
    assert 0 < apart < 0.5


def test_members_of_an_ensemble_see_the_date():
    batch, members = windows(), [small_model("gru", cross_section=True, seed=seed).eval() for seed in (0, 1)]
    together = answer(Ensemble(members), *batch, DATE)
    assert torch.allclose(together, torch.stack([answer(member, *batch, DATE) for member in members]).mean(0))


def test_forecasts_are_picked_by_window_in_any_order():
    whole = Prediction(end=np.array([7, 3, 9]), expected=np.array([[0.7], [0.3], [0.9]], np.float32), levels=(0.5,),
                       quantiles=np.array([[[7.0]], [[3.0]], [[9.0]]], np.float32), probabilities=np.eye(3, dtype=np.float32))
    part = whole.at(np.array([9, 7, 9]))
    assert part.end.tolist() == [9, 7, 9] and part.expected[:, 0].tolist() == pytest.approx([0.9, 0.7, 0.9])
    assert part.quantiles[:, 0, 0].tolist() == [9, 7, 9] and part.probabilities.argmax(1).tolist() == [2, 0, 2] and part.levels == (0.5,)
