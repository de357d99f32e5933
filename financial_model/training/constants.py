"""Forecasts that say the same for every window: the line a loss curve has to get below.

In: the targets of training windows, in units. Out: the validation loss of each constant forecast under the run's own objective, by name.
It knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from financial_model.config import CLASSES

Outputs = dict[str, NDArray[np.float32]]


def constant_forecasts(head: str, z: NDArray, label: NDArray, levels: Sequence[float]) -> dict[str, Outputs]:
    """The constant forecasts of a head, from training targets ``z`` [n, H] and classes ``label`` [n]: name -> outputs of one window.

    ``zero``: no change. ``train_mean``, ``train_quantiles``, ``train_frequencies``: the constant that training rows suggest.
    """
    horizon = z.shape[1]
    if head == "point":
        return {"zero": {"point": np.zeros(horizon, np.float32)}, "train_mean": {"point": z.mean(0).astype(np.float32)}}
    if head == "quantile":
        return {"train_quantiles": {"quantiles": np.quantile(z, levels, axis=0).T.astype(np.float32)}}
    counts = np.bincount(label, minlength=len(CLASSES)) + 1  # one more each: a class that never came is rare, not impossible
    return {"train_frequencies": {"logits": np.log(counts / counts.sum()).astype(np.float32)}}


def mean_loss(objective: Callable[..., torch.Tensor], outputs: Outputs, z: NDArray, label: NDArray, batch_size: int) -> float:
    """The objective of ``outputs`` (each [n, ...], or broadcast to it) against z [n, H] and label [n], as the mean over batches."""
    total = 0.0
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in outputs.items()}
    target, classes = torch.from_numpy(np.asarray(z, np.float32)), torch.from_numpy(np.asarray(label, np.int64))
    for start in range(0, len(target), batch_size):
        part = slice(start, start + batch_size)
        loss = objective({name: tensor[part] for name, tensor in tensors.items()}, target[part], classes[part])
        total += float(loss) * len(target[part])
    return total / len(target)


def constant_losses(objective: Callable[..., torch.Tensor], forecasts: dict[str, Outputs], z: NDArray, label: NDArray,
                    batch_size: int) -> dict[str, float]:
    """Loss of each constant forecast on the targets ``z`` [n, H] and ``label`` [n]."""
    return {
        name: mean_loss(objective, {key: np.broadcast_to(array, (len(z), *array.shape)) for key, array in outputs.items()}, z, label, batch_size)
        for name, outputs in forecasts.items()
    }
