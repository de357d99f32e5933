"""From bar files to a panel: pick stocks, pack, compute features and conditions, write. The work runs in a child process.

In: the workspace and the settings of a run. Out: the folder of a panel. A panel is named by the fingerprint of everything it was made from,
so the same question finds the same folder, and a changed bar makes a new one. This is the only module of the layer that reads the store.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from financial_model import config as settings
from financial_model import extensions
from financial_model.config import RunConfig
from financial_model.datasets import child, fingerprint, selection, unfinished
from financial_model.datasets.panel import open_panel
from financial_model.datasets.write import discard, write_panel
from financial_model.errors import DataError, Stopped
from financial_model.paths import Workspace

logger = logging.getLogger(__name__)
KEPT_PANELS = 8
"""Folders kept; the ones unused for longest go first."""
STAGE = "panel"
_ATTEMPTS = 3
_ABANDONED = 6 * 3600  # seconds after which an unfinished folder belongs to nobody
_PACKAGE = Path(__file__).resolve().parents[1]
_DECISIVE = ("datasets/write.py", "datasets/row_facts.py", "datasets/selection.py", "market/rules.py", "market/packing.py", "market/barfile.py")
"""Source files that, beside the features, decide the numbers of a panel: when they change, it is built again."""


def build(workspace: Workspace, config: RunConfig, *, progress: child.Progress | None = None, stop: child.Stop | None = None) -> Path:
    """The panel for ``config``: the one on disk if it is whole and nothing it was made from has changed, else a new one."""
    plan = Plan(workspace, config)
    if not usable(plan.folder):
        job = {"data_dir": str(workspace.data_dir.resolve()), "checkpoint_dir": str(workspace.checkpoint_dir.resolve()),
               "config": settings.to_dict(config), "modules": plan.foreign_modules()}
        try:
            return Path(child.run(
                "financial_model.datasets.build", job, progress=progress, stop=stop, abandoned=lambda pid: discard(plan.folder, pid)))
        except Stopped:  # asked for, unlike a kill
            unfinished.remove_others(workspace.panels, None)
            raise
    with suppress(OSError):  # a read-only copy of the data
        os.utime(plan.folder)  # used today: not the next to go
    return plan.folder


class Plan:
    """What a panel will be made of: chosen stocks, features, the fingerprint of all of it, and the folder that follows."""

    def __init__(self, workspace: Workspace, config: RunConfig):
        from financial_model.features import registry
        from financial_model.market.store import Store

        self.workspace, self.config = workspace, config
        self.store = Store(workspace.data_dir)
        self.industries = self.store.industries()
        table = self.store.symbols("stock")
        lengths = dict(zip(table["symbol"], table["rows"].astype(int), strict=True))
        self.selection = selection.select(lengths, self.industries, config.universe)
        self.feature_names = registry.names(config.features.groups, config.features.formulas)
        if not self.feature_names:
            raise DataError("panel.no_features", groups=", ".join(config.features.groups))
        self.features = [registry.get(name) for name in self.feature_names]
        self.truth = self.store.truth()
        self.synthetic = bool(self.store.summary()["synthetic"])
        self.sources = self._sources()
        self.fingerprint = self._fingerprint()
        self.folder = workspace.panels / self.fingerprint

    def _sources(self) -> dict[str, dict[str, Any]]:
        files = {symbol: self.store.bar_path(symbol) for symbol in self.selection.symbols}
        files.update({f"index {symbol}": self.store.bar_path(symbol) for symbol in self.store.symbols("index")["symbol"]})
        if self.truth is not None:
            files["truth"] = self.truth
        return fingerprint.file_hashes(files, self.workspace.panels / "hashes.json")

    def _fingerprint(self) -> str:
        universe = self.config.universe
        code = [*(_PACKAGE / "features").rglob("*.py"), *(_PACKAGE / name for name in _DECISIVE),
                *(Path(name) for name in map(_file_of, self.foreign_modules()) if name)]
        return fingerprint.combined({
            "code": fingerprint.code_hash(code), "features": self.feature_names, "synthetic": self.synthetic,
            "rows": [universe.start, universe.end, universe.min_history],
            "sources": {name: entry["hash"] for name, entry in self.sources.items()},
            "industries": {symbol: self.industries.get(symbol) for symbol in self.selection.symbols},
        })

    def foreign_modules(self) -> list[str]:
        """Modules of features a user added: the child must import them too, and their source counts."""
        return sorted({entry.function.__module__ for entry in self.features if not entry.built_in})


def _file_of(module: str) -> str | None:
    return getattr(sys.modules.get(module), "__file__", None)


def usable(folder: Path) -> bool:
    """Whether there is a whole panel; a damaged one is reported in the log and will be replaced."""
    if not folder.exists():
        return False
    try:
        open_panel(folder)
    except DataError as error:
        logger.warning("%s", error)
        return False
    return True


def prepare(workspace: Workspace, config: RunConfig, progress: child.Progress) -> Path:
    """The child's work. Repeated when the files changed underneath it: a panel never mixes two states of the market."""
    for _ in range(_ATTEMPTS):
        plan = Plan(workspace, config)
        if usable(plan.folder):
            return plan.folder
        clean(workspace.panels, plan.folder)
        try:
            if _make(plan, progress):
                return plan.folder
        finally:
            discard(plan.folder, os.getpid())
    raise DataError("panel.data_moving", folder=str(workspace.data_dir))


def _make(plan: Plan, progress: child.Progress) -> bool:
    """Compute and write the panel of ``plan``; False, and nothing written, when the files changed meanwhile."""
    from financial_model.features import registry
    from financial_model.features.universe import conditions as describe
    from financial_model.market.bars import pack

    progress(STAGE, 0, 100)
    bars = pack(plan.store, plan.selection.symbols, end=plan.config.universe.end)
    left_out = {**plan.selection.left_out, **{symbol: "no_bars" for symbol in set(plan.selection.symbols) - set(bars.symbols)}}
    keep = selection.keep_rows(bars.symbols, bars.offsets, bars.time, plan.config.universe, left_out)
    progress(STAGE, 20, 100)
    key = fingerprint.combined([plan.fingerprint, fingerprint.array_hash(vars(bars) | bars.extra)])  # of what was read, not of what is there now
    ranked = sum(feature.cross_section for feature in plan.features)
    with unfinished.Unfinished(plan.folder, key, len(bars.time), len(plan.features), ranked) as begun:
        registry.compute(bars, plan.feature_names, lambda done, total: progress(STAGE, 20 + 60 * done / max(total, 1), 100), out=begun.values,
                         raw=begun.raw, finished=begun)
        conditions, ranks = describe(bars, plan.industries)
        progress(STAGE, 90, 100)
        if Plan(plan.workspace, plan.config).fingerprint != plan.fingerprint:
            return False
        if left_out:
            logger.info("left out: %s", ", ".join(f"{symbol} ({reason})" for symbol, reason in sorted(left_out.items())))
        write_panel(
            plan.folder, bars, plan.feature_names, begun.values, conditions, ranks, fingerprint=plan.fingerprint, synthetic=plan.synthetic,
            truth=plan.truth, keep=keep, file=begun.release, sources={"files": plan.sources, "left_out": left_out},
            facts={"left_out": len(left_out), "created": int(time.time())},
            progress=lambda done, total: progress(STAGE, 90 + 10 * done / total, 100))
    return True


def clean(panels: Path, wanted: Path) -> None:
    """Remove what killed builds left behind and the panels unused for longest, so that the folder does not grow for ever."""
    if not panels.is_dir():
        return
    now = time.time()
    unfinished.remove_others(panels, wanted)
    for rest in panels.glob(".*.tmp"):
        if now - rest.stat().st_mtime > _ABANDONED:
            shutil.rmtree(rest, ignore_errors=True) if rest.is_dir() else rest.unlink(missing_ok=True)
    finished = [folder for folder in panels.iterdir() if folder.is_dir() and not folder.name.startswith(".") and folder != wanted]
    for folder in sorted(finished, key=lambda folder: folder.stat().st_mtime, reverse=True)[KEPT_PANELS - 1:]:
        shutil.rmtree(folder, ignore_errors=True)


def work(job: dict[str, Any], progress: child.Progress) -> str:
    """A job as ``build`` sends it -> the panel's folder."""
    _import(job["modules"])
    workspace = Workspace(data_dir=Path(job["data_dir"]), checkpoint_dir=Path(job["checkpoint_dir"]))
    return str(prepare(workspace, settings.from_dict(job["config"]), progress))


def _import(modules: Sequence[str]) -> None:
    extensions.load()
    for name in modules:
        importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(child.serve(work))
