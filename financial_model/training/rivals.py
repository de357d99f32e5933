"""Rules of thumb and other baselines as lines on the loss chart: what they lose on the validation windows.

In: a panel, training windows with their targets, the windows asked. Out: what each rule says of them, in the units of the targets. A rule forecasts
a direction and not a size, so each stands at the size that fits the training windows best, never turned round: its line is the best it can do.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from financial_model.config import RunConfig
from financial_model.datasets.panel import Panel
from financial_model.datasets.targets import label_unit
from financial_model.models.baselines import Baseline, baseline_class
from financial_model.objectives import objective
from financial_model.training.constants import constant_forecasts, mean_loss, repeated
from financial_model.training.preparation import compared_dates, prepare, targets
from financial_model.training.validation import validation_loader

DIRECTED = ("point", "multi")
"""Heads whose loss a forecast of returns alone can be given in."""
RULES = ("persistence", "reversal_5", "momentum_12_1", "moving_average")


def rules_of_thumb(
    panel: Panel, config: RunConfig, train: NDArray[np.int64], z: NDArray, asked: NDArray[np.int64], label_scale: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Name -> [n, H] of the windows ``asked``; ``z`` [m, H and more]: the targets of the labelled training windows ``train`` [m]."""
    units = [label_unit(panel, ends, config.label, label_scale) for ends in (train, asked)]
    found = {}
    for name in RULES:
        rule = baseline_class(name)()
        rule.config, rule.label_scale = config, label_scale
        rule.learn(panel, train)
        known, said = (rule.expect(panel, ends) / unit for ends, unit in zip((train, asked), units, strict=True))
        size = (known * z[:, : known.shape[1]]).sum(axis=0) / np.maximum(np.square(known).sum(axis=0), 1e-12)
        found[name] = (said * np.maximum(size, 0.0)).astype(np.float32)
    return found


def validation_loss(baseline: Baseline, panel: Panel, config: RunConfig) -> float:
    """What a fitted ``baseline`` loses under the run's own objective on the windows that every evaluation of a training looks at."""
    prepared = prepare(config, panel)
    asked = validation_loader(config, panel, prepared, torch.device("cpu")).order()
    said = baseline.expect(panel, asked) / label_unit(panel, asked, config.label, prepared.label_scale)
    known = targets(config, panel, prepared.sample(), prepared.label_scale)
    others = repeated(constant_forecasts(config.head(), *known, config.model.quantile_levels)["train_mean"], len(asked))
    return mean_loss(objective(config.objective(), config), others | {"point": said.astype(np.float32)},
                     *targets(config, panel, asked, prepared.label_scale), config.training.batch_size, compared_dates(config, panel, asked))
