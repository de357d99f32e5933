"""What is wrong with a configuration before anything is loaded, all at once; and what ``auto`` means once the data are known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from financial_model.config.flat import build
from financial_model.config.sections import ModelConfig, RunConfig
from financial_model.config.vocabulary import (
    ATTENTION_BACKBONES,
    BACKBONES,
    CLASSES,
    HEEDED_BY,
    NEEDS_BASE,
    OBJECTIVES,
    PATCH,
    TASKS,
    VALUE_OBJECTIVES,
)
from financial_model.errors import ConfigError, Phrase

RANK_NAMES = 20
"""Stocks a date needs, in the middle of the dates, for places among them to mean something."""


def resolve(config: RunConfig, names_per_date: float, automatic: int = 0) -> RunConfig:
    """What ``auto`` means once the data are known: a run that leaves head, objective and unit open learns each stock's place among the stocks
    of its date where there are enough of them (the market's own move is then no noise), and quantiles of the return otherwise.

    The context length becomes the longest a random context may have, or the ``automatic`` one that was estimated.
    """
    length = {"random": config.features.context_high, "auto": automatic or config.features.context_length}.get(config.features.context)
    if length is not None:
        config = build({"context_length": length}, base=config)
    if config.label.own:
        return build({"unit": "return"}, base=config)
    open_ = config.model.head == config.training.objective == config.label.unit == "auto"
    if open_ and names_per_date >= RANK_NAMES:
        return build({"head": "point", "objective": "mse", "unit": "rank"}, base=config)
    return build({"unit": "volatility"}, base=config) if config.label.unit == "auto" else config


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something wrong with a configuration: an error forbids the start, a warning does not."""

    field: str
    key: str
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    warning: bool = False


def problems(config: RunConfig) -> list[Problem]:
    """Everything that can be found wrong without data, all at once."""
    found: list[Problem] = []

    def error(name: str, key: str, **values: Any) -> None:
        found.append(Problem(field=name, key=key, values=values))

    model, training, label, split = config.model, config.training, config.label, config.split
    found += _context_problems(config)
    found += _architecture_problems(model, config.features.span()[0])
    found += _transfer_problems(config)
    if training.mixup and (config.by_date() or config.transfer.method == "pretrain"):
        error("mixup", "config.mixup_by_date" if config.by_date() else "config.mixup_pretrain")
    if model.head != "auto" and training.objective != "auto" and OBJECTIVES[training.objective] != model.head:
        error("objective", "config.objective_needs_head", objective=training.objective, needs=OBJECTIVES[training.objective], head=model.head)
    if label.unit == "rank" and config.head() != "point":
        error("unit", "config.rank_needs_point", head=config.head())
    costs = training.cost_matrix
    if len(costs) != len(CLASSES) ** 2 or not all(0 <= cost < math.inf for cost in costs) or not any(costs):
        error("cost_matrix", "config.cost_matrix", given=", ".join(map(str, costs)))
    levels = model.quantile_levels
    if len(levels) < 3 or list(levels) != sorted(set(levels)) or not all(0 < level < 1 for level in levels) or 0.5 not in levels:
        error("quantile_levels", "config.quantile_levels", levels=", ".join(map(str, levels)))
    if label.own and (config.head() not in ("point", "quantile") or config.objective() not in VALUE_OBJECTIVES):
        error("target", "config.label_needs_value", label=label.target, objectives=", ".join(VALUE_OBJECTIVES))
    if label.own and label.unit not in ("auto", "return"):
        error("unit", "config.label_unit", label=label.target, unit=label.unit)
    weights = training.task_weights
    if len(weights) != len(TASKS) or not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        error("task_weights", "config.task_weights", given=", ".join(map(str, weights)), tasks=", ".join(TASKS))
    if config.head() in ("classes", "multi") and label.class_horizon > label.horizon:
        error("class_horizon", "config.class_horizon", class_horizon=label.class_horizon, horizon=label.horizon)
    if not label.down < label.up:
        error("up", "config.class_thresholds", up=label.up, down=label.down)
    if not config.features.groups and not config.features.formulas:
        error("groups", "config.no_groups")
    if split.train + split.validation >= 1:
        error("train", "config.split_ratio", train=split.train, validation=split.validation)
    if bool(split.train_end) != bool(split.validation_end):
        error("train_end", "config.split_dates_together")
    elif split.train_end and split.train_end >= split.validation_end:
        error("train_end", "config.split_dates_order", train_end=split.train_end, validation_end=split.validation_end)
    found += _date_problems(config)
    if training.learning_rate == 0:
        error("learning_rate", "config.learning_rate_zero")
    if model.condition != "none" and config.universe.symbols and len(config.universe.symbols) < 50:
        found.append(Problem(field="condition", key="config.condition_few_symbols", values={"count": len(config.universe.symbols)}, warning=True))
    if model.cross_section and config.universe.symbols and len(config.universe.symbols) < RANK_NAMES:
        found.append(Problem(field="cross_section", key="config.cross_section_few_symbols", values={"count": len(config.universe.symbols)},
                             warning=True))
    return found


def _date_problems(config: RunConfig) -> list[Problem]:
    """Texts that are no date, and a last date before the first."""
    universe, split = config.universe, config.split
    given = {"start": universe.start, "end": universe.end, "train_start": split.train_start, "train_end": split.train_end,
             "validation_end": split.validation_end}
    found = [Problem(field=name, key="split.not_a_date", values={"date": text[:40]})
             for name, text in given.items() if text.strip() and not _is_date(text)]
    if not found and universe.start and universe.end and _moment(universe.start) > _moment(universe.end):
        found.append(Problem(field="end", key="config.dates_order", values={"start": universe.start, "end": universe.end}))
    return found


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.strip()).replace(tzinfo=None)


def _is_date(text: str) -> bool:
    try:
        _moment(text)
    except ValueError:
        return False
    return True


def _context_problems(config: RunConfig) -> list[Problem]:
    """Bounds that leave no length, and what needs windows of one length."""
    features, transfer = config.features, config.transfer
    found: list[Problem] = []
    if features.context != "fixed" and features.context_low > features.context_high:
        found.append(Problem(field="context_low", key="config.context_bounds", values={"low": features.context_low, "high": features.context_high}))
    if features.context == "random" and transfer.method == "pretrain":
        found.append(Problem(field="context", key="config.context_pretrain"))
    if features.context == "auto" and transfer.init_from:
        found.append(Problem(field="context", key="config.context_of_base"))
    return found


def _architecture_problems(model: ModelConfig, context_length: int) -> list[Problem]:
    """Heads, groups and patches that cannot be built, and options the backbone does not have."""
    found = _ignored(model)
    if model.backbone not in ATTENTION_BACKBONES:
        return found
    shape, rotary = model.shape(), model.backbone.startswith("tsf")
    size, heads = shape["hidden"], shape["heads"]
    good = [n for n in range(1, 33) if size % n == 0 and not (rotary and size // n % 2)]
    if heads not in good:
        key = "config.heads_divide" if size % heads else "config.head_size_even"
        found.append(Problem(field="heads", key=key, values={"heads": heads, "hidden": size, "good": ", ".join(map(str, good)) or "-"}))
    if rotary and model.attention == "gqa" and model.kv_heads and heads % model.kv_heads:
        groups = ", ".join(str(n) for n in range(1, heads + 1) if heads % n == 0)
        found.append(Problem(field="kv_heads", key="config.kv_heads_divide", values={"kv_heads": model.kv_heads, "heads": heads, "good": groups}))
    if model.patches and context_length < PATCH:
        found.append(Problem(field="patches", key="config.shorter_than_patch", values={"context_length": context_length, "patch": PATCH}))
    return found


def _ignored(model: ModelConfig) -> list[Problem]:
    """Settings that were changed and that this backbone never reads; of a user's own backbone nothing is known."""
    usual = ModelConfig()
    found = [Problem(field=name, key="config.ignored", values={"backbone": model.backbone, "good": ", ".join(good)}, warning=True)
             for name, good in HEEDED_BY.items()
             if model.backbone in BACKBONES and model.backbone not in good and getattr(model, name) != getattr(usual, name)]
    if model.backbone in HEEDED_BY["kv_heads"] and model.kv_heads and model.attention != "gqa":
        found.append(Problem(field="kv_heads", key="config.kv_heads_gqa", values={"attention": model.attention}, warning=True))
    return found


def _transfer_problems(config: RunConfig) -> list[Problem]:
    """A method without what it needs; how the settings fit the checkpoint itself is asked where its header can be read."""
    transfer, model = config.transfer, config.model
    found: list[Problem] = []

    def error(name: str, key: str, **values: Any) -> None:
        found.append(Problem(field=name, key=f"config.{key}", values=values))

    if transfer.method in NEEDS_BASE and not transfer.init_from:
        error("init_from", "method_needs_base", method=transfer.method)
    if transfer.method == "preference" and config.head() != "point":
        error("head", "preference_needs_point", head=config.head())
    if transfer.method != "pretrain":
        return found
    if transfer.init_from:
        error("init_from", "pretrain_starts_fresh")
    if model.backbone not in ATTENTION_BACKBONES:
        error("backbone", "pretrain_needs_attention", backbone=model.backbone, good=", ".join(ATTENTION_BACKBONES))
    elif not model.patches:
        error("patches", "pretrain_needs_patches")
    if config.features.span()[0] <= PATCH:
        field = "context_length" if config.features.context == "fixed" else "context_low"
        error(field, "pretrain_needs_two_patches", context_length=config.features.span()[0], least=PATCH + 1)
    if config.split.walk_forward != "none":
        error("walk_forward", "pretrain_has_no_folds")
    if config.training.seeds > 1:
        error("seeds", "pretrain_is_one_model")
    return found


def check(config: RunConfig, others: Iterable[Problem] = ()) -> None:
    """Raise ``ConfigError`` with every error of :func:`problems` and of ``others`` in one sentence list; warnings pass."""
    errors = [problem for problem in (*problems(config), *others) if not problem.warning]
    if len(errors) == 1:
        raise ConfigError(errors[0].key, **errors[0].values)
    if errors:
        raise ConfigError("config.several", details=[Phrase(p.key, **p.values) for p in errors])
