"""The line a forecaster starts from: a ridge regression of the targets on today's features, the products it misses, and the network beside it.

In: last rows as a model sees them [B, F], style ranks [B, 4] and condition classes [B, 6]. Out: [B, H] in units of ``Batch.unit``. Linear models are
hard to beat on daily returns, and a network needs many epochs to find what two equations give; so they are given (``products.py`` is the second),
and what is learned is only what they miss.
It knows no trainer: who fits it and who measures ``share`` stands in ``training``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from financial_model.config import RANKS, RunConfig
from financial_model.models.products import Products, affine
from financial_model.models.regression import Ridge

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel

WINDOW_MODES = ("zscore", "last_close")
"""Normalisations under which the last row of a window is not a function of that row alone."""


class LinearStart(nn.Module):
    """Nothing here is trained by gradients. Before :meth:`fit` the line is zero and adds nothing.

    ``share`` [] is how much of the network's correction the validation part supports (0: the line alone, 1: all of it); training always
    sees all of it.
    """

    weight: Tensor
    bias: Tensor
    share: Tensor

    def __init__(self, inputs: int, horizon: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(inputs + len(RANKS), horizon))
        self.register_buffer("bias", torch.zeros(horizon))
        self.register_buffer("share", torch.ones(()))
        self.products = Products(inputs, horizon)

    def forward(self, row: Tensor, ranks: Tensor, condition: Tensor, correction: Tensor) -> Tensor:
        """``correction`` [B, H] -> line + correction, or line + share of it outside training."""
        with torch.autocast(row.device.type, enabled=False):
            row, ranks = row.float(), ranks.float()
            line = affine(torch.cat((row, ranks), dim=1), self.weight, self.bias) + self.products(row, ranks, condition)
            return line + (correction if self.training else self.share * correction)

    def fit(self, panel: Panel, ends: NDArray[np.int64], config: RunConfig, table: tuple[NDArray, NDArray]) -> None:
        """The ridge baseline on training windows, its penalty chosen on their last dates, and the products it misses."""
        ridge = Ridge.on(panel, ends, config, table)
        weights = torch.from_numpy(ridge.weights.astype(np.float32))
        self.weight.copy_(weights[:-1])
        self.bias.copy_(weights[-1])
        self.products.fit(panel, ends, ridge, conditions=config.model.condition != "none")

    def line(self, panel: Panel, ends: NDArray[np.int64], config: RunConfig, table: tuple[NDArray, NDArray], *,
             products: bool = True) -> NDArray[np.float32]:
        """What is said of any windows [n, H] before a network; without ``products`` by the ridge regression alone."""
        from financial_model.features.scaling import apply_table

        device = self.weight.device
        row, ranks, condition = (torch.from_numpy(np.asarray(part, kind)).to(device) for part, kind in (
            (apply_table(panel.values[ends], *table, config.features.clip), np.float32), (panel.ranks[ends], np.float32),
            (panel.conditions[ends], np.int64)))
        line = affine(torch.cat((row, ranks), dim=1), self.weight, self.bias)
        return (line + self.products(row, ranks, condition) if products else line).cpu().numpy()


def supported_share(correction: NDArray, missed: NDArray, block: NDArray[np.int64]) -> float:
    """The share (0 to 1) of ``correction`` [n, H] that explains what the line ``missed``: the one nearest in squares, less one standard error.

    Whoever doubts takes the simpler of two models that are as good as each other (Breiman et al. 1984, the one-standard-error rule). The
    windows of a ``block`` [n] (dates whose labels overlap) count as one observation; a single block gives no error, so none is taken off.
    """
    _, block = np.unique(block, return_inverse=True)
    along = np.bincount(block, (correction.astype(np.float64) * missed).sum(1))
    size = np.bincount(block, np.square(correction, dtype=np.float64).sum(1))
    if not size.sum() > 0:
        return 0.0
    share = along.sum() / size.sum()
    error = np.sqrt(np.square(along - share * size).sum()) / size.sum() if len(size) > 1 else 0.0
    return float(np.clip(share - error, 0.0, 1.0))
