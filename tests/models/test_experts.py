import pytest
import torch
from torch.nn import functional as F

from financial_model.models.experts import ACTIVE, Experts

torch.set_num_threads(1)


def experts(count=4, size=8, width=12, *, gated=True, shared=False, seed=0):
    torch.manual_seed(seed)
    return Experts(size, count, width, gated=gated, shared=shared)


def by_hand(layer, rows):
    """Every row through its two experts, one at a time: the specification."""
    probability = (rows @ layer.router.weight.T).softmax(-1)
    out = torch.zeros_like(rows)
    for place, row in enumerate(rows):
        weight, chosen = probability[place].topk(ACTIVE)
        for share, expert in zip(weight / weight.sum(), chosen, strict=True):
            inner = row @ layer.enter[expert]
            gate, value = inner.chunk(2) if layer.gated else (inner, None)
            inside = F.gelu(gate) if value is None else F.silu(gate) * value
            out[place] += share * (inside @ layer.leave[expert])
    return out


@pytest.mark.parametrize("size, width", [(8, 12), (7, 5)])
@pytest.mark.parametrize("gated", [False, True])
def test_the_sorted_computation_is_the_one_written_out(gated, size, width):
    """Also for sizes that the grouped product does not take."""
    layer, x = experts(gated=gated, size=size, width=width), torch.randn(3, 5, size)
    out, _ = layer(x)
    assert torch.allclose(out, by_hand(layer, x.view(15, size)).view(3, 5, size), atol=1e-6)


def test_the_shared_expert_works_on_every_row_beside_the_others():
    layer, x = experts(shared=True), torch.randn(2, 3, 8)
    gate, value = layer.shared_enter(x).chunk(2, dim=-1)
    expected = by_hand(layer, x.view(6, 8)).view(2, 3, 8) + layer.shared_leave(F.silu(gate) * value)
    assert torch.allclose(layer(x)[0], expected, atol=1e-6)


def test_an_expert_computes_its_own_rows_only(monkeypatch):
    """The grouped product sees each row twice, once for each of its experts, however many experts there are."""
    layer, x, seen = experts(count=16), torch.randn(20, 8), []
    real = F.grouped_mm
    monkeypatch.setattr(F, "grouped_mm", lambda rows, weight, offs: seen.append((len(rows), offs.tolist())) or real(rows, weight, offs=offs))
    layer(x)
    _, chosen, _ = layer.route(x)
    ends = torch.bincount(chosen.flatten(), minlength=16).cumsum(0).tolist()
    assert seen == [(ACTIVE * 20, ends), (ACTIVE * 20, ends)]


def test_a_row_that_an_expert_was_not_chosen_for_does_not_depend_on_it():
    layer, x = experts(), torch.randn(30, 8)
    before, (_, chosen, _) = layer(x)[0], layer.route(x)
    with torch.no_grad():
        layer.enter[2] += 1
    moved = (layer(x)[0] - before).abs().amax(1) > 0
    assert moved.tolist() == (chosen == 2).any(1).tolist() and 0 < moved.sum() < 30


def test_the_weights_of_a_row_sum_to_one_and_the_router_learns():
    layer, x = experts(), torch.randn(12, 8)
    weight, chosen, _ = layer.route(x)
    assert torch.allclose(weight.sum(1), torch.ones(12)) and (chosen[:, 0] != chosen[:, 1]).all()
    layer(x)[0].square().sum().backward()
    assert layer.router.weight.grad.abs().sum() > 0
    assert (layer.enter.grad.abs().sum((1, 2)) > 0).all()


def test_balance_is_one_when_the_work_is_even_and_more_when_it_is_not():
    layer = experts(count=4, size=4)
    with torch.no_grad():
        layer.router.weight.copy_(5 * torch.eye(4))
    even = torch.eye(4) + torch.eye(4).roll(1, 0) * 0.5  # the four rows choose the pairs 0-1, 1-2, 2-3, 3-0
    assert layer.route(even)[2].item() == pytest.approx(1.0, abs=1e-6)
    crowded = layer.route(even[:1].expand(8, 4))[2].item()
    assert crowded > 1.5


def test_balance_alone_spreads_the_work():
    torch.manual_seed(1)
    layer, x = experts(count=4, size=4, seed=3), torch.randn(256, 4) + 1.5
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    first = float(layer.route(x)[2])
    for _ in range(150):
        optimizer.zero_grad()
        layer.route(x)[2].backward()
        optimizer.step()
    last = float(layer.route(x)[2])
    assert first > 1.1 and last < 1.03
    assert layer.counts(layer.route(x)[1]).min() > 64


def test_experts_begin_different_from_each_other():
    layer = experts(count=8)
    assert all(not torch.equal(layer.enter[i], layer.enter[j]) for i in range(8) for j in range(i))


def test_rows_of_one_expert_alone_and_no_row_at_all_for_others():
    layer = experts(count=8)
    with torch.no_grad():
        layer.router.weight.zero_()
        layer.router.weight[3, 0], layer.router.weight[5, 0] = 9.0, 8.0
    x = torch.ones(5, 8).requires_grad_()
    out, balance = layer(x)
    out.sum().backward()
    assert torch.allclose(out, by_hand(layer, x.detach()), atol=1e-6)
    assert layer.enter.grad[[0, 1, 2, 4, 6, 7]].abs().sum() == 0 and layer.enter.grad[[3, 5]].abs().sum() > 0
    assert float(balance) > 3.9


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_compiled_experts_compute_the_same(kind):
    """In bfloat16 as one graph without a look at the device, in float32 with the products between graphs."""
    layer, x = experts(shared=True), torch.randn(3, 5, 8)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=kind == torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
        ours, theirs = layer(x), compiled(x)
        assert all(torch.allclose(a, b, atol=2e-2 if kind == torch.bfloat16 else 1e-6) for a, b in zip(ours, theirs, strict=True))
        theirs[0].float().square().sum().backward()
    torch._dynamo.reset()
    assert layer.enter.grad.any() and layer.router.weight.grad.any()
