import pytest
import torch

from financial_model.config import NORMS, ModelConfig
from financial_model.models.forecaster import build_forecaster, parameters
from tests.models.builders import CONTEXT, small_model, windows

torch.set_num_threads(1)


def influence(model, bar: int) -> list[int]:
    """The bars whose state changes when ``bar`` of the window does."""
    x, _, _ = windows(1)
    changed = x.clone()
    changed[:, bar] += 3
    moved = (model.backbone.encode(changed) - model.backbone.encode(x)).abs().amax(dim=(0, 2))
    return (moved > 0).nonzero().flatten().tolist()


def test_a_causal_state_never_hears_of_later_bars():
    model = small_model("transformer", causal=True).eval()
    for bar in (0, 5, CONTEXT - 1):
        assert influence(model, bar) == list(range(bar, CONTEXT))


def test_without_the_mask_every_bar_hears_every_bar():
    assert influence(small_model("transformer").eval(), 7) == list(range(CONTEXT))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_reading_the_last_bar_alone_changes_nothing(causal, norm):
    model = small_model("transformer", causal=causal, norm=norm).eval()
    x, _, _ = windows(3)
    assert torch.allclose(model.backbone(x), model.backbone.encode(x)[:, -1], atol=1e-6)


def test_the_order_of_bars_matters():
    model = small_model("transformer", skip=False).eval()
    x, condition, ranks = windows(2)
    swapped = x[:, [3, 1, 2, 0, *range(4, CONTEXT)]]
    assert not torch.allclose(model(x, condition, ranks)["point"], model(swapped, condition, ranks)["point"], atol=1e-5)


def test_the_blocks_are_different_objects_of_the_expected_size():
    model = build_forecaster(ModelConfig(backbone="transformer"), head="point", inputs=10, context_length=60, horizon=1)
    blocks = model.backbone.blocks
    assert len(blocks) == 4 and len({id(block) for block in blocks}) == 4
    d = 256  # attention 4 d^2, feed-forward 8 d^2, with their biases and two norms
    assert [parameters(block) for block in blocks] == [12 * d * d + 13 * d] * 4
