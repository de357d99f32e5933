"""Words on the page: which component shows which text, and how a figure is written for a reader.

In: catalogue keys and the visitor's language. Out: components made with their words, and the updates that change the language of all of them.
It knows nothing of data or runs; the texts themselves stand in ``catalogue/``.
"""

from __future__ import annotations

import html
import inspect
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from financial_model.config import Problem
from financial_model.text import LANGUAGES, has, spoken, translate

COLOURS = ("red_up", "green_up")
"""How rises are coloured: red in China, green elsewhere."""
DASH = "–"


@dataclass(frozen=True)
class View:
    """How one visitor looks at the page."""

    language: str
    colours: str

    def word(self, key: str, /, **fields: object) -> str:
        return translate(key, self.language, **fields)

    def term(self, kind: str, name: str) -> str:
        """The reader's word for one of the field's own names (``term("regime", "bull")``), or the name itself."""
        key = f"ui.term.{kind}.{name}"
        return translate(key, self.language) if has(key) else name


def preferred_language(stored: str, accept: str, forced: str | None = None) -> str:
    """The language of a visit: as chosen before, as the server was told, else the first of the browser's that we speak."""
    for candidate in (stored, forced or ""):
        if candidate in LANGUAGES:
            return candidate
    return spoken(accept) or "en"


def view_of(preferences: Mapping[str, str] | None, accept: str = "", forced: str | None = None) -> View:
    """The visitor's view from what the browser remembers; colours follow the language until they are chosen."""
    stored = preferences or {}
    language = preferred_language(stored.get("language", ""), accept, forced)
    colours = stored.get("colours", "")
    return View(language, colours if colours in COLOURS else ("red_up" if language == "zh" else "green_up"))


def problem_text(problem: Problem, view: View) -> str:
    return view.word(problem.key, **problem.values)


class Words:
    """The map from components to catalogue keys. Build, translate and switch are loops over it."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._bound: list[tuple[Any, dict[str, Any]]] = []

    def __call__(self, kind: Any, text: Mapping[str, Any], **options: Any) -> Any:
        """A component of class ``kind`` whose properties in ``text`` are words.

        ``text`` maps a property to a catalogue key or to a function of the language, or ``choices`` to a list of (key, value). Everything else is
        passed on.
        """
        if "interactive" in inspect.signature(kind).parameters:  # a control that is no event's output would otherwise be drawn disabled
            options.setdefault("interactive", True)
        component = kind(**self._render(text, self.language), **options)
        self._bound.append((component, dict(text)))
        return component

    @property
    def components(self) -> list[Any]:
        return [component for component, _ in self._bound]

    def updates(self, language: str, components: Container[Any] | None = None) -> dict[Any, dict[str, Any]]:
        """Component -> the update that shows it in ``language``; of all, or of ``components``."""
        return {component: {**self._render(text, language), "__type__": "update"} for component, text in self._bound
                if components is None or component in components}

    @staticmethod
    def _choices(pairs: Sequence[tuple[str, Any]], language: str) -> list[tuple[str, Any]]:
        """A choice without words (a model somebody has just added) is shown by its own name."""
        return [(translate(key, language) if has(key) else str(value), value) for key, value in pairs]

    @staticmethod
    def _render(text: Mapping[str, Any], language: str) -> dict[str, Any]:
        return {name: keys(language) if callable(keys) else Words._choices(keys, language) if name == "choices" else translate(keys, language)
                for name, keys in text.items()}


# ---------------------------------------------------------------- figures for readers
def escape(text: object) -> str:
    return html.escape(str(text))


def known(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, digits: int = 3) -> str:
    """A plain figure, or a dash where it is unknown."""
    return f"{value:,.{digits}f}" if known(value) else DASH


def count(value: Any) -> str:
    return f"{int(value):,}" if known(value) else DASH


def percent(value: Any, digits: int = 1, *, signed: bool = False) -> str:
    """A share of 1 as percent: 0.213 -> 21.3 %."""
    return f"{value * 100:{'+' if signed else ''}.{digits}f} %" if known(value) else DASH


def interval(pair: Any, digits: int = 3, *, as_percent: bool = False) -> str:
    """Two bounds as ``[low, high]``, or nothing."""
    if not (isinstance(pair, Sequence) and len(pair) == 2 and all(known(bound) for bound in pair)):
        return ""
    write = (lambda bound: f"{bound * 100:.{digits}f}") if as_percent else (lambda bound: f"{bound:.{digits}f}")
    return f"[{write(pair[0])}, {write(pair[1])}]"


_MONEY = {"en": ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")), "zh": ((1e8, "yi"), (1e4, "wan"))}
"""The units in which a language counts money, largest first."""


def money(value: Any, view: View) -> str:
    """An amount in the unit a person would use."""
    if not known(value):
        return DASH
    scale, unit = next((pair for pair in _MONEY[view.language] if abs(value) >= pair[0]), (1.0, ""))
    return view.word(f"ui.money.{unit}", value=f"{value / scale:.1f}") if unit else f"{value:.0f}"


def size(value: Any) -> str:
    """Bytes in the unit a person would use."""
    if not known(value):
        return DASH
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: Any) -> str:
    """Seconds as 42 s, 3:05 or 1:02:07."""
    if not known(seconds) or seconds < 0:
        return DASH
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
