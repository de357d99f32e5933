"""The features of a panel while they are computed: files that outlive a kill, and a list of the parts that are finished.

In: the folder the panel will have, its size, and a key of everything the numbers follow from. Out: two arrays in files, a set of finished parts that
is on the disk only after what it vouches for, and at the end the file of the values, to be moved into the panel instead of copied.
One builder at a time holds them; a second one is told so. It knows no feature and no bar.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from financial_model.paths import storage_error

_LIST, _VALUES, _RAW = "finished", "values.npy", "raw.npy"
_EVERY, _SHARE = 2.0, 20.0
"""Parts are put on the list at most so often, in seconds, and so seldom that waiting for the disk takes a twentieth of the time."""


class Unfinished:
    """The set of finished parts, by number; ``values`` float32 ``[rows, features]`` and ``raw`` ``[rows, ranked]``.

    What an earlier builder with the same ``key`` finished is there already. As a context: a kill leaves everything, whatever else ends it removes it.
    """

    def __init__(self, folder: Path, key: str, rows: int, features: int, ranked: int) -> None:
        """For the panel ``folder``; see :func:`_places`. ``StorageError`` when the disk has no room for the arrays."""
        self._waiting: list[int] = []
        self._written, self._took = time.monotonic(), 0.0
        try:
            self._place, self._list = next(found for found in map(_take, _places(folder)) if found is not None)
        except OSError as error:
            raise storage_error(error, folder) from error
        try:
            self._list.seek(0)
            lines = self._list.read().decode("ascii", "replace").split("\n")[:-1]  # the last one may be cut short
            known = lines[:1] == [key] and (self._place / _VALUES).exists() and (self._place / _RAW).exists()
            self._finished = {int(line) for line in lines[1:]} if known else set[int]()
            if not known:
                self._list.truncate(0)
            self.values, self.raw = _array(self._place / _VALUES, (rows, features), known), _array(self._place / _RAW, (rows, ranked), known)
            if not known:
                self._write([key])
        except OSError as error:
            self.__exit__(OSError, error, None)
            raise storage_error(error, folder) from error

    def __enter__(self) -> Unfinished:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None or issubclass(kind, Exception):
            shutil.rmtree(self._place, ignore_errors=True)
        self._list.close()

    def __contains__(self, part: int) -> bool:
        return part in self._finished

    def add(self, part: int) -> None:
        """``part`` is finished; it is listed when it is time to, after all that was computed has reached the disk."""
        self._waiting.append(part)
        began = time.monotonic()
        if began - self._written < max(_EVERY, _SHARE * self._took):
            return
        for array in (self.values, self.raw):
            array.flush()
        self._write(self._waiting)
        self._waiting.clear()
        self._written = time.monotonic()
        self._took = self._written - began

    def release(self) -> Path:
        """The file of the values, for whoever changes or moves it: no part is vouched for any more."""
        self._list.truncate(0)
        os.fsync(self._list.fileno())
        return self._place / _VALUES

    def _write(self, lines: Iterable[object]) -> None:
        self._list.write("".join(f"{line}\n" for line in lines).encode("ascii"))
        self._list.flush()
        os.fsync(self._list.fileno())


def remove_others(panels: Path, wanted: Path | None) -> None:
    """Remove what no builder holds, except the unfinished features of ``wanted``: at most one table waits for a builder that was killed."""
    for rest in panels.glob(".*.part"):
        if (wanted is None or rest != next(_places(wanted))) and (found := _take(rest)) is not None:
            shutil.rmtree(rest, ignore_errors=True)
            found[1].close()


def _places(folder: Path) -> Iterator[Path]:
    """Where the unfinished features of the panel ``folder`` may lie: the first place is found again, the others serve while that is held."""
    yield folder.with_name(f".{folder.name}.part")
    for number in itertools.count():
        yield folder.with_name(f".{folder.name}.{os.getpid()}.{number}.part")


def _take(place: Path) -> tuple[Path, IO[bytes]] | None:
    """``place`` and the list of finished parts in it, held until it is closed; None while another builder holds it."""
    path = place / _LIST
    while True:
        place.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # its last holder removed it meanwhile
            stream = path.open("a+b")
            if not _locked(stream):
                stream.close()
                return None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                    return place, stream
            stream.close()


def _locked(stream: IO[bytes]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            stream.seek(1 << 30)  # a byte beyond the text: others may still read that
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _array(path: Path, shape: tuple[int, int], known: bool) -> np.memmap[Any, np.dtype[np.float32]]:
    """A .npy file as an array that is written through; a new one where nothing is known of it."""
    if known:
        return np.lib.format.open_memmap(path, "r+")
    array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    if hasattr(os, "posix_fallocate"):  # a hole that cannot be filled later would kill the process instead of raising
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
    return array
