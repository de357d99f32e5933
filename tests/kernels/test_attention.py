"""Every backend computes the same function; the choice depends on device, dtype and mask."""

import math
import sys
from types import ModuleType

import pytest
import torch

from financial_model.kernels import attention as kernels
from financial_model.kernels.attention import TOLERANCE, attention, backend

CPU = torch.device("cpu")


def inputs(queries=7, keys=7, dtype=torch.float32, size=8):
    torch.manual_seed(0)
    return (torch.randn(2, 3, queries, size, dtype=dtype, requires_grad=True), torch.randn(2, 3, keys, size, dtype=dtype, requires_grad=True),
            torch.randn(2, 3, keys, size, dtype=dtype, requires_grad=True))


MASKS = {
    "none": None,
    "boolean": torch.rand(7, 7, generator=torch.Generator().manual_seed(1)) > 0.4,
    "added": torch.randn(7, 7, generator=torch.Generator().manual_seed(2)),
}
MASKS["boolean"].fill_diagonal_(True)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_torch_equals_the_specification_with_gradients(mask, causal):
    parts = inputs()
    results = [attention(*parts, mask=MASKS[mask], causal=causal, use=use) for use in ("torch", "math")]
    torch.testing.assert_close(*results, rtol=0, atol=TOLERANCE[torch.float32])
    gradients = [torch.autograd.grad(result.square().sum(), parts) for result in results]
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_within_their_tolerance(dtype):
    results = [attention(*inputs(dtype=dtype), causal=True, use=use) for use in ("torch", "math")]
    torch.testing.assert_close(*results, rtol=0, atol=TOLERANCE[dtype])


def test_by_hand():
    query, key = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    value = torch.tensor([[[[10.0], [20.0]]]])
    weight = math.exp(1 / math.sqrt(2))
    expected = (10 * weight + 20) / (weight + 1)
    for use in ("torch", "math"):
        assert attention(query, key, value, use=use).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("use", ["torch", "math"])
def test_a_causal_query_does_not_see_later_bars_and_a_last_one_sees_all(use):
    query, key, value = inputs()
    before = attention(query, key, value, causal=True, use=use)
    later = key.detach().clone()
    later[:, :, 4:] += 1
    after = attention(query, later, value, causal=True, use=use)
    torch.testing.assert_close(before[:, :, :4], after[:, :, :4], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, :, 4:], after[:, :, 4:])
    last = attention(query[:, :, -1:], key, value, causal=True, use=use)
    torch.testing.assert_close(last, before[:, :, -1:], rtol=0, atol=1e-6)


def test_the_cpu_takes_torch_and_unknown_names_are_refused():
    assert backend(inputs()[0]) == "torch"
    with pytest.raises(ValueError, match="unknown backend"):
        attention(*inputs(), use="magic")


class OnGpu:
    """What ``backend`` asks of a tensor on a GPU."""

    def __init__(self, dtype, size=64):
        self.is_cuda, self.dtype, self.shape, self.device = True, dtype, (2, 3, 7, size), torch.device("cuda:0")


@pytest.mark.parametrize(("tensor", "mask", "installed", "expected"), [
    (OnGpu(torch.bfloat16), None, "2", "flash"), (OnGpu(torch.float16), None, "4", "flash"), (OnGpu(torch.float32), None, "2", "torch"),
    (OnGpu(torch.bfloat16), None, "", "torch"), (OnGpu(torch.bfloat16), torch.ones(1), "2", "torch"),
    (OnGpu(torch.bfloat16, 512), None, "2", "torch"),
])
def test_flash_attn_where_it_is_installed_and_fits(monkeypatch, tensor, mask, installed, expected):
    monkeypatch.setattr(kernels, "_generation", lambda index: installed)
    monkeypatch.setattr(kernels, "_serves", lambda *arguments: True)
    assert backend(tensor, mask=mask) == expected


@pytest.mark.parametrize("tupled", [False, True])
def test_flash_attn_is_called_the_way_it_wants(monkeypatch, tupled):
    """A stand-in for the package: heads behind bars; generation 3 returns a tuple."""
    def flash_attn_func(query, key, value, causal):
        assert query.shape == (2, 7, 3, 8)
        out = attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), causal=causal, use="math").transpose(1, 2)
        return (out, None) if tupled else out

    module = ModuleType("flash_attn")
    module.flash_attn_func = flash_attn_func
    monkeypatch.setitem(sys.modules, "flash_attn", module)
    monkeypatch.setattr(kernels, "_generation", lambda index: "2")
    kernels._flash_function.cache_clear()
    try:
        got = attention(*inputs(), causal=True, use="flash")
    finally:
        kernels._flash_function.cache_clear()
    torch.testing.assert_close(got, attention(*inputs(), causal=True, use="math"), rtol=0, atol=1e-6)


@pytest.mark.parametrize("refusal", [AssertionError("head_dim must be between 8 and 128"), RuntimeError("compiled without this size")])
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_a_size_that_flash_attn_refuses_goes_to_torch_and_is_tried_once(monkeypatch, caplog, refusal, where):
    tried = []

    class Picky(torch.autograd.Function):
        @staticmethod
        def forward(context, query, key, value):
            tried.append(query.shape[-1])
            if where == "forward" and query.shape[-1] == 192:
                raise refusal
            return value.clone()

        @staticmethod
        def backward(context, gradient):
            if gradient.shape[-1] == 192:
                raise refusal
            return gradient, gradient, gradient

    monkeypatch.setattr(kernels, "_flash_function", lambda generation: lambda query, key, value, causal: Picky.apply(query, key, value))
    monkeypatch.setattr(kernels, "_generation", lambda index: "3")
    monkeypatch.setattr(kernels, "_serves", lambda index, *wanted: kernels._tried("3", CPU, *wanted))
    kernels._tried.cache_clear()
    try:
        with torch.inference_mode():
            found = [backend(OnGpu(torch.bfloat16, size)) for size in (192, 192, 64, 192, 64)]
    finally:
        kernels._tried.cache_clear()
    assert found == ["torch", "torch", "flash", "torch", "flash"] and tried == [192, 64]
    (record,) = caplog.records
    assert "192" in record.getMessage() and str(refusal) in record.getMessage()


def test_memory_that_runs_out_is_no_refusal(monkeypatch):
    def full(query, key, value, causal):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(kernels, "_flash_function", lambda generation: full)
    with pytest.raises(torch.OutOfMemoryError):
        kernels._tried("2", CPU, 64, torch.bfloat16, True)
