"""The fused layer of an LSTM is torch's, with the same weights and the same gradients; without a GPU Triton's interpreter runs it on the CPU."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.kernels import PLACE

pytest.importorskip("triton")
lstm_gpu = pytest.importorskip("financial_model.kernels.lstm_gpu")
from financial_model import runtime  # noqa: E402
from financial_model.models.backbones import recurrent  # noqa: E402


@pytest.fixture(autouse=True)
def whole_float32():
    with runtime.float32_products("fp32", PLACE):
        yield


def ours(plain, x):
    """States [T, B, H] of x [T, B, inputs]."""
    of_inputs, of_states, bias = map(lstm_gpu.arranged, (plain.weight_ih_l0, plain.weight_hh_l0, plain.bias_ih_l0 + plain.bias_hh_l0))
    return lstm_gpu.layer(F.linear(x, of_inputs, bias), of_states)


@pytest.mark.parametrize(("batch", "steps", "inputs", "hidden"), [(6, 5, 3, 16), (20, 3, 7, 48), (35, 1, 8, 32)])
def test_states_and_all_gradients(batch, steps, inputs, hidden):
    torch.manual_seed(0)
    plain = nn.LSTM(inputs, hidden).to(PLACE)
    x, along = torch.randn(steps, batch, inputs, device=PLACE, requires_grad=True), torch.randn(steps, batch, hidden, device=PLACE)
    asked = [x, *plain.parameters()]
    one, two = plain(x)[0], ours(plain, x)
    torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6)
    for got, expected in zip(torch.autograd.grad((two * along).sum(), asked), torch.autograd.grad((one * along).sum(), asked), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.float16] if PLACE.type == "cpu" else [torch.float16, torch.bfloat16])  # the interpreter multiplies its bits
def test_halves_are_close_to_whole_numbers(kind):
    torch.manual_seed(0)
    plain = nn.LSTM(3, 32).to(PLACE)
    x = torch.randn(4, 5, 3, device=PLACE)
    projected = F.linear(x, plain.weight_ih_l0, plain.bias_ih_l0).detach().to(kind).requires_grad_()
    weight = plain.weight_hh_l0.detach().to(kind).requires_grad_()
    found = lstm_gpu.layer(projected, weight)
    exact = lstm_gpu.layer(projected.float(), weight.float())
    assert found.dtype == kind
    torch.testing.assert_close(found.float(), exact, rtol=0.02, atol=0.02)
    one, other = (torch.autograd.grad(part.float().sum(), (projected, weight)) for part in (found, exact))
    for got, expected in zip(one, other, strict=True):
        assert (got - expected).float().norm() < 0.02 * expected.float().norm()


def test_a_number_that_is_none_goes_on_and_nobody_waits_for_it():
    projected = torch.zeros(3, 2, 64, device=PLACE, dtype=torch.float16)
    projected[0, 0].view(torch.int16)[5] = -1  # the very bits of a place that nobody has written
    found = lstm_gpu.layer(projected, torch.ones(64, 16, device=PLACE, dtype=torch.float16))
    assert found[-1, 0].isnan().all() and found[:, 1].isfinite().all()


@pytest.mark.parametrize("layers", [1, 3])
def test_the_backbones_way_through_several_layers_is_torchs(layers):
    torch.manual_seed(0)
    plain, x = nn.LSTM(3, 16, layers, batch_first=True).to(PLACE), torch.randn(5, 4, 3, device=PLACE)
    found = recurrent._last_state(x.transpose(0, 1), tuple(plain.parameters()), 0.0)
    torch.testing.assert_close(found, plain(x)[0][:, -1], rtol=1e-5, atol=1e-6)


def test_dropout_lies_between_the_layers_alone():
    """Where all of the lower states are dropped the upper layer hears its biases alone; of one layer nothing is dropped."""
    torch.manual_seed(0)
    plain, x = nn.LSTM(3, 16, 2, batch_first=True).to(PLACE), torch.randn(5, 4, 3, device=PLACE)
    weights = tuple(plain.parameters())
    upper = nn.LSTM(16, 16, batch_first=True).to(PLACE)
    for part, given in zip(upper.parameters(), weights[4:], strict=True):
        part.data = given.data
    torch.testing.assert_close(recurrent._last_state(x.transpose(0, 1), weights, 1.0), upper(torch.zeros(5, 4, 16, device=PLACE))[0][:, -1])
    torch.testing.assert_close(recurrent._last_state(x.transpose(0, 1), weights[:4], 1.0), recurrent._last_state(x.transpose(0, 1), weights[:4], 0.0))
