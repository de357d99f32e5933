"""The Daubechies-4 wavelet as two fixed convolutions: a series split into its slow and its fast part, bar by bar, differentiably.

In: [B, channels, T]. Out: two tensors of that shape. The transform is not decimated (every bar keeps a value) and looks back only, so no bar's
value knows a later one. The coefficients are those of Daubechies (1988), eight taps, four vanishing moments.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DB4 = (0.2303778133088965, 0.7148465705529157, 0.6308807679298589, -0.0279837694168599,
       -0.1870348117190931, 0.0308413818355607, 0.0328830116668852, -0.0105974017850690)
"""The scaling filter; its sum is the square root of two."""


class WaveletSplit(nn.Module):
    """(slow, fast): a constant passes the slow side unchanged and leaves nothing on the fast side; neither does a cubic."""

    slow: Tensor
    fast: Tensor

    def __init__(self) -> None:
        super().__init__()
        slow = torch.tensor(DB4) / math.sqrt(2)
        fast = slow.flip(0) * torch.tensor([1.0, -1.0] * (len(DB4) // 2))
        # a convolution of torch reads its kernel along time: the newest bar meets the last tap
        self.register_buffer("slow", slow.flip(0).view(1, 1, -1), persistent=False)
        self.register_buffer("fast", fast.flip(0).view(1, 1, -1), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        channels = x.shape[1]
        before = F.pad(x, (len(DB4) - 1, 0), mode="replicate")  # the series is taken to have stood still before its first bar
        slow, fast = (F.conv1d(before, taps.to(x.dtype).expand(channels, 1, -1), groups=channels) for taps in (self.slow, self.fast))
        return slow, fast
