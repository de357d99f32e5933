"""Bringing bars into the store and looking at them: what the data page and the data commands ask for.

In: a workspace and what a user wants. Out: plain data about what was done. Reading and writing is the market layer's business.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.errors import ConfigError, DataError, SourceError, Stopped
from financial_model.paths import Workspace

if TYPE_CHECKING:
    from financial_model.market.sources.base import Query

ProgressCallback = Callable[..., None]


def download(workspace: Workspace, source: str, *, symbols: Sequence[str] = (), count: int | None = None, start: str = "",
             boards: Sequence[str] = (), exclude_st: bool = False, options: Mapping[str, Any] | None = None, retry: bool = False,
             progress: ProgressCallback | None = None, stop: threading.Event | None = None) -> dict[str, Any]:
    """Bars from a registered source into the store; what is there and current is left alone.

    ``symbols`` win over ``count`` (None: the usual number, 0: all) and ``boards`` (none: all but Beijing). ``options``: settings of this source
    alone. ``retry``: only what failed before.
    Returns the download's report and ``summary``, the store's totals. Raises ``NotFoundError`` for an unknown source, ``SourceError`` when it gave
    nothing at all, ``Stopped`` on ``stop``: complete symbols stay.
    """
    from financial_model.market.download import download as fetch
    from financial_model.market.store import Store

    store, query = Store(workspace.data_dir), _query(source, symbols, count, start, boards, exclude_st, options)
    report = fetch(store, source, query, retry=retry, progress=_as_stage(progress, "download"), stop=stop)
    if report.halted is not None and not report.stored and not report.current:
        raise SourceError(report.halted.key, **report.halted.fields)
    return {**report.to_dict(), "summary": store.summary()}


def plan_download(workspace: Workspace, source: str, *, symbols: Sequence[str] = (), count: int | None = None, start: str = "",
                  boards: Sequence[str] = (), exclude_st: bool = False, options: Mapping[str, Any] | None = None,
                  retry: bool = False) -> dict[str, Any]:
    """What :func:`download` with the same wishes would do, as plain data: ``stocks``, ``new``, ``update``, ``current``, ``empty``, and rough
    ``bars``, ``bytes``, ``seconds``. Asks the source what it lists, fetches no bars."""
    from financial_model.market.download import open_for
    from financial_model.market.download import plan_download as plan
    from financial_model.market.store import Store

    store, query = Store(workspace.data_dir), _query(source, symbols, count, start, boards, exclude_st, options)
    return plan(store, open_for(store, source, query.options), query, retry=retry).to_dict()


def check_download(workspace: Workspace, source: str, *, symbols: Sequence[str] = (), start: str = "", boards: Sequence[str] = (),
                   exclude_st: bool = False, retry: bool = False, **_: Any) -> None:
    """Refuse at once what :func:`download` with the same wishes would refuse before it asks anybody: what is no date or no code, other bars than
    those there, a choice of stocks where there is none."""
    from financial_model.market.planning import check_choice, checked_start
    from financial_model.market.sources.base import source_class
    from financial_model.market.store import Store

    kind: Any = source_class(source)
    checked_start(start)
    check_symbols(symbols)
    check_choice(source, kind.capabilities, _query(source, symbols, None, "", boards, exclude_st, None), retry=retry)
    Store(workspace.data_dir).check_source(source)


def check_symbols(symbols: Sequence[str]) -> None:
    """``DataError`` names the first that is no code."""
    from financial_model.market.symbols import parse_symbol

    for text in symbols:
        parse_symbol(text)


def survey_hosts(source: str, *, options: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Which hosts of a source serve fresh bars just now, and how soon (``tdx_hosts.HostPool.survey``). ``ConfigError`` for a source without hosts."""
    from financial_model.market.sources.base import open_source

    pool = getattr(open_source(source, **_options(source, options or {})), "pool", None)
    if pool is None:
        raise ConfigError("ui.hosts.none", source=source)
    return pool.survey()


def _query(source: str, symbols: Sequence[str], count: int | None, start: str, boards: Sequence[str], exclude_st: bool,
           options: Mapping[str, Any] | None) -> Query:
    from financial_model.market.sources.base import Query

    wanted: dict[str, Any] = {"count": count, "start": start or None, "boards": tuple(boards) or None}
    return Query(symbols=tuple(symbols), exclude_st=exclude_st, options=_options(source, options or {}),
                 **{name: value for name, value in wanted.items() if value is not None})


def _options(source: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one source, each known to it and of the kind of its default. ``ConfigError`` names the first that is not."""
    from financial_model.market.sources.base import source_class

    known = inspect.signature(source_class(source)).parameters
    typed: dict[str, Any] = {}
    for name, value in given.items():
        default = known[name].default if name in known else None
        if name not in known or isinstance(default, int | float) and not isinstance(value, int | float):
            raise ConfigError("serving.source_option", source=source, option=f"{name}={value}"[:60], known=", ".join(known) or "-")
        typed[name] = str(value) if isinstance(default, str) else value  # packets=12 was typed as a text
    return typed


def import_files(workspace: Workspace, paths: Sequence[str | Path], *, industry: str | Path | None = None, volume_unit: str = "auto",
                 prices: str = "auto", columns: Sequence[str] = (), progress: ProgressCallback | None = None,
                 stop: threading.Event | None = None) -> dict[str, Any]:
    """A user's own files into the store: what cannot be read is refused with file, line and reason, the rest is taken.

    ``columns``: "field=header" for what is not recognised, "field=" to leave one out; ``ConfigError`` for anything else there.
    Raises the first refusal when nothing at all could be taken.
    """
    from financial_model.market.sources.columns import column_choice
    from financial_model.market.sources.files import import_paths
    from financial_model.market.store import Store

    store = Store(workspace.data_dir)
    report = import_paths(store, [Path(path) for path in paths], industry=industry, volume_unit=volume_unit, prices=prices,
                          columns=column_choice(columns), progress=_as_stage(progress, "import"), stop=stop)
    report.check()
    return {**report.to_dict(), "summary": store.summary()}


def plan_import(workspace: Workspace, paths: Sequence[str | Path], *, volume_unit: str = "auto", prices: str = "auto",
                columns: Sequence[str] = ()) -> dict[str, Any]:
    """How :func:`import_files` would read the first files, as plain data: ``files`` (symbols, rows, mapping, unit, prices, problems) and ``more``.
    Nothing is stored."""
    from dataclasses import asdict

    from financial_model.market.sources.columns import column_choice
    from financial_model.market.sources.files import plan_import as plan
    from financial_model.market.store import Store

    return asdict(plan([Path(path) for path in paths], store=Store(workspace.data_dir), volume_unit=volume_unit, prices=prices,
                       columns=column_choice(columns)))


def analyze(workspace: Workspace, *, progress: ProgressCallback | None = None, stop: threading.Event | None = None) -> dict[str, Any]:
    """The universe as plain data (``features.universe.UniverseSummary``). Raises ``Stopped`` on ``stop``."""
    from financial_model.features.universe import analyze as look
    from financial_model.market.store import Store
    from financial_model.serving.experiment import require_data

    require_data(workspace)

    def report(done: int, total: int) -> None:
        if stop is not None and stop.is_set():
            raise Stopped
        if progress is not None:
            progress("analyze", done, total)

    return look(Store(workspace.data_dir), progress=report).to_dict()


def check_integrity(workspace: Workspace, symbols: Sequence[str] = (), *, progress: ProgressCallback | None = None,
                    stop: threading.Event | None = None) -> dict[str, Any]:
    """What is doubtful in the stored bars (``market.integrity``) as plain data: ``totals``, ``symbols``, ``findings``, and ``csv``, the table of
    symbols as text for a spreadsheet. ``symbols``: none means all. Raises ``NotFoundError`` for a symbol that is not stored,
    ``DataError`` where no stock is, ``Stopped``."""
    from financial_model.market.integrity import check_integrity as check
    from financial_model.market.store import Store
    from financial_model.market.symbols import parse_symbol
    from financial_model.serving.experiment import require_data

    store = Store(workspace.data_dir)
    chosen = [str(parse_symbol(symbol)) for symbol in symbols]
    if not chosen:
        indices = store.summary()["indices"] if store.database.is_file() else []
        if indices and not len(store.symbols()):
            raise DataError("integrity.only_indices", folder=str(workspace.data_dir), count=len(indices), indices=", ".join(indices[:5]),
                            first=indices[0])
        require_data(workspace)
    for symbol in chosen:
        store.bar_path(symbol)
    report = check(store, chosen or None, progress=_as_stage(progress, "integrity"), stop=stop)
    return {**report.to_dict(), "csv": report.to_csv().decode("utf-8-sig")}


def _as_stage(progress: ProgressCallback | None, stage: str) -> Callable[[str, float, float], None] | None:
    """The market layer's own stages under one name."""
    return None if progress is None else lambda _, done, total: progress(stage, done, total)
