"""What is remembered of imported files, so that an unchanged one is not read again.

In: a store, the settings of an import. Out: what a file gave the last time, and the row that remembers what it gives now. It reads no tables.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.market.barfile import digest
from financial_model.market.batch import ImportRow
from financial_model.market.schema import now
from financial_model.market.sources.reports import Refusal

if TYPE_CHECKING:
    from financial_model.market.store import Store


class Seen:
    """A file as it stands on the disk when its import begins."""

    def __init__(self, path: Path):
        stat = path.stat()
        self.path, self.size, self.mtime = path, stat.st_size, stat.st_mtime_ns
        self.name = os.path.join(_resolved(path.parent), path.name)


class Memory:
    """What the store remembers of files imported with the same ``settings`` from ``source``, as of the beginning of an import."""

    def __init__(self, store: Store, source: str, settings: str):
        self._settings = settings
        with store.connect() as db:
            rows = db.execute("SELECT path, size, mtime, hash, result FROM imports WHERE options=?", (settings,)).fetchall()
            ours = db.execute("SELECT symbol FROM symbols WHERE source=? AND status='ok'", (source,)).fetchall()
        self._files: dict[str, tuple[int, int, str, str]] = {row[0]: tuple(row[1:]) for row in rows}
        self._ours = {row[0] for row in ours}

    def recall(self, file: Seen) -> dict[str, Any] | None:
        """``symbols`` and ``refused`` of the last import, if the file is the same and its symbols are still those of the source."""
        known = self._files.get(file.name)
        if known is None or known[0] != file.size or (known[1] != file.mtime and known[2] != digest(file.path.read_bytes())):
            return None
        result = json.loads(known[3])
        return result if self._ours.issuperset(result["symbols"]) else None

    def row(self, file: Seen, content: bytes, symbols: Sequence[str], refused: Sequence[Refusal]) -> ImportRow:
        """What to record of a file that was imported whole; ``content`` is what was read, empty where only its reader knows."""
        result = json.dumps({"symbols": list(symbols), "refused": [asdict(entry) for entry in refused]}, ensure_ascii=False, default=str)
        known = (file.size, file.mtime, digest(content or file.path.read_bytes()), result)
        self._files[file.name] = known
        self._ours.update(symbols)
        return (file.name, *known[:3], self._settings, result, now())


@lru_cache(maxsize=64)
def _resolved(folder: Path) -> str:
    return os.path.realpath(folder)
