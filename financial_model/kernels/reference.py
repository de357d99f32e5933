"""The specification of the window kernels, in plain torch: what every faster version must equal.

In: rows of a packed panel and the end rows of windows. Out: normalised windows and the statistics that were used.
Runs in the dtype and on the device it is given (float64 is the measure of the others) and knows no panel, no file, no model.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-5
"""Joins the standard deviation in quadrature, and is the smallest divisor in mode last_close: nothing is divided by zero."""
MODES = ("table", "zscore", "last_close")


def gather_windows(values: Tensor, ends: Tensor, context_length: int, mode: str, *, center: Tensor | None = None, scale: Tensor | None = None,
                   clip: float = 0.0, close: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Windows ``(x - center) * scale`` of ``values [rows, F]`` that end at rows ``ends [B]`` (inclusive).

    table       ``center`` and ``scale`` ``[F]`` are given
    zscore      mean and 1 / sqrt(variance + EPS^2) of each window alone (population variance)
    last_close  centre: the last row's value of column ``close`` for every column, or of each column itself where ``close`` is negative;
                scale: ``scale [F]`` where given, else 1 / max(|centre|, EPS)

    Returns ``x [B, context_length, F]``, ``center`` and ``scale`` ``[B, F]``. ``clip`` > 0 limits ``x`` to plus or minus it.
    """
    return normalise(values[ends[:, None] + torch.arange(1 - context_length, 1, device=ends.device)], mode, center=center, scale=scale, clip=clip,
                     close=close)


def normalise(x: Tensor, mode: str, *, center: Tensor | None = None, scale: Tensor | None = None, clip: float = 0.0,
              close: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """What ``gather_windows`` does to windows ``x [B, context_length, F]`` once they are gathered."""
    last = x[:, -1]
    shape = last.shape
    if mode == "table":
        if center is None or scale is None:
            raise ValueError("mode table needs center and scale")
        center, scale = center.expand(shape), scale.expand(shape)
        x = x - center[:, None]
    elif mode == "zscore":
        # Shifted by the last row first: the mean keeps its digits at any price level, and a flat window is exactly zero.
        shifted = x - last[:, None]
        mean = shifted.mean(1)
        x = shifted - mean[:, None]
        center, scale = mean + last, 1 / torch.sqrt(x.square().mean(1) + EPS**2)
    elif mode == "last_close":
        center = last if close < 0 else last[:, close, None].expand(shape)
        scale = 1 / center.abs().clamp_min(EPS) if scale is None else scale.expand(shape)
        x = x - center[:, None]
    else:
        raise ValueError(f"unknown mode {mode!r}")
    x = x * scale[:, None]
    return (x.clamp(-clip, clip) if clip > 0 else x), center, scale
