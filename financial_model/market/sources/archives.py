"""Tables of a file: the one it is, or those inside a ZIP, one after the other.

In: a path. Out: each table with the name to show for it, or why it cannot be had. What a ZIP says about paths and sizes is not believed: members
are unpacked one at a time into a folder of our own, counted while they grow. It knows neither headers nor bars.
"""

from __future__ import annotations

import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

from financial_model.errors import DataError, NotFoundError
from financial_model.market.sources.tables import SUFFIXES, RawTable, read_table
from financial_model.paths import storage_error

ZIP = ".zip"
MEMBERS = 20_000
UNPACKED = 4_000_000_000
"""Bytes one archive may grow to."""
_BLOCK = 1 << 20
_RATIO, _SMALL = 200, 50_000_000
"""Text shrinks to a tenth; what grows two hundredfold beyond 50 MB is no table."""

_Entry = TypeVar("_Entry")
Outcome = RawTable | DataError | NotFoundError


def tables(path: Path, *, read: Callable[[Path], RawTable] = read_table, most: int = MEMBERS) -> Iterator[tuple[str, float, Outcome]]:
    """(file to show, share of ``path`` done with it, its table or why there is none). At most ``most`` of a ZIP, evenly spread.

    Raises ``DataError`` when ``path`` is a ZIP that cannot be opened, holds no table, or too many; ``StorageError`` when there is no room to unpack.
    """
    if path.suffix.lower() == ZIP:
        yield from _members(path, read, most)
    else:
        yield str(path), 1.0, _table(path, read)


def spread(entries: Sequence[_Entry], most: int) -> Sequence[_Entry]:
    """At most ``most`` of the entries, the first among them, in their order and evenly spread."""
    return entries[:: max(1, -(-len(entries) // most))]


def _table(path: Path, read: Callable[[Path], RawTable]) -> Outcome:
    try:
        return read(path)
    except (DataError, NotFoundError) as error:
        return error


def _members(path: Path, read: Callable[[Path], RawTable], most: int) -> Iterator[tuple[str, float, Outcome]]:
    with _opened(path) as archive, tempfile.TemporaryDirectory(prefix="kairos-zip-") as folder:
        entries = spread(_chosen(path, archive), most)
        room = UNPACKED
        for number, entry in enumerate(entries):
            name = _name(entry)
            shown, share = str(path / name), (number + 1) / len(entries)
            target = Path(folder) / _parts(name)[-1][-80:]  # 255 bytes is what a file system takes
            try:
                _refuse(path, entry, name)
                room -= _unpack(path, archive, entry, target, room)
                yield shown, share, _table(target, read)
            except DataError as error:
                yield shown, share, error
            finally:
                target.unlink(missing_ok=True)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except Exception as error:  # a damaged directory fails in a dozen ways; all of them mean the same to a user
        raise DataError("import.bad_zip", file=path.name, reason=f"{type(error).__name__}: {error}"[:120]) from None


def _chosen(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members that are tables, or archives again (to be refused by name); Parquet first, then by name."""
    found = [entry for entry in archive.infolist() if not entry.is_dir() and PurePosixPath(entry.filename).suffix.lower() in (*SUFFIXES, ZIP)
             and not any(part.startswith((".", "~$", "__MACOSX")) and part != ".." for part in _parts(entry.filename))]
    if not found:
        raise DataError("import.empty_zip", file=path.name, known=", ".join(SUFFIXES))
    if len(found) > MEMBERS:
        raise DataError("import.zip_members", file=path.name, count=len(found), limit=MEMBERS)
    return sorted(found, key=lambda entry: (not entry.filename.lower().endswith(".parquet"), entry.filename))


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/")).parts


def _name(entry: zipfile.ZipInfo) -> str:
    """The member's name; Chinese systems write it in GBK without saying so."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("gbk")
    except UnicodeError:
        return entry.filename


def _refuse(path: Path, entry: zipfile.ZipInfo, name: str) -> None:
    parts = _parts(name)
    outside = ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0] or stat.S_ISLNK(entry.external_attr >> 16)
    if outside:
        raise DataError("import.zip_path", file=path.name, member=name[:120])
    if PurePosixPath(name).suffix.lower() == ZIP:
        raise DataError("import.zip_nested", file=path.name, member=name[:120])


def _unpack(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, room: int) -> int:
    """Bytes written to ``target``. Never more than ``room``, whatever the archive says of itself."""
    written = 0
    try:
        with target.open("wb") as sink:
            for block in _blocks(path, archive, entry):
                written += len(block)
                if written > room or written > max(_SMALL, _RATIO * entry.compress_size):
                    raise DataError("import.zip_bomb", file=path.name, member=entry.filename[:120], limit=UNPACKED // 1_000_000_000)
                sink.write(block)
    except OSError as error:
        raise storage_error(error, target) from error
    return written


def _blocks(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        source: IO[bytes] = archive.open(entry)
        with source:
            while block := source.read(_BLOCK):
                yield block
    except Exception as error:  # damaged, encrypted, cut off, a compression we have not: all of them mean the same to a user
        raise DataError("import.bad_zip", file=f"{path.name}/{entry.filename}"[:120], reason=f"{type(error).__name__}: {error}"[:120]) from None
