"""What stands beside a window, in one Triton kernel, equals plain indexing; without a GPU Triton's interpreter runs it on the CPU."""

import numpy as np
import pytest
import torch

from financial_model.datasets import batches
from financial_model.datasets.windows import window_ends
from tests.kernels import PLACE
from tests.training.builders import make_config, make_panel

pytest.importorskip("triton")
pytest.importorskip("financial_model.kernels.facts_gpu")
NAMES = ("condition", "ranks", "y", "label", "z", "unit", "spread", "end", "date")


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    return make_panel(tmp_path_factory.mktemp("panel"), stocks=5, days=60)


@pytest.mark.parametrize("asked", [
    {"label": {"unit": "volatility", "entry": "close"}}, {"label": {"unit": "return", "entry": "next_open", "up": 0.004, "down": -0.004}},
    {"label": {"unit": "rank", "entry": "next_close"}}, {"label": {"target": "future_volatility", "unit": "return"}},
    {"head": "multi", "objective": "multi_task"}],
    ids=["volatility", "return", "rank", "own", "multi"])
@pytest.mark.parametrize("labelled", [True, False])
def test_equals_plain_indexing(panel, asked, labelled):
    config = make_config(**asked)
    length, horizon = config.features.context_length, config.label.horizon
    ends = window_ends(panel, int(panel.time.min()), int(panel.time.max()), length, horizon, entry=config.label.entry)
    table = np.zeros(3, np.float32), np.ones(3, np.float32)
    spec = batches.recipe(panel, config, table, np.full(horizon, 0.02, np.float32), labelled, ends)
    source = batches.DeviceBatches(panel, spec, 64, PLACE, ends)
    source._facts = None
    rows = torch.tensor(ends[np.random.default_rng(0).permutation(len(ends))[:50]], device=PLACE)  # not a whole number of programs
    plain = source.gather(rows).map(torch.clone)
    source._facts = source._room(64, PLACE)
    fused = source.gather(rows)
    for name in NAMES:
        one, two = getattr(plain, name), getattr(fused, name)
        assert one.shape == two.shape and one.dtype == two.dtype, name
        torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-7, equal_nan=True, msg=lambda text, name=name: f"{name}: {text}")
    if labelled:
        assert len(fused.label.unique()) > 1 or config.label.own
    else:
        assert fused.y.isnan().all() and (fused.label == batches.UNKNOWN_LABEL).all()


def test_a_return_on_the_threshold_is_judged_as_in_float64(panel):
    """Thresholds are float64, returns float32: between two float32 numbers a rounded threshold would judge wrongly."""
    from financial_model.kernels import facts_gpu

    value = float(np.float32(0.0123))
    for up, expected in ((value, 0), (np.nextafter(value, 1), 1), (np.nextafter(value, 0), 0)):
        values = torch.full((4, 1), value, device=PLACE)
        arrays = {"time": torch.arange(4, device=PLACE), "conditions": torch.zeros(4, 6, dtype=torch.int8, device=PLACE),
                  "ranks": torch.zeros(4, 4, device=PLACE), "prices": torch.zeros(4, 4, dtype=torch.float64, device=PLACE),
                  "volatility": torch.ones(4, device=PLACE)}
        out = facts_gpu.Facts.empty(1, 6, 4, 1, PLACE)
        facts_gpu.fill(torch.tensor([2], device=PLACE), arrays, torch.ones(1, device=PLACE), out, labelled=True, wait=0, price=0, close=0,
                       class_column=0, up=up, down=-1.0, codes=(0, 1, 2), values=values)
        assert out.label.item() == expected
