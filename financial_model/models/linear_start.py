"""The line a forecaster starts from: a ridge regression of the targets on today's features, and the network's correction beside it.

In: last rows as a model sees them [B, F] and style ranks [B, 4]. Out: [B, H] in units of ``Batch.unit``. Linear models are hard to beat on daily
returns, and a network needs many epochs to find what one equation gives; so it is given, and what is learned is only what the line misses.
It knows no trainer: who fits it and who measures ``share`` stands in ``training``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from financial_model.config import RANKS, RunConfig

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

    def forward(self, row: Tensor, ranks: Tensor, correction: Tensor) -> Tensor:
        """``correction`` [B, H] -> line + correction, or line + share of it outside training."""
        with torch.autocast(row.device.type, enabled=False):
            line = torch.addmm(self.bias, torch.cat((row.float(), ranks.float()), dim=1), self.weight)
            return line + (correction if self.training else self.share * correction)

    def fit(self, panel: Panel, ends: NDArray[np.int64], config: RunConfig, table: tuple[NDArray, NDArray]) -> None:
        """The ridge baseline on training windows, its penalty chosen on their last dates."""
        from financial_model.models.regression import Ridge

        weights = Ridge.weights_on(panel, ends, config, table)
        self.weight.copy_(torch.from_numpy(weights[:-1]))
        self.bias.copy_(torch.from_numpy(weights[-1]))

    def line(self, panel: Panel, ends: NDArray[np.int64], config: RunConfig, table: tuple[NDArray, NDArray]) -> NDArray[np.float32]:
        """What the line says of any windows [n, H]."""
        from financial_model.features.scaling import apply_table

        rows = np.concatenate((apply_table(panel.values[ends], *table, config.features.clip), panel.ranks[ends]), axis=1, dtype=np.float32)
        return rows @ self.weight.cpu().numpy() + self.bias.cpu().numpy()


def supported_share(correction: NDArray, missed: NDArray) -> float:
    """The share (0 to 1) of ``correction`` [n, H] that lies nearest, in squares, to what the line ``missed``."""
    size = float(np.square(correction, dtype=np.float64).sum())
    return float(np.clip((correction.astype(np.float64) * missed).sum() / size, 0.0, 1.0)) if size > 0 else 0.0
