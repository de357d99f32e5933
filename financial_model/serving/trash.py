"""What was deleted: whole until the trash is emptied, so that it can be brought back; that it was tried is remembered even then.

In: the folder of all runs. Out: folders moved in, back and away. It knows no run's state.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from financial_model.errors import ConfigError, NotFoundError
from financial_model.paths import resolve_inside, safe_name, storage_error

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
        if not (folder / _WHOLE).is_file():
            raise NotFoundError("runs.not_in_trash", run=run[:80])
        if (self._runs / run).exists():
            raise ConfigError("runs.name_taken", name=run)
        os.replace(folder, self._runs / run)

    def held(self) -> tuple[int, int]:
        """How many runs can be brought back, and the bytes they take."""
        whole = [folder for folder in self.folders() if (folder / _WHOLE).is_file()]
        return len(whole), sum(path.lstat().st_size for folder in whole for path in folder.rglob("*") if not path.is_dir())

    def empty(self) -> int:
        """Delete for good; how many runs it were. ``StorageError`` where the disk refuses; what is not gone then can be emptied again."""
        emptied = 0
        for folder in self.folders():
            emptied += (folder / _WHOLE).is_file()
            try:
                _clear(folder)
            except OSError as error:
                raise storage_error(error, folder) from error
        return emptied

    def folders(self) -> list[Path]:
        """Of all that was ever deleted and tried, or can be brought back."""
        return sorted(path for path in self.root.iterdir() if path.is_dir()) if self.root.is_dir() else []


def _clear(folder: Path) -> None:
    """All but the evidence that it was tried; the file that makes it whole goes last."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == _WHOLE):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in _TRIED:
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
