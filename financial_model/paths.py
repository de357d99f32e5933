"""Where things are on disk, and the only ways to get there: safe names, folders that cannot be escaped, atomic writes."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from financial_model.errors import ConfigError, NotFoundError, StorageError, system_reason

_SAFE = re.compile(r"[^\W_](?:[\w.-]{0,78}\w)?", re.UNICODE)
_RESERVED = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))}


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """The two folders a user owns. Everything Kairos writes is inside them."""

    data_dir: Path = Path("full_stock_data")
    checkpoint_dir: Path = Path("checkpoints")

    @property
    def panels(self) -> Path:
        """Packed panels, one folder per fingerprint; safe to delete."""
        return self.data_dir / "panels"


def safe_name(text: str, longest: int = 80) -> str:
    """``text`` if it can be the name of a file on every system (letters, digits, ``_ . -``; at most 80), else ``ConfigError``, whose sentence names
    the ``longest`` that the asker takes."""
    if not _SAFE.fullmatch(text) or ".." in text or text.split(".")[0].lower() in _RESERVED:
        raise ConfigError("paths.unsafe_name", name=text[:80], limit=longest)
    return text


def resolve_inside(root: Path, name: str) -> Path:
    """The path of ``name`` directly or deeper inside ``root``; ``NotFoundError`` when it would lead outside, symlinks included."""
    base = root.resolve()
    path = (base / name).resolve()
    if path == base or not path.is_relative_to(base):
        raise NotFoundError("paths.outside", name=str(name)[:80])
    return path


def atomic_write(path: Path, write: Callable[[BinaryIO], object] | bytes | str) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one: temporary file, fsync, rename.

    Raises ``StorageError`` when the disk is full or the folder cannot be written; the old file is then intact.
    """
    staged = Staged(path, write)
    try:
        staged.sync()
        staged.replace()
    finally:
        staged.discard()


class Staged:
    """A file that is written, but under a temporary name beside its own: :meth:`sync`, then :meth:`replace`, is what :func:`atomic_write` does.

    Several can be made safe first and renamed together. Whoever makes one ends it with :meth:`discard`. Every step raises ``StorageError``.
    """

    def __init__(self, path: Path, write: Callable[[BinaryIO], object] | bytes | memoryview | str):
        self.path = path
        try:
            try:
                self._descriptor, self._temporary = _temporary(path)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor, self._temporary = _temporary(path)
            try:
                if callable(write):
                    with os.fdopen(self._descriptor, "wb", closefd=False) as stream:
                        write(stream)
                else:
                    _write_all(self._descriptor, write.encode("utf-8") if isinstance(write, str) else write)
            except BaseException:
                self.discard()
                raise
        except OSError as error:
            raise storage_error(error, path) from error

    def stat(self) -> os.stat_result:
        """Size and time of the file, which a rename keeps; to be asked before :meth:`sync`."""
        return os.fstat(self._descriptor)

    def begin_sync(self) -> None:
        """Ask for the bytes to be on their way, where the system can be asked, and wait for nothing.

        Of several files begun together the first :meth:`sync` has the file system's journal written for all: half the processor time, and half the
        wait, of one after the other.
        """
        begin = _sync_file_range()
        if begin is not None:
            begin(self._descriptor, 0, 0, _WRITE)  # no promise, and no failure: both are for fsync to give

    def sync(self) -> None:
        """On the disk, whatever happens to the machine."""
        try:
            os.fsync(self._descriptor)
            self._close()
        except OSError as error:
            raise storage_error(error, self.path) from error

    def replace(self) -> None:
        """Give the file its name, and the old one up."""
        try:
            os.replace(self._temporary, self.path)
            self._temporary = ""
        except OSError as error:
            raise storage_error(error, self.path) from error

    def discard(self) -> None:
        """Remove the temporary file, unless it has its name by now."""
        with contextlib.suppress(OSError):  # what cannot be written was said already
            self._close()
        if self._temporary:
            Path(self._temporary).unlink(missing_ok=True)
            self._temporary = ""

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


_NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
_NUMBERS = itertools.count()


def _temporary(path: Path) -> tuple[int, str]:
    """(descriptor, name) of a new file beside ``path``, for this user alone. Nobody else has it: one that is there already is passed over."""
    folder, name = os.path.split(path)
    for number in _NUMBERS:
        temporary = os.path.join(folder, f".{name}.{os.getpid():x}-{number:x}.tmp")
        try:
            return os.open(temporary, _NEW, 0o600), temporary
        except FileExistsError:  # of a process that was killed and had the same number
            continue
    raise AssertionError("numbers have no end")


def _write_all(descriptor: int, content: bytes | memoryview) -> None:
    """In one piece where the system takes it, so that it can keep the file's pages in one piece too."""
    rest = memoryview(content)
    while len(rest):
        rest = rest[os.write(descriptor, rest) :]


_WRITE = 2
"""SYNC_FILE_RANGE_WRITE of Linux."""


@lru_cache(maxsize=1)
def _sync_file_range() -> Any:
    """The C library's function of this name, on Linux; None elsewhere."""
    try:
        function = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError, TypeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function


def storage_error(error: OSError, path: Path) -> StorageError:
    """The sentence for an ``OSError`` met while writing ``path``."""
    key = "paths.disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "paths.not_writable"
    return StorageError(key, path=path.name, folder=str(path.parent), reason=system_reason(error))
