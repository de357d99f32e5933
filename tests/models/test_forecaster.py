"""The composition as a whole: every backbone with every condition and every head."""

import itertools

import pytest
import torch

from financial_model.config import CONDITION_MODES, OBJECTIVES, ModelConfig, RunConfig
from financial_model.models.forecaster import AUXILIARY, build_forecaster, parameters
from financial_model.objectives import objective
from tests.models.builders import ALL_BACKBONES, CONTEXT, HORIZON, INPUTS, small_model, windows

torch.set_num_threads(1)
HEAD_OUTPUTS = {"point": {"point": (HORIZON,)}, "quantile": {"quantiles": (HORIZON, 7)}, "classes": {"logits": (3,)},
                "multi": {"logits": (3,), "point": (HORIZON,), "volatility": (), "momentum": ()}}
HEAD_OBJECTIVE = {"point": "mse", "quantile": "quantile", "classes": "cross_entropy", "multi": "multi_task"}
COMBINATIONS = list(itertools.product(ALL_BACKBONES, CONDITION_MODES, HEAD_OUTPUTS))


def targets(count: int, head: str, seed: int = 2):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, HORIZON + 2 * (head == "multi"), generator=random), torch.randint(0, 3, (count,), generator=random)


@pytest.mark.parametrize("backbone, condition, head", COMBINATIONS)
def test_every_parameter_learns(backbone, condition, head):
    """One step first: a film starts as the identity, so its embedding hears nothing before its own weights have moved."""
    model = small_model(backbone, head=head, condition=condition, dropout=0.0)
    loss_of, batch, (z, label) = objective(HEAD_OBJECTIVE[head], RunConfig()), windows(), targets(24, head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        output = model(*batch)
        balance = output.pop(AUXILIARY, 0.0)
        (loss_of(output, z, label) + balance).backward()
        optimizer.step()
    assert {name: tuple(part.shape[1:]) for name, part in output.items()} == HEAD_OUTPUTS[head]
    assert all(len(part) == 24 and part.dtype == torch.float32 for part in output.values())
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert silent == []


@pytest.mark.parametrize("backbone, condition, head", COMBINATIONS)
def test_a_stock_gets_the_same_forecast_alone_in_a_batch_and_twice(backbone, condition, head):
    model = small_model(backbone, head=head, condition=condition).eval()
    x, classes, ranks = windows(16)
    with torch.no_grad():
        together = model(x, classes, ranks)
        again = model(x, classes, ranks)
        backwards = model(x.flip(0), classes.flip(0), ranks.flip(0))
        alone = [model(x[i:i + 1], classes[i:i + 1], ranks[i:i + 1]) for i in range(16)]
    for name, part in together.items():
        assert torch.equal(part, again[name])
        assert torch.allclose(part, torch.cat([one[name] for one in alone]), rtol=0, atol=1e-6)
        assert torch.allclose(part, backwards[name].flip(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("backbone", ALL_BACKBONES)
def test_dropout_is_alive_in_training_and_gone_in_evaluation(backbone):
    model = small_model(backbone, dropout=0.5)
    batch = windows(4)
    if backbone != "lstm_tutorial":  # published without dropout
        assert not torch.equal(model.train()(*batch)["point"], model(*batch)["point"])
    assert torch.equal(model.eval()(*batch)["point"], model(*batch)["point"])


@pytest.mark.parametrize("backbone", ALL_BACKBONES)
def test_the_same_seed_gives_the_same_model(backbone):
    first, second = (small_model(backbone, condition="concat", seed=5).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("backbone", ALL_BACKBONES)
def test_one_bar_and_one_feature_are_enough(backbone):
    torch.manual_seed(0)
    model = build_forecaster(ModelConfig(backbone=backbone, hidden=8, layers=1, heads=2), head="quantile", inputs=1, context_length=1, horizon=1)
    x, condition, ranks = windows(3, inputs=1, length=1)
    assert model(x, condition, ranks)["quantiles"].isfinite().all()


@pytest.mark.parametrize("backbone", [name for name in ALL_BACKBONES if name != "lstm_tutorial"])
def test_the_skip_carries_a_linear_signal_of_the_last_row(backbone):
    """With the head reading nothing but the skipped row, the forecast is exactly that linear function."""
    model = small_model(backbone, condition="film").eval()  # the identity before training
    slope = torch.arange(1.0, INPUTS + 1)
    with torch.no_grad():
        model.head.readout.weight.zero_()
        model.head.readout.weight[:, -INPUTS:] = slope
    x, condition, ranks = windows(6)
    assert torch.allclose(model(x, condition, ranks)["point"][:, 0], x[:, -1] @ slope, atol=1e-5)


def test_without_skip_the_head_reads_the_state_alone():
    with_skip, without = small_model("gru"), small_model("gru", skip=False)
    assert without.head.readout.in_features == 8 and without.last_row is None
    assert with_skip.head.readout.in_features == 8 + 64 + 2 * INPUTS


SIZES = {  # full-size defaults, 20 features, 60 bars, 5 days, quantile head
    ("mlp", "none"): 25_775, ("lstm", "none"): 351_151, ("gru", "none"): 265_903, ("lstm_tutorial", "none"): 128_231,
    ("transformer", "none"): 3_179_567, ("cnn_lstm", "none"): 2_219_823,
    ("tsf", "none"): 14_907_951, ("tsf-5m", "none"): 4_954_159, ("tsf-27m", "none"): 27_073_071,
    ("moe_transformer", "none"): 26_792_751, ("multiscale", "none"): 1_004_228,
    ("mlp", "concat"): 78_151, ("cnn_lstm", "concat"): 2_526_599, ("cnn_lstm", "film"): 2_287_967,
}


@pytest.mark.parametrize("backbone, condition", SIZES)
def test_sizes_of_the_defaults(backbone, condition):
    model = build_forecaster(ModelConfig(backbone=backbone, condition=condition), head="quantile", inputs=20, context_length=60, horizon=5)
    assert parameters(model) == SIZES[backbone, condition]


GOLDEN = {  # first and twentieth loss; film, tiny sizes, AdamW 0.01: a refactoring leaves them as they are
    "mlp": {"trend_aware": (0.576297, 0.1726715), "quantile": (0.1618224, 0.03730517), "cross_entropy": (1.106878, 0.2073814),
            "multi_task": (2.384788, 0.7276052)},
    "lstm": {"trend_aware": (0.5671041, 0.1511294), "quantile": (0.1617017, 0.02096737), "cross_entropy": (1.10764, 0.007723985),
             "multi_task": (2.397734, 0.2582603)},
    "gru": {"trend_aware": (0.5916857, 0.1507984), "quantile": (0.1622346, 0.01959769), "cross_entropy": (1.106375, 0.01182605),
            "multi_task": (2.380894, 0.2720734)},
    "lstm_tutorial": {"trend_aware": (0.5858362, 0.3232411), "quantile": (0.1628476, 0.09574176), "cross_entropy": (1.099016, 0.7364749),
                      "multi_task": (2.38172, 1.379031)},
    "transformer": {"trend_aware": (0.5879234, 0.1489992), "quantile": (0.1631313, 0.0208114), "cross_entropy": (1.099267, 0.007156508),
                    "multi_task": (2.386178, 0.2309067)},
    "cnn_lstm": {"trend_aware": (0.5822701, 0.1491749), "quantile": (0.1615591, 0.0213022), "cross_entropy": (1.099022, 0.01587056),
                 "multi_task": (2.389833, 0.2899283)},
    "tsf": {"trend_aware": (0.6126848, 0.1554415), "quantile": (0.1727905, 0.02532523), "cross_entropy": (1.112615, 0.01270706),
            "multi_task": (2.389698, 0.219489)},
    "moe_transformer": {"trend_aware": (0.5978469, 0.156828), "quantile": (0.1735015, 0.02848562), "cross_entropy": (1.108121, 0.01266552),
                        "multi_task": (2.430872, 0.2291828)},
    "multiscale": {"trend_aware": (0.5810906, 0.1512258), "quantile": (0.1628147, 0.02318021), "cross_entropy": (1.100122, 0.003232244),
                   "multi_task": (2.382938, 0.2315382)},
}


def twenty_steps(backbone: str, name: str) -> tuple[float, float]:
    """Loss at the first and the twentieth step."""
    model = small_model(backbone, head=OBJECTIVES[name], condition="film", dropout=0.0, head_dropout=0.0).train()
    x, condition, ranks = windows(32)
    z = 0.5 * x[:, -1, :HORIZON] + 0.5 * x[:, -3:, :HORIZON].mean(1)
    z = torch.cat((z, x[:, :, :2].abs().mean(1)), dim=1) if name == "multi_task" else z
    label = (x[:, -1, 0] > 0).long() + (x[:, -1, 0] > 0.7).long()
    optimizer, loss_of, losses = torch.optim.AdamW(model.parameters(), lr=0.01), objective(name, RunConfig()), []
    for _ in range(20):
        outputs = model(x, condition, ranks)
        balance = outputs.pop(AUXILIARY, 0.0)
        loss = loss_of(outputs, z, label) + balance
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


@pytest.mark.parametrize("name", ["trend_aware", "quantile", "cross_entropy", "multi_task"])
@pytest.mark.parametrize("backbone", ALL_BACKBONES)
def test_twenty_steps_still_give_the_same_losses(backbone, name):
    assert twenty_steps(backbone, name) == pytest.approx(GOLDEN[backbone][name], rel=5e-4)


def test_shorter_windows_are_welcome_in_every_backbone():
    for backbone in ALL_BACKBONES:
        x, condition, ranks = windows(3, length=CONTEXT - 5)
        assert small_model(backbone)(x, condition, ranks)["point"].shape == (3, HORIZON)
