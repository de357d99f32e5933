"""Losses of the point head: how far off, on which side, and how badly on the days that matter.

In: ``outputs["point"]`` [B, H] and the target z [B, H], both in units (return from the last known close divided by the usual move over
that many days). Out: a scalar. They know no model and no price.

The last known close is zero on this scale, so direction is the sign of z itself and means the same at horizon 1 as at horizon 30.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional as F

PointLoss = Callable[[Tensor, Tensor], Tensor]

TREND_WEIGHTS = (0.5, 0.3, 0.2)
"""trend_aware: error, direction, magnitude."""
HUBER_TREND_WEIGHTS = (0.7, 0.3)
"""huber_trend: error, direction."""
DIRECTIONAL_ANCHOR = 0.1
"""directional: share of squared error that holds the scale."""
HUBER_DELTA = 1.0
"""Units beyond which an error counts linearly."""
LARGEST_WEIGHT = 3.0
"""Units beyond which a larger move weighs no more."""


def soft_direction(prediction: Tensor, target: Tensor) -> Tensor:
    """softplus(-prediction * sign(target)): small when the signs agree, and with a gradient everywhere, unlike counting hits.

    Its own minimum is the log-odds of a rise; a target of exactly zero has no direction and pulls at nothing.
    """
    return F.softplus(-prediction * target.sign()).mean()


def magnitude_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error weighted by the size of the move.

    Not the error of the absolute value: nearly all of |target| is noise, and matching it blows forecasts up to a multiple of what can be known.
    """
    return (target.abs().clamp(max=LARGEST_WEIGHT) * (prediction - target).square()).mean()


def trend_aware(prediction: Tensor, target: Tensor, weights: tuple[float, float, float] = TREND_WEIGHTS) -> Tensor:
    """Weighted sum of squared error, direction and magnitude."""
    error, direction, magnitude = weights
    return (error * F.mse_loss(prediction, target) + direction * soft_direction(prediction, target)
            + magnitude * magnitude_error(prediction, target))


def huber_trend(prediction: Tensor, target: Tensor, weights: tuple[float, float] = HUBER_TREND_WEIGHTS) -> Tensor:
    """Weighted sum of Huber error and direction."""
    error, direction = weights
    return error * F.huber_loss(prediction, target, delta=HUBER_DELTA) + direction * soft_direction(prediction, target)


def directional(prediction: Tensor, target: Tensor, anchor: float = DIRECTIONAL_ANCHOR) -> Tensor:
    """Direction alone, which would leave the scale to log-odds (and, where signs can be separated, to infinity); the anchor holds it."""
    return soft_direction(prediction, target) + anchor * F.mse_loss(prediction, target)


POINT_LOSSES: dict[str, PointLoss] = {
    "mse": F.mse_loss, "mae": F.l1_loss, "huber": partial(F.huber_loss, delta=HUBER_DELTA),
    "trend_aware": trend_aware, "huber_trend": huber_trend, "directional": directional,
}
