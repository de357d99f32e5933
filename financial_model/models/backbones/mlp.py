"""Networks that read the last bar of a window only: the ``mlp`` backbone, and the small one that stands beside a sequence backbone.

In: windows [B, T, features] or their last rows. Out: one vector per window. They know no condition, head or objective.
"""

from __future__ import annotations

from torch import Tensor, nn

from financial_model.config import ModelConfig
from financial_model.models.registry import Backbone, backbone


@backbone("mlp")
class MLP(Backbone):
    """``layers`` hidden layers of width ``hidden`` on the last row."""

    reads_last_row = True

    def __init__(self, inputs: int, context_length: int, shape: dict[str, int], config: ModelConfig) -> None:
        super().__init__(inputs, context_length, shape, config)
        self.output_size = shape["hidden"]
        widths = [inputs] + [self.output_size] * shape["layers"]
        steps: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            steps += [nn.Linear(before, after), nn.GELU(), nn.Dropout(config.dropout)]
        self.layers = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x[:, -1])


class Crossed(nn.Module):
    """Products of the last row's features: row [B, features] -> row * (U V row), through a waist of ``rank`` (the cross layer of Wang et al. 2021).

    A signal that is the product of two features is found here within an epoch; hidden layers need several. U starts small: products
    enter the state as far as the data ask for them.
    """

    def __init__(self, inputs: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.narrow, self.wide, self.dropout = nn.Linear(inputs, rank, bias=False), nn.Linear(rank, inputs), nn.Dropout(dropout)
        nn.init.normal_(self.wide.weight, std=0.01)
        nn.init.zeros_(self.wide.bias)

    def forward(self, row: Tensor) -> Tensor:
        return self.dropout(row * self.wide(self.narrow(row)))


class LastRow(nn.Sequential):
    """One hidden layer on the last row [B, features] -> [B, size]: what today's features say is not left to the sequence to remember."""

    def __init__(self, inputs: int, size: int, dropout: float) -> None:
        super().__init__(nn.Linear(inputs, size), nn.GELU(), nn.Dropout(dropout))
