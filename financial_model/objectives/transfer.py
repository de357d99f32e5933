"""Losses that listen to a second, frozen model: a teacher whose forecasts are matched, or a reference that holds preferences back.

In: the outputs of a forecaster with the frozen one's beside them under ``TEACHER`` or ``REFERENCE``, and the truth. Out: a scalar. Without the
second model's outputs, in an evaluation, only the truth counts. They know no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from financial_model.objectives.ranking import pairwise_loss

if TYPE_CHECKING:
    from financial_model.objectives import Objective

TEACHER, REFERENCE = "teacher", "reference"


def divergence(student: Tensor, teacher: Tensor, *, classes: bool, temperature: float) -> Tensor:
    """How far a student is from its teacher []: T^2 KL(teacher || student) of the classes at temperature T (Hinton et al. 2015), or the mean
    squared distance of points or quantiles, which for quantiles is the squared 2-Wasserstein distance of the two distributions."""
    if not classes:
        return F.mse_loss(student, teacher)
    log_student, log_teacher = (F.log_softmax(logits / temperature, dim=-1) for logits in (student, teacher))
    return temperature**2 * F.kl_div(log_student, log_teacher, log_target=True, reduction="batchmean")


def taught(truth: Objective, *, weight: float, temperature: float) -> Objective:
    """``weight`` x divergence from the teacher + (1 - weight) x ``truth``, the run's own objective."""

    def loss(outputs: Mapping[str, Tensor], z: Tensor, label: Tensor, date: Tensor | None = None, /) -> Tensor:
        own = {name: output for name, output in outputs.items() if name != TEACHER}
        if TEACHER not in outputs:
            return truth(own, z, label, date)
        ((name, student),) = own.items()
        match = divergence(student, outputs[TEACHER], classes=name == "logits", temperature=temperature)
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
        if REFERENCE not in outputs:
            return pairwise_loss(outputs["point"], z, date)
        return pairwise_loss(beta * (outputs["point"] - outputs[REFERENCE]), z, date)

    return loss
