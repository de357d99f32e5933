"""Bars on their way into a store, one symbol or many together: checked and safe on the disk first, then named and recorded at once.

In: bars of symbols. Out: their files replaced and their rows in the database, in one transaction for all that wait. A kill before leaves
temporary files, a kill in between some files newer than their rows, which the same import brings in order when it is started again.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from financial_model.errors import DataError, StorageError
from financial_model.market import barfile, upkeep
from financial_model.market.bars import check, interval
from financial_model.market.lengths import OneLength
from financial_model.market.schema import Entry, one, put_entries
from financial_model.paths import Staged

if TYPE_CHECKING:
    from financial_model.market.store import Store

SYNTHETIC_SOURCE = "demo"
MOST, LONGEST = 32, 2.0
"""Symbols that wait for each other, and for how many seconds."""
ImportRow = tuple[str, int, int, str, str, str, str]
"""A row of the table ``imports``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    """Bars of one symbol and what is to be recorded of them. ``file`` is None where they are stored already."""

    file: Staged | None
    entry: Entry
    name: str


class Batch:
    """Bars of one source that are recorded together. Not to be shared between threads; whoever makes one ends it with :meth:`flush`."""

    def __init__(self, store: Store, source: str, *, lengths: OneLength | None = None):
        """``lengths``: refuses bars of a stock that are longer or shorter than those of the others (None: all are taken)."""
        self._store, self._source, self._lengths = store, source, lengths
        self._waiting: list[_Waiting] = []
        self._imports: list[ImportRow] = []
        self._since = 0.0

    def write(self, code: str, columns: Mapping[str, NDArray], *, name: str = "", prices: str = "raw", origin: barfile.Origin | None = None) -> bool:
        """Check and take all bars of a symbol, replacing what is stored. False when the file already says exactly this.

        ``columns``: ``date`` datetime64[s], everything else float64. ``origin``: the text they were read from, if it is known; that saves time
        and changes nothing. Raises ``DataError`` for bad bars or when synthetic and real data would mix, ``StorageError`` when the disk is full;
        the old bars are then intact.
        """
        given = {column: values for column, values in columns.items() if column != "date"}
        columns = check(columns["date"], given, code)
        length = interval(columns["date"])
        if self._lengths is not None:
            self._lengths.check(code, length)
        content = barfile.encode(columns, origin)
        digest = barfile.digest(content)
        path = self._store.path(code)
        if not self._waiting:  # once for all that will wait with it, to say it early: what is recorded is asked again
            self._store.check_source(self._source)
        there = _stat(path)
        if there is not None and (there.st_size != len(content) or self._recorded(code, prices) != digest):
            there = None  # but it says something else
        if there is not None and not name:
            return False
        file = None
        if there is None:
            file = Staged(path, content)
            there = file.stat()
        entry = upkeep.describe(code, columns["date"], digest, there, length=length, source=self._source, prices=prices)
        self._since = self._since if self._waiting else time.monotonic()
        self._waiting.append(_Waiting(file=file, entry=entry, name=name))
        self._flush_if_full()
        return file is not None

    def remember(self, row: ImportRow) -> None:
        """Note that a file was imported whole. It is recorded with or after its symbols, never before."""
        self._imports.append(row)
        self._flush_if_full()

    def flush(self) -> None:
        """Rename and record all that waits. ``StorageError`` when a file cannot be kept: those before it are recorded, it and the others are not."""
        waiting, imports = self._waiting, self._imports
        self._waiting, self._imports = [], []
        if not (waiting or imports):
            return
        failure: StorageError | None = None
        try:
            safe, failure = _on_disk(waiting)
            with self._store.connect() as db:
                db.execute("BEGIN IMMEDIATE")
                failure = self._record(db, safe) or failure
                if failure is None:
                    db.executemany("INSERT OR REPLACE INTO imports VALUES (?,?,?,?,?,?,?)", imports)
        finally:
            for each in waiting:
                if each.file is not None:
                    each.file.discard()
        if failure is not None:
            raise failure

    def _recorded(self, code: str, prices: str) -> str:
        """The checksum of the stored file of a symbol, if it came from this source as such prices; else empty."""
        with self._store.connect() as db:
            row = one(db, "SELECT hash FROM symbols WHERE symbol=? AND status='ok' AND source=? AND prices=?", code, self._source, prices)
        return row[0] if row is not None else ""

    def _flush_if_full(self) -> None:
        if max(len(self._waiting), len(self._imports)) >= MOST or (self._waiting and time.monotonic() - self._since > LONGEST):
            self.flush()

    def _record(self, db: sqlite3.Connection, waiting: Sequence[_Waiting]) -> StorageError | None:
        """Within a transaction: each file gets its name, and its row. Why this ended early, or None."""
        refuse_mixture(db, self._source, self._store.data_dir)
        if waiting:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('synthetic', ?)", (str(int(self._source == SYNTHETIC_SOURCE)),))
        failure = None
        kept = []
        for each in waiting:
            try:
                if each.file is not None:
                    each.file.replace()
            except StorageError as error:
                failure = error
                break
            kept.append((each.entry, each.name))
        put_entries(db, kept)
        return failure


def _stat(path: Path) -> os.stat_result | None:
    """Of a file that is there, else None."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _on_disk(waiting: Sequence[_Waiting]) -> tuple[Sequence[_Waiting], StorageError | None]:
    """(those that no power cut can take back, why the others are not among them)."""
    for each in waiting:
        if each.file is not None:
            each.file.begin_sync()
    for number, each in enumerate(waiting):
        if each.file is not None:
            try:
                each.file.sync()
            except StorageError as error:
                return waiting[:number], error
    return waiting, None


def refuse_mixture(db: sqlite3.Connection, source: str, folder: Path) -> None:
    """Raise ``DataError`` when bars of ``source`` would mix synthetic and real data. An empty store takes either."""
    row = one(db, "SELECT value FROM meta WHERE name='synthetic' AND EXISTS (SELECT 1 FROM symbols WHERE rows > 0)")
    if row is None:
        return
    if row[0] == "1" and source != SYNTHETIC_SOURCE:
        raise DataError("store.synthetic_here", folder=str(folder))
    if row[0] == "0" and source == SYNTHETIC_SOURCE:
        raise DataError("store.real_here", folder=str(folder))
