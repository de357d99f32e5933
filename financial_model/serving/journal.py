"""The forecast journal: what was published, when, by which weights, on which data. It only grows, and an edit shows.

In: entries and the figures they stand for. Out: the same, in order, and whether the chain is whole. One line of JSON per entry in
``journal/forecasts.jsonl``; each carries the SHA-256 of the one before, and of its figures, which stand beside it in ``journal/figures``.
A kill at any moment loses at most the entry that was not yet acknowledged; several processes may write at once.
What it cannot prove: who owns the folder can compute a whole new chain. Whoever wants to be believed notes the newest hash elsewhere.
It knows no model and no score.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from financial_model.errors import DataError
from financial_model.paths import Workspace, atomic_write, storage_error
from financial_model.serving.process import exclusive

FOLDER = "journal"
START = "0" * 64
"""What the first entry names as the hash before it."""
IDENTITY = ("kind", "run", "checkpoint", "data", "as_of", "days", "symbol", "figures")
"""Two publications that agree in these are the same one."""

Entry = dict[str, Any]


class Journal:
    """The journal of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.folder = workspace.checkpoint_dir / FOLDER
        self.path, self.head = self.folder / "forecasts.jsonl", self.folder / "head.json"

    # ------------------------------------------------------------ writing
    def append(self, fields: Mapping[str, Any], figures: Mapping[str, Any]) -> Entry:
        """Add an entry and return it with its number and hashes; one that is already there is returned as it stands, ``repeated``.

        The entry is on the disk when this returns. ``StorageError`` when it cannot be written; nothing is added then.
        """
        content = json.dumps(figures, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        digest = hashlib.sha256(content).hexdigest()
        try:
            with exclusive(self.folder / ".lock"):
                self._mend()
                known = self.entries()
                fresh = {**fields, "figures": digest}
                for entry in known:
                    if all(entry.get(name) == fresh.get(name) for name in IDENTITY):
                        return {**entry, "repeated": True}
                target = self._figures(digest)
                if not target.is_file():
                    atomic_write(target, gzip.compress(content, mtime=0))
                entry = _sealed({**fresh, "number": len(known) + 1, "previous": known[-1]["hash"] if known else START})
                self._write_line(_line(entry))
                atomic_write(self.head, json.dumps({"number": entry["number"], "hash": entry["hash"]}))
                return {**entry, "repeated": False}
        except OSError as error:
            raise storage_error(error, self.path) from error

    def _write_line(self, line: bytes) -> None:
        with self.path.open("ab") as stream:
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())

    def _mend(self) -> None:
        """Finish or take off what a kill has left behind the last whole line. It was never acknowledged to anybody."""
        if not self.path.is_file():
            return
        content = self.path.read_bytes()
        if not content or content.endswith(b"\n"):
            return
        whole = content.rfind(b"\n") + 1
        if _read(content[whole:]) is not None:
            self._write_line(b"\n")
        else:
            with self.path.open("r+b") as stream:
                stream.truncate(whole)
                os.fsync(stream.fileno())

    # ------------------------------------------------------------ reading
    def entries(self) -> list[Entry]:
        """Every whole entry, oldest first. ``DataError`` names the line that is no entry."""
        found = []
        for number, line in enumerate(self._lines(), start=1):
            entry = _read(line)
            if entry is None:
                raise DataError("journal.unreadable", path=str(self.path), line=number)
            found.append(entry)
        return found

    def figures(self, entry: Entry) -> dict[str, Any]:
        """What an entry forecast, checked against its hash. ``DataError`` when the file is gone or not what was published."""
        try:
            content = gzip.decompress(self._figures(entry["figures"]).read_bytes())
        except (OSError, EOFError, gzip.BadGzipFile, ValueError) as error:
            raise DataError("journal.no_figures", number=entry["number"]) from error
        if hashlib.sha256(content).hexdigest() != entry["figures"]:
            raise DataError("journal.edited_figures", number=entry["number"])
        return json.loads(content)

    def verify(self) -> dict[str, Any]:
        """Whether anything was changed, taken out or cut off: ``intact``, ``entries``, ``head``, and ``problem`` as ``{"key", "fields"}``."""
        lines, previous = self._lines(), START
        for number, line in enumerate(lines, start=1):
            entry = _read(line)
            if entry is None:
                return _verdict(len(lines), previous, "journal.unreadable", path=str(self.path), line=number)
            if entry.get("number") != number or entry.get("previous") != previous or entry != _sealed(entry):
                return _verdict(len(lines), previous, "journal.edited", number=number)
            try:
                self.figures(entry)
            except DataError as error:
                return _verdict(len(lines), previous, error.key, **error.fields)
            previous = entry["hash"]
        return self._check_head(lines, previous)

    def _check_head(self, lines: list[bytes], newest: str) -> dict[str, Any]:
        """The note of the newest entry may lag behind by one (a kill between the two writes), never be ahead."""
        try:
            head = json.loads(self.head.read_text("utf-8"))
            number, digest = int(head["number"]), str(head["hash"])
        except (OSError, ValueError, KeyError, TypeError):
            return _verdict(len(lines), newest, "journal.no_head") if len(lines) > 1 else _verdict(len(lines), newest)
        if number > len(lines):
            return _verdict(len(lines), newest, "journal.cut_off", number=number, found=len(lines))
        there = (_read(lines[number - 1]) or {}).get("hash") if number else START
        return _verdict(len(lines), newest) if there == digest else _verdict(len(lines), newest, "journal.edited", number=number)

    def _lines(self) -> list[bytes]:
        """Whole lines; one without an end was never acknowledged."""
        if not self.path.is_file():
            return []
        content = self.path.read_bytes()
        return content[:content.rfind(b"\n") + 1].splitlines()

    def _figures(self, digest: str) -> Path:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):  # it becomes a file name
            raise ValueError(digest[:80])
        return self.folder / "figures" / f"{digest}.json.gz"


def _sealed(entry: Entry) -> Entry:
    """The entry with the hash of everything else in it."""
    bare = {name: value for name, value in entry.items() if name != "hash"}
    return {**bare, "hash": hashlib.sha256(_text(bare)).hexdigest()}


def _text(entry: Entry) -> bytes:
    return json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _line(entry: Entry) -> bytes:
    return _text(entry) + b"\n"


def _read(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "hash" in entry and "figures" in entry else None


def _verdict(entries: int, head: str, key: str = "", **fields: Any) -> dict[str, Any]:
    return {"intact": not key, "entries": entries, "head": head, "problem": {"key": key, "fields": fields} if key else None}
