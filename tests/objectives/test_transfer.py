"""What a teacher and a reference do to a loss, against plain formulas; and without them only the truth counts."""

import math

import pytest
import torch

from financial_model.config import build
from financial_model.objectives import objective
from financial_model.objectives.ranking import pairwise_loss
from financial_model.objectives.transfer import REFERENCE, TEACHER, aligned, divergence, taught

RANDOM = torch.Generator().manual_seed(4)
STUDENT, OTHER = (torch.randn(7, 3, generator=RANDOM) for _ in range(2))
Z, LABEL, DATE = torch.randn(7, 3, generator=RANDOM), torch.tensor([0, 1, 2, 0, 1, 2, 0]), torch.tensor([1, 1, 1, 1, 2, 2, 2])


def test_classes_diverge_by_kl_times_the_temperature_squared():
    p, q = ((logits / 2).softmax(-1) for logits in (OTHER, STUDENT))
    expected = 4 * (p * (p.log() - q.log())).sum(-1).mean()
    torch.testing.assert_close(divergence(STUDENT, OTHER, classes=True, temperature=2.0), expected)
    assert divergence(OTHER, OTHER, classes=True, temperature=2.0).item() == pytest.approx(0, abs=1e-6)


def test_the_size_of_the_gradient_hardly_depends_on_the_temperature():
    def gradient(temperature):
        student = (0.01 * STUDENT).requires_grad_()
        divergence(student, 0.01 * OTHER, classes=True, temperature=temperature).backward()
        return student.grad.norm().item()

    assert gradient(8.0) == pytest.approx(gradient(1.0), rel=0.02)


def test_points_and_quantiles_are_matched():
    assert divergence(STUDENT, OTHER, classes=False, temperature=9.0).item() == pytest.approx((STUDENT - OTHER).square().mean().item())


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_teacher_and_truth_share_the_loss(weight):
    truth = objective("cross_entropy", build({"objective": "cross_entropy"}))
    loss = taught(truth, weight=weight, temperature=2.0)
    own = truth({"logits": STUDENT}, Z, LABEL, None)
    match = divergence(STUDENT, OTHER, classes=True, temperature=2.0)
    torch.testing.assert_close(loss({"logits": STUDENT, f"{TEACHER}logits": OTHER}, Z, LABEL, None), weight * match + (1 - weight) * own)
    torch.testing.assert_close(loss({"logits": STUDENT}, Z, LABEL, None), own)


def test_preference_is_dpo_over_the_pairs_of_a_date():
    beta, by_date = 0.7, []
    for day in (1, 2):
        names = (DATE == day).nonzero().flatten().tolist()
        found = [-math.log(1 / (1 + math.exp(-beta * float((STUDENT[w] - STUDENT[v] - OTHER[w] + OTHER[v])[h]))))
                 for h in range(3) for w in names for v in names if Z[w, h] > Z[v, h]]
        by_date.append(sum(found) / len(found))
    given = aligned(beta)({"point": STUDENT, f"{REFERENCE}point": OTHER}, Z, LABEL, DATE)
    assert given.item() == pytest.approx(sum(by_date) / 2, rel=1e-5)


def test_preference_starts_at_indifference_and_is_scored_without_the_reference():
    start = aligned(1.0)({"point": STUDENT, f"{REFERENCE}point": STUDENT}, Z, LABEL, DATE)
    assert start.item() == pytest.approx(math.log(2))
    torch.testing.assert_close(aligned(5.0)({"point": STUDENT}, Z, LABEL, DATE), pairwise_loss(STUDENT, Z, DATE))


def test_only_differences_within_a_date_count():
    shifted = STUDENT + DATE[:, None].float() * 10
    here, there = (aligned(1.0)({"point": score, f"{REFERENCE}point": OTHER}, Z, LABEL, DATE) for score in (STUDENT, shifted))
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-5)
