import pytest
import torch

from financial_model.config import PATCH, PATCH_OVERLAP, ModelConfig
from financial_model.errors import ConfigError
from financial_model.models.forecaster import build_forecaster
from financial_model.models.stem import MSCNN, build_stem, cut, patches_of, places_of
from tests.models.builders import windows

torch.set_num_threads(1)
ATTENTION = ("transformer", "tsf", "moe_transformer", "multiscale")
OPTIONS = [{"stem": "mscnn"}, {"patches": True}, {"stem": "mscnn", "patches": True}]


def test_patches_end_at_the_newest_bar_overlap_and_cover_everything():
    stride = PATCH - PATCH_OVERLAP
    for length in (1, 12, 23, 24, 25, 40, 41, 60, 100):
        x = torch.arange(1.0, length + 1).view(1, length, 1)
        found = cut(x)[0]
        assert len(found) == patches_of(length) and found.shape[1] == PATCH
        assert found[-1, -1] == length and set(found.flatten().tolist()) - {0.0} == set(range(1, length + 1))
        for before, after in zip(found, found[1:], strict=False):
            assert torch.equal(before[stride:], after[:PATCH_OVERLAP])
    assert patches_of(24) == 1 and patches_of(25) == 2 and patches_of(60) == 4


def test_a_patch_is_projected_with_all_its_features():
    torch.manual_seed(0)
    stem, x = build_stem(3, 8, ModelConfig(patches=True)), torch.randn(2, 40, 3)
    expected = stem.project(x[:, 16:40].reshape(2, -1))
    assert torch.allclose(stem(x)[:, -1], expected, atol=1e-6)


def test_mscnn_sees_no_later_bar_and_every_parameter_hears_the_loss():
    torch.manual_seed(0)
    stem, x = MSCNN(3, 16), torch.randn(2, 20, 3)
    changed = x.clone()
    changed[:, 11] += 2
    moved = (stem(changed) - stem(x)).abs().amax(dim=(0, 2)) > 0
    assert moved.tolist() == [False] * 11 + [True] * 9
    stem(x).square().sum().backward()
    assert [name for name, parameter in stem.named_parameters() if not parameter.grad.any()] == []


def test_detail_runs_from_short_to_long_kernels_and_trend_back():
    """The last layer reads eight sums; which branches each holds is seen from which branch's weights it depends on."""
    torch.manual_seed(0)
    stem, x, read = MSCNN(2, 8), torch.randn(1, 30, 2), []
    stem.join.register_forward_hook(lambda module, given, out: read.append(given[0]))
    stem(x)
    weights = [branch.weight for branch in stem.branches]

    def branches_in(channels):
        gradients = torch.autograd.grad(read[0][:, channels].sum(), weights, retain_graph=True, allow_unused=True)
        return {place for place, gradient in enumerate(gradients) if gradient is not None and gradient.abs().max() > 0}

    sums = [branches_in(slice(2 * i, 2 * i + 2)) for i in range(8)]
    assert sums[:4] == [{3}, {2, 3}, {1, 2, 3}, {0, 1, 2, 3}]
    assert sums[4:] == [{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3}]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("backbone", ATTENTION)
def test_every_attention_model_takes_every_stem(backbone, options):
    torch.manual_seed(0)
    config = ModelConfig(backbone=backbone, hidden=8, layers=2, heads=2, experts=3, dropout=0.0, head_dropout=0.0, skip=False, **options)
    model = build_forecaster(config, head="point", inputs=5, context_length=60, horizon=3)
    x, condition, ranks = windows(16, length=60)
    outputs = model(x, condition, ranks)
    (outputs["point"].square().sum() + outputs.get("auxiliary", 0)).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()] == []
    changed = x.clone()
    changed[:, 0] += 5
    assert not torch.allclose(model.eval()(changed, condition, ranks)["point"], model(x, condition, ranks)["point"])
    assert model(x[:, 4:], condition, ranks)["point"].shape == (16, 3)


def test_places_after_the_stem():
    assert places_of(60, ModelConfig()) == 60 and places_of(60, ModelConfig(patches=True)) == 4


def test_an_unknown_stem_is_refused():
    with pytest.raises(ConfigError, match="fourier"):
        build_stem(3, 8, ModelConfig(stem="fourier"))


@pytest.mark.parametrize("backbone", ATTENTION)
def test_a_compiled_model_is_the_same_model(backbone):
    torch.manual_seed(0)
    config = ModelConfig(backbone=backbone, hidden=8, layers=1, heads=2, experts=3, dropout=0.0, head_dropout=0.0, stem="mscnn")
    model, batch = build_forecaster(config, head="point", inputs=5, context_length=60, horizon=3), windows(6, length=60)
    compiled = torch.compile(model, backend="aot_eager")(*batch)
    torch._dynamo.reset()
    assert torch.allclose(compiled["point"], model(*batch)["point"], atol=1e-5)
