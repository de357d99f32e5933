"""Backbones by name. A file in ``backbones`` adds one with a decorator; nothing else has to change.

In: a name. Out: a class. It knows no layer, no head and no configuration.

A backbone is ``class(inputs, context_length, shape, config)`` with ``output_size`` and ``forward(x [B, T, inputs]) -> [B, output_size]``, where T is
``context_length`` or, under a random context, less;
``shape`` holds hidden, layers and heads with the backbone's own values filled in. A backbone with a loss of its own (the balance of experts)
returns ``(state, loss [])`` instead: the forecaster hands it to the training step. Two class attributes say what stands beside it:
``reads_last_row`` (it is itself a function of the last row, so a second network there would be a copy) and ``exact`` (its size is a
published figure: nothing is added at all).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import torch
from torch import Tensor, nn

from financial_model.config import BACKBONE_SHAPES, ModelConfig, add_backbone
from financial_model.config import BACKBONES as BUILT_IN
from financial_model.errors import ConfigError, KairosError, Phrase
from financial_model.models import backbones
from financial_model.paths import safe_name


class Backbone(nn.Module):
    """What every backbone has in common."""

    reads_last_row = False
    exact = False
    output_size: int

    def __init__(self, inputs: int, context_length: int, shape: dict[str, int], config: ModelConfig) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        raise NotImplementedError


BACKBONES: dict[str, type[Backbone]] = {}
"""Filled by the decorator below, while the files of ``backbones`` are imported."""


def backbone(name: str, **shape: int) -> Callable[[type[Backbone]], type[Backbone]]:
    """Register a class under ``name``. A name that stands twice raises ``ValueError``; from a file of one's own, this and a name that is none are
    a ``ConfigError``.

    A name that is not among the built-in ones becomes a choice of every form and flag; ``shape``: its own hidden, layers, heads.
    """

    def register(cls: type[Backbone]) -> type[Backbone]:
        if not built_in(cls) and (name in BACKBONES or safe_name(name) in BUILT_IN):
            raise ConfigError("extensions.taken", name=name[:60])
        if name in BACKBONES:
            raise ValueError(f"backbone {name!r} stands twice ({BACKBONES[name].__module__} and {cls.__module__})")
        BACKBONES[name] = cls
        if name not in BACKBONE_SHAPES:
            add_backbone(name, **shape)
        return cls

    return register


def backbone_class(name: str) -> type[Backbone]:
    """The class registered as ``name``; ``ConfigError`` lists the known names."""
    if name not in BACKBONES:
        for module in pkgutil.iter_modules(backbones.__path__):
            importlib.import_module(f"{backbones.__name__}.{module.name}")
    if name not in BACKBONES:
        raise ConfigError("models.unknown_backbone", name=name, known=", ".join(sorted(BACKBONES)))
    return BACKBONES[name]


def built_in(cls: type) -> bool:
    return cls.__module__.startswith("financial_model.")


def build_backbone(name: str, inputs: int, context_length: int, config: ModelConfig) -> Backbone:
    """A backbone with fresh weights. One of a user's own is tried on two windows of zeros: ``ConfigError`` says what is wrong with it, and draws
    nothing from torch's seed."""
    kind = backbone_class(name)
    if built_in(kind):
        return kind(inputs, context_length, config.shape(), config)
    try:
        made = kind(inputs, context_length, config.shape(), config)
        with torch.random.fork_rng(devices=()), torch.no_grad():
            state = made.eval()(torch.zeros(2, context_length, inputs))
        made.train()
        shape = tuple((state[0] if isinstance(state, tuple) else state).shape)
        if shape != (2, made.output_size):
            reason = Phrase("extensions.backbone_shape", size=made.output_size, given=str(list(shape)))
            raise ConfigError("extensions.backbone_fails", name=name, reason=reason)
    except KairosError:
        raise
    except Exception as error:  # a user's own class can fail in any way
        raise ConfigError("extensions.backbone_fails", name=name, reason=f"{type(error).__name__}: {error}"[:300]) from error
    return made
