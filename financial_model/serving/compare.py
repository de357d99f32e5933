"""Several models on one split and one panel, in one queue and one table.

In: settings and members (``members.py``: names of models, or fine-tunes), or runs that exist. Out: a folder under ``comparisons`` of the checkpoint
folder: what was asked, which run each member is, and the table once all of them are tested. A member is an ordinary run; a finished one is never
trained again. Runs on other data, other dates or another question are refused: their figures would not be comparable. The table itself is made in
``evaluation/comparison.py``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model import config as settings
from financial_model.config import RunConfig
from financial_model.errors import ConfigError, DataError, KairosError, Stopped, packed
from financial_model.evaluation.comparison import RANKABLE, compare
from financial_model.paths import Workspace, safe_name
from financial_model.serving import members, trials
from financial_model.serving.folders import TABLE, Folders, keep_table, kept_table
from financial_model.serving.judging import stored
from financial_model.serving.returns import returns_of
from financial_model.serving.returns_only import require_returns
from financial_model.serving.runs import RunInfo, RunStore
from financial_model.training.events import read_events

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

FOLDER = "comparisons"
NAME_LENGTH = 22
"""With the longest name of a model behind it a run's name is still within its limit."""
Progress = Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was asked, and how far it is."""

    id: str
    path: Path
    created: str
    rank_by: str
    config: dict[str, Any]
    """Settings all trained members share, nested; empty when only existing runs are compared."""
    models: tuple[str, ...]
    members: dict[str, str]
    """Model -> run id, of those begun."""
    runs: tuple[str, ...]
    """Existing runs that stand beside them."""

    @property
    def done(self) -> bool:
        return (self.path / TABLE).is_file()


# ---------------------------------------------------------------- asking
def begin(workspace: Workspace, config: RunConfig | None, models: Sequence[str] = (), *, runs: Sequence[str] = (),
          rank_by: str = "rank_ic") -> Comparison:
    """A new comparison on disk; nothing is trained yet. Everything that can be wrong is found here, before the first member begins."""
    check_metric(rank_by)
    store, models = RunStore(workspace.checkpoint_dir), tuple(dict.fromkeys(models))
    chosen = tuple(dict.fromkeys(store.get(run).id for run in runs))
    if len(models) + len(chosen) < 2:
        raise ConfigError("compare.too_few", count=len(models) + len(chosen))
    if config is not None:
        require_returns(config)
    for model in models:
        if config is None:
            raise ConfigError("compare.no_settings")
        members.check(config, model, models, store)
    _same_basis([_entry(store.get(run)) for run in chosen])
    name = config.name if config is not None else "compare"
    if len(safe_name(name, NAME_LENGTH)) > NAME_LENGTH:
        raise ConfigError("compare.name_too_long", name=name, limit=NAME_LENGTH)
    return COMPARISONS.create(workspace, name, {"rank_by": rank_by, "models": models, "members": {}, "runs": chosen,
                                                "config": settings.to_dict(config) if config is not None else {}})


def check_metric(name: str) -> None:
    if name not in RANKABLE:
        raise ConfigError("config.not_a_choice", name="rank_by", value=name[:40], choices=", ".join(RANKABLE))


# ---------------------------------------------------------------- finding
def listed(workspace: Workspace) -> list[Comparison]:
    """All comparisons, newest first; one that cannot be read is named in the log."""
    return COMPARISONS.listed(workspace)


def find(workspace: Workspace, name: str) -> Comparison:
    """The comparison with this id, or the newest one of this name. ``NotFoundError`` names what there is."""
    return COMPARISONS.find(workspace, name)


def _read(name: str, folder: Path, asked: Mapping[str, Any]) -> Comparison:
    return Comparison(id=name, path=folder, created=asked["created"], rank_by=asked["rank_by"], config=asked["config"],
                      models=tuple(asked["models"]), members=dict(asked["members"]), runs=tuple(asked["runs"]))


COMPARISONS = Folders(folder=FOLDER, asked="comparison.json", read=_read, unknown="compare.unknown", unreadable="compare.unreadable")


def table_of(comparison: Comparison) -> dict[str, Any] | None:
    """The stored table; None while it is not made."""
    return kept_table(comparison.path)


def frame(table: Mapping[str, Any]) -> pd.DataFrame:
    """The table with one column per figure, for a spreadsheet."""
    import pandas as pd

    from financial_model.evaluation.comparison_report import flat_rows

    columns, rows = flat_rows(table)
    return pd.DataFrame(rows, columns=columns)


# ---------------------------------------------------------------- working
def work(workspace: Workspace, name: str, *, rank_by: str = "", progress: Progress | None = None,
         stop: threading.Event | None = None) -> dict[str, Any]:
    """Train every member that is not finished, in order, then make the table (see ``evaluation.comparison.compare``) and keep it.

    A member that fails leaves the others alone: it stands in ``failed`` with its sentence. ``Stopped`` on ``stop``: what is finished stays, and the
    same call goes on. ``rank_by`` ranks another way than asked first.
    """
    stop, progress = stop or threading.Event(), progress or _silent
    comparison, failed = find(workspace, name), {}
    check_metric(rank_by or comparison.rank_by)
    store = RunStore(workspace.checkpoint_dir)
    _check_given(workspace, store, comparison, progress, stop)
    for place, model in enumerate(members.in_order(comparison.models)):
        if stop.is_set():
            raise Stopped
        watch = _Watch(progress, place, len(comparison.models))
        try:
            comparison = _train(workspace, store, comparison, model, watch, stop)
        except KairosError as error:
            logger.warning("%s: %s", model, error)
            failed[model] = {**packed(error), "message": str(error)}
    return _publish(workspace, store, comparison, rank_by or comparison.rank_by, failed, progress, stop)


def _check_given(workspace: Workspace, store: RunStore, comparison: Comparison, progress: Progress, stop: threading.Event) -> None:
    """Refuse existing runs on other data before anything is trained beside them."""
    from financial_model.datasets.panel import build_panel, open_panel
    from financial_model.serving.experiment import require_data

    if not (comparison.runs and comparison.models):
        return
    require_data(workspace)
    panel = open_panel(build_panel(workspace, settings.from_dict(comparison.config), progress=progress, stop=stop))
    for run in map(store.get, comparison.runs):
        tested = _entry(run).found["fingerprint"]
        if tested != panel.fingerprint:
            raise DataError("compare.other_data", run=run.id, first=comparison.id, mine=_shown(panel.fingerprint), his=_shown(tested))


def _train(workspace: Workspace, store: RunStore, comparison: Comparison, model: str, progress: Progress, stop: threading.Event) -> Comparison:
    """One member to its end: a finished one is left alone, one that was begun goes on, one that was deleted begins anew."""
    from financial_model.serving.experiment import require_data, run_training

    run = _run_of(store, comparison.members.get(model, ""))
    if run is not None and run.state == "finished":
        return comparison
    begun = run is not None
    if run is None:
        require_data(workspace)
        run = store.create(members.member_config(settings.from_dict(comparison.config), model, comparison.members, store))
        comparison = _remember(workspace, comparison, model, run.id)
    done = run_training(workspace, run.run_config(), run=run, stop=stop, progress=progress, resume=begun)
    if done.state == "stopped":
        raise Stopped
    return comparison


def _remember(workspace: Workspace, comparison: Comparison, model: str, run: str) -> Comparison:
    return COMPARISONS.change(workspace, comparison, lambda asked: asked["members"].update({model: run}))


def _run_of(store: RunStore, run_id: str) -> RunInfo | None:
    try:
        return store.info(run_id) if run_id else None
    except KairosError:
        return None  # deleted since


def _publish(workspace: Workspace, store: RunStore, comparison: Comparison, rank_by: str, failed: Mapping[str, Any], progress: Progress,
             stop: threading.Event) -> dict[str, Any]:
    """Put the tested members into one table, keep it, and return it."""
    runs = [(model, store.get(run)) for model, run in comparison.members.items() if model not in failed]
    runs += [(run.name, run) for run in map(store.get, comparison.runs)]
    if not runs:
        first = next(iter(failed.values()))
        raise ConfigError("compare.all_failed", reason={"key": first["key"], "fields": first["fields"]})
    entries = [_entry(run) for _, run in runs]
    _same_basis(entries)
    progress("compare")
    count = max(trials.count(store, run) for _, run in runs)
    earned = returns_of(workspace, [run for _, run in runs], trials_so_far=count, progress=progress, stop=stop)
    tested = [_member(name, run, entry, earned.get(run.id)) for (name, run), entry in zip(_distinct(runs), entries, strict=True)]
    first = entries[0]
    table = {**compare(tested, rank_by, count), "id": comparison.id, "created": datetime.now().isoformat(timespec="seconds"),
             "split": first.found["split"], "data": first.found["data"], "synthetic": first.found["synthetic"],
             "fingerprint": first.found["fingerprint"], "bar_seconds": earned.get("bar_seconds"), "failed": dict(failed)}
    return keep_table(comparison.path, table)


def _distinct(runs: Sequence[tuple[str, RunInfo]]) -> list[tuple[str, RunInfo]]:
    """Names of rows; two runs of one name are told apart by their ids."""
    names = [name for name, _ in runs]
    return [(name if names.count(name) == 1 else run.id, run) for name, run in runs]


def _member(name: str, run: RunInfo, entry: Entry, returns: Mapping[str, Any] | None) -> dict[str, Any]:
    from financial_model.training.checkpoint import read_header

    return {"name": name, "model": entry.config.model.backbone, "run": run.id, "result": entry.found["result"], "returns": returns,
            "parameters": read_header(run.path / entry.found["checkpoint"])["parameters"], "seconds": training_seconds(run),
            "context_length": entry.config.features.context_length}


def training_seconds(run: RunInfo) -> float | None:
    """How long a run trained, pauses between a stop and a resume left out; None when its events are gone."""
    path = run.path / "events.jsonl"
    if not path.is_file():
        return None
    total, before, training = 0.0, 0.0, False
    for event in read_events(path)[0]:
        opens = event["kind"] == "stage" and event["stage"] == "panel"  # a new session begins
        if training and not opens:
            total += event["time"] - before
        if event["kind"] == "stage":
            training = event["stage"] == "train" or (training and event["stage"] not in ("panel", "evaluate"))
        before = event["time"]
    return total


# ---------------------------------------------------------------- on the same rows, or not at all
@dataclass(frozen=True)
class Entry:
    """A tested run: its settings and its stored test result."""

    run: RunInfo
    config: RunConfig
    found: dict[str, Any]


def _entry(run: RunInfo) -> Entry:
    require_returns(run.run_config())
    found = stored(run)
    if found is None:
        raise DataError("compare.not_tested", run=run.id)
    return Entry(run, run.run_config(), found)


def _same_basis(entries: Sequence[Entry]) -> None:
    """``DataError`` that names the first run whose figures cannot stand beside those of the first one, and why."""
    for other in entries[1:]:
        for what, of in _BASIS.items():
            mine, his = of(entries[0]), of(other)
            if mine != his:
                raise DataError(f"compare.other_{what}", run=other.run.id, first=entries[0].run.id, mine=_shown(mine), his=_shown(his))


def _dates(entry: Entry) -> dict[str, Any]:
    parts = entry.found["split"]
    return {part: f"{parts[part]['first']} … {parts[part]['last']}" for part in ("train", "validation", "test")}


def _question(entry: Entry) -> dict[str, Any]:
    label = entry.config.label
    return {name: getattr(label, name) for name in ("horizon", "entry", "up", "down", "class_horizon")}


def _rows(entry: Entry) -> dict[str, Any]:
    sample = entry.found["result"]["sample"]
    return {name: sample[name] for name in ("rows", "dates", "symbols", "first", "last")}


_BASIS: dict[str, Callable[[Entry], Any]] = {
    "data": lambda entry: entry.found["fingerprint"], "split": _dates, "question": _question, "rows": _rows,
}


def _shown(value: Any) -> str:
    return ", ".join(f"{name} {item}" for name, item in value.items()) if isinstance(value, dict) else str(value)[:12]


class _Watch:
    """The stages of one member as a share of the whole queue."""

    SHARES = {"panel": (0.0, 0.05), "train": (0.05, 0.8), "evaluate": (0.85, 0.05), "baselines": (0.9, 0.05), "backtest": (0.95, 0.05)}

    def __init__(self, progress: Progress, place: int, count: int) -> None:
        self._progress, self._place, self._count = progress, place, count

    def __call__(self, stage: str, done: float = 0, total: float = 0) -> None:
        if stage in self.SHARES:
            first, share = self.SHARES[stage]
            self._progress("compare_train", self._place + first + share * (done / total if total else 0.0), self._count)


def _silent(stage: str, done: float = 0, total: float = 0) -> None:
    """Nobody is watching."""
