"""From what a head says to what a person asks: the expected return and the chance of a rise. numpy only.

In: quantiles [..., Q] at levels [Q], or class probabilities. Out: float arrays without the last axis. The unit is the caller's: what goes
in as log return comes out as log return.

The distribution behind a set of quantiles: linear between neighbouring levels, and an exponential tail beyond the outermost level on either
side, continued with the decay of the two outermost levels (for a normal distribution this is within 5 % of the true mean of a 2.5 % tail).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLASS_DIRECTIONS = (1.0, 0.0, -1.0)
"""Stand-in for the mean move of up, flat and down (in units) before training has measured it: ordering is right, size is not."""


def _decays(levels: NDArray, quantiles: NDArray) -> tuple[NDArray, NDArray]:
    """Scale of the lower and the upper exponential tail, 0 where the two outermost quantiles coincide."""
    lower = (quantiles[..., 1] - quantiles[..., 0]) / np.log(levels[1] / levels[0])
    upper = (quantiles[..., -1] - quantiles[..., -2]) / np.log((1 - levels[-2]) / (1 - levels[-1]))
    return lower, upper


def expected_from_quantiles(levels: Sequence[float], quantiles: ArrayLike) -> NDArray:
    """Mean of the distribution behind ``quantiles`` [..., Q]: the integral of its quantile function over 0..1."""
    p, q = np.asarray(levels, np.float64), np.asarray(quantiles, np.float64)
    lower, upper = _decays(p, q)
    between = ((q[..., 1:] + q[..., :-1]) * np.diff(p)).sum(-1) / 2
    return p[0] * (q[..., 0] - lower) + between + (1 - p[-1]) * (q[..., -1] + upper)


def probability_above(levels: Sequence[float], quantiles: ArrayLike, threshold: float = 0.0) -> NDArray:
    """P(value > threshold), 0..1, from ``quantiles`` [..., Q]; a lump of probability exactly at the threshold counts half."""
    p, q = np.asarray(levels, np.float64), np.asarray(quantiles, np.float64) - threshold
    lower, upper = _decays(p, q)
    left, right = q[..., :-1], q[..., 1:]
    inside = _share(right, right - left)
    below = 1 - _tail(q[..., 0], lower)
    above = _tail(-q[..., -1], upper)
    return p[0] * below + (inside * np.diff(p)).sum(-1) + (1 - p[-1]) * above


def _share(part: NDArray, whole: NDArray) -> NDArray:
    """part / whole limited to 0..1; where the whole is nothing, all, half or none of it by the sign of the part."""
    share = np.divide(part, whole, out=np.asarray((np.sign(part) + 1) / 2), where=whole > 0)
    return np.clip(share, 0, 1)


def _tail(distance: NDArray, decay: NDArray) -> NDArray:
    """Share of an exponential tail that lies further out than ``distance``: 1 for a distance up to 0; a tail without decay is a lump at 0."""
    lump = np.asarray((1 - np.sign(distance)) / 2)
    return np.exp(-np.divide(np.maximum(distance, 0), decay, out=np.full(distance.shape, np.inf), where=decay > 0),
                  out=lump, where=decay > 0)


def expected_from_classes(probabilities: ArrayLike, class_means: ArrayLike | None, horizon: int) -> NDArray:
    """Expected move [n, H] in units from ``probabilities`` [n, 3] and ``class_means`` [H, 3], the mean move of each class in units.

    Without ``class_means`` (before training has measured them) every horizon gets P(up) - P(down).
    """
    means = np.tile(CLASS_DIRECTIONS, (horizon, 1)) if class_means is None else np.asarray(class_means, np.float64)
    return np.asarray(probabilities, np.float64) @ means.T
