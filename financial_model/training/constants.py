"""Forecasts that say the same for every window: the line a loss curve has to get below.

In: the targets of training windows, in units. Out: the validation loss of each constant forecast under the run's own objective, by name.
It knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from financial_model.config import CLASSES, FIGURES
from financial_model.objectives.ranking import LEAST_NAMES

Outputs = dict[str, NDArray[np.float32]]
MOST_NAMES = 1024
"""Stocks of one date whose pairs are looked at in an evaluation."""


def constant_forecasts(head: str, z: NDArray, label: NDArray, levels: Sequence[float]) -> dict[str, Outputs]:
    """The constant forecasts of a head, from training targets ``z`` [n, H] (multi: two columns more) and classes ``label`` [n]: name -> outputs of
    one window.

    ``zero``: no change, and the volatility of before. ``train_mean``, ``train_quantiles``, ``train_frequencies``: the constant that
    training rows suggest.
    """
    horizon = z.shape[1]
    if head == "point":
        return {"zero": {"point": np.zeros(horizon, np.float32)}, "train_mean": {"point": z.mean(0).astype(np.float32)}}
    if head == "quantile":
        return {"train_quantiles": {"quantiles": np.quantile(z, levels, axis=0).T.astype(np.float32)}}
    counts = np.bincount(label, minlength=len(CLASSES)) + 1  # one more each: a class that never came is rare, not impossible
    frequencies = {"logits": np.log(counts / counts.sum()).astype(np.float32)}
    if head == "classes":
        return {"train_frequencies": frequencies}
    return {name: {**frequencies, "point": values[:-len(FIGURES)], **dict(zip(FIGURES, values[-len(FIGURES):], strict=True))}
            for name, values in (("zero", np.zeros(horizon, np.float32)), ("train_mean", z.mean(0).astype(np.float32)))}


def mean_loss(objective: Callable[..., torch.Tensor], outputs: Outputs, z: NDArray, label: NDArray, batch_size: int,
              date: NDArray[np.int64] | None = None) -> float:
    """The objective of ``outputs`` (each [n, ...], or broadcast to it) against z [n, H] and label [n].

    The mean over windows in batches; with ``date`` [n] the mean over dates, each compared as a whole (of a very large one an even sample).
    """
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in outputs.items()}
    target, classes = torch.from_numpy(np.asarray(z, np.float32)), torch.from_numpy(np.asarray(label, np.int64))
    total, weights = 0.0, 0.0
    for part in _batches(len(target), batch_size) if date is None else _dates(date):
        when = None if date is None else torch.from_numpy(date[part])
        loss = objective({name: tensor[part] for name, tensor in tensors.items()}, target[part], classes[part], when)
        weight = 1 if date is not None else len(target[part])
        total, weights = total + float(loss) * weight, weights + weight
    return total / weights if weights else math.nan


def _batches(count: int, batch_size: int) -> Iterator[slice]:
    for start in range(0, count, batch_size):
        yield slice(start, min(start + batch_size, count))


def _dates(date: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Places of the windows of each date that has enough of them."""
    order = np.argsort(date, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(date[order])) + 1):
        if len(part) >= LEAST_NAMES:
            yield part[::-(-len(part) // MOST_NAMES)]


def constant_losses(objective: Callable[..., torch.Tensor], forecasts: dict[str, Outputs], z: NDArray, label: NDArray,
                    batch_size: int, date: NDArray[np.int64] | None = None) -> dict[str, float]:
    """Loss of each constant forecast on the targets ``z`` [n, H] and ``label`` [n]."""
    return {name: mean_loss(objective, repeated(outputs, len(z)), z, label, batch_size, date) for name, outputs in forecasts.items()}


def repeated(outputs: Outputs, count: int) -> Outputs:
    """The same forecast for ``count`` windows."""
    return {key: np.broadcast_to(array, (count, *np.shape(array))) for key, array in outputs.items()}
