"""The settings as one flat list: what forms, flags, presets and stored files are made from.

In: the sections. Out: their fields with type, range and choices, and configurations built from names and values, each value checked.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from financial_model.config.sections import PRESETS, RunConfig
from financial_model.config.vocabulary import BACKBONE_SHAPES, LABELS
from financial_model.errors import ConfigError
from financial_model.extensions import VARIABLE


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldSpec:
    """One setting as an interface sees it."""

    name: str
    section: str
    """Attribute of RunConfig it stands in; empty for RunConfig itself."""
    kind: type
    """int, float, str, bool or tuple."""
    item: type | None
    """Type of the items of a tuple."""
    default: Any
    choices: tuple[str, ...] | None
    low: float | None
    high: float | None
    step: float | None
    advanced: bool
    flag: str


@functools.cache
def fields() -> tuple[FieldSpec, ...]:
    """Every setting of a run in order. Names are unique over all sections."""
    return tuple(_walk())


def _walk() -> Iterator[FieldSpec]:
    for outer in dataclasses.fields(RunConfig):
        if outer.default_factory is dataclasses.MISSING:
            yield _spec(RunConfig, outer, "")
        else:
            section = typing.cast(type, outer.default_factory)
            for inner in dataclasses.fields(section):
                yield _spec(section, inner, outer.name)


def _spec(owner: type, entry: dataclasses.Field, section: str) -> FieldSpec:
    hint = typing.get_type_hints(owner)[entry.name]
    origin = typing.get_origin(hint)
    meta: Mapping[str, Any] = entry.metadata
    return FieldSpec(
        name=entry.name, section=section, kind=origin or hint, item=typing.get_args(hint)[0] if origin is tuple else None,
        default=entry.default, choices=None if meta["choices"] is None else tuple(meta["choices"]),
        low=meta["low"], high=meta["high"], step=meta["step"], advanced=meta["advanced"], flag=meta["flag"] or entry.name.replace("_", "-"),
    )


def add_backbone(name: str, **shape: int) -> None:
    """Make ``name`` a choice like the built-in backbones; ``shape``: its own hidden, layers, heads where a user leaves them at 0."""
    known = ("hidden", "layers", "heads")
    if set(shape) - set(known) or any(value < 1 for value in shape.values()):
        raise ConfigError("extensions.shape", name=name, given=str(shape), known=", ".join(known))
    BACKBONE_SHAPES[name] = {"hidden": 128, "layers": 2, "heads": 1, **shape}
    fields.cache_clear()


def add_label(name: str) -> None:
    """Make ``name`` a choice of what a model is trained on."""
    if name not in LABELS:
        LABELS.append(name)
        fields.cache_clear()


def spec(name: str) -> FieldSpec:
    for entry in fields():
        if entry.name == name:
            return entry
    raise ConfigError("config.unknown_setting", name=name)


def build(values: Mapping[str, Any] | None = None, *, preset: str = "standard", base: RunConfig | None = None) -> RunConfig:
    """A configuration from flat ``values`` (field name -> value or text) over a preset, or over ``base``. ``ConfigError`` names the field."""
    if base is None:
        if preset not in PRESETS:
            raise ConfigError("config.not_a_choice", name="preset", value=preset, choices=", ".join(PRESETS))
        values = {**PRESETS[preset], **(values or {})}
        base = RunConfig()
    sections: dict[str, dict[str, Any]] = {}
    for name, value in (values or {}).items():
        entry = spec(name)
        sections.setdefault(entry.section, {})[name] = convert(entry, value)
    top = sections.pop("", {})
    nested = {name: dataclasses.replace(getattr(base, name), **changes) for name, changes in sections.items()}
    return dataclasses.replace(base, **top, **nested)


def convert(entry: FieldSpec, value: Any) -> Any:
    """``value`` (a text, a number, a list) as the field's type and inside its range, or ``ConfigError``."""
    try:
        if entry.kind is tuple:
            parts = _parts(value) if isinstance(value, str) else list(value)
            converted: Any = tuple(entry.item(part) for part in parts)  # type: ignore[misc]
        elif entry.kind is bool:
            converted = value if isinstance(value, bool) else {"true": True, "1": True, "yes": True, "on": True,
                                                               "false": False, "0": False, "no": False, "off": False}[str(value).lower()]
        elif entry.kind is int:
            converted = int(value)
            if converted != float(value):
                raise ValueError(value)
        else:
            converted = entry.kind(value)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise ConfigError("config.wrong_type", name=entry.name, value=str(value)[:60], kind=entry.kind.__name__) from None
    for item in converted if entry.kind is tuple else (converted,):
        if entry.choices and item not in entry.choices:
            raise ConfigError("config.not_a_choice", name=entry.name, value=str(item)[:60], choices=", ".join(entry.choices))
    if entry.kind in (int, float) and not ((entry.low is None or converted >= entry.low) and (entry.high is None or converted <= entry.high)):
        raise ConfigError("config.out_of_range", name=entry.name, value=converted, low=entry.low, high=entry.high)
    return converted


def _parts(text: str) -> list[str]:
    """What stands between commas; a comma inside parentheses belongs to a formula."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def flatten(config: RunConfig) -> dict[str, Any]:
    """Field name -> value, the inverse of :func:`build`."""
    return {entry.name: getattr(getattr(config, entry.section) if entry.section else config, entry.name) for entry in fields()}


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Plain nested JSON data."""
    return dataclasses.asdict(config)


def from_dict(data: Mapping[str, Any]) -> RunConfig:
    """A configuration from :func:`to_dict` data, each value checked. Unknown settings raise ``ConfigError``; absent ones keep their default."""
    flat = unfold(data)
    for name, known in (("backbone", BACKBONE_SHAPES), ("target", LABELS)):
        if flat.get(name, next(iter(known))) not in known:
            raise ConfigError("extensions.not_read", name=str(flat[name])[:60], variable=VARIABLE)
    return build(flat, base=RunConfig())


def unfold(data: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`to_dict` data without its sections, as it was written."""
    flat: dict[str, Any] = {}
    for name, value in data.items():
        flat.update(value if isinstance(value, Mapping) else {name: value})
    return flat
