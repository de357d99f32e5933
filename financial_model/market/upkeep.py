"""What keeps a store in order: its totals, the readable tables beside the database, and the database made anew from the files.

In: a store, its files. Out: totals, ``metadata.json``, ``symbols.csv``, a database that agrees with the files.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from financial_model.errors import DataError
from financial_model.market import barfile
from financial_model.market.bars import columns_of, interval
from financial_model.market.schema import Entry, now, put_entries, put_outcome
from financial_model.market.symbols import parse_symbol
from financial_model.paths import atomic_write

if TYPE_CHECKING:
    from financial_model.market.store import Store

LEFTOVER_SECONDS = 3600
"""A temporary file this old is nobody's: it is renamed within seconds, or when the next file of an import has been read."""
_TABLE = ("symbol", "name", "industry", "label", "source", "prices", "rows", "first", "last", "bytes", "xxh64")


def summary(store: Store) -> dict[str, Any]:
    """Totals over the stocks of the store; dates are ISO texts, empty when there is nothing. ``interval`` is in seconds."""
    with store.connect() as db:
        stocks, rows, first, last, size, updated = db.execute(
            "SELECT COUNT(*), COALESCE(SUM(rows), 0), COALESCE(MIN(first), ''), COALESCE(MAX(last), ''), COALESCE(SUM(bytes), 0),"
            " COALESCE(MAX(updated), '') FROM symbols WHERE status='ok' AND kind='stock'").fetchall()[0]
        counts = dict(db.execute("SELECT status, COUNT(*) FROM symbols GROUP BY status").fetchall())
        indices = [row[0] for row in db.execute("SELECT symbol FROM symbols WHERE status='ok' AND kind='index' ORDER BY symbol").fetchall()]
        sources = dict(db.execute("SELECT source, COUNT(*) FROM symbols WHERE status='ok' GROUP BY source ORDER BY source").fetchall())
        intervals = db.execute(
            "SELECT interval FROM symbols WHERE status='ok' AND interval > 0 GROUP BY interval ORDER BY COUNT(*) DESC LIMIT 1").fetchall()
    return {"stocks": stocks, "indices": indices, "rows": rows, "first": first, "last": last, "bytes": size, "updated": updated,
            "synthetic": store.synthetic, "empty": counts.get("empty", 0), "failed": counts.get("failed", 0), "sources": sources,
            "interval": intervals[0][0] if intervals else 0}


def write_metadata(store: Store) -> None:
    """Both files are for people, and for a rebuild when the database is lost: names and industries are nowhere else.

    ``symbols.csv`` is the manifest, too: what was stored of each symbol, and the XXH64 of its file, which ``xxhsum`` checks.
    """
    content = json.dumps({"format": 1, "written": now(), **summary(store)}, ensure_ascii=False, indent=2)
    atomic_write(store.data_dir / "metadata.json", content + "\n")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_TABLE)
    with store.connect() as db:
        writer.writerows(db.execute(
            "SELECT s.symbol, s.name, COALESCE(i.industry, ''), COALESCE(i.label, ''), s.source, s.prices, s.rows, s.first, s.last, s.bytes, s.hash"
            " FROM symbols s"
            " LEFT JOIN industry i ON i.symbol = s.symbol WHERE s.status='ok' ORDER BY s.symbol").fetchall())
    atomic_write(store.data_dir / "symbols.csv", stream.getvalue())


def rebuild(store: Store, *, full: bool = True) -> dict[str, Any]:
    """Read the bar files again and make the database say what they say.

    A database that cannot be read is put aside (``market.sqlite.damaged-...``) and made anew, names and industries from ``symbols.csv``.
    Files that are not bars are recorded as ``failed`` and left alone. Returns ``{"symbols", "read", "damaged", "gone"}``.
    """
    try:
        known, lost = _known(store), False
    except DataError:
        _put_aside(store)
        known, lost = {}, True
    table = _read_table(store.data_dir / "symbols.csv") if lost or not known else {}
    found: set[str] = set()
    read, damaged = 0, []
    for symbol, path in bar_files(store.data_dir):
        found.add(symbol)
        stat = path.stat()
        if not full and known.get(symbol, ())[:2] == (stat.st_size, stat.st_mtime_ns):
            continue
        read += 1
        if not _reread(store, symbol, path, table.get(symbol, {}), known.get(symbol)):
            damaged.append(symbol)
    gone = [symbol for symbol in known if symbol not in found]
    with store.connect() as db:
        db.executemany("DELETE FROM symbols WHERE symbol=? AND rows > 0", [(symbol,) for symbol in gone])
        if lost or not known:
            synthetic = (store.data_dir / "truth.npz").is_file() or _said_synthetic(store.data_dir / "metadata.json") or any(
                row["source"] == "demo" for row in table.values())
            db.execute("INSERT OR REPLACE INTO meta VALUES ('synthetic', ?)", (str(int(synthetic)),))
            db.executemany("INSERT OR REPLACE INTO industry VALUES (?,?,?,?,?)", [
                (symbol, row["industry"], row["label"], row["source"], "") for symbol, row in table.items() if row["industry"]])
    return {"symbols": len(found) - len(damaged), "read": read, "damaged": damaged, "gone": gone}


def sweep(data_dir: Path) -> None:
    """Remove what killed writers left behind: temporary files that no living one can still be writing."""
    limit = time.time() - LEFTOVER_SECONDS
    for folder in (data_dir, data_dir / "training_data", data_dir / "index_data"):
        for path in folder.glob(".*.tmp"):
            with contextlib.suppress(FileNotFoundError):  # another process sweeps too
                if path.stat().st_mtime < limit:
                    path.unlink()


def describe(symbol: str, time: NDArray[np.datetime64], digest: str, stat: os.stat_result, *, length: int, source: str, prices: str) -> Entry:
    """The database's row for a bar file just written or read, with the checksum of its bytes and the seconds between its bars."""
    first, last = (str(time[row]).replace("T", " ").removesuffix(" 00:00:00") for row in (0, -1))
    return Entry(symbol=symbol, source=source, prices=prices, rows=len(time), first=first, last=last, interval=length,
                 hash=digest, bytes=stat.st_size, mtime=stat.st_mtime_ns)


def bar_files(data_dir: Path) -> list[tuple[str, Path]]:
    """(symbol, path) of every bar file whose name is a symbol, in order of their names."""
    found = []
    for folder, prefix in (("index_data", "^"), ("training_data", "")):
        for path in sorted((data_dir / folder).glob("*.csv")):
            try:
                symbol = parse_symbol(path.stem)
                found.append((str(parse_symbol(prefix + symbol.code) if symbol.market == "US" else symbol), path))
            except DataError:
                continue  # a person's own file; not ours to judge
    return found


def _known(store: Store) -> dict[str, tuple[int, int, str, str]]:
    """symbol -> (bytes, mtime, source, prices) of the symbols that have bars."""
    with store.connect() as db:
        rows = db.execute("SELECT symbol, bytes, mtime, source, prices FROM symbols WHERE rows > 0").fetchall()
    return {row[0]: tuple(row[1:]) for row in rows}


def _reread(store: Store, symbol: str, path: Path, row: dict[str, str], known: tuple | None) -> bool:
    content = path.read_bytes()
    source, prices = known[2:] if known else (row.get("source") or "files", row.get("prices") or "unknown")
    try:
        columns = columns_of(barfile.to_frame(barfile.decode(path)), symbol)
    except DataError as error:
        with store.connect() as db:
            db.execute("UPDATE symbols SET rows=0 WHERE symbol=?", (symbol,))
            put_outcome(db, symbol, "failed", error.key, error.fields, source)
        return False
    with store.connect() as db:
        length, digest = interval(columns["date"]), barfile.digest(content)
        entry = describe(symbol, columns["date"], digest, path.stat(), length=length, source=source, prices=prices)
        put_entries(db, [(entry, row.get("name", ""))])
    return True


def _read_table(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("symbol")]
    return {row["symbol"]: {name: row.get(name) or "" for name in _TABLE} for row in rows}


def _said_synthetic(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text("utf-8")).get("synthetic"))
    except (OSError, ValueError, AttributeError):
        return False


def _put_aside(store: Store) -> None:
    store.close()
    stamp = time.strftime("%Y%m%d_%H%M%S")
    for ending in ("", "-wal", "-shm"):
        path = store.database.with_name(store.database.name + ending)
        if path.exists():
            os.replace(path, path.with_name(f"{path.name}.damaged-{stamp}"))
