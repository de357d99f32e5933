"""Feed-forward by experts: a router sends every row to two of them, and an expert computes its own rows only.

In: [..., size]. Out: the same shape, and the balance of the routing: 1 when the work is spread evenly, more when it is not. Rows are sorted by
expert and go through one grouped matrix product, so the cost follows the experts that work, not those that exist, nothing is read back from
the device, and all shapes are known beforehand. It knows no attention and no norm.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVE = 2
"""Experts that work on a row."""
ALIGNMENT = 16
"""Bytes a row of a grouped product must be a multiple of."""


class Experts(nn.Module):
    """``experts`` small networks, routed by a softmax over all of them, of which the two largest are kept and scaled to sum to one.

    ``gated``: SwiGLU, silu(a x) * (b x) before the way back; otherwise GELU. ``shared``: one more expert that works on every row.
    """

    def __init__(self, size: int, experts: int, width: int, *, gated: bool, shared: bool) -> None:
        super().__init__()
        self.experts, self.gated = experts, gated
        inner = 2 * width if gated else width
        self.router = nn.Linear(size, experts, bias=False)
        self.enter = nn.Parameter(_uniform(experts, size, inner))
        self.leave = nn.Parameter(_uniform(experts, width, size))
        self.shared_enter = nn.Linear(size, inner, bias=False) if shared else None
        self.shared_leave = nn.Linear(width, size, bias=False) if shared else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the experts' answers, and the balance []."""
        rows = x.flatten(0, -2)
        weight, chosen, balance = self.route(rows)
        if torch.compiler.is_exporting():
            return self._add_shared(self._by_everyone(rows, weight, chosen).to(x.dtype).view_as(x), x), balance
        order = chosen.flatten().argsort(stable=True)
        ends = self.counts(chosen).cumsum(0, dtype=torch.int32)
        answers = self._answer(rows.index_select(0, order // ACTIVE), ends) * weight.flatten().index_select(0, order).unsqueeze(1)
        back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        out = answers.index_select(0, back).unflatten(0, (-1, ACTIVE)).sum(1).to(x.dtype).view_as(x)
        return self._add_shared(out, x), balance

    def _add_shared(self, out: Tensor, x: Tensor) -> Tensor:
        if self.shared_enter is None or self.shared_leave is None:
            return out
        return out + self.shared_leave(self._activate(self.shared_enter(x)))

    def _by_everyone(self, rows: Tensor, weight: Tensor, chosen: Tensor) -> Tensor:
        """The same answers from every expert on every row, most of them weighted zero: what a format without grouped products can say."""
        share = rows.new_zeros(rows.shape[0], self.experts).scatter(1, chosen, weight.to(rows.dtype))
        answers = self._activate(rows @ self.enter) @ self.leave  # [experts, rows, size]
        return torch.einsum("ens,ne->ns", answers, share)

    def route(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(weights [n, 2] that sum to one, experts [n, 2], balance []) of ``rows`` [n, size], in float32 at least.

        The balance is experts x sum over experts of (share of the work x mean probability) (Fedus et al. 2021). The share has no gradient; the
        probability has, and moves work away from experts that have too much.
        """
        probability = F.softmax(F.linear(rows.float(), self.router.weight.float()), dim=-1)
        weight, chosen = probability.topk(ACTIVE, dim=-1)
        share = self.counts(chosen) / chosen.numel()
        return weight / weight.sum(-1, keepdim=True), chosen, self.experts * (share * probability.mean(0)).sum()

    def counts(self, chosen: Tensor) -> Tensor:
        """Rows of each expert [E]."""
        return (chosen.reshape(-1, 1) == torch.arange(self.experts, device=chosen.device)).sum(0)

    def _answer(self, rows: Tensor, ends: Tensor) -> Tensor:
        """``rows`` sorted by expert, expert e's ending before ``ends[e]``."""
        kind = torch.get_autocast_dtype(rows.device.type) if torch.is_autocast_enabled(rows.device.type) else rows.dtype
        inside = self._activate(_grouped(rows.to(kind), self.enter.to(kind), ends))
        return _grouped(inside, self.leave.to(kind), ends)

    def _activate(self, inner: Tensor) -> Tensor:
        if not self.gated:
            return F.gelu(inner)
        gate, value = inner.chunk(2, dim=-1)
        return F.silu(gate) * value


def _grouped(rows: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """``rows [n, a]`` up to ``ends[0]`` times ``weight[0]``, from there up to ``ends[1]`` times ``weight[1]``, and so on: [n, b]."""
    aligned = all(size * weight.element_size() % ALIGNMENT == 0 for size in weight.shape[1:])
    # torch promises bfloat16 only; its plain CPU version also takes float32, but a compiler does not believe it
    if aligned and (weight.dtype == torch.bfloat16 or weight.device.type == "cpu" and not torch.compiler.is_compiling()):
        return F.grouped_mm(rows, weight, offs=ends)
    counts = ends.diff(prepend=ends.new_zeros(1)).tolist()  # the products below wait for the device
    return torch.cat([part @ one for part, one in zip(rows.split(counts), weight.unbind(), strict=True)])


def _uniform(experts: int, size: int, outputs: int) -> Tensor:
    """Each expert starts as a linear layer of torch does, all different."""
    return torch.empty(experts, size, outputs).uniform_(-1 / math.sqrt(size), 1 / math.sqrt(size))
