"""The fused norms equal their references, forward and backward; without a GPU through Triton's interpreter on the CPU."""

import pytest
import torch
from torch.nn import functional as F

from financial_model.kernels import norms
from tests.kernels import PLACE

pytest.importorskip("triton")
norms_gpu = pytest.importorskip("financial_model.kernels.norms_gpu")

KINDS = ("rms_norm", "layer_norm", "dynamic_tanh")
SHAPES = [(5, 8), (2, 3, 33), (1, 1), (40, 64), (3, 300)]


def arguments(kind, size, dtype=torch.float32):
    torch.manual_seed(1)
    weight, bias, alpha = torch.randn(size), torch.randn(size), torch.tensor(0.7)
    parts = {"rms_norm": (weight,), "layer_norm": (weight, bias), "dynamic_tanh": (alpha, weight, bias)}[kind]
    return [part.to(dtype).requires_grad_() for part in parts]


def both(kind):
    fused = getattr(norms_gpu, f"fused_{kind}")
    return lambda x, *learned: fused(x.to(PLACE), *(part.to(PLACE) for part in learned)).cpu(), getattr(norms, f"reference_{kind}")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_all_gradients(kind, shape):
    fused, reference = both(kind)
    x, learned = torch.randn(shape, requires_grad=True), arguments(kind, shape[-1])
    above = torch.randn(shape)
    got, expected = fused(x, *learned), reference(x, *learned)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    for one, two in zip(torch.autograd.grad(got, [x, *learned], above), torch.autograd.grad(expected, [x, *learned], above), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_has_the_gradient_of_its_formula(kind):
    learned = [part.detach().double().requires_grad_() for part in arguments(kind, 6)]
    assert torch.autograd.gradcheck(both(kind)[1], (torch.randn(4, 6, dtype=torch.float64, requires_grad=True), *learned))


def test_references_are_what_torch_calls_by_these_names():
    x, weight, bias = torch.randn(7, 12), torch.randn(12), torch.randn(12)
    torch.testing.assert_close(norms.reference_rms_norm(x, weight, 1e-6), F.rms_norm(x, (12,), weight, 1e-6))
    torch.testing.assert_close(norms.reference_layer_norm(x, weight, bias), F.layer_norm(x, (12,), weight, bias))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:overflow")  # numpy, in the interpreter: the sigmoid of large values
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(kind, dtype):
    fused, _ = both(kind)
    x, learned = (30 * torch.randn(6, 40)).to(dtype), arguments(kind, 40)
    got, exact = fused(x, *learned), fused(x.float(), *learned)
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), exact, rtol=2 * torch.finfo(dtype).eps, atol=1e-3)


@pytest.mark.parametrize("kind", ["rms_norm", "layer_norm"])
def test_large_values_do_not_overflow_and_rows_are_independent(kind):
    fused, _ = both(kind)
    x, learned = torch.randn(4, 16), arguments(kind, 16)
    alone = fused(x[1:2], *learned)
    x[0] = 1e15
    x[0, 0] = -1e15
    assert torch.isfinite(fused(x, *learned)).all()
    torch.testing.assert_close(fused(x, *learned)[1:2], alone, rtol=0, atol=0)


def test_rows_are_shared_out_over_programs_without_loss():
    """More tiles than programs: each goes through several, the last one through fewer."""
    torch.manual_seed(0)
    x, weight = torch.randn(37, 2048, requires_grad=True), torch.ones(2048, requires_grad=True)
    programs, norms_gpu._PROGRAMS = norms_gpu._PROGRAMS, 5
    try:
        got = torch.autograd.grad(both("rms_norm")[0](x, weight).square().sum(), [x, weight])
    finally:
        norms_gpu._PROGRAMS = programs
    expected = torch.autograd.grad(norms.reference_rms_norm(x, weight).square().sum(), [x, weight])
    for one, two in zip(got, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_strided_input_and_no_rows():
    x, weight = torch.randn(8, 6).t(), torch.ones(8)
    fused, reference = both("rms_norm")
    torch.testing.assert_close(fused(x, weight), reference(x, weight), rtol=1e-5, atol=1e-5)
    assert fused(torch.empty(0, 8), weight).shape == (0, 8)


def test_without_a_gpu_the_references_run():
    x, weight = torch.randn(3, 8), torch.ones(8)
    assert torch.equal(norms.rms_norm(x, weight), norms.reference_rms_norm(x, weight))
    assert torch.equal(norms.layer_norm(x, weight, weight), norms.reference_layer_norm(x, weight, weight))
    assert torch.equal(norms.dynamic_tanh(x, weight[0], weight, weight), norms.reference_dynamic_tanh(x, weight[0], weight, weight))


def test_rows_too_wide_for_a_program_are_refused():
    with pytest.raises(ValueError, match="too wide"):
        norms_gpu.fused_rms_norm(torch.ones(1, 70_000), torch.ones(70_000))
