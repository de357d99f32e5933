"""The one catalogue of everything a person reads, in Chinese and English.

In: a key and its fields. Out: a sentence. The texts stand in ``catalogue/*.toml``, one table per key with ``en`` and ``zh``.
It sits at the base so that the page, the command line and a log line say the same thing; it knows no layer above.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "zh")
_BETWEEN = {("en", False): "; ", ("en", True): " ", ("zh", False): "；", ("zh", True): ""}
"""What stands between the parts of a list: pieces of a sentence, or whole ones."""
_FOLDER = Path(__file__).with_name("catalogue")


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """Every text by key: ``{"bars.high_below_low": {"en": ..., "zh": ...}}``. A key that stands twice is an error."""
    texts: dict[str, dict[str, str]] = {}
    for path in sorted(_FOLDER.glob("*.toml")):
        for key, entry in _flatten(tomllib.loads(path.read_text("utf-8"))):
            if key in texts:
                raise ValueError(f"text key {key!r} stands twice (second time in {path.name})")
            texts[key] = entry
    return texts


def _flatten(table: dict, prefix: str = ""):
    if set(table) & set(LANGUAGES):
        yield prefix, table
        return
    for name, inner in table.items():
        yield from _flatten(inner, f"{prefix}.{name}" if prefix else name)


def translate(key: str, language: str = "en", /, **fields: object) -> str:
    """The text of ``key`` in ``language`` with ``{fields}`` filled in. An unknown key raises ``KeyError``.

    A field may be a piece of a sentence itself (``errors.Phrase``, an error, or either as ``errors.packed`` wrote it), or a list of them.
    """
    template = catalogue()[key][language]
    return template.format(**{name: _said(value, language) for name, value in fields.items()}) if fields else template


def _said(value: Any, language: str) -> Any:
    if hasattr(value, "message"):
        return value.message(language)
    if isinstance(value, dict) and set(value) == {"key", "fields"}:
        return translate(value["key"], language, **value["fields"])
    if isinstance(value, list | tuple):
        parts = [_said(part, language) for part in value]
        if all(isinstance(part, str) for part in parts):
            return _BETWEEN[language, all(part.endswith((".", "。")) for part in parts)].join(parts)
    return value


def has(key: str) -> bool:
    return key in catalogue()


def spoken(accept: str) -> str | None:
    """The first of the languages in an ``Accept-Language`` header that we speak."""
    for part in accept.split(","):
        tag = part.split(";")[0].strip().lower().split("-")[0]
        if tag in LANGUAGES:
            return tag
    return None
