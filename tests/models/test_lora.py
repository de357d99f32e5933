"""Adapters: nothing changes before they learn, the frozen weights never do, and multiplied in they give the same answers."""

import pytest
import torch

from financial_model.models.lora import LowRank, add_adapters, merged
from tests.models.builders import ALL_BACKBONES, small_model, windows


def adapted(backbone, **settings):
    """A model with adapters that have learned something, and the answers it gave before."""
    model = small_model(backbone, condition="concat", **settings).eval()
    before = model(*windows())["point"].detach()
    add_adapters(model, 2, 4.0)
    return model, before


def teach(model):
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, LowRank):
                part.up.normal_(0, 0.3)


@pytest.mark.parametrize("backbone", ALL_BACKBONES)
def test_new_adapters_change_nothing(backbone):
    model, before = adapted(backbone)
    torch.testing.assert_close(model(*windows())["point"], before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("backbone", ALL_BACKBONES)
def test_merged_into_an_ordinary_model_the_answers_are_the_same(backbone):
    model, before = adapted(backbone)
    teach(model)
    plain = small_model(backbone, condition="concat", seed=9).eval()
    plain.load_state_dict(merged(model))
    answers = model(*windows())["point"]
    torch.testing.assert_close(plain(*windows())["point"], answers, rtol=0, atol=1e-6)
    assert (answers - before).abs().max() > 1e-3, "the adapters did nothing, so the test shows nothing"


@pytest.mark.parametrize("backbone", ALL_BACKBONES)
def test_only_adapters_learn_and_each_of_them_does(backbone):
    model, _ = adapted(backbone)
    teach(model)
    model.train()
    model(*windows())["point"].square().sum().backward()
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {name for name, _ in model.named_parameters() if name.endswith((".up", ".down"))}
    assert all(parameter.grad is not None and parameter.grad.any() for name, parameter in model.named_parameters() if name in learning)


def test_the_matrices_named_in_the_module_and_no_others_are_adapted():
    def places(backbone):
        return {name.split(".parametrizations.")[0] for name, part in adapted(backbone)[0].named_modules() if isinstance(part, LowRank)}

    assert {"backbone.layers", "head.readout", "condition.mix"} <= places("cnn_lstm")
    assert not any("stem" in name or "tables" in name for name in places("cnn_lstm"))
    attention = places("moe_transformer")
    assert any("query_key_value" in name for name in attention) and not any("router" in name or "experts" in name for name in attention)


def test_the_rank_is_never_larger_than_the_matrix():
    adapter = LowRank(torch.zeros(3, 50), 8, 16.0)
    assert adapter.down.shape == (3, 50) and adapter.up.shape == (3, 3) and adapter.scale == 16 / 3


def test_a_model_without_adapters_keeps_its_weights():
    model = small_model("gru")
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in merged(model).items())
