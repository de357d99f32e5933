"""What holds for every kind of a part at once: attention averages, balance is least when even, and what the checks let through can be built."""

import random

import pytest
import torch

from financial_model import config as settings
from financial_model.config import ATTENTIONS, BACKBONES, CONDITION_MODES, NORMS, STEMS
from financial_model.models.backbones.multiscale import DecayedAttention
from financial_model.models.experts import Experts
from financial_model.models.forecaster import build_forecaster
from financial_model.models.latent import LatentAttention
from financial_model.models.local import LocalAttention
from financial_model.models.rotary import RotaryAttention

torch.set_num_threads(1)
KINDS = {"rotary": lambda: RotaryAttention(8, 4, 20), "grouped": lambda: RotaryAttention(8, 4, 20, groups=2),
         "latent": lambda: LatentAttention(8, 2, 20), "local": lambda: LocalAttention(8, 2, 3),
         "decayed": lambda: DecayedAttention(8, 2, causal=False)}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_sum_to_one_over_keys(kind, training):
    """Where every bar is the same every value is, and their average is that value: also for bars that see few others, or padding."""
    torch.manual_seed(0)
    layer = KINDS[kind]().train(training)
    bar = torch.randn(2, 1, 8)
    answer = layer(bar.expand(2, 17, 8))
    assert answer.abs().min() > 0 and torch.allclose(answer, layer(bar).expand_as(answer), atol=1e-5), "as if it were alone"


def test_balance_is_least_when_the_work_is_even():
    """One at even shares, where its slope is zero, and more wherever the router leans to one expert."""
    torch.manual_seed(0)
    layer, rows = Experts(4, 4, 8, gated=True, shared=False), torch.eye(4).repeat(6, 1)
    places = torch.eye(4) + torch.eye(4).roll(1, 1)

    def balance(skew):
        with torch.no_grad():
            layer.router.weight.copy_(6 * (places + skew))
        layer.zero_grad()
        found = layer.route(rows)[2]
        found.backward()
        return found.item(), layer.router.weight.grad.abs().max().item()

    even, slope = balance(torch.zeros(4, 4))
    assert even == pytest.approx(1, abs=1e-6) and slope < 1e-6
    for expert in range(4):
        towards = torch.zeros(4, 4)
        towards[expert] = 1.5
        assert balance(towards)[0] > 1.05


def test_what_the_checks_let_through_can_be_built_and_run():
    """A hundred drawn architectures: no impossible one gets past the form."""
    draw, built = random.Random(0), 0
    for _ in range(100):
        values = {
            "backbone": draw.choice(BACKBONES), "hidden": draw.choice([1, 2, 3, 5, 6, 8, 12, 16, 30]), "heads": draw.choice([0, 1, 2, 3, 4, 8]),
            "layers": draw.choice([1, 2]), "norm": draw.choice(NORMS), "stem": draw.choice(STEMS), "patches": draw.random() < 0.3,
            "attention": draw.choice(ATTENTIONS), "kv_heads": draw.choice([0, 1, 2, 3]), "experts": draw.choice([2, 3, 8]),
            "expert_size": draw.choice([0, 1, 7]), "attention_window": draw.choice([1, 5, 2000]), "causal": draw.random() < 0.5,
            "cross_section": draw.random() < 0.3, "condition": draw.choice(CONDITION_MODES), "skip": draw.random() < 0.5,
            "context_length": draw.choice([1, 2, 23, 24, 25]), "head": draw.choice(["point", "quantile", "classes"]), "class_horizon": 1}
        config = settings.build(values)
        if any(not problem.warning for problem in settings.problems(config)):
            continue
        model = build_forecaster(config.model, head=config.head(), inputs=3, context_length=config.features.context_length, horizon=2)
        outputs = model(torch.randn(4, config.features.context_length, 3), torch.zeros(4, 6, dtype=torch.int64), torch.zeros(4, 4),
                        torch.zeros(4, dtype=torch.int64))
        assert all(torch.isfinite(output).all() for output in outputs.values()), values
        built += 1
    assert built > 40
