import pytest
import torch

from financial_model.config import ModelConfig
from financial_model.models.forecaster import build_forecaster, parameters
from tests.models.builders import small_model, windows

torch.set_num_threads(1)


def test_about_27_million_parameters_of_which_about_8_work_on_a_bar():
    model = build_forecaster(ModelConfig(backbone="moe_transformer"), head="quantile", inputs=30, context_length=60, horizon=5)
    blocks = model.backbone.blocks
    assert len(blocks) == 6 and len({id(block) for block in blocks}) == 6
    assert not torch.equal(blocks[0].experts.enter, blocks[1].experts.enter)
    total = parameters(model)
    routed = sum(block.experts.enter.numel() + block.experts.leave.numel() for block in blocks)
    assert total == pytest.approx(27e6, rel=0.02)
    assert total - routed * (8 - 2) / 8 == pytest.approx(8e6, rel=0.02)


@pytest.mark.parametrize("layers, causal", [(1, False), (2, False), (2, True)])
def test_news_travels_one_window_a_layer(layers, causal):
    torch.manual_seed(0)
    config = ModelConfig(backbone="moe_transformer", hidden=8, heads=2, layers=layers, experts=3, attention_window=4, causal=causal)
    model = build_forecaster(config, head="point", inputs=3, context_length=40, horizon=1).eval()
    x = torch.randn(1, 40, 3)
    changed = x.clone()
    changed[:, 20] += 3
    moved = (model.backbone.encode(changed)[0] - model.backbone.encode(x)[0]).abs().amax(dim=(0, 2)).nonzero().flatten().tolist()
    assert moved == list(range(20 if causal else 20 - 4 * layers, 21 + 4 * layers))


def test_a_bar_out_of_reach_still_enters_through_the_mean():
    model = small_model("moe_transformer", layers=1, attention_window=2, skip=False).eval()
    x, condition, ranks = windows(4)
    changed = x.clone()
    changed[:, 0] += 5
    difference = model.backbone(changed)[0] - model.backbone(x)[0]
    assert not difference[:, :8].any() and difference[:, 8:].abs().amin(1).min() > 0


def test_head_dropout_is_alive_in_training_and_gone_in_evaluation():
    model, batch = small_model("moe_transformer", dropout=0.0, head_dropout=0.5), windows(6)
    assert not torch.equal(model.train()(*batch)["point"], model(*batch)["point"])
    assert torch.equal(model.eval()(*batch)["point"], model(*batch)["point"])
