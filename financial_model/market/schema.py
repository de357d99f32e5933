"""Tables of ``market.sqlite`` and the few statements used in more than one place.

In: an open connection. Out: rows. It opens no file and knows no bars beyond their counts.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from financial_model.errors import packed
from financial_model.market.symbols import board, kind

VERSION = 1

FACTS: dict[str, tuple[str, ...]] = {
    "events": ("date", "cash", "bonus", "rights", "rights_price", "scale"),
    "shares": ("date", "total_shares", "float_shares"),
    "book": ("date", "announced", "book_per_share"),
}
"""Dated facts of a symbol. events: as ``adjustment.ExRights``, per share, on the ex-date; shares: a step function;
book: report date and the day it became public."""

CREATE = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS symbols (symbol TEXT PRIMARY KEY, kind TEXT NOT NULL, board TEXT NOT NULL, name TEXT NOT NULL DEFAULT '',"
    " source TEXT NOT NULL, prices TEXT NOT NULL DEFAULT 'unknown', rows INTEGER NOT NULL DEFAULT 0, first TEXT NOT NULL DEFAULT '',"
    " last TEXT NOT NULL DEFAULT '', interval INTEGER NOT NULL DEFAULT 0, hash TEXT NOT NULL DEFAULT '', bytes INTEGER NOT NULL DEFAULT 0,"
    " mtime INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', updated TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS industry (symbol TEXT PRIMARY KEY, industry TEXT NOT NULL, label TEXT NOT NULL,"
    " source TEXT NOT NULL, as_of TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS downloads (symbol TEXT PRIMARY KEY, start TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS imports (path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime INTEGER NOT NULL, hash TEXT NOT NULL,"
    " options TEXT NOT NULL, result TEXT NOT NULL, updated TEXT NOT NULL)",
    *(f"CREATE TABLE IF NOT EXISTS {table} (symbol TEXT NOT NULL, {', '.join(columns)}, source TEXT NOT NULL)" for table, columns in FACTS.items()),
    *(f"CREATE INDEX IF NOT EXISTS {table}_symbol ON {table} (symbol)" for table in FACTS),
)
TABLES = ("symbols", "industry", "imports", "downloads", "meta", *FACTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What the database says about the bars of one symbol."""

    symbol: str
    source: str
    prices: str
    rows: int
    first: str
    last: str
    interval: int
    hash: str
    bytes: int
    mtime: int


def now() -> str:
    """UTC, ISO, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def one(db: sqlite3.Connection, query: str, *values: Any) -> sqlite3.Row | None:
    """The first row or None. The cursor is read to its end: a half-read one would hold a read lock."""
    rows = db.execute(query, values).fetchall()
    return rows[0] if rows else None


_OF_ENTRY = tuple(field.name for field in fields(Entry))
_of_entry = attrgetter(*_OF_ENTRY)
_ENTERED = ("kind", "board", *_OF_ENTRY, "status", "reason", "updated", "name")
_ENTER = (f"INSERT INTO symbols ({', '.join(_ENTERED)}) VALUES ({','.join('?' * len(_ENTERED))}) ON CONFLICT (symbol) DO UPDATE SET "
          + ", ".join(f"{column}=excluded.{column}" for column in _ENTERED if column not in ("symbol", "name"))
          + ", name=CASE WHEN excluded.name != '' THEN excluded.name ELSE symbols.name END")


def put_entries(db: sqlite3.Connection, entries: Iterable[tuple[Entry, str]]) -> None:
    """Insert or replace what is known about bars, each with the name of its symbol; a name stays unless a new one is given."""
    moment = now()
    db.executemany(_ENTER, [(kind(entry.symbol), board(entry.symbol), *_of_entry(entry), "ok", "", moment, name) for entry, name in entries])


def put_outcome(db: sqlite3.Connection, symbol: str, status: str, key: str, reason: Mapping[str, Any], source: str) -> None:
    """Note that a symbol gave nothing. One that has bars keeps them and stays ``ok``."""
    text = json.dumps({"key": key, **packed(reason)}, ensure_ascii=False)
    db.execute(
        "INSERT INTO symbols (symbol, kind, board, source, status, reason, updated) VALUES (?,?,?,?,?,?,?) ON CONFLICT (symbol) DO UPDATE"
        " SET reason=excluded.reason, updated=excluded.updated, status=CASE WHEN symbols.rows > 0 THEN symbols.status ELSE excluded.status END",
        (symbol, kind(symbol), board(symbol), source, status, text, now()))
