"""The download job: workers, progress, resume, and a memory of what failed or has no data.

In: a store, a source, a plan. Out: complete symbols in the store and a report. A kill at any moment loses at most the symbols in flight;
planning and running the same query again goes on from there, because what is stored and current is skipped.
It knows the interface of a source, never one of them.
"""

from __future__ import annotations

import inspect
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.errors import KairosError, RateLimitError, SourceError, Stopped, StorageError
from financial_model.market.merging import OVERLAP, differs, finished, merged
from financial_model.market.planning import DownloadPlan, PlanItem, plan_download
from financial_model.market.schema import FACTS
from financial_model.market.sources.base import Query, Reply, Source, open_source, source_class
from financial_model.market.symbols import parse_symbol
from financial_model.market.upkeep import sweep
from financial_model.text import translate

if TYPE_CHECKING:
    from financial_model.market.store import Store

log = logging.getLogger(__name__)

IN_A_ROW = 10
"""Symbols failing one after the other for the source's own fault before the whole job gives up."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A symbol that could not be had, and why."""

    symbol: str
    key: str
    fields: dict[str, Any]

    def message(self, language: str = "en") -> str:
        return translate(self.key, language, **self.fields)


@dataclass(frozen=True, kw_only=True, slots=True)
class SymbolProgress:
    """The job just after a symbol: for a line in a log, a rate, an estimate of the end."""

    symbol: str
    outcome: str
    """stored, current, empty or failed."""
    done: int
    total: int
    rows: int
    """New rows of this symbol."""
    rate: float
    """Symbols per second."""
    eta: float
    """Seconds to go."""


@dataclass(kw_only=True)
class DownloadReport:
    """What a download did."""

    source: str
    stored: list[str] = field(default_factory=list)
    current: int = 0
    empty: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    rows: int = 0
    """Rows that were not there before."""
    seconds: float = 0.0
    halted: Failure | None = None
    """Why the job gave up before its end: a rate limit, or a source that answers nobody."""
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``, with English sentences."""
        data = asdict(self)
        data["failed"] = [{**asdict(entry), "message": entry.message()} for entry in self.failed]
        data["halted"] = {**asdict(self.halted), "message": self.halted.message()} if self.halted else None
        return data


__all__ = ["DownloadPlan", "DownloadReport", "Failure", "PlanItem", "SymbolProgress", "download", "open_for", "plan_download", "run_download"]


def download(store: Store, name: str, query: Query, *, retry: bool = False, workers: int = 0,
             progress: Callable[[str, float, float], None] | None = None, stop: threading.Event | None = None) -> DownloadReport:
    """Open the source ``name`` with ``query.options``, plan and run: the whole job. ``NotFoundError`` for an unknown source."""
    source = open_for(store, name, query.options)
    return run_download(store, source, plan_download(store, source, query, retry=retry), workers=workers, progress=progress, stop=stop)


def open_for(store: Store, name: str, options: Mapping[str, Any]) -> Source:
    """The source ``name`` with its own ``options``; what its client keeps on disk goes into the store's folder."""
    if "cache_dir" in inspect.signature(source_class(name)).parameters:
        options = {"cache_dir": str(store.data_dir / ".cache" / name), **options}
    return open_source(name, **options)


def run_download(store: Store, source: Source, plan: DownloadPlan, *, workers: int = 0, progress: Callable[[str, float, float], None] | None = None,
                 each: Callable[[SymbolProgress], None] | None = None, stop: threading.Event | None = None) -> DownloadReport:
    """Fetch what ``plan`` says. ``workers``: 0 is as many as the source allows. ``progress(stage, done, total)`` and ``each`` after every symbol.

    Symbols that fail do not stop the others. Raises ``StorageError`` when the disk is full, ``Stopped`` on ``stop``: complete symbols stay.
    """
    began = time.monotonic()
    sweep(store.data_dir)
    report = DownloadReport(source=source.name, current=plan.current)
    if source.capabilities.whole:
        report.details = source.write(store, plan.stocks, start=plan.start, progress=progress, stop=stop)  # type: ignore[attr-defined]
        report.stored = list(store.symbols()["symbol"])
        report.rows = store.summary()["rows"]
    else:
        job = _Job(store, source, plan, report, progress, each, stop)
        try:
            job.run(max(1, min(workers or source.capabilities.connections, source.capabilities.connections, len(plan.items))))
        finally:
            store.write_metadata()
    report.seconds = time.monotonic() - began
    return report


class _Job:
    """The state that the workers of one run share."""

    def __init__(self, store: Store, source: Source, plan: DownloadPlan, report: DownloadReport, progress: Callable[[str, float, float], None] | None,
                 each: Callable[[SymbolProgress], None] | None, stop: threading.Event | None):
        self.store, self.source, self.plan, self.report = store, source, plan, report
        self.progress, self.each, self.stop = progress, each, stop
        self.halt = threading.Event()
        self.lock = threading.Lock()
        self.items: queue.SimpleQueue[PlanItem] = queue.SimpleQueue()
        self.error: BaseException | None = None
        self.done = self.failing = 0
        self.began = time.monotonic()
        for item in plan.items:
            self.items.put(item)

    def run(self, workers: int) -> None:
        threads = [threading.Thread(target=self._work, name=f"download-{number}", daemon=True) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.error is not None:
            raise self.error
        if self.stop is not None and self.stop.is_set():
            raise Stopped()
        if not self.halt.is_set():
            self._labels()

    def _work(self) -> None:
        worker = _Worker(self.store, self.source, self.plan.start)
        try:
            while not self.halt.is_set() and not (self.stop is not None and self.stop.is_set()):
                try:
                    item = self.items.get_nowait()
                except queue.Empty:
                    return
                self._one(worker, item)
        except BaseException as error:  # a full disk or a bug: handed to the thread that started the job
            self.error = self.error or error
            self.halt.set()
        finally:
            worker.close()
            self.store.close()

    def _one(self, worker: _Worker, item: PlanItem) -> None:
        try:
            outcome, rows = worker.fetch(item)
        except StorageError:
            raise
        except KairosError as error:
            log.info("%s: %s", item.symbol, error)
            failure = Failure(symbol=item.symbol, key=error.key, fields=dict(error.fields))
            if not isinstance(error, RateLimitError):
                self.store.record_outcome(item.symbol, "failed", error.key, error.fields, source=self.source.name)
            with self.lock:
                self.failing = self.failing + 1 if isinstance(error, SourceError) else 0
                if isinstance(error, RateLimitError) or self.failing >= IN_A_ROW:
                    self.report.halted = failure
                    self.halt.set()
                self.report.failed.append(failure)
            self._tell(item, "failed", 0)
            return
        with self.lock:
            self.failing = 0
            if outcome == "empty":
                self.report.empty.append(item.symbol)
            elif outcome == "current":
                self.report.current += 1
            else:
                self.report.stored.append(item.symbol)
                self.report.rows += rows
        self._tell(item, outcome, rows)

    def _tell(self, item: PlanItem, outcome: str, rows: int) -> None:
        with self.lock:
            self.done += 1
            done, total = self.done, len(self.plan.items)
            rate = done / max(time.monotonic() - self.began, 1e-9)
            if self.progress:
                self.progress("download", done, total)
            if self.each:
                self.each(SymbolProgress(symbol=item.symbol, outcome=outcome, done=done, total=total, rows=rows, rate=rate,
                                         eta=(total - done) / rate))

    def _labels(self) -> None:
        """Names and industries no reply carried, of every stored symbol of this source: a job that was killed left its own to this one.

        Their absence costs nothing but the label.
        """
        stored = self.store.symbols("all")
        mine = stored[stored["source"] == self.source.name]
        known = self.store.industries()
        nameless = list(mine.loc[mine["name"] == "", "symbol"])
        homeless = [symbol for symbol in mine.loc[mine["kind"] == "stock", "symbol"] if symbol not in known]
        try:
            if nameless:
                self.store.set_names(self.source.names(nameless))
            if homeless and self.source.capabilities.industries:
                _store_industries(self.store, self.source, self.source.industries(homeless))
        except SourceError as error:
            log.warning("%s", error)
            self.report.details["labels"] = str(error)


def _store_industries(store: Store, source: Source, found: Mapping[str, tuple[str, str]]) -> None:
    store.set_industries({symbol: entry[0] for symbol, entry in found.items()}, source=source.name, as_of=str(np.datetime64("today", "D")),
                         labels={symbol: entry[1] for symbol, entry in found.items()})


class _Worker:
    """One line to the source: opened when first needed, thrown away after any failure."""

    def __init__(self, store: Store, source: Source, start: str):
        self.store, self.source, self.start = store, source, start
        self.line: Any = None

    def close(self) -> None:
        if self.line is not None:
            self.line.close()
            self.line = None

    def ask(self, symbol: str, since: str = "") -> Reply:
        """The source's answer; a line that fails is closed, and the question put once more on a new one."""
        try:
            return self._once(symbol, since)
        except RateLimitError:
            self.close()
            raise
        except SourceError as error:
            log.info("%s", error)
            self.close()
        try:
            return self._once(symbol, since)
        except SourceError:
            self.close()
            raise

    def _once(self, symbol: str, since: str) -> Reply:
        if self.line is None:
            self.line = self.source.connect()
        return self.line.fetch(symbol, start=self.start, since=since)

    def fetch(self, item: PlanItem) -> tuple[str, int]:
        """(stored, current or empty; rows that were not there before)."""
        symbol = str(parse_symbol(item.symbol))
        old = self.store.read_bars(symbol) if item.action == "update" and self.store.has(symbol) else None
        reply = self.ask(symbol, since=str(old["date"].iloc[-min(OVERLAP, len(old))])[:10] if old is not None else "")
        if old is not None and (reply.bars is None or not len(reply.bars) or differs(old, reply.bars)):
            old, reply = None, self.ask(symbol)  # the past was restated: take all of it again
        if reply.bars is None or not len(reply.bars):
            self.store.record_outcome(symbol, "empty", reply.reason, source=self.source.name)
            return "empty", 0
        facts = {name: getattr(reply, name) for name in ("shares", "book")}
        stored = {name: self.store.facts(name, symbol) for name, rows in facts.items() if rows is None}
        table = finished(merged(old, reply.bars), reply.events, facts, stored)
        before = len(old) if old is not None else 0
        changed = self.store.write_bars(symbol, table, source=self.source.name, name=reply.name or item.name, prices=reply.prices)
        self._write_facts(symbol, reply)
        with self.store.connect() as db:
            db.execute("INSERT OR REPLACE INTO downloads VALUES (?,?)", (symbol, self.start))
        return ("stored" if changed else "current"), len(table) - before

    def _write_facts(self, symbol: str, reply: Reply) -> None:
        if reply.events is not None:
            rows = [(str(event.date), *(getattr(event, name) for name in FACTS["events"][1:])) for event in reply.events]
            self.store.add_facts("events", symbol, rows, source=self.source.name)
        for name in ("shares", "book"):
            if getattr(reply, name) is not None:
                self.store.add_facts(name, symbol, getattr(reply, name), source=self.source.name)
        if reply.industry is not None:
            _store_industries(self.store, self.source, {symbol: reply.industry})
