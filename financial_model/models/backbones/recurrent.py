"""Recurrent backbones: lstm, gru, the tutorial's LSTM, and a convolution stem before an LSTM.

In: windows [B, T, features]. Out: one vector per window, the state after its last bar. No loop over time stands here: torch's own
kernels run it, and in a compiled training on a GPU ``kernels/lstm_gpu.py``. They know no condition, head or objective.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from financial_model.config import ModelConfig
from financial_model.models.registry import Backbone, backbone


class _EndsAtLastBar(Backbone):
    """A backbone whose recurrent layers are asked for the last layer's last state alone."""

    layers: nn.LSTM | nn.GRU
    _weights: tuple[nn.Parameter, ...] = ()

    def read_by(self, layers: nn.LSTM | nn.GRU) -> None:
        """Let these be the layers. An LSTM's weights are held here, too: a compiler looks into no recurrent module of torch."""
        self.layers = layers
        self._weights, self._between = tuple(layers.parameters()) if isinstance(layers, nn.LSTM) else (), layers.dropout

    def last(self, x: Tensor) -> Tensor:
        """[B, hidden] from x [B, T, inputs]."""
        if self.training and _fusible(x, self._weights):
            return _last_state(x.transpose(0, 1), self._weights, self._between)
        states, _ = self.layers(x)
        return states[:, -1]


def _fusible(x: Tensor, weights: tuple[nn.Parameter, ...]) -> bool:
    """Where the fused layers pay and fit: inside a compiled bfloat16 step on a GPU, whose launches a CUDA graph replays. Weights that are frozen may
    have an adapter, which is torch's to apply."""
    if not (x.is_cuda and weights and torch.compiler.is_compiling() and torch.is_autocast_enabled("cuda")):
        return False
    if torch.get_autocast_dtype("cuda") != torch.bfloat16 or not all(weight.requires_grad for weight in weights):
        return False
    from financial_model.kernels import lstm_gpu

    return lstm_gpu.fits(len(x), weights[1].shape[1], x.device)


def _last_state(x: Tensor, weights: tuple[nn.Parameter, ...], dropout: float) -> Tensor:
    """What ``nn.LSTM`` with these ``weights`` (in its order) and this dropout between its layers says last of x [T, B, inputs]."""
    from financial_model.kernels import lstm_gpu

    for first in range(0, len(weights), 4):
        of_inputs, of_states, one, other = weights[first:first + 4]
        projected = F.linear(x if first == 0 else F.dropout(x, dropout), lstm_gpu.arranged(of_inputs), lstm_gpu.arranged(one + other))
        x = lstm_gpu.layer(projected, lstm_gpu.arranged(of_states).to(projected.dtype))
    return x[-1]


class _Recurrent(_EndsAtLastBar):
    """``layers`` recurrent layers of width ``hidden``; dropout between them and after the last."""

    cell: type[nn.LSTM] | type[nn.GRU]

    def __init__(self, inputs: int, context_length: int, shape: dict[str, int], config: ModelConfig) -> None:
        super().__init__(inputs, context_length, shape, config)
        self.output_size, layers = shape["hidden"], shape["layers"]
        self.read_by(self.cell(inputs, self.output_size, layers, batch_first=True, dropout=config.dropout if layers > 1 else 0.0))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.last(x))


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
        padded = self.padded(input)
        return self.as_product(padded) if input.is_cuda and torch.compiler.is_compiling() else super().forward(padded)

    def padded(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return F.pad(x, (kernel - 1 - (x.shape[-1] - 1) % stride, 0))

    def as_product(self, padded: Tensor) -> Tensor:
        """The same as one matrix product. For so few channels a card's convolutions cost more in changes of layout than in arithmetic, and a
        compiler joins what stands before and behind a product with it."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        last = padded.shape[-1] - kernel + 1
        bars = torch.cat([padded[:, :, tap:last + tap:stride].transpose(1, 2) for tap in range(kernel)], 2)
        return F.linear(bars, self.weight.transpose(1, 2).flatten(1), self.bias).transpose(1, 2)


@backbone("cnn_lstm")
class ConvolutionLSTM(_EndsAtLastBar):
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
        self.read_by(nn.LSTM(channels, self.output_size, layers, batch_first=True, dropout=config.dropout if layers > 1 else 0.0))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.last(self.stem(x.transpose(1, 2)).transpose(1, 2)))
