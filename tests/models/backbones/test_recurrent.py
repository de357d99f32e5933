import pytest
import torch
from torch import nn

from financial_model.config import ModelConfig
from financial_model.models.backbones.recurrent import OneBiasLSTM, StridedConvolution
from financial_model.models.forecaster import build_forecaster, parameters
from tests.models.builders import small_model, windows

torch.set_num_threads(1)


def test_the_tutorial_network_has_exactly_its_published_parameters():
    model = build_forecaster(ModelConfig(backbone="lstm_tutorial"), head="point", inputs=1, context_length=4, horizon=1)
    counts = [parameters(part) for part in (model.backbone.first, model.backbone.second, model.backbone.dense, model.head)]
    assert counts == [66_560, 49_408, 1_625, 26]
    assert parameters(model) == 117_619
    assert sum(tensor.numel() for tensor in model.state_dict().values()) == 117_619


def test_one_bias_computes_what_two_biases_with_a_zero_second_one_compute():
    torch.manual_seed(0)
    one, two = OneBiasLSTM(3, 4), nn.LSTM(3, 4, batch_first=True)
    two.load_state_dict({**one.state_dict(), "bias_hh_l0": torch.zeros(16)})
    x = torch.randn(2, 7, 3)
    assert torch.equal(one(x)[0], two(x)[0])


def test_the_second_bias_stays_zero_through_training_and_follows_a_change_of_type():
    layer = OneBiasLSTM(3, 4)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.randn(2, 5, 3))[0].square().sum().backward()
    optimizer.step()
    assert not layer.bias_hh_l0.any()
    assert layer.double()(torch.randn(2, 5, 3, dtype=torch.float64))[0].dtype == torch.float64


def test_the_default_conditional_model_has_about_two_and_a_half_million_parameters():
    model = build_forecaster(ModelConfig(backbone="cnn_lstm", condition="concat"), head="quantile", inputs=45, context_length=60, horizon=5)
    assert 2.3e6 < parameters(model) < 2.7e6


@pytest.mark.parametrize("length", range(1, 10))
@pytest.mark.parametrize("kernel, stride", [(5, 2), (3, 2), (3, 3)])
def test_the_stem_always_ends_at_the_last_bar_and_sees_no_later_one(length, kernel, stride):
    layer = StridedConvolution(2, 3, kernel, stride=stride)
    x = torch.randn(1, 2, length, requires_grad=True)
    out = layer(x)
    assert out.shape[-1] == -(-length // stride)
    torch.testing.assert_close(layer.as_product(layer.padded(x)), out)
    for step in range(out.shape[-1]):
        bar = length - 1 - stride * (out.shape[-1] - 1 - step)  # the last step reads up to the last bar, the one before it `stride` less
        (gradient,) = torch.autograd.grad(out[0, :, step].sum(), x, retain_graph=True)
        seen = gradient[0].abs().sum(0).nonzero().flatten().tolist()
        assert seen == list(range(max(0, bar - kernel + 1), bar + 1))


@pytest.mark.parametrize("backbone", ["lstm", "gru", "lstm_tutorial", "cnn_lstm"])
def test_the_first_and_the_last_bar_both_reach_the_forecast(backbone):
    model = small_model(backbone, skip=False).eval()
    x, condition, ranks = windows(4)
    before = model(x, condition, ranks)["point"]
    for bar in (0, -1):
        changed = x.clone()
        changed[:, bar] += 5
        assert (model(changed, condition, ranks)["point"] - before).abs().min() > 0
