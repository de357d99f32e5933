"""What a command says: results on standard output, everything else on standard error.

In: a command's data and its sentences. Out: with ``--json`` exactly one JSON object; else short tables. It knows no command.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from financial_model.text import has, translate
from financial_model.training.plain import plain

if TYPE_CHECKING:
    from tqdm import tqdm

NUMERIC = frozenset("0123456789+-.,%– ")
EVERY = 30.0
"""Seconds between two lines of progress where there is no terminal to draw a bar on."""


@dataclass
class Answer:
    """A command's result: ``data`` for a program, ``lines`` for a person, ``complete`` unless it had to give up on the way."""

    data: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    complete: bool = True


class Output:
    """Where a command's words go."""

    def __init__(self, *, as_json: bool, language: str) -> None:
        self.as_json = as_json
        self.language = language

    def word(self, key: str, /, **fields: object) -> str:
        return translate(key, self.language, **fields)

    def answer(self, answer: Answer) -> None:
        """The one thing a command writes to standard output."""
        text = json.dumps(to_json(answer.data), ensure_ascii=False, allow_nan=False) if self.as_json else "\n".join(answer.lines)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """A line for the person who waits."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def problem(self, sentence: str, *, error_id: str = "") -> None:
        """What went wrong: one line on standard error, and with ``--json`` an object that says so."""
        self.note(self.word("cli.problem", sentence=" ".join(sentence.split())))
        if self.as_json:
            self.answer(Answer({"error": sentence, "id": error_id} if error_id else {"error": sentence}))


class ProgressBar:
    """``progress(stage, done, total)`` as a bar on a terminal; elsewhere as a line a stage, and now and then how far, how fast, how long still."""

    def __init__(self, output: Output, stream: TextIO | None = None) -> None:
        self._output = output
        self._stream = stream or sys.stderr
        self._stage = ""
        self._bar: tqdm | None = None
        self._first = (0.0, 0.0)
        """When the stage began, and at which figure: a resumed one does not begin at 0."""
        self._next = 0.0

    def __call__(self, stage: str, done: float = 0, total: float = 0) -> None:
        if stage != self._stage:
            self.close()
            began = time.monotonic()
            self._stage, self._first, self._next = stage, (began, done), began + EVERY
            if self._stream.isatty():
                from tqdm import tqdm

                self._bar = tqdm(desc=self._title(), total=total or None, file=self._stream, leave=False, mininterval=0.5)
            else:
                self._output.note(f"{self._title()} ...")
        if self._bar is not None:
            if total:
                self._bar.total = total
            self._bar.update(done - self._bar.n)
        elif total and time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            began, first = self._first
            rate = (done - first) / (time.monotonic() - began)
            if rate > 0:
                self._output.note(self._output.word("cli.progress", stage=self._title(), done=f"{done:,.0f}", total=f"{total:,.0f}",
                                                    rate=f"{rate:,.3g}", minutes=f"{(total - done) / rate / 60:,.1f}"))

    def _title(self) -> str:
        return self._output.word(f"stage.{self._stage}") if has(f"stage.{self._stage}") else self._stage

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def to_json(value: Any) -> Any:
    """Plain JSON data: tables become lists of records, numbers that are not finite become null, dates ISO texts."""
    if isinstance(value, Mapping):
        return {str(name): to_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(inner) for inner in value]
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a DataFrame, without importing pandas
        return [to_json(record) for record in value.to_dict("records")]
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).removesuffix("T00:00:00")
    return plain(value)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A text table; columns of figures stand to the right, Chinese counts two places."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max([_width(title), *(_width(row[i]) for row in cells)]) for i, title in enumerate(head)]
    right = [bool(cells) and all(set(row[i]) <= NUMERIC for row in cells) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = [(" " * (width - _width(cell)) + cell) if aligned else cell + " " * (width - _width(cell))
                  for cell, width, aligned in zip(row, widths, right, strict=True)]
        return "  ".join(padded).rstrip()

    return [line(list(head)), "  ".join("-" * width for width in widths), *(line(row) for row in cells)]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def figure(value: Any, digits: int = 4, *, signed: bool = False) -> str:
    """A number for a reader, or a dash where it is unknown."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return "–"
    return f"{value:{'+' if signed else ''},.{digits}f}" if isinstance(value, float) else f"{value:{'+' if signed else ''},}"


def percent(value: Any, digits: int = 2, *, signed: bool = False) -> str:
    return figure(float(value) * 100, digits, signed=signed) + " %" if isinstance(value, int | float) and value == value else "–"


def logs_to_stderr() -> None:
    """Send the package's log to standard error, as bare lines; called once, by the entry point."""
    root = logging.getLogger("financial_model")
    for old in [handler for handler in root.handlers if getattr(handler, "of_command_line", False)]:
        root.removeHandler(old)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.of_command_line = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(logging.INFO)
