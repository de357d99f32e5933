"""Files that enter through the browser: only what Gradio itself has just received, of kinds we read, of a size we can hold.

In: the paths Gradio gives a handler. Out: checked files, ZIPs unpacked into Gradio's temporary folder. What is in them is the importer's business.
No path a browser names is ever opened: an upload must lie where Gradio puts uploads, links resolved.
"""

from __future__ import annotations

import re
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from financial_model.errors import DataError
from financial_model.paths import Workspace, resolve_inside
from financial_model.ui.downloads import temporary_folder

KINDS = (".csv", ".txt", ".xlsx", ".parquet")
LIMIT = 500 * 1000 * 1000
"""Bytes of one upload."""
UNPACKED_LIMIT = 4 * 1000 * 1000 * 1000
"""Bytes a ZIP may grow to."""
MEMBERS = 20_000
OWN_FOLDERS = frozenset({"training_data", "index_data", "panels"})
_UNSAFE = re.compile(r"[^\w.\-]+")


def received(path: str, *, kinds: Sequence[str] = (*KINDS, ".zip")) -> Path:
    """The file behind an upload. ``DataError`` for a path that is not one, an unknown kind, or one that is too large."""
    root, found = temporary_folder().resolve(), Path(path).resolve()
    if not found.is_relative_to(root) or not found.is_file():
        raise DataError("ui.upload.foreign", name=Path(path).name[:80])
    if found.suffix.lower() not in kinds:
        raise DataError("ui.upload.kind", name=found.name[:80], kinds=" ".join(kinds))
    if found.stat().st_size > LIMIT:
        raise DataError("ui.upload.too_large", name=found.name[:80], limit=LIMIT // 1_000_000)
    return found


def tables(paths: Sequence[str]) -> list[Path]:
    """Every table among the uploads, those inside ZIPs included."""
    found: list[Path] = []
    for path in map(received, paths):
        found += unpack(path) if path.suffix.lower() == ".zip" else [path]
    if not found:
        raise DataError("ui.upload.empty", kinds=" ".join(KINDS))
    return found


def unpack(archive: Path) -> list[Path]:
    """The tables of a ZIP, flat, in a folder of their own. What a ZIP says about paths is ignored; what it says about sizes is not believed."""
    target = temporary_folder() / f"kairos-{uuid.uuid4().hex}"
    target.mkdir(parents=True)
    found: list[Path] = []
    room = UNPACKED_LIMIT
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [entry for entry in opened.infolist() if not entry.is_dir() and PurePosixPath(entry.filename).suffix.lower() in KINDS]
            if len(members) > MEMBERS:
                raise DataError("ui.upload.many_members", name=archive.name[:80], limit=MEMBERS)
            for entry in members:
                name = _UNSAFE.sub("_", PurePosixPath(entry.filename.replace("\\", "/")).name)
                if name.startswith((".", "_")):  # what macOS puts beside the real files
                    continue
                path = target / name if not (target / name).exists() else target / f"{len(found)}_{name}"
                room = _copy(opened, entry, path, room, archive)
                found.append(path)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:  # damaged, foreign compression, encrypted, cut off
        raise DataError("ui.upload.bad_zip", name=archive.name[:80], reason=str(error)[:120]) from error
    return found


def _copy(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, room: int, archive: Path) -> int:
    with opened.open(entry) as source, path.open("wb") as sink:
        while block := source.read(1 << 20):
            room -= len(block)
            if room < 0:
                raise DataError("ui.upload.zip_bomb", name=archive.name[:80], limit=UNPACKED_LIMIT // 1_000_000_000)
            sink.write(block)
    return room


def folders(workspace: Workspace) -> list[str]:
    """Folders a user has put under the data folder himself, by name."""
    root = workspace.data_dir
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if path.is_dir() and path.name not in OWN_FOLDERS and not path.name.startswith("."))


def folder(workspace: Workspace, name: str) -> Path:
    """One of :func:`folders` by name; anything else is refused."""
    if name not in folders(workspace):
        raise DataError("ui.upload.folder", name=str(name)[:80])
    return resolve_inside(workspace.data_dir, name)
