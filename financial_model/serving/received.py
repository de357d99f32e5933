"""Files that programs send: kept for a while under an id, of kinds we read, of a size we can hold. Nobody outside ever names a path.

In: a name and bytes as they come. Out: an id, and for it the file. What is in it is the importer's business, also how far a ZIP may be unpacked;
who may send is decided before (``access.py``).
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from financial_model.errors import BusyError, DataError, NotFoundError

KINDS = (".csv", ".txt", ".xlsx", ".parquet", ".zip")
LIMIT = 500 * 1000 * 1000
"""Bytes of one file."""
TOTAL, RETRY_SECONDS = 4 * 1000 * 1000 * 1000, 600
"""Bytes of all that are kept, and when it is worth asking again where there is no room."""
AT_ONCE, STALLED_SECONDS = 4, 60.0
"""Files that may be on their way at once, and how long a sender may be silent: what has not arrived counts in no total."""
KEPT, SECONDS = 20, 3600.0
"""Files kept at most, and for how long one is that nobody asks for."""
_UNSAFE = re.compile(r"[^\w.\-]+")
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass
class _File:
    path: Path
    size: int
    used: float
    readers: int = 0


class Received:
    """What came in lately, in a folder of its own that goes with the server. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[str, _File] = {}
        self._coming = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def take(self, name: str, chunks: AsyncIterator[bytes]) -> dict[str, str | int]:
        """Keep a file: its ``id``, ``name`` and ``bytes``. ``DataError`` for a kind we do not read, an empty one, or one that is too large."""
        plain = _UNSAFE.sub("_", PurePosixPath(name.replace("\\", "/")).name)[-80:].lstrip("._")
        if PurePosixPath(plain).suffix.lower() not in KINDS:
            raise DataError("ui.upload.kind", name=plain, kinds=" ".join(KINDS))
        number, size = uuid.uuid4().hex, 0
        path = self._root() / number / plain
        self._begin()
        try:
            path.parent.mkdir()
            with path.open("wb") as sink:
                async for chunk in _awake(chunks, plain):
                    size += len(chunk)
                    if size > LIMIT:
                        raise DataError("ui.upload.too_large", name=plain, limit=LIMIT // 1_000_000)
                    sink.write(chunk)
            if not size:
                raise DataError("api.empty_upload", name=plain)
            self._keep(number, _File(path, size, time.monotonic()))
        except BaseException:  # also when the sender hangs up
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        finally:
            with self._lock:
                self._coming -= 1
        return {"id": number, "name": plain, "bytes": size}

    def path(self, number: str, limit: int = LIMIT) -> Path:
        """Where an upload lies. ``NotFoundError`` for an id that is not (or no longer) known, ``DataError`` for more than ``limit`` bytes."""
        with self._lock:
            found = self._known(number)
            if found.size > limit:
                raise DataError("ui.upload.too_large", name=found.path.name, limit=limit // 1_000_000)
            return found.path

    def _begin(self) -> None:
        with self._lock:
            if self._coming >= AT_ONCE:
                raise BusyError("api.uploads_busy", seconds=int(STALLED_SECONDS))
            self._coming += 1

    @contextmanager
    def held(self, number: str) -> Iterator[Path]:
        """The file, which stays as long as somebody reads it. Errors as of :meth:`path`."""
        with self._lock:
            found = self._known(number)
            found.readers += 1
        try:
            yield found.path
        finally:
            with self._lock:
                found.readers, found.used = found.readers - 1, time.monotonic()

    def _known(self, number: str) -> _File:
        found = self._files.get(number) if _ID.fullmatch(number) else None
        if found is None:
            raise NotFoundError("api.no_upload", id=number[:40])
        found.used = time.monotonic()
        return found

    def _root(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="kairos-received-", ignore_cleanup_errors=True)
            return Path(self._folder.name)

    def _keep(self, number: str, file: _File) -> None:
        """Make room by what is oldest and nobody reads, then remember this one."""
        with self._lock:
            for old in [known for known, entry in self._files.items() if not entry.readers and file.used - entry.used > SECONDS]:
                self._drop(old)
            while len(self._files) >= KEPT or sum(entry.size for entry in self._files.values()) + file.size > TOTAL:
                idle = [known for known, entry in self._files.items() if not entry.readers]
                if not idle:
                    raise BusyError("api.uploads_busy", seconds=RETRY_SECONDS)
                self._drop(min(idle, key=lambda known: self._files[known].used))
            self._files[number] = file

    def _drop(self, number: str) -> None:
        shutil.rmtree(self._files.pop(number).path.parent, ignore_errors=True)


async def _awake(chunks: AsyncIterator[bytes], name: str) -> AsyncIterator[bytes]:
    """``chunks`` as they come; ``DataError`` once the sender has been silent for too long."""
    waiting = aiter(chunks)
    while True:
        try:
            yield await asyncio.wait_for(anext(waiting), STALLED_SECONDS)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise DataError("api.stalled", name=name, seconds=int(STALLED_SECONDS)) from None
