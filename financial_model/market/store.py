"""Where market data lives: one CSV per symbol, and one SQLite file for everything else.

In: bars, names, industries, dated facts, failures. Out: the same, whole, at any moment, to any number of readers.
A bar file is replaced by rename and its row in the database follows in one transaction: a kill loses at most the symbol in flight, and
``rebuild`` puts the two together again. Synthetic and real bars never share a store. It knows no vendor and no feature.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from financial_model.errors import DataError, NotFoundError, StorageError
from financial_model.market import barfile, upkeep
from financial_model.market.bars import columns_of
from financial_model.market.batch import Batch, refuse_mixture
from financial_model.market.schema import CREATE, FACTS, TABLES, VERSION, one, put_outcome
from financial_model.market.symbols import kind as kind_of
from financial_model.market.symbols import parse_symbol
from financial_model.paths import storage_error

SYMBOL_COLUMNS = ("symbol", "name", "board", "source", "rows", "first", "last", "hash", "status", "reason", "updated",
                  "kind", "interval", "prices", "bytes")
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{name}{digit}" for name in ("COM", "LPT") for digit in range(10))}


class Store:
    """The market data of one folder. Cheap to make, safe to share between threads; each has its own connection."""

    def __init__(self, data_dir: Path | str):
        self.data_dir = Path(data_dir)
        self.database = self.data_dir / "market.sqlite"
        self._lines = threading.local()

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection, for one task: committed at the end, rolled back on an error. Readers see the last committed state."""
        try:
            connection = self._line()
            with connection:
                yield connection
        except sqlite3.OperationalError as error:  # locked for 30 s, disk full, read-only folder
            self.close()
            raise StorageError("store.unavailable", path=str(self.database), reason=str(error)) from error
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise  # a mistake in our own statement, not a broken file
            self.close()
            raise DataError("store.damaged", path=str(self.database), reason=str(error)) from error

    def close(self) -> None:
        """Let go of this thread's connection; the next call opens one again."""
        line = self._lines.__dict__.pop("line", None)
        if line is not None and line[0] == os.getpid():
            line[2].close()

    def _line(self) -> sqlite3.Connection:
        """The thread's connection, kept: closing the last one folds the log into the file, which costs as much as a write of bars.

        A new one is made after a fork and when the file has been replaced (a rebuild in another process).
        """
        line = self._lines.__dict__.get("line")
        if line is not None and line[:2] == (os.getpid(), _inode(self.database)):
            return line[2]
        self.close()
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, self.database) from error
        connection = sqlite3.connect(self.database, timeout=30)
        try:
            _prepare(connection, self.database)
        except BaseException:
            connection.close()
            raise
        self._lines.line = (os.getpid(), _inode(self.database), connection)
        return connection

    # ---------------------------------------------------------------- bars
    def path(self, symbol: str) -> Path:
        """Where the bars of a symbol are, or would be."""
        name = str(parse_symbol(symbol))
        return self.data_dir / ("index_data" if kind_of(name) == "index" else "training_data") / f"{file_stem(name)}.csv"

    def bar_path(self, symbol: str) -> Path:
        """The file of a stored symbol. Raises ``NotFoundError`` when there are no bars of it."""
        path = self.path(symbol)
        if path.is_symlink() or not path.is_file():  # a link could name any file of this machine, and messages quote what cannot be read
            raise NotFoundError("store.unknown_symbol", symbol=str(symbol)[:40])
        return path

    def has(self, symbol: str) -> bool:
        return self.path(symbol).is_file()

    def write_bars(self, symbol: str, frame: pd.DataFrame, *, source: str, name: str = "", prices: str = "raw") -> bool:
        """Validate and store all bars of a symbol, replacing what was there. False when the file already says exactly this.

        ``prices``: raw, adjusted or unknown, as far as the source says. Raises ``DataError`` for bad bars or when synthetic and real data
        would mix, ``StorageError`` when the disk is full; the old bars are then intact.
        """
        code = str(parse_symbol(symbol))
        batch = Batch(self, source)
        changed = batch.write(code, columns_of(frame, code), name=name, prices=prices)
        batch.flush()
        return changed

    def read_bars(self, symbol: str) -> pd.DataFrame:
        """All bars of a symbol: ``bars.COLUMNS`` and its extra columns, ``date`` as datetime64[s]."""
        return barfile.to_frame(barfile.decode(self.bar_path(symbol)))

    def remove(self, symbols: Iterable[str]) -> None:
        """Forget symbols: their bars and everything known about them."""
        codes = [str(parse_symbol(symbol)) for symbol in symbols]
        for code in codes:
            self.path(code).unlink(missing_ok=True)
        with self.connect() as db:
            for table in ("symbols", "industry", "downloads", *FACTS):
                db.executemany(f"DELETE FROM {table} WHERE symbol=?", [(code,) for code in codes])

    def clear(self) -> None:
        """Empty the store, files first: a kill in between leaves names without bars, never bars nobody can account for."""
        for folder in ("training_data", "index_data"):
            for path in (self.data_dir / folder).glob("*.csv"):
                path.unlink(missing_ok=True)
        for name in ("metadata.json", "symbols.csv", "truth.npz"):
            (self.data_dir / name).unlink(missing_ok=True)
        with self.connect() as db:
            for table in TABLES:
                db.execute(f"DELETE FROM {table}")

    def check_intervals(self, symbols: Sequence[str]) -> None:
        """Raise ``DataError`` when the bars of ``symbols`` are not of one length (daily and 15-minute bars, say)."""
        with self.connect() as db:
            known = dict(db.execute("SELECT symbol, interval FROM symbols WHERE interval > 0").fetchall())
        first: dict[int, str] = {}
        for symbol in symbols:
            if symbol in known:
                first.setdefault(known[symbol], symbol)
        if len(first) > 1:
            (one_length, one_symbol), (other_length, other_symbol) = list(first.items())[:2]
            raise DataError("bars.mixed_intervals", first=one_symbol, first_minutes=one_length // 60,
                            second=other_symbol, second_minutes=other_length // 60)

    # ---------------------------------------------------------------- synthetic or real
    @property
    def synthetic(self) -> bool:
        """True when the bars are the demo market's."""
        with self.connect() as db:
            row = one(db, "SELECT value FROM meta WHERE name='synthetic'")
        return row is not None and row[0] == "1"

    def check_source(self, source: str) -> None:
        """Raise ``DataError`` when bars of ``source`` would mix synthetic and real data. An empty store takes either."""
        with self.connect() as db:
            refuse_mixture(db, source, self.data_dir)

    def truth(self) -> Path | None:
        """The demo market's ``truth.npz``, or None."""
        path = self.data_dir / "truth.npz"
        return path if path.is_file() and self.synthetic else None

    # ---------------------------------------------------------------- what is known about symbols
    def symbols(self, kind: str = "stock", *, status: str = "ok") -> pd.DataFrame:
        """One row per symbol in order of its code, columns ``SYMBOL_COLUMNS``. ``kind``: stock, index or all; ``status``: ok, empty, failed or all.

        ``first`` and ``last`` are ISO texts, ``hash`` is that of the file's bytes, ``interval`` the seconds between bars (0: one bar only),
        ``prices`` raw, adjusted or unknown, ``reason`` JSON with a text key and its fields.
        """
        query = f"SELECT {', '.join(SYMBOL_COLUMNS)} FROM symbols WHERE ? IN ('all', kind) AND ? IN ('all', status) ORDER BY symbol"
        with self.connect() as db:
            rows = db.execute(query, (kind, status)).fetchall()
        return pd.DataFrame(rows, columns=list(SYMBOL_COLUMNS))

    def names(self) -> dict[str, str]:
        """Symbol -> name, for every symbol that has one."""
        with self.connect() as db:
            return dict(db.execute("SELECT symbol, name FROM symbols WHERE name != ''").fetchall())

    def set_names(self, names: Mapping[str, str]) -> None:
        """Names of stored symbols; others are ignored."""
        with self.connect() as db:
            db.executemany("UPDATE symbols SET name=? WHERE symbol=?", [(name, symbol) for symbol, name in names.items()])

    def record_outcome(self, symbol: str, status: str, key: str, reason: Mapping[str, Any] | None = None, *, source: str) -> None:
        """Remember that a symbol gave nothing: ``empty`` (it legitimately has no data) or ``failed``, with a text key, its fields and the time.

        A symbol that has bars keeps them and stays ``ok``; only the reason is noted.
        """
        with self.connect() as db:
            put_outcome(db, str(parse_symbol(symbol)), status, key, reason or {}, source)

    def industries(self) -> dict[str, str]:
        """Stored symbol -> one of ``config.INDUSTRIES``, where known."""
        with self.connect() as db:
            return dict(db.execute("SELECT i.symbol, industry FROM industry i JOIN symbols s ON s.symbol = i.symbol AND s.rows > 0").fetchall())

    def industry_labels(self) -> dict[str, str]:
        """Symbol -> the industry in its source's own words."""
        with self.connect() as db:
            return dict(db.execute("SELECT symbol, label FROM industry WHERE label != ''").fetchall())

    def set_industries(self, mapping: Mapping[str, str], *, source: str, as_of: str, labels: Mapping[str, str] | None = None) -> None:
        """Industries by symbol, of stored symbols and of those to come. ``labels`` keeps the source's own wording; ``as_of`` is the day they are
        true for: they are not point in time."""
        rows = [(symbol, industry, (labels or {}).get(symbol, ""), source, as_of) for symbol, industry in mapping.items()]
        with self.connect() as db:
            db.executemany("INSERT OR REPLACE INTO industry VALUES (?,?,?,?,?)", rows)

    def add_facts(self, table: str, symbol: str, rows: Iterable[Sequence], *, source: str) -> None:
        """Replace the dated facts of a symbol. ``table``: events, shares or book, with the columns of ``schema.FACTS``."""
        code, marks = str(parse_symbol(symbol)), ",".join("?" * (len(FACTS[table]) + 2))
        with self.connect() as db:
            db.execute(f"DELETE FROM {table} WHERE symbol=?", (code,))
            db.executemany(f"INSERT INTO {table} VALUES ({marks})", [(code, *row, source) for row in rows])

    def facts(self, table: str, symbol: str) -> pd.DataFrame:
        """Dated facts of a symbol, ascending by date."""
        columns = FACTS[table]
        with self.connect() as db:
            rows = db.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE symbol=? ORDER BY date", (str(parse_symbol(symbol)),)).fetchall()
        return pd.DataFrame(rows, columns=list(columns))

    # ---------------------------------------------------------------- the whole
    def summary(self) -> dict[str, Any]:
        """stocks, indices, rows, first, last, bytes, updated, synthetic, empty, failed, sources, interval."""
        return upkeep.summary(self)

    def write_metadata(self) -> None:
        """``metadata.json`` (the summary) and ``symbols.csv`` (names and industries) beside the database."""
        upkeep.write_metadata(self)

    def rebuild(self, *, full: bool = True) -> dict[str, Any]:
        """Bring the database in line with the bar files: all of them, or only those whose size or time changed. See ``upkeep.rebuild``."""
        return upkeep.rebuild(self, full=full)


def file_stem(symbol: str) -> str:
    """The name of a symbol's file without ending: ``^GSPC`` is GSPC, and no file is called like a Windows device."""
    stem = symbol.lstrip("^")
    return f"{stem}.US" if stem in _DEVICES else stem


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Tables of this version, write-ahead log; ``DataError`` for a database of another version."""
    found = connection.execute("PRAGMA user_version").fetchall()[0][0]
    if found not in (0, VERSION):
        raise DataError("store.version", path=str(path), found=found, known=VERSION)
    if found != VERSION:
        connection.execute("PRAGMA journal_mode=WAL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in CREATE:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("PRAGMA synchronous=NORMAL")  # in WAL mode a power cut may lose the last commits, never the file
