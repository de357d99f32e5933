"""The Triton kernel equals the specification; without a GPU Triton's interpreter runs it on the CPU, so a few windows per case."""

import numpy as np
import pytest
import torch

from financial_model.kernels import reference, windows
from tests.kernels import PLACE
from tests.kernels.test_windows import adversarial

triton = pytest.importorskip("triton")
windows_gpu = pytest.importorskip("financial_model.kernels.windows_gpu")

SHAPES = [(60, 6, 6), (60, 6, 8), (1, 1, 1), (33, 5, 5), (120, 12, 12), (2, 40, 40)]


def run(values, ends, length, mode, dtype=torch.float32, **options):
    out = windows.buffers(len(ends), length, values.shape[1], device=PLACE, dtype=dtype)
    there = {name: option.to(PLACE) if isinstance(option, torch.Tensor) else option for name, option in options.items()}
    windows_gpu.gather_windows(_placed(values), ends.to(PLACE), length, mode, out=out, **there)
    return tuple(part.cpu() for part in out)


def _placed(values):
    """On the device, with rows as far apart as they are."""
    rows, stride = len(values), values.stride(0)
    if PLACE.type == "cpu":
        return values
    return torch.empty((rows - 1) * stride + values.shape[1], device=PLACE).as_strided(values.shape, (stride, 1)).copy_(values)


def panel(columns, stride):
    """Prices whose rows are ``stride`` apart, with a halted stretch of 130 rows."""
    random = np.random.default_rng(3)
    values = 20 * np.exp(0.02 * random.standard_normal((600, stride)).cumsum(0))
    values[100:230] = values[100]
    return torch.from_numpy(values.astype(np.float32))[:, :columns]


@pytest.mark.parametrize(("length", "columns", "stride"), SHAPES)
@pytest.mark.parametrize("mode", reference.MODES)
def test_equals_the_reference(length, columns, stride, mode):
    values = panel(columns, stride)
    ends = torch.tensor([length - 1, 299, 599, 229, 250])
    options = {"close": columns - 1, "clip": 3.0}
    if mode == "table":
        options |= {"center": values.mean(0), "scale": 1 / values.std(0)}
    got = run(values, ends, length, mode, **options)
    wide = {name: value.double() if isinstance(value, torch.Tensor) else value for name, value in options.items()}
    for a, b in zip(got, reference.gather_windows(values.double(), ends, length, mode, **wide), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("name", ["high level, tiny spread", "level ten thousand", "mixed scales"])
def test_keeps_its_digits(name):
    values = torch.from_numpy(adversarial(name))
    ends = torch.tensor([70, 800])
    got, _, _ = run(values, ends, 60, "zscore")
    exact, _, _ = reference.gather_windows(values.double(), ends, 60, "zscore")
    assert (got - exact).abs().max() < 5e-6


def test_a_flat_window_is_exactly_zero():
    got, _, _ = run(panel(5, 5), torch.tensor([220]), 60, "zscore")
    assert (got == 0).all()


def test_last_close_by_column_and_with_a_given_scale():
    values, ends, scale = panel(5, 5), torch.tensor([300, 400]), torch.arange(1.0, 6.0)
    for options in ({"close": -1}, {"close": -1, "scale": scale}, {"close": 2, "scale": scale}):
        got, _, _ = run(values, ends, 20, "last_close", **options)
        torch.testing.assert_close(got, reference.gather_windows(values, ends, 20, "last_close", **options)[0], rtol=1e-5, atol=1e-6)


def test_bfloat16_is_the_result_to_its_last_digit():
    values, ends = panel(6, 6), torch.tensor([300, 400, 500])
    exact, _, _ = run(values, ends, 60, "zscore")
    rounded, center, _ = run(values, ends, 60, "zscore", dtype=torch.bfloat16)
    assert rounded.dtype == torch.bfloat16 and center.dtype == torch.float32
    torch.testing.assert_close(rounded.float(), exact, rtol=2**-7, atol=0)  # the interpreter cuts off where a GPU rounds


def test_long_and_wide_windows_are_spread_over_programs():
    windows_per, steps, columns, _ = windows_gpu.tile(2000, 60)
    assert (windows_per, steps) == (1, 2048) and steps * columns <= 16_384
    values = torch.randn(700, 70)
    ends = torch.tensor([650])
    assert windows_gpu.tile(500, 70)[2] < 70, "the case must need several programs"
    got, _, _ = run(values, ends, 500, "zscore")
    torch.testing.assert_close(got, reference.gather_windows(values, ends, 500, "zscore")[0], rtol=1e-4, atol=5e-6)


def test_rows_beyond_two_to_the_31_are_addressed_in_64_bits(tmp_path):
    """Rows so far apart that row x stride passes 2^31 with a handful of them; the file between them is a hole."""
    stride, rows = 300_000_000, 9
    if PLACE.type == "cuda" and torch.cuda.mem_get_info()[0] < 11e9:
        pytest.skip("needs 11 GB of GPU memory")
    hole = np.memmap(tmp_path / "sparse", np.float32, mode="w+", shape=(stride * (rows - 1) + 2,))
    values = torch.from_numpy(hole).as_strided((rows, 2), (stride, 1))
    values.copy_(torch.arange(18.0).reshape(9, 2))
    got, _, _ = run(values, torch.tensor([8]), 3, "last_close", close=-1, scale=torch.ones(2))
    torch.testing.assert_close(got[0], torch.tensor([[-4.0, -4.0], [-2.0, -2.0], [0.0, 0.0]]))
