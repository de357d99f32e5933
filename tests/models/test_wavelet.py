import math

import torch

from financial_model.models.wavelet import DB4, WaveletSplit

taps = torch.tensor(DB4, dtype=torch.float64)


def split(x):
    return WaveletSplit().double()(x)


def test_the_filter_is_daubechies_four():
    """Sum, orthonormality to its own even shifts, and four vanishing moments define it (up to reversal)."""
    assert abs(taps.sum() - math.sqrt(2)) < 1e-12
    for shift in (0, 2, 4, 6):
        assert abs((taps[shift:] * taps[:8 - shift]).sum() - float(shift == 0)) < 1e-12
    fast = taps.flip(0) * torch.tensor([1.0, -1.0] * 4).double()
    assert all(abs((fast * torch.arange(8.0).double() ** power).sum()) < 1e-9 for power in range(4))


def test_a_constant_is_slow_and_a_cubic_leaves_nothing_on_the_fast_side():
    slow, fast = split(torch.full((1, 2, 20), 3.0).double())
    assert torch.allclose(slow, torch.full_like(slow, 3.0), atol=1e-6) and fast.abs().max() < 1e-6
    time = torch.arange(30.0).double() / 30
    _, fast = split((1 + 2 * time - time**2 + 4 * time**3).view(1, 1, -1))
    assert fast[..., 7:].abs().max() < 1e-6  # before the eighth bar the filter reads the padding


def test_what_flickers_is_fast_and_no_energy_is_lost():
    flicker = torch.tensor([1.0, -1.0] * 20).double().view(1, 1, -1)
    slow, fast = split(flicker)
    assert slow[..., 7:].abs().max() < 1e-6 and torch.allclose(fast[..., 7:].abs(), torch.ones_like(fast[..., 7:]), atol=1e-6)
    x = torch.zeros(1, 1, 40).double()
    x[..., 10:20] = torch.randn(10).double()
    slow, fast = split(x)
    assert torch.allclose(slow.square().sum() + fast.square().sum(), x.square().sum(), rtol=1e-6)


def test_no_bar_knows_a_later_one_and_gradients_pass():
    x = torch.randn(1, 1, 20).double().requires_grad_()
    for part in split(x):
        (gradient,) = torch.autograd.grad(part[0, 0, 12], x, retain_graph=True)
        assert gradient[0, 0].nonzero().flatten().tolist() == list(range(5, 13))


def test_nothing_is_learned_or_stored():
    assert not list(WaveletSplit().parameters()) and not WaveletSplit().state_dict()
