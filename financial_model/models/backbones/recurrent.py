"""Recurrent backbones: lstm, gru, the tutorial's LSTM, and a convolution stem before an LSTM.

In: windows [B, T, features]. Out: one vector per window, the state after its last bar. No loop over time stands here: torch's own
kernels run it. They know no condition, head or objective.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from financial_model.config import ModelConfig
from financial_model.models.registry import Backbone, backbone


class _Recurrent(Backbone):
    """``layers`` recurrent layers of width ``hidden``; dropout between them and after the last."""

    cell: type[nn.LSTM] | type[nn.GRU]

    def __init__(self, inputs: int, context_length: int, shape: dict[str, int], config: ModelConfig) -> None:
        super().__init__(inputs, context_length, shape, config)
        self.output_size, layers = shape["hidden"], shape["layers"]
        self.layers = self.cell(inputs, self.output_size, layers, batch_first=True, dropout=config.dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.layers(x)
        return self.dropout(states[:, -1])


@backbone("lstm")
class LSTM(_Recurrent):
    cell = nn.LSTM


@backbone("gru")
class GRU(_Recurrent):
    cell = nn.GRU


class OneBiasLSTM(nn.LSTM):
    """One layer with a single bias vector per gate, as most frameworks and every textbook count it.

    torch's kernels want two vectors that they only ever add; the second is a constant zero here. It is neither trained, counted nor
    saved, and the fast kernels are used all the same.
    """

    bias_hh_l0: Tensor

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, batch_first=True)
        second = torch.zeros_like(self.bias_hh_l0)
        del self.bias_hh_l0
        self.register_buffer("bias_hh_l0", second, persistent=False)
        self._flat_weights = [getattr(self, name) for name in self._flat_weights_names]


@backbone("lstm_tutorial")
class TutorialLSTM(Backbone):
    """LSTM ``hidden`` -> LSTM ``hidden / 2`` -> Dense 25, all linear after the recurrence; the point head is its Dense 1.

    With hidden 128, one feature and one horizon the forecaster has exactly 117,619 parameters: 66,560 + 49,408 + 1,625 + 26.
    """

    exact = True
    output_size = 25

    def __init__(self, inputs: int, context_length: int, shape: dict[str, int], config: ModelConfig) -> None:
        super().__init__(inputs, context_length, shape, config)
        wide, narrow = shape["hidden"], max(1, shape["hidden"] // 2)
        self.first = OneBiasLSTM(inputs, wide)
        self.second = OneBiasLSTM(wide, narrow)
        self.dense = nn.Linear(narrow, self.output_size)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.first(x)
        states, _ = self.second(states)
        return self.dense(states[:, -1])


class StridedConvolution(nn.Conv1d):
    """A convolution over [B, channels, T] that reads backwards from the last bar and keeps every ``stride``-th output, the last included.

    Only the left is padded, with zeros (the centre of normalised inputs), so no output sees a later bar and any length above zero works
    (the kernel must be at least as long as the stride).
    """

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        left = kernel - 1 - (input.shape[-1] - 1) % stride
        return super().forward(F.pad(input, (left, 0)))


@backbone("cnn_lstm")
class ConvolutionLSTM(Backbone):
    """Two strided convolutions fold four bars into one step, then an LSTM reads a quarter of the steps.

    The stem finds patterns of a few bars; the LSTM keeps the long story at a quarter of its usual cost.
    """

    def __init__(self, inputs: int, context_length: int, shape: dict[str, int], config: ModelConfig) -> None:
        super().__init__(inputs, context_length, shape, config)
        self.output_size, layers = shape["hidden"], shape["layers"]
        channels = max(1, self.output_size // 2)
        self.stem = nn.Sequential(
            StridedConvolution(inputs, channels, 5, stride=2), nn.GELU(),
            StridedConvolution(channels, channels, 3, stride=2), nn.GELU())
        self.layers = nn.LSTM(channels, self.output_size, layers, batch_first=True, dropout=config.dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.layers(self.stem(x.transpose(1, 2)).transpose(1, 2))
        return self.dropout(states[:, -1])
