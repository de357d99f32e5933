from statistics import NormalDist

import pytest
import torch

from financial_model.config import ModelConfig
from financial_model.errors import ConfigError
from financial_model.models.heads import build_head, return_readout

torch.set_num_threads(1)
LEVELS = ModelConfig().quantile_levels


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_quantiles_never_cross_whatever_the_weights(scale):
    torch.manual_seed(0)
    head = build_head("quantile", 6, 4, LEVELS)
    torch.nn.init.normal_(head.readout.weight, std=scale)
    torch.nn.init.normal_(head.readout.bias, std=scale)
    quantiles = head(torch.randn(500, 6) * scale)["quantiles"]
    assert quantiles.shape == (500, 4, 7)
    assert (quantiles.diff(dim=-1) >= 0).all()


def test_quantiles_start_at_a_standard_normal():
    head = build_head("quantile", 6, 2, LEVELS)
    expected = torch.tensor([NormalDist().inv_cdf(level) for level in LEVELS])
    assert torch.allclose(head(torch.zeros(1, 6))["quantiles"][0], expected.expand(2, 7), atol=1e-5)


def test_each_horizon_has_quantiles_of_its_own():
    head = build_head("quantile", 6, 2, LEVELS)
    with torch.no_grad():
        head.readout.bias[7 + 3] += 2  # the median of the second day moves all its levels and none of the first's
    moved = head(torch.zeros(1, 6))["quantiles"][0]
    assert torch.allclose(moved[1] - moved[0], torch.full((7,), 2.0), atol=1e-5)


def test_shapes_of_points_and_classes():
    state = torch.randn(5, 6)
    assert build_head("point", 6, 4, LEVELS)(state)["point"].shape == (5, 4)
    assert build_head("classes", 6, 4, LEVELS)(state)["logits"].shape == (5, 3)


def test_the_head_multi_says_all_it_is_asked_and_begins_with_the_volatility_of_before():
    head = build_head("multi", 6, 4, LEVELS)
    said = head(torch.randn(5, 6))
    assert {name: tuple(output.shape) for name, output in said.items()} == {"logits": (5, 3), "point": (5, 4), "volatility": (5,), "momentum": (5,)}
    assert not head(torch.zeros(1, 6))["volatility"].any() and return_readout(head) is head.returns.readout
    assert return_readout(build_head("classes", 6, 4, LEVELS)) is None


def test_half_precision_states_give_single_precision_forecasts():
    head = build_head("quantile", 6, 2, LEVELS).bfloat16()
    assert head(torch.randn(3, 6, dtype=torch.bfloat16))["quantiles"].dtype == torch.float32


def test_levels_without_a_median_and_unknown_heads_are_refused():
    with pytest.raises(ConfigError, match="with 0.5 among them"):
        build_head("quantile", 6, 2, (0.1, 0.4, 0.9))
    with pytest.raises(ConfigError, match="point, quantile, classes"):
        build_head("auto", 6, 2, LEVELS)
