import pytest
import torch

from financial_model.config import ATTENTIONS, BACKBONE_SHAPES, NORMS, ModelConfig
from financial_model.models.backbones.tsf import TSF
from financial_model.models.forecaster import build_forecaster, parameters
from financial_model.models.latent import LatentAttention
from tests.models.builders import CONTEXT, small_model, windows

torch.set_num_threads(1)


@pytest.mark.parametrize("name, millions", [("tsf-5m", 5), ("tsf-27m", 27)])
def test_the_presets_are_true_to_their_names(name, millions):
    for inputs in (20, 45):
        model = build_forecaster(ModelConfig(backbone=name), head="quantile", inputs=inputs, context_length=60, horizon=5)
        assert parameters(model) / 1e6 == pytest.approx(millions, rel=0.01)


def test_the_default_is_four_layers_of_256_with_four_heads_and_eight_experts_beside_a_shared_one():
    model = build_forecaster(ModelConfig(backbone="tsf"), head="point", inputs=20, context_length=60, horizon=1)
    blocks = model.backbone.blocks
    assert len(blocks) == 4 and len({id(block) for block in blocks}) == 4
    assert all(isinstance(block.attention, LatentAttention) and block.attention.heads == 4 for block in blocks)
    assert all(block.experts.experts == 8 and block.experts.shared_enter is not None for block in blocks)
    assert isinstance(blocks[0].feed_norm, torch.nn.RMSNorm)


def test_an_expert_grows_with_the_hidden_size_unless_its_width_is_given():
    own = BACKBONE_SHAPES["tsf"]["expert_size"]
    assert ModelConfig(backbone="tsf", hidden=128).shape()["expert_size"] == own // 2
    assert ModelConfig(backbone="tsf", hidden=128, expert_size=40).shape()["expert_size"] == 40


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_state_never_hears_of_later_bars(attention):
    model = small_model("tsf", attention=attention).eval()
    x, _, _ = windows(2)
    changed = x.clone()
    changed[:, 5] += 3
    moved = (model.backbone.encode(changed)[0] - model.backbone.encode(x)[0]).abs().amax(dim=(0, 2)) > 0
    assert moved.tolist() == [False] * 5 + [True] * (CONTEXT - 5)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_reading_the_last_bar_alone_changes_nothing(attention, norm):
    model = small_model("tsf", attention=attention, norm=norm).eval()
    x, _, _ = windows(3)
    assert torch.allclose(model.backbone(x)[0], model.backbone.encode(x)[0][:, -1], atol=1e-6)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_kind_of_attention_learns_in_every_part(attention):
    model = small_model("tsf", attention=attention, dropout=0.0)
    outputs = model(*windows(24))
    (outputs["point"].square().sum() + outputs["auxiliary"]).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()] == []


def test_the_balance_reaches_the_step_weighted_and_only_while_training():
    model, batch = small_model("tsf", balance=0.5, dropout=0.0), windows(4)
    outputs = model.train()(*batch)
    assert outputs["auxiliary"].item() == pytest.approx(0.5 * model.backbone(batch[0])[1].item(), rel=1e-5)
    assert list(model.eval()(*batch)) == ["point"]


def test_the_absorbed_evaluation_gives_the_forecast_of_the_plain_one():
    model = small_model("tsf", dropout=0.0)
    batch = windows(8)
    assert (model.train()(*batch)["point"] - model.eval()(*batch)["point"]).abs().max() < 1e-5
    assert isinstance(model.backbone, TSF)
