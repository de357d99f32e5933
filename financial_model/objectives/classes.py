"""Losses of the classes head.

In: logits [B, C], and the classes as numbers [B] or, where windows were blended, as chances [B, C]. Out: a scalar. They know no model, no price
and no threshold.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

FOCAL_GAMMA = 2.0


def chances(label: Tensor, classes: int) -> Tensor:
    """[B, C], each row summing to one: class numbers as certainties, chances as they are."""
    return label if label.is_floating_point() else F.one_hot(label, classes).float()


def balanced_weights(label: Tensor, classes: int) -> Tensor:
    """Weights [C] that grow as a class gets rarer in this batch: n / (C x count), every count one larger so that an absent class stays finite.

    From the batch alone, so that nothing has to be remembered between steps or stored for a resume.
    """
    counts = chances(label, classes).sum(0) + 1
    return counts.sum() / (classes * counts)


def smoothed(label: Tensor, classes: int, smoothing: float) -> Tensor:
    """Label distributions [B, C]: 1 - smoothing on the label, plus smoothing / C everywhere."""
    return chances(label, classes) * (1 - smoothing) + smoothing / classes


def _mean(per_window: Tensor, label: Tensor, classes: int, *, balanced: bool) -> Tensor:
    """Mean over windows; with ``balanced`` each weighs what its classes weigh."""
    if not balanced:
        return per_window.mean()
    weights = chances(label, classes) @ balanced_weights(label, classes)
    return (weights * per_window).sum() / weights.sum()


def cross_entropy(logits: Tensor, label: Tensor, *, smoothing: float = 0.0, balanced: bool = False) -> Tensor:
    """Cross-entropy against smoothed labels; with ``balanced`` a mean weighted by class."""
    return focal(logits, label, gamma=0.0, smoothing=smoothing, balanced=balanced)


def focal(logits: Tensor, label: Tensor, *, gamma: float = FOCAL_GAMMA, smoothing: float = 0.0, balanced: bool = False) -> Tensor:
    """Cross-entropy in which a class counts (1 - its probability) ** gamma: what is already known teaches less (Lin et al. 2017).

    The probability is the plain softmax; class weights multiply the loss of a window, and never enter the focusing factor.
    """
    classes = logits.shape[-1]
    log_probability = F.log_softmax(logits, dim=-1)
    terms = -smoothed(label, classes, smoothing) * log_probability
    if gamma:
        terms = terms * (-torch.expm1(log_probability)).clamp(min=1e-6) ** gamma
    return _mean(terms.sum(-1), label, classes, balanced=balanced)


def expected_cost(logits: Tensor, label: Tensor, costs: Tensor, *, smoothing: float = 0.0, balanced: bool = False) -> Tensor:
    """What the forecast would cost on average if a class were drawn from its probabilities; ``costs`` [C, C]: rows true, columns predicted."""
    classes = logits.shape[-1]
    per_window = (smoothed(label, classes, smoothing) @ costs * F.softmax(logits, dim=-1)).sum(-1)
    return _mean(per_window, label, classes, balanced=balanced)
