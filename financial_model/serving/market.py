"""Bringing bars into the store and looking at them: what the data page and the data commands ask for.

In: a workspace and what a user wants. Out: plain data about what was done. Reading and writing is the market layer's business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from financial_model.errors import ConfigError
from financial_model.paths import Workspace

ProgressCallback = Callable[..., None]


def download(workspace: Workspace, source: str, *, symbols: Sequence[str] = (), count: int | None = None, start: str = "",
             options: Mapping[str, Any] | None = None, progress: ProgressCallback | None = None,
             stop: threading.Event | None = None) -> dict[str, Any]:
    """Bars from a registered source into the store; what is there already is kept and only completed.

    ``symbols`` win over ``count`` (None: the source's own default, 0: all). ``options``: settings of this source alone.
    Raises ``NotFoundError`` for an unknown source, ``SourceError`` when it does not answer, ``Stopped`` on ``stop``.
    """
    from financial_model.market.sources.base import open_source, source_class
    from financial_model.market.store import Store

    kind: Any = source_class(source)
    try:
        opened: Any = open_source(source, **(options or {}))
    except TypeError:
        raise ConfigError("serving.source_options", source=source, options=", ".join(options or {})) from None
    store = Store(workspace.data_dir)
    if kind.capabilities.whole:
        wanted = {} if count is None else {"stocks": count}
        result = opened.write(store, **wanted, progress=_as_stage(progress, "download"), stop=stop)
        return {"source": source, **result, "summary": store.summary()}
    raise ConfigError("serving.source_options", source=source, options="-")


def import_files(workspace: Workspace, paths: Sequence[str | Path], *, industry: str | Path | None = None, volume_unit: str = "auto",
                 prices: str = "auto", progress: ProgressCallback | None = None, stop: threading.Event | None = None) -> dict[str, Any]:
    """A user's own files into the store: what cannot be read is refused with file, line and reason, the rest is taken.

    Raises the first refusal when nothing at all could be taken.
    """
    from financial_model.market.sources.files import import_paths
    from financial_model.market.store import Store

    store = Store(workspace.data_dir)
    report = import_paths(store, [Path(path) for path in paths], industry=industry, volume_unit=volume_unit, prices=prices,
                          progress=_as_stage(progress, "import"), stop=stop)
    report.check()
    return {**report.to_dict(), "summary": store.summary()}


def analyze(workspace: Workspace, *, progress: ProgressCallback | None = None) -> dict[str, Any]:
    """The universe as plain data (``features.universe.UniverseSummary``)."""
    from financial_model.features.universe import analyze as look
    from financial_model.market.store import Store
    from financial_model.serving.experiment import require_data

    require_data(workspace)
    report = None if progress is None else lambda done, total: progress("analyze", done, total)
    return look(Store(workspace.data_dir), progress=report).to_dict()


def _as_stage(progress: ProgressCallback | None, stage: str) -> Callable[[str, float, float], None] | None:
    """The market layer's own stages under one name."""
    return None if progress is None else lambda _, done, total: progress(stage, done, total)
