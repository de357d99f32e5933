"""An average is taken where it means something: points, quantiles level by level, probabilities of classes."""

import pytest
import torch

from financial_model.models.ensemble import Ensemble
from financial_model.models.forecaster import build_forecaster
from tests.training.builders import make_config

INPUTS = (torch.randn(9, 6, 3, generator=torch.Generator().manual_seed(0)), torch.ones(9, 6, dtype=torch.int64), torch.zeros(9, 4))


def members(head, count=3):
    config = make_config(head=head)
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        made.append(build_forecaster(config.model, head=head, inputs=3, context_length=6, horizon=2).eval())
    return made


def alone(made, key):
    return torch.stack([member(*INPUTS)[key] for member in made])


def test_points_are_averaged():
    made = members("point")
    assert torch.allclose(Ensemble(made)(*INPUTS)["point"], alone(made, "point").mean(0))


def test_quantiles_are_averaged_level_by_level_and_stay_in_order():
    made = members("quantile")
    found = Ensemble(made)(*INPUTS)["quantiles"]
    assert torch.allclose(found, alone(made, "quantiles").mean(0)) and (found.diff(dim=-1) > 0).all()


def test_of_classes_the_chances_are_averaged_not_the_logits():
    made = members("classes")
    for place, member in enumerate(made):
        member.head.readout.bias.data = torch.tensor([4.0 * place, 0.0, -2.0])
    found, logits = Ensemble(made)(*INPUTS)["logits"], alone(made, "logits")
    assert torch.allclose(found.softmax(-1), logits.softmax(-1).mean(0), atol=1e-6)
    assert not torch.allclose(found.softmax(-1), logits.mean(0).softmax(-1), atol=1e-2)


def test_a_member_whose_scores_are_large_does_not_drown_the_others():
    made = members("point", 2)
    made[1].head.readout.weight.data *= 1000
    scale = torch.tensor([[1.0, 1.0], [1e-3, 1e-3]])
    found = Ensemble(made, scale)(*INPUTS)["point"]
    assert torch.allclose(found, (alone(made, "point") * scale[:, None]).mean(0), atol=1e-6)
    assert torch.equal(Ensemble(made, scale).state_dict()["scale"], scale), "it travels with the weights"


@pytest.mark.parametrize("head", ["point", "quantile", "classes", "multi"])
def test_an_ensemble_of_equals_says_what_one_of_them_says(head):
    member = members(head, 1)[0]
    together, own = Ensemble([member, member])(*INPUTS), member(*INPUTS)
    assert set(together) == set(own)
    for name, part in own.items():
        mine, its = (both.softmax(-1) if name == "logits" else both for both in (together[name], part))
        assert torch.allclose(mine, its, atol=1e-6)
