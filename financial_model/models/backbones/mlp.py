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


class LastRow(nn.Sequential):
    """One hidden layer on the last row [B, features] -> [B, size]: what today's features say is not left to the sequence to remember."""

    def __init__(self, inputs: int, size: int, dropout: float) -> None:
        super().__init__(nn.Linear(inputs, size), nn.GELU(), nn.Dropout(dropout))
