"""Work that several runs make together (comparisons, sweeps): a folder of its own each, named by time, listed newest first, found by id or name.

In: what was asked, as plain data. Out: folders below the checkpoint folder that hold it and, later, the table of what came of it. What the data mean
is known to the modules that own a kind of work.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from financial_model.errors import ConfigError, KairosError, NotFoundError
from financial_model.paths import Workspace, atomic_write, resolve_inside
from financial_model.training.plain import plain

logger = logging.getLogger(__name__)

TABLE = "table.json"


class Asked(Protocol):
    """What every kind of work has."""

    @property
    def id(self) -> str: ...

    @property
    def path(self) -> Path: ...

    @property
    def created(self) -> str: ...


Work = TypeVar("Work", bound=Asked)


@dataclass(frozen=True, kw_only=True)
class Folders(Generic[Work]):
    """One kind of work."""

    folder: str
    """Its place below the checkpoint folder."""
    asked: str
    """The file that says what was asked."""
    read: Callable[[str, Path, Mapping[str, Any]], Work]
    """Its id, its folder and the content of that file -> the work."""
    unknown: str
    """Key of the sentence that names (``name``) what is not there and (``known``) what is."""
    unreadable: str
    """Key of the sentence for a damaged file: ``name``, ``reason``."""

    def create(self, workspace: Workspace, name: str, asked: Mapping[str, Any]) -> Work:
        """A new folder ``<name>_<YYYYmmdd_HHMMSS>``; a second one within the same second gets ``-2``."""
        now = datetime.now()
        folder = _free(workspace.checkpoint_dir / self.folder, f"{name}_{now:%Y%m%d_%H%M%S}")
        self._write(folder, {"created": now.isoformat(timespec="seconds"), **asked})
        return self.find(workspace, folder.name)

    def listed(self, workspace: Workspace) -> list[Work]:
        """All of them, newest first; one that cannot be read is named in the log."""
        found, root = [], workspace.checkpoint_dir / self.folder
        for folder in root.iterdir() if root.is_dir() else ():
            try:
                found.append(self.find(workspace, folder.name))
            except KairosError as error:
                logger.warning("%s", error)
        return sorted(found, key=lambda work: (work.created, work.id), reverse=True)

    def find(self, workspace: Workspace, name: str) -> Work:
        """The one with this id, or the newest one of this name. ``NotFoundError`` names what there is."""
        root = workspace.checkpoint_dir / self.folder
        known = sorted((path.name for path in root.iterdir() if (path / self.asked).is_file()), reverse=True) if root.is_dir() else []
        match = name if name in known else next((entry for entry in known if entry.rpartition("_")[0].rpartition("_")[0] == name), None)
        if match is None:
            raise NotFoundError(self.unknown, name=str(name)[:60], known=", ".join(known[:10]) or "–")
        folder = resolve_inside(root, match)
        try:
            return self.read(match, folder, json.loads((folder / self.asked).read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotFoundError(self.unreadable, name=match, reason=str(error)[:80]) from error

    def change(self, workspace: Workspace, work: Work, edit: Callable[[dict[str, Any]], None]) -> Work:
        """Change what was asked: ``edit`` is given what stands on disk by now."""
        asked = json.loads((work.path / self.asked).read_text("utf-8"))
        edit(asked)
        self._write(work.path, asked)
        return self.find(workspace, work.id)

    def _write(self, folder: Path, asked: Mapping[str, Any]) -> None:
        atomic_write(folder / self.asked, json.dumps(plain(asked), ensure_ascii=False, indent=2))


def _free(root: Path, base: str) -> Path:
    for count in range(1, 1000):
        folder = root / (base if count == 1 else f"{base}-{count}")
        if not folder.exists():
            return folder
    raise ConfigError("compare.name_taken", name=base)


def keep_table(folder: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Write what came of the work, and return it as plain data."""
    content: dict[str, Any] = plain(table)
    atomic_write(folder / TABLE, json.dumps(content, ensure_ascii=False, allow_nan=False))
    return content


def kept_table(folder: Path) -> dict[str, Any] | None:
    """The table that was kept; None while there is none, or while it is damaged: whoever goes on with the work makes it anew."""
    try:
        return json.loads((folder / TABLE).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        logger.warning("%s is damaged; it is made anew when the work goes on", folder / TABLE)
        return None
