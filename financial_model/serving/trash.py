"""What was deleted: whole until the trash is emptied, so that it can be brought back; that it was tried is remembered even then.

In: the folder of all runs. Out: folders moved in, back and away. It knows no run's state.
"""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from financial_model.errors import ConfigError, NotFoundError
from financial_model.paths import resolve_inside, safe_name, storage_error
from financial_model.serving.process import exclusive

_WHOLE = "config.json"
_TRIED = ("metrics.json", "data.json", "sweep.json")
"""What counting trials reads (``trials.py``): a few hundred bytes."""


class Trash:
    """Folders of deleted runs, by id."""

    def __init__(self, runs: Path) -> None:
        self._runs, self.root = runs, runs / ".trash"

    def put(self, folder: Path) -> None:
        """Move a run's folder here; one of the same id that lies here already is gone for good."""
        self.root.mkdir(exist_ok=True)
        shutil.rmtree(self.root / folder.name, ignore_errors=True)
        os.replace(folder, self.root / folder.name)

    def restore(self, run: str) -> None:
        """Move a run's folder back. ``NotFoundError`` where it is not here, or was emptied; ``ConfigError`` where its place is taken."""
        try:
            folder = resolve_inside(self.root, safe_name(run))
        except ConfigError:
            raise NotFoundError("runs.not_in_trash", run=run[:80]) from None
        with self._alone():
            if not (folder / _WHOLE).is_file():
                raise NotFoundError("runs.not_in_trash", run=run[:80])
            if (self._runs / run).exists():
                raise ConfigError("runs.name_taken", name=run)
            os.replace(folder, self._runs / run)

    def held(self) -> tuple[int, int]:
        """How many deleted runs the disk still holds, and the bytes they take."""
        held = [folder for folder in self.folders() if _rest(folder)]
        return len(held), sum(path.lstat().st_size for folder in held for path in folder.rglob("*") if not path.is_dir())

    def empty(self) -> int:
        """Delete for good; how many runs it were. ``StorageError`` where the disk refuses. What is left then, or after a kill, goes next time."""
        emptied = 0
        with self._alone():
            for folder in self.folders():
                emptied += bool(_rest(folder))
                try:
                    _clear(folder)
                except OSError as error:
                    raise storage_error(error, folder) from error
        return emptied

    def folders(self) -> list[Path]:
        """Of all that was ever deleted and tried, or that the disk still holds."""
        return sorted(path for path in self.root.iterdir() if path.is_dir()) if self.root.is_dir() else []

    def _alone(self) -> AbstractContextManager[None]:
        """Against those who delete, restore and empty meanwhile: ``RunStore`` holds the same lock around :meth:`put`."""
        return exclusive(self._runs / ".lock")


def _rest(folder: Path) -> list[Path]:
    """All but the evidence that it was tried; what makes it whole comes first, so that half a run is never brought back."""
    return sorted((path for path in folder.iterdir() if path.name not in _TRIED), key=lambda path: path.name != _WHOLE)


def _clear(folder: Path) -> None:
    for path in _rest(folder):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
