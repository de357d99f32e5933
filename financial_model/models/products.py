"""Products of two inputs that a straight line misses: found in one pass over the training windows, kept only on evidence.

In: what a linear start reads (last rows, style ranks) and the condition classes, and what the line missed. Out: [B, H] in units of ``Batch.unit``.
"Reversal, where volume is high" and "momentum, unless the market is volatile" are such products. All pairs are looked at, so a pair has to be
significant at ``DOUBT`` after that many looks (Bonferroni), with blocks of dates as the independent observations; and all of them together must
lower the error on the held-out training dates. On noise nothing survives. It knows no network and no trainer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from financial_model.config import CONDITIONS, RANKS
from financial_model.datasets.splits import label_bars
from financial_model.models.regression import PENALTIES, Moments, Ridge, chunks, with_one
from financial_model.models.rules import thin

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel

MOST = 32
"""Products a model holds; unused places have weight zero."""
DOUBT = 0.02
"""Chance that noise gets any product past the first test."""
LEAST_BLOCKS, MOST_BLOCKS = 16, 2000
"""Blocks of consecutive dates that count as independent observations; fewer than the least: nothing is looked for."""
_CLASSES = [(column, value) for column, names in enumerate(CONDITIONS.values()) for value in range(len(names))]
Ends = NDArray[np.int64]


class Products(nn.Module):
    """Nothing here is trained by gradients. Before :meth:`fit` it says zero.

    ``first``, ``second`` int64 [MOST] count through features, style ranks and the classes of the conditions (1 inside, 0 outside).
    """

    first: Tensor
    second: Tensor
    weight: Tensor
    bias: Tensor
    column: Tensor
    value: Tensor

    def __init__(self, inputs: int, horizon: int) -> None:
        super().__init__()
        self.inputs = inputs
        for name in ("first", "second"):
            self.register_buffer(name, torch.zeros(MOST, dtype=torch.int64))
        self.register_buffer("weight", torch.zeros(MOST, horizon))
        self.register_buffer("bias", torch.zeros(horizon))
        self.register_buffer("column", torch.tensor([column for column, _ in _CLASSES]), persistent=False)
        self.register_buffer("value", torch.tensor([value for _, value in _CLASSES]), persistent=False)

    def forward(self, row: Tensor, ranks: Tensor, condition: Tensor) -> Tensor:
        """row [B, F], ranks [B, 4] float32 and condition int64 [B, 6] -> [B, H]."""
        return affine(self._products(torch.cat((row, ranks), dim=1), condition), self.weight, self.bias)

    def _products(self, x: Tensor, condition: Tensor) -> Tensor:
        factors = self._factors(x, condition)
        return factors[:, self.first] * factors[:, self.second]

    def _factors(self, x: Tensor, condition: Tensor) -> Tensor:
        return torch.cat((x, (condition[:, self.column] == self.value).to(x.dtype)), dim=1)

    def named(self, features: tuple[str, ...] | list[str]) -> list[tuple[str, str]]:
        """The products in use, the strongest evidence first, by the names of their two factors."""
        names = [*features, *(f"style.{name}" for name in RANKS), *(f"{name}={value}" for name, values in CONDITIONS.items() for value in values)]
        used = self.weight.abs().sum(1) > 0
        return [(names[first], names[second]) for first, second in zip(self.first[used].tolist(), self.second[used].tolist(), strict=True)]

    # ------------------------------------------------------------ fitting
    def fit(self, panel: Panel, ends: Ends, ridge: Ridge, *, conditions: bool) -> None:
        """Find what ``ridge`` (learned from the training windows ``ends``) misses. ``conditions``: whether the model may see the classes."""
        early, late = ridge.held_out(panel, ends)
        if not early.any():
            return
        known = len(RANKS) + self.inputs + (len(_CLASSES) if conditions else 0)

        def factors(rows: Ends) -> NDArray[np.float32]:
            return self._factors(*self._read(panel, rows, ridge)).cpu().numpy()[:, :known]

        sample, label = thin(ends[early]), ridge.config.label
        missed = _missed(panel, sample, ridge, ridge.early_weights)
        evidence: dict[tuple[int, int], float] = {}
        horizons = {1, label.horizon}  # what is seen at one day may last, and what takes days is not seen at one
        for days in horizons:
            found = surviving_pairs(factors, sample, missed[:, days - 1], panel.time[sample], span=label_bars(days, label.entry),
                                    doubt=DOUBT / len(horizons), compared=ridge.places is not None)
            evidence |= {pair: max(strength, evidence.get(pair, 0.0)) for pair, strength in found.items()}
        pairs = sorted(evidence, key=lambda pair: -evidence[pair])[:MOST]
        if not pairs:
            return
        self.first[:len(pairs)], self.second[:len(pairs)] = torch.tensor(pairs).T
        weights = self._weights(panel, ends, early, late, ridge, len(pairs))
        if weights is None:
            self.first.zero_()
            self.second.zero_()
            return
        self.weight[:len(pairs)], self.bias[:] = torch.from_numpy(weights[:-1]), torch.from_numpy(weights[-1])

    def _weights(self, panel: Panel, ends: Ends, early: NDArray, late: NDArray, ridge: Ridge, count: int) -> NDArray[np.float32] | None:
        """[count + 1, H] with the intercept last, under the penalty that does best on the held-out dates; None where none does any good."""
        def moments(rows: Ends, line: NDArray) -> Moments:
            total = Moments(0, np.zeros((count + 1,) * 2), np.zeros((count + 1, line.shape[1])))
            for part in chunks(len(rows)):
                x = with_one(self._products(*self._read(panel, rows[part], ridge)).cpu().numpy()[:, :count])
                total = total.add(Moments(len(x), x.T @ x, x.T @ _missed(panel, rows[part], ridge, line)))
            return total

        learned, asked = moments(ends[early], ridge.early_weights), moments(ends[late], ridge.early_weights)
        errors = {penalty: asked.error(learned.solve(penalty)) for penalty in PENALTIES}
        penalty = min(errors, key=lambda candidate: errors[candidate])
        return moments(ends, ridge.weights).solve(penalty).astype(np.float32) if errors[penalty] < 0 else None

    def _read(self, panel: Panel, ends: Ends, ridge: Ridge) -> tuple[Tensor, Tensor]:
        """Inputs [n, F + 4] as the line sees them, and the condition classes [n, 6]."""
        place = self.column.device
        return (torch.from_numpy(ridge.inputs(panel, ends)).to(place),
                torch.from_numpy(np.asarray(panel.conditions[ends], np.int64)).to(place))


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [B, n] @ weight [n, H] + bias [H] in whole float32: a matrix product may be TF32 on a GPU, and what was fitted exactly has to be said so."""
    return (x.unsqueeze(2) * weight).sum(dim=1) + bias if x.is_cuda else torch.addmm(bias, x, weight)


def _missed(panel: Panel, ends: Ends, ridge: Ridge, weights: NDArray) -> NDArray[np.float32]:
    """[n, H] targets less what the line says of them."""
    found = [ridge.targets(panel, ends[part]) - with_one(ridge.inputs(panel, ends[part])) @ weights for part in chunks(len(ends))]
    return np.concatenate(found).astype(np.float32)


def surviving_pairs(factors: Callable[[Ends], NDArray[np.float32]], ends: Ends, missed: NDArray, date: NDArray, *, span: int, doubt: float,
                    compared: bool) -> dict[tuple[int, int], float]:
    """Pairs of columns of ``factors(ends)`` [n, k] whose product goes with ``missed`` [n], with their evidence over what ``doubt`` asks for.

    Evidence is a t value over blocks of consecutive dates, each at least twice ``span`` (dates a label covers) long. ``compared``: only
    differences within a date matter.
    """
    from scipy.special import stdtrit

    dates, day = np.unique(date, return_inverse=True)
    if compared:
        missed = missed - (np.bincount(day, missed) / np.bincount(day))[day]
    order = np.argsort(day, kind="stable")
    block = day[order] // max(2 * span, -(-len(dates) // MOST_BLOCKS))
    cuts = np.flatnonzero(np.diff(block)) + 1
    blocks = len(cuts) + 1
    if blocks < LEAST_BLOCKS:
        return {}
    total = square = np.zeros(())
    for rows in np.split(order, cuts):
        x = factors(ends[rows])
        mean = ((x * missed[rows, None].astype(np.float32)).T @ x / len(rows)).astype(np.float64)
        total, square = total + mean, square + mean * mean
    mean = total / blocks
    error = np.sqrt(np.maximum(square / blocks - mean * mean, 0.0) / (blocks - 1))
    first, second = np.triu_indices(len(mean))
    evidence = np.abs(np.divide(mean, error, out=np.zeros_like(mean), where=error > 1e-12))[first, second]
    least = -stdtrit(blocks - 1, doubt / 2 / len(first))
    return {(int(first[place]), int(second[place])): float(evidence[place] / least) for place in np.flatnonzero(evidence > least)}
