"""What an import says about itself, before and after: plain values with a sentence for every refusal and every note.

In: outcomes. Out: ``ImportPlan``, ``ImportReport``. It reads nothing and stores nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from financial_model.errors import DataError, KairosError
from financial_model.text import translate


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Something that was not imported, and why."""

    file: str
    key: str
    fields: dict[str, Any]
    symbol: str = ""
    line: int | None = None

    def message(self, language: str = "en") -> str:
        return translate(self.key, language, **self.fields)


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something worth knowing about imported symbols."""

    key: str
    count: int
    fields: dict[str, Any]
    """Of the first symbol concerned, ``symbols`` (the first few) and ``count`` among them."""

    def message(self, language: str = "en") -> str:
        return translate(self.key, language, **self.fields)


@dataclass(kw_only=True)
class ImportReport:
    """What an import did."""

    imported: list[str] = field(default_factory=list)
    rows: int = 0
    files: int = 0
    unchanged: int = 0
    """Files that were imported before and not read again. One that gave nothing then counts as refused again."""
    refused: list[Refusal] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    industries: int = 0
    """Stored symbols whose industry is known now."""
    unmapped: dict[str, int] = field(default_factory=dict)
    """Industry words that are not in our table -> number of symbols; they count as ``other``."""

    def check(self) -> None:
        """Raise the first refusal when nothing at all could be taken."""
        if self.refused and not self.imported and not self.unchanged:
            if len(self.refused) == 1:
                raise DataError(self.refused[0].key, **self.refused[0].fields)
            raise DataError("import.all_refused", count=len(self.refused), first=self.refused[0].message())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``, with English sentences."""
        data = asdict(self)
        data["refused"] = [{**asdict(entry), "message": entry.message()} for entry in self.refused]
        data["notes"] = [{**asdict(entry), "message": entry.message()} for entry in self.notes]
        return data


@dataclass(frozen=True, kw_only=True)
class FilePlan:
    """How one file would be read."""

    file: str
    symbols: tuple[str, ...]
    """The first few."""
    count: int
    rows: int
    mapping: dict[str, str]
    """Our field -> header."""
    ignored: tuple[str, ...]
    encoding: str
    unit: str
    prices: str
    problems: tuple[Refusal, ...]


@dataclass(frozen=True, kw_only=True)
class ImportPlan:
    """What an import would do, before it does it. ``more``: files beyond those looked into."""

    files: tuple[FilePlan, ...]
    more: int


class Notes:
    """Notes gathered by kind: one line for a hundred symbols."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.first: dict[str, dict[str, Any]] = {}
        self.symbols: dict[str, list[str]] = {}

    def add(self, key: str, symbol: str, fields: Mapping[str, Any]) -> None:
        self.count[key] += 1
        self.first.setdefault(key, dict(fields))
        examples = self.symbols.setdefault(key, [])
        if len(examples) < 5:
            examples.append(symbol)

    def collected(self) -> list[Note]:
        return [Note(key=key, count=count, fields={**self.first[key], "count": count, "symbols": ", ".join(self.symbols[key])})
                for key, count in self.count.items()]


def refusal(path: Path | str, error: KairosError, symbol: str = "") -> Refusal:
    """The refusal that an error means for a file."""
    line = error.fields.get("line")
    return Refusal(file=str(path), key=error.key, fields=dict(error.fields), symbol=symbol, line=line if isinstance(line, int) else None)
