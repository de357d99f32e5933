"""Rules of thumb and other baselines as lines on the loss chart: what they lose on the validation windows.

In: a panel, training windows with their targets, the windows asked. Out: what each rule says of them, as a head of the run's kind would. A rule
forecasts a direction and not a size, so each stands at the size that fits the training windows best, never turned round: its line is the best it can
do. Where the head gives quantiles or classes, the training windows say what came after such a forecast.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from financial_model.config import CLASSES, RunConfig
from financial_model.datasets.panel import Panel
from financial_model.datasets.targets import label_unit
from financial_model.models.baselines import Baseline, baseline_class
from financial_model.models.rules import tells_size
from financial_model.objectives import objective
from financial_model.training.constants import Outputs, constant_forecasts, mean_loss, repeated
from financial_model.training.preparation import Preparation, compared_dates, prepare, targets
from financial_model.training.validation import validation_loader

RULES = ("persistence", "reversal_5", "momentum_12_1", "moving_average")
PARTS = 5
"""Classes are counted in so many parts of the training windows, from the lowest forecast to the highest."""


def rules_of_thumb(panel: Panel, config: RunConfig, train: NDArray[np.int64], known: tuple[NDArray, NDArray], asked: NDArray[np.int64],
                   label_scale: NDArray[np.float32]) -> dict[str, Outputs]:
    """Name -> what the rule says of the windows ``asked`` [n]; ``known``: z [m, H and more] and class [m] of the training windows ``train`` [m]."""
    units = [label_unit(panel, ends, config.label, label_scale) for ends in (train, asked)]
    found = {}
    for name in RULES:
        rule = baseline_class(name)()
        rule.config, rule.label_scale = config, label_scale
        rule.learn(panel, train)
        said = [rule.expect(panel, ends) / unit for ends, unit in zip((train, asked), units, strict=True)]
        size = np.maximum(best_size(said[0], known[0][:, :config.label.horizon]), 0.0) if tells_size(panel, train, said[0][:, -1]) else 0.0
        found[name] = outputs(config, said[0] * size, said[1] * size, *known)
    return found


def best_size(said: NDArray, z: NDArray) -> NDArray:
    """[H] what ``said`` [m, H] has to be multiplied by to come nearest to ``z`` [m, H] in squares."""
    return (said * z).sum(axis=0) / np.maximum(np.square(said).sum(axis=0), 1e-12)


def outputs(config: RunConfig, known: NDArray, said: NDArray, z: NDArray, label: NDArray) -> Outputs:
    """A forecast ``said`` [n, H] of returns in units, as the run's head says it, given the same forecast ``known`` [m, H] of training windows.

    Quantiles: what is said, and the quantiles of what training windows ``z`` [m, H] missed it by. Classes: how often each came among the fifth of the
    training windows (``label`` [m]) with such a forecast; ``multi`` keeps the frequencies of all.
    """
    head = config.head()
    if head == "quantile":
        missed = np.quantile(z - known, config.model.quantile_levels, axis=0).T
        return {"quantiles": (said[:, :, None] + missed).astype(np.float32)}
    if head != "classes":
        others = constant_forecasts(head, z, label, config.model.quantile_levels)["train_mean"]
        return {**repeated(others, len(said)), "point": said.astype(np.float32)}
    day = config.label.class_horizon - 1
    edges = np.quantile(known[:, day], np.arange(1, PARTS) / PARTS)
    before, now = (np.searchsorted(edges, part[:, day], side="right") for part in (known, said))
    counts = np.ones((PARTS, len(CLASSES)))  # one more each: a class that never came is rare, not impossible
    np.add.at(counts, (before, label), 1)
    return {"logits": np.log(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)[now]}


def loss_of(baseline: Baseline, panel: Panel, config: RunConfig, prepared: Preparation, asked: NDArray[np.int64]) -> float:
    """What a fitted ``baseline`` loses under the run's own objective on the windows ``asked``."""
    train = prepared.sample()
    known, said = (baseline.expect(panel, ends) / label_unit(panel, ends, config.label, prepared.label_scale) for ends in (train, asked))
    found = outputs(config, known, said, *targets(config, panel, train, prepared.label_scale))
    return mean_loss(objective(config.objective(), config), found, *targets(config, panel, asked, prepared.label_scale),
                     config.training.batch_size, compared_dates(config, panel, asked))


def validation_loss(baseline: Baseline, panel: Panel, config: RunConfig) -> float:
    """:func:`loss_of` on the windows that every evaluation of a training looks at."""
    prepared = prepare(config, panel)
    return loss_of(baseline, panel, config, prepared, validation_loader(config, panel, prepared, torch.device("cpu")).order())
