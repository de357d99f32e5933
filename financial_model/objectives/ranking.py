"""Losses that compare the stocks of one date: how well forecasts order them, whatever the market did that day.

In: ``outputs["point"]`` [B, H], the target z [B, H], and the date [B] of every window, in any order. Out: a scalar. A date with fewer than
``LEAST_NAMES`` stocks says nothing. Both losses leave the size of a forecast open; it is measured afterwards, on the validation part.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_NAMES = 3


def correlation_loss(prediction: Tensor, target: Tensor, date: Tensor) -> Tensor:
    """1 - the mean over dates and days of the correlation between forecast and truth; 1 where no date has enough stocks."""
    same = (date[:, None] == date).to(prediction.dtype)
    names = same.sum(1, keepdim=True)
    x, y = (values - same @ values / names for values in (prediction, target))
    product, spread_x, spread_y = (same @ part / names for part in (x * y, x.square(), y.square()))
    correlation = product / (spread_x * spread_y).clamp(min=1e-12).sqrt()
    # every stock of a date carries that date's correlation, so it counts one over the number of names
    weight = torch.where(names >= LEAST_NAMES, 1 / names, 0.0)
    return 1 - (weight * correlation).sum() / (weight.sum() * prediction.shape[1]).clamp(min=1e-12)


def pairwise_loss(prediction: Tensor, target: Tensor, date: Tensor) -> Tensor:
    """softplus(-(difference of the forecasts) x sign(difference of the truths)) over all pairs of a date (Burges et al. 2005), mean over dates.

    A pair with equal truths has no order and counts nothing.
    """
    same = date[:, None] == date
    names = same.sum(1)
    ahead = target[:, None] - target
    counted = (same & (names >= LEAST_NAMES)).unsqueeze(-1) & (ahead != 0)
    loss = F.softplus(-(prediction[:, None] - prediction) * ahead.sign())
    weight = counted / (names * (names - 1)).clamp(min=1).view(-1, 1, 1)
    return (weight * loss).sum() / weight.sum().clamp(min=1e-12)


DATE_LOSSES = {"ic": correlation_loss, "pairwise_rank": pairwise_loss}
