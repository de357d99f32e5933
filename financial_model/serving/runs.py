"""The runs on disk: one folder each, found by id or name, and the state every screen shows.

In: the checkpoint folder. Out: :class:`RunInfo` records, checkpoint paths, the log's tail, the curves.
A run is always named by id or name and resolved here; no path from outside is ever opened. It knows neither torch nor jobs.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from financial_model import config as settings
from financial_model.config import RunConfig
from financial_model.errors import CheckpointError, ConfigError, JobError, KairosError, NotFoundError, Phrase, packed, system_reason
from financial_model.paths import atomic_write, resolve_inside, safe_name, storage_error
from financial_model.serving.curves import Curves
from financial_model.serving.process import alive, exclusive, identity, is_mine
from financial_model.serving.trash import Trash
from financial_model.text import translate
from financial_model.training.events import read_events

logger = logging.getLogger(__name__)

STATES = ("queued", "preparing", "running", "stopping", "finished", "stopped", "failed", "interrupted")
ACTIVE = frozenset({"queued", "preparing", "running", "stopping"})
"""States that need a living process; without one the run reads as interrupted."""
RESUMABLE = frozenset({"stopped", "failed", "interrupted"})
PREFERENCE = ("final", "best", "stopped", "last")
"""Which checkpoint forecasts when none is named: the finished one, else the best known."""
NAME_LENGTH = 40
"""With time, kind and suffix a downloaded checkpoint still has a name that every system takes."""
METRICS = "metrics.json"
"""The headline of a run's test, apart from the whole evaluation: a list of a hundred runs is read every second."""

_CHECKPOINT = re.compile(r"(best|last|final|stopped|epoch\d{1,6})\.safetensors")
_ID = re.compile(r"(?P<name>.+)_(?P<stamp>\d{8}_\d{6}(?:-\d+)?)")
_TAIL_BYTES = 256 * 1024

Events = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """One run as it stands on disk."""

    id: str
    name: str
    path: Path
    state: str
    created: str
    """ISO time of its creation, to the microsecond: runs are ordered by it."""
    updated: str
    config: dict[str, Any]
    """Nested settings as in config.json."""
    message_key: str = ""
    message_fields: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    """Test metrics by name; empty until the test was opened."""
    checkpoints: tuple[str, ...] = ()
    """Kinds that exist: final, best, last, stopped, epoch5 ..."""

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def resumable(self) -> bool:
        return self.state in RESUMABLE

    def message(self, language: str = "en") -> str:
        """The sentence of its state (why it failed, where it stopped), or an empty text."""
        return translate(self.message_key, language, **self.message_fields) if self.message_key else ""

    def run_config(self) -> RunConfig:
        return settings.from_dict(self.config)

    def summary(self) -> dict[str, Any]:
        """What a list shows of its settings; as they were written where they mean nothing here (an extension that was not read, another version)."""
        try:
            config = self.run_config()
        except ConfigError:
            flat = settings.unfold(self.config)
            return {name: flat.get("backbone" if name == "model" else name, "") for name in (
                "model", "condition", "head", "objective", "horizon", "context_length", "epochs", "groups", "symbols", "seed")}
        return {
            "model": config.model.backbone, "condition": config.model.condition, "head": config.head(), "objective": config.objective(),
            "horizon": config.label.horizon, "context_length": config.features.context_length, "epochs": config.training.epochs,
            "groups": list(config.features.groups), "symbols": list(config.universe.symbols), "seed": config.training.seed,
        }

    def to_json(self, language: str = "en") -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "state": self.state, "created": self.created, "updated": self.updated,
                "message": self.message(language), "checkpoints": list(self.checkpoints), "config": self.summary(), "metrics": self.metrics}


class RunStore:
    """Every run inside ``checkpoint_dir``. Safe to use from several threads and processes at once."""

    def __init__(self, checkpoint_dir: Path) -> None:
        self.root = Path(checkpoint_dir)
        self.trash = Trash(self.root)
        self._curves: dict[str, Curves] = {}
        self._curves_lock = threading.Lock()

    # ------------------------------------------------------------ creating and finding
    def create(self, config: RunConfig, *, state: str = "queued") -> RunInfo:
        """A new run folder ``<name>_<YYYYmmdd_HHMMSS>``; a second one within the same second gets ``-2``."""
        name = run_name(config.name)
        now = datetime.now()
        base, count = f"{name}_{now:%Y%m%d_%H%M%S}", 1
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            while True:
                run_id = base if count == 1 else f"{base}-{count}"
                try:
                    (self.root / run_id).mkdir()
                    break
                except FileExistsError:
                    count += 1
        except OSError as error:
            raise storage_error(error, self.root / base) from error
        folder = self.root / run_id
        atomic_write(folder / "config.json", json.dumps(settings.to_dict(config), ensure_ascii=False, indent=2))
        self._write_state(folder, {"state": state, "created": now.isoformat(timespec="microseconds"), **_owner()})
        return self.info(run_id)

    def set_config(self, run_id: str, config: RunConfig) -> RunInfo:
        """What the run works with, once ``auto`` is decided."""
        folder = resolve_inside(self.root, run_id)
        data = {**settings.to_dict(config), "name": _read_json(folder / "config.json")["name"]}
        atomic_write(folder / "config.json", json.dumps(data, ensure_ascii=False, indent=2))
        return self.info(run_id)

    def list(self) -> list[RunInfo]:
        """All runs, newest first. A folder that is not a run is left out; one that cannot be read is named in the log."""
        found = []
        for folder in self.root.iterdir() if self.root.is_dir() else ():
            if folder.name.startswith(".") or not (folder / "state.json").is_file():
                continue
            try:
                found.append(self.info(folder.name))
            except KairosError as error:
                logger.warning("%s", error)
        return sorted(found, key=lambda run: (run.created, run.id), reverse=True)

    def get(self, run: str) -> RunInfo:
        """The run with this id, or the newest one of this name. ``NotFoundError`` names what there is."""
        folder = self._inside(run)
        if folder is not None and (folder / "state.json").is_file():
            return self.info(run)
        runs = self.list()
        for info in runs:
            if info.name == run:
                return info
        known = ", ".join(dict.fromkeys(info.name for info in runs)) or "-"
        raise NotFoundError("runs.unknown", run=run[:80], known=known[:300])

    def info(self, run_id: str) -> RunInfo:
        """The record of one run, from disk."""
        folder = self._folder(run_id)
        if not folder.is_dir():
            raise NotFoundError("runs.gone", run=run_id[:80])
        state, config = _read_json(folder / "state.json"), _read_json(folder / "config.json")
        outcome = folder / METRICS
        shown, key, fields = state["state"], state.get("message_key", ""), state.get("message_fields", {})
        if shown in ACTIVE and not alive(state):
            shown, key, fields = "interrupted", "runs.interrupted", {}
        match = _ID.fullmatch(run_id)
        return RunInfo(
            id=run_id, name=match["name"] if match else run_id, path=folder, state=shown, created=state.get("created", ""),
            updated=state.get("updated", ""), config=config, message_key=key, message_fields=fields,
            metrics=_read_json(outcome) if outcome.is_file() else {}, checkpoints=_checkpoints(folder))

    def _folder(self, run_id: str) -> Path:
        folder = self._inside(run_id)
        if folder is None:
            raise NotFoundError("runs.unknown", run=run_id[:80], known="-")
        return folder

    def _inside(self, run_id: str) -> Path | None:
        """The folder of this name; ``None`` for what is no name, and for a link that leads elsewhere."""
        try:
            path = resolve_inside(self.root, safe_name(run_id))
        except ConfigError:
            return None
        return path if path.parent == self.root.resolve() else None

    # ------------------------------------------------------------ state
    def state(self, run_id: str) -> str:
        return self.info(run_id).state

    def claim(self, run_id: str, state: str) -> RunInfo:
        """Take a run for this process: it becomes ``state`` (queued or preparing). ``JobError`` while anyone else has it.

        A run queued by this very process may be claimed once more, to prepare it. Whoever comes second is refused.
        """
        folder = self._folder(run_id)
        with exclusive(self.root / ".lock"):
            before = _read_json(folder / "state.json")
            free = before["state"] not in ACTIVE or not alive(before)
            if not free and not (before["state"] == "queued" and state == "preparing" and is_mine(_owner_of(before))):
                raise JobError("runs.already_active", run=run_id, state=state_word(before["state"]))
            if before["state"] == "finished":
                raise JobError("runs.already_finished", run=run_id)
            kept = {name: before[name] for name in ("message_key", "message_fields") if name in before} | {"state": self.info(run_id).state}
            self._write_state(folder, {"created": before.get("created", ""), "state": state, "before": kept, **_owner()})
        return self.info(run_id)

    def set_state(self, run_id: str, state: str, message_key: str = "", message_fields: Mapping[str, Any] | None = None) -> None:
        """Write the state of a run this process owns."""
        folder = self._folder(run_id)
        with exclusive(self.root / ".lock"):
            before = _read_json(folder / "state.json")
            entry: dict[str, Any] = {"created": before.get("created", ""), "state": state, **_owner()}
            if message_key:
                entry |= {"message_key": message_key, "message_fields": packed(message_fields or {})}
            self._write_state(folder, entry)

    def release(self, run_id: str) -> None:
        """Give back a run that was claimed but not begun: it is again what it was before."""
        before = _read_json(self._folder(run_id) / "state.json").get("before", {"state": "stopped"})
        self.set_state(run_id, before["state"], before.get("message_key", ""), before.get("message_fields"))

    def _write_state(self, folder: Path, entry: dict[str, Any]) -> None:
        entry["updated"] = datetime.now().isoformat(timespec="seconds")
        atomic_write(folder / "state.json", json.dumps(entry, ensure_ascii=False, indent=2))

    # ------------------------------------------------------------ files
    def checkpoint(self, run: str, kind: str = "") -> Path:
        """The file of one checkpoint: ``best``, ``last``, ``final``, ``stopped`` or ``epochN``; without a kind the one that forecasts."""
        info = self.get(run)
        kind = kind or next((name for name in PREFERENCE if name in info.checkpoints), "")
        if not info.checkpoints:
            raise NotFoundError("runs.no_checkpoint_yet", run=info.id, state=state_word(info.state))
        if kind not in info.checkpoints:
            raise NotFoundError("runs.no_checkpoint", run=info.id, kind=kind[:40], known=", ".join(info.checkpoints))
        return resolve_inside(info.path, f"{kind}.safetensors")

    def log_tail(self, run: str, lines: int = 200) -> str:
        """The last lines of the run's log."""
        folder = self.get(run).path
        if not (folder / "log.txt").is_file():
            return ""
        path = resolve_inside(folder, "log.txt")  # shown to people: a link that leads elsewhere is not followed
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return "\n".join(stream.read().decode("utf-8", errors="replace").splitlines()[-lines:])

    def events(self, run: str, offset: int = 0) -> tuple[Events, int]:
        """Events from byte ``offset`` on, and the offset to ask from next time."""
        path = self.get(run).path / "events.jsonl"
        return read_events(path, offset) if path.is_file() else ([], 0)

    def curves(self, run: str, max_points: int = 400) -> dict[str, Any]:
        """What the charts draw (see :meth:`Curves.series`), at most ``max_points`` a series. Only new events are read."""
        info = self.get(run)
        path = info.path / "events.jsonl"
        with self._curves_lock:
            known = self._curves.get(info.id)
            size = path.stat().st_size if path.is_file() else 0
            if known is None or known.offset > size:  # first look, or the file was replaced
                known = self._curves[info.id] = Curves()
            if size > known.offset:
                fresh, known.offset = read_events(path, known.offset)
                known.feed(fresh)
            return known.series(max_points)

    # ------------------------------------------------------------ rename, delete, undo
    def rename(self, run: str, name: str) -> RunInfo:
        """Give a run another name; its id keeps the time. Refused while it is active."""
        info, name = self.get(run), run_name(name)
        match = _ID.fullmatch(info.id)
        target = f"{name}_{match['stamp']}" if match else name

        def move(folder: Path) -> None:
            if (self.root / target).exists():
                raise ConfigError("runs.name_taken", name=target)
            data = {**_read_json(folder / "config.json"), "name": name}
            atomic_write(folder / "config.json", json.dumps(data, ensure_ascii=False, indent=2))
            os.replace(folder, self.root / target)

        self._while_idle(info, move)
        return self.info(target)

    def delete(self, run: str) -> str:
        """Move a run to the trash inside the checkpoint folder and return its id; :meth:`restore` undoes it."""
        info = self.get(run)
        self._while_idle(info, self.trash.put)
        return info.id

    def restore(self, run_id: str) -> RunInfo:
        """Bring a deleted run back, unless the trash was emptied meanwhile."""
        self.trash.restore(run_id)
        return self.info(run_id)

    def _while_idle(self, info: RunInfo, action: Callable[[Path], None]) -> None:
        with exclusive(self.root / ".lock"):
            state = self.info(info.id).state
            if state in ACTIVE:
                raise JobError("runs.busy", run=info.id, state=state_word(state))
            try:
                action(info.path)
            except OSError as error:
                raise storage_error(error, info.path) from error
        with self._curves_lock:
            self._curves.pop(info.id, None)


def state_word(state: str) -> Phrase:
    """How a run stands, as a sentence says it."""
    return Phrase(f"runs.state.{state}")


def run_name(name: str) -> str:
    """``name``, if a run may be called so; ``ConfigError`` otherwise."""
    if len(safe_name(name, NAME_LENGTH)) > NAME_LENGTH:
        raise ConfigError("runs.name_too_long", name=name, limit=NAME_LENGTH)
    return name


def _checkpoints(folder: Path) -> tuple[str, ...]:
    kinds = [path.name.removesuffix(".safetensors") for path in folder.iterdir() if _CHECKPOINT.fullmatch(path.name)]
    order = {kind: place for place, kind in enumerate(PREFERENCE)}
    return tuple(sorted(kinds, key=lambda kind: (order.get(kind, len(order)), int(kind[5:]) if kind.startswith("epoch") else 0)))


def _owner() -> dict[str, Any]:
    return identity()


def _owner_of(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: state.get(name) for name in ("pid", "started")}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = system_reason(error) if isinstance(error, OSError) else Phrase("runs.no_object")
        raise CheckpointError("runs.unreadable", run=path.parent.name, file=path.name, reason=reason) from error
    if not isinstance(data, dict):
        raise CheckpointError("runs.unreadable", run=path.parent.name, file=path.name, reason=Phrase("runs.no_object"))
    return data
