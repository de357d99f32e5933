"""Losses that listen to a second, frozen model: a teacher whose forecasts are matched, or a reference that holds preferences back.

In: the outputs of a forecaster with the frozen one's beside them, their names behind ``TEACHER`` or ``REFERENCE``, and the truth. Out: a scalar.
Without the second model's outputs, in an evaluation, only the truth counts. They know no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from financial_model.objectives.ranking import pairwise_loss

if TYPE_CHECKING:
    from financial_model.objectives import Objective

TEACHER, REFERENCE = "teacher.", "reference."
"""What the names of its outputs begin with."""


def divergence(student: Tensor, teacher: Tensor, *, classes: bool, temperature: float) -> Tensor:
    """How far a student is from its teacher []: T^2 KL(teacher || student) of the classes at temperature T (Hinton et al. 2015), or the mean
    squared distance of points or quantiles, which for quantiles is the squared 2-Wasserstein distance of the two distributions."""
    if not classes:
        return F.mse_loss(student, teacher)
    log_student, log_teacher = (F.log_softmax(logits / temperature, dim=-1) for logits in (student, teacher))
    return temperature**2 * F.kl_div(log_student, log_teacher, log_target=True, reduction="batchmean")


def taught(truth: Objective, *, weight: float, temperature: float) -> Objective:
    """``weight`` x divergence from the teacher + (1 - weight) x ``truth``, the run's own objective; of a head that says several things, the mean of
    their divergences."""

    def loss(outputs: Mapping[str, Tensor], z: Tensor, label: Tensor, date: Tensor | None = None, /) -> Tensor:
        own = {name: output for name, output in outputs.items() if not name.startswith(TEACHER)}
        taught_parts = [divergence(student, outputs[TEACHER + name], classes=name == "logits", temperature=temperature)
                        for name, student in own.items() if TEACHER + name in outputs]
        if not taught_parts:
            return truth(own, z, label, date)
        match = torch.stack(taught_parts).mean()
        return weight * match + (1 - weight) * truth(own, z, label, date)

    return loss


def aligned(beta: float) -> Objective:
    """Direct preference optimisation (Rafailov et al. 2023) over the pairs of a date; the stock that did better is preferred.

    The policy is a softmax of the scores over the stocks of a date, so its normaliser cancels within a pair and the loss is
    -log sigmoid(beta x (difference of the scores - difference of the reference's scores)).
    """

    def loss(outputs: Mapping[str, Tensor], z: Tensor, label: Tensor, date: Tensor | None = None, /) -> Tensor:
        if date is None:
            raise ValueError("preference compares the stocks of a date and needs the dates")
        before = outputs.get(f"{REFERENCE}point")
        if before is None:
            return pairwise_loss(outputs["point"], z, date)
        return pairwise_loss(beta * (outputs["point"] - before), z, date)

    return loss
