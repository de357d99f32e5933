"""Files that enter through the browser: only what Gradio itself has just received, of kinds we read, of a size we can hold.

In: the paths Gradio gives a handler. Out: checked files. What is in them, also in a ZIP, is the importer's business.
No path a browser names is ever opened: an upload must lie where Gradio puts uploads, links resolved.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from financial_model.errors import DataError
from financial_model.paths import Workspace, resolve_inside
from financial_model.ui.downloads import temporary_folder

KINDS = (".csv", ".txt", ".xlsx", ".parquet")
LIMIT = 500 * 1000 * 1000
"""Bytes of one upload."""
OWN_FOLDERS = frozenset({"training_data", "index_data", "panels"})


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
