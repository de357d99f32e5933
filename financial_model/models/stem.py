"""How a window enters an attention model: one linear layer a bar, convolutions at four scales with wavelets, or patches of bars.

In: [B, T, features]. Out: [B, places, size], the last place being the newest. Nothing here looks at a later bar than its own. It knows no
attention and no position.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from financial_model.config import PATCH, PATCH_OVERLAP, STEMS, ModelConfig
from financial_model.errors import ConfigError
from financial_model.models.wavelet import WaveletSplit

KERNELS = (3, 5, 7, 9)


class BackwardConvolution(nn.Conv1d):
    """A convolution over [B, channels, T] that pads its past with zeros (the centre of normalised inputs) and sees no later bar."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.pad(input, (self.kernel_size[0] - 1, 0)))


class MSCNN(nn.Module):
    """Four branches with kernels 3, 5, 7 and 9, each split by a wavelet; fast parts are summed from short kernels to long ones, slow parts
    from long to short, and a last layer joins them beside a residual path: a branch of long reach hears the detail of the shorter ones,
    and a short one the trend of the longer ones.
    """

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        width = max(1, size // len(KERNELS))
        self.enter = BackwardConvolution(inputs, size, 3)
        self.split = nn.Conv1d(size, width * len(KERNELS), 1)
        self.branches = nn.ModuleList(BackwardConvolution(width, width, kernel) for kernel in KERNELS)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in KERNELS)
        self.wavelet = WaveletSplit()
        self.join = nn.Conv1d(2 * width * len(KERNELS), size, 1)

    def forward(self, x: Tensor) -> Tensor:
        entered = F.gelu(self.enter(x.transpose(1, 2)))
        parts = self.split(entered).chunk(len(KERNELS), dim=1)
        halves = [self.wavelet(F.gelu(norm(branch(part).transpose(1, 2)).transpose(1, 2)))
                  for part, branch, norm in zip(parts, self.branches, self.norms, strict=True)]
        slow, fast = [halves[-1][0]], [halves[0][1]]
        for step in range(1, len(KERNELS)):
            slow.append(slow[-1] + halves[-1 - step][0])
            fast.append(fast[-1] + halves[step][1])
        return (entered + self.join(torch.cat((*slow, *fast), dim=1))).transpose(1, 2).contiguous()  # a compiler guesses the strides wrong


class Patches(nn.Module):
    """Overlapping patches of bars, each flattened and projected; the last one ends at the newest bar, the first is filled up with zeros."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.project = nn.Linear(PATCH * inputs, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(cut(x))


def patches_of(length: int) -> int:
    """Patches of a window of ``length`` bars."""
    return 1 + -(-max(0, length - PATCH) // (PATCH - PATCH_OVERLAP))


def cut(x: Tensor) -> Tensor:
    """[B, T, features] -> [B, patches, PATCH * features]."""
    stride = PATCH - PATCH_OVERLAP
    whole = PATCH + (patches_of(x.shape[1]) - 1) * stride
    return F.pad(x, (0, 0, whole - x.shape[1], 0)).unfold(1, PATCH, stride).transpose(-1, -2).flatten(2)


def build_stem(inputs: int, size: int, config: ModelConfig) -> nn.Module:
    """[B, T, inputs] -> [B, places, size]: bars or patches, after MSCNN or straight from the features; ``ConfigError`` for an unknown stem."""
    if config.stem == "linear":
        return Patches(inputs, size) if config.patches else nn.Linear(inputs, size)
    if config.stem == "mscnn":
        return nn.Sequential(MSCNN(inputs, size), Patches(size, size)) if config.patches else MSCNN(inputs, size)
    raise ConfigError("models.unknown_stem", name=config.stem, known=", ".join(STEMS))


def places_of(length: int, config: ModelConfig) -> int:
    """Places that the stem makes out of ``length`` bars."""
    return patches_of(length) if config.patches else length
