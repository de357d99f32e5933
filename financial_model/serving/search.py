"""Which settings a sweep varies, and over what: the search space as a person types it.

In: texts such as ``learning_rate=1e-4..3e-3`` and ``hidden=32,64,96``. Out: axes whose every value is a valid setting. It knows no sampler. What
decides the question, the dates, the stocks or the windows of the validation part cannot be searched: figures of different trials would not be
comparable, and a search would choose the easiest question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from financial_model import config as settings
from financial_model.config import RunConfig
from financial_model.errors import ConfigError

SECTIONS = ("features", "model", "training")
KEPT = frozenset({"windows_per_epoch", "seed", "seeds", "device", "save_every", "resume_every", "evaluations_per_epoch"})
"""Settings of those sections that change no model, or the windows an evaluation draws."""
LOSS = frozenset({"objective", "head", "label_smoothing", "class_weights"})
"""Settings that change what the loss means."""
WIDE = 10.0
"""A range whose ends lie so many times apart is searched by its logarithm."""
MOST_CHOICES = 50
DEFAULT_TRIALS = 20


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One setting: ``choices``, or every value from ``low`` to ``high``."""

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    """Whole numbers only."""

    @property
    def text(self) -> str:
        """As it was typed."""
        return f"{self.name}={','.join(map(_shown, self.choices))}" if self.choices else f"{self.name}={_shown(self.low)}..{_shown(self.high)}"


def parse(texts: Iterable[str], by: str) -> tuple[Axis, ...]:
    """The axes of ``NAME=LOW..HIGH`` and ``NAME=A,B,C``. ``ConfigError`` names the first text that cannot be searched, and why.

    ``by``: the validation figure trials are compared by; the loss does not compare different objectives.
    """
    axes: dict[str, Axis] = {}
    for text in filter(None, map(str.strip, texts)):
        axis = _axis(text)
        if axis.name in axes:
            raise ConfigError("sweep.twice", name=axis.name)
        if by == "loss" and axis.name in LOSS:
            raise ConfigError("sweep.loss_differs", name=axis.name)
        axes[axis.name] = axis
    if not axes:
        raise ConfigError("sweep.nothing")
    return tuple(axes.values())


def _axis(text: str) -> Axis:
    name, equals, span = (part.strip() for part in text.partition("="))
    name = name.lstrip("-").replace("-", "_")
    known = searchable()
    name = "backbone" if name == "model" else name
    if name not in known:
        raise ConfigError("sweep.not_searchable", name=name[:40], known=", ".join(known))
    entry = known[name]
    low, dots, high = span.partition("..")
    if dots and entry.kind in (int, float):
        first, last = settings.convert(entry, low), settings.convert(entry, high)
        if not first < last:
            raise ConfigError("sweep.empty_range", text=text[:60])
        return Axis(name=name, low=first, high=last, log=first > 0 and last / first >= WIDE, whole=entry.kind is int)
    choices = tuple(dict.fromkeys(settings.convert(entry, part) for part in span.split(",") if part.strip()))
    if not equals or dots or not 2 <= len(choices) <= MOST_CHOICES:
        raise ConfigError("sweep.bad_range", text=text[:60])
    return Axis(name=name, choices=choices)


def searchable() -> dict[str, settings.FieldSpec]:
    """Every setting that can be an axis."""
    return {entry.name: entry for entry in settings.fields() if entry.section in SECTIONS and entry.name not in KEPT and entry.kind is not tuple}


def configured(config: RunConfig, values: Mapping[str, Any], name: str) -> RunConfig:
    """The settings of one trial. ``ConfigError`` when they cannot be trained together."""
    found = settings.build({**values, "name": name}, base=config)
    settings.check(found)
    return found


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
