"""Forms that were saved by name: the settings of a run to start again tomorrow, or on the other tab.

In: a name and the values of a form. Out: one JSON file per form inside the checkpoint folder. A form is chosen by the id this module gave it, and an
id is looked up in the list, so no text from outside becomes a path. It checks no setting: that is the form's own business when it is loaded.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from financial_model.errors import ConfigError, NotFoundError
from financial_model.paths import Workspace, atomic_write

logger = logging.getLogger(__name__)

FOLDER = ".forms"
NAME_LENGTH = 60
LIMIT = 200
"""Forms kept; more are refused until some are deleted."""


@dataclass(frozen=True, kw_only=True)
class SavedForm:
    """One form as it stands on disk."""

    id: str
    name: str
    saved: str
    """ISO time."""
    values: dict[str, Any]
    """Field name -> value, as the form gives it."""


class FormStore:
    """The saved forms of a workspace; any number of processes may use it at once."""

    def __init__(self, workspace: Workspace) -> None:
        self._folder = workspace.checkpoint_dir / FOLDER

    def save(self, name: str, values: Mapping[str, Any]) -> SavedForm:
        """Keep ``values`` under ``name``, over what had this name. ``ConfigError`` for a name that is empty or too long."""
        name = " ".join(str(name).split())
        if not name or len(name) > NAME_LENGTH or not name.isprintable():
            raise ConfigError("forms.bad_name", limit=NAME_LENGTH)
        found = SavedForm(id=_id(name), name=name, saved=datetime.now().isoformat(timespec="seconds"), values=dict(values))
        others = [form for form in self.list() if form.id != found.id]
        if len(others) >= LIMIT:
            raise ConfigError("forms.too_many", limit=LIMIT)
        content = {"name": found.name, "saved": found.saved, "values": found.values}
        atomic_write(self._folder / f"{found.id}.json", json.dumps(content, ensure_ascii=False, indent=1))
        return found

    def list(self) -> list[SavedForm]:
        """All of them by name; a damaged file is left out and named in the log."""
        found = [self._read(path) for path in sorted(self._folder.glob("*.json"))] if self._folder.is_dir() else []
        return sorted((form for form in found if form is not None), key=lambda form: form.name.casefold())

    def get(self, form_id: str) -> SavedForm:
        """``NotFoundError`` for an id that is not in the list."""
        form = next((form for form in self.list() if form.id == form_id), None)
        if form is None:
            raise NotFoundError("forms.unknown", form=str(form_id)[:40])
        return form

    def delete(self, form_id: str) -> None:
        (self._folder / f"{self.get(form_id).id}.json").unlink(missing_ok=True)

    @property
    def version(self) -> tuple[str, ...]:
        """Changes with the list."""
        return tuple(f"{path.name}:{path.stat().st_mtime_ns}" for path in sorted(self._folder.glob("*.json"))) if self._folder.is_dir() else ()

    @staticmethod
    def _read(path: Path) -> SavedForm | None:
        try:
            data = json.loads(path.read_text("utf-8"))
            return SavedForm(id=path.stem, name=str(data["name"]), saved=str(data["saved"]), values=dict(data["values"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("the saved form %s cannot be read and is left out: %s", path.name, error)
            return None


def _id(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
