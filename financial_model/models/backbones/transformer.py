"""The plain Transformer encoder: the reference every other attention model is measured against.

In: windows [B, T, features]. Out: the state at the last bar [B, hidden]. It knows no condition, head or objective.
"""

from __future__ import annotations

from torch import Tensor, nn

from financial_model.config import ModelConfig
from financial_model.models.layers import BarsAgo, Block, build_norm
from financial_model.models.registry import Backbone, backbone
from financial_model.models.stem import build_stem, places_of


@backbone("transformer")
class Transformer(Backbone):
    """Stem, positions, ``layers`` pre-norm blocks, a last norm. The forecast reads the last bar, so the last block computes only that."""

    def __init__(self, inputs: int, context_length: int, shape: dict[str, int], config: ModelConfig) -> None:
        super().__init__(inputs, context_length, shape, config)
        size = self.output_size = shape["hidden"]
        norm = config.norm_or("layernorm")
        self.embed = build_stem(inputs, size, config)
        self.position = BarsAgo(places_of(context_length, config), size)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(size, shape["heads"], norm=norm, dropout=config.dropout, causal=config.causal) for _ in range(shape["layers"]))
        self.norm = build_norm(norm, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.encode(x, last_only=True)[:, -1]

    def encode(self, x: Tensor, *, last_only: bool = False) -> Tensor:
        """The state of every bar [B, T, hidden], or of the last alone [B, 1, hidden]."""
        x = self.dropout(self.position(self.embed(x)))
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, last_only=last_only and number == len(self.blocks))
        return self.norm(x)
