"""Requests and updates against the fake TDX server in a process of its own: what our side costs, not what a host far away takes."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.table import Row
from financial_model.market.download import plan_download, run_download
from financial_model.market.sources.base import Query
from financial_model.market.sources.tdx import TdxSource
from financial_model.market.sources.tdx_hosts import TdxSettings
from financial_model.market.sources.tdx_wire import TdxConnection
from financial_model.market.store import Store

LEAST_RATE = 60.0
WHOLE, MOST_SECONDS = 5000, 120.0
MISSING = 3
"""Sessions taken off the end of every stored symbol before the update."""


def run(quick: bool) -> list[Row]:
    symbols, days = (60, 500) if quick else (500, 2500)
    with _server(symbols, days) as port:
        return [*_requests(port, 200 if quick else 1000), *_updates(port, symbols, days)]


@contextlib.contextmanager
def _server(symbols: int, days: int) -> Iterator[int]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.fakes.tdx", "--port", "0", "--count", str(symbols), "--days", str(days)]
    child = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True)
    try:
        said = child.stdout.readline()  # type: ignore[union-attr]
        yield int(said.partition("127.0.0.1:")[2].partition(";")[0])
    finally:
        child.terminate()
        child.wait()


def _requests(port: int, count: int) -> list[Row]:
    """Five bars of one stock, over and over, on one connection: ours, and unmodified pytdx."""
    from pytdx.hq import TdxHq_API

    ours, theirs = TdxConnection("127.0.0.1", port), TdxHq_API(raise_exception=True)
    theirs.connect("127.0.0.1", port)
    try:
        turns = [(_rate(lambda: ours.bars(1, "600519", 0, 5), count), _rate(lambda: theirs.get_security_bars(9, 1, "600519", 0, 5), count))
                 for _ in range(5)]
    finally:
        ours.close()
        theirs.disconnect()
    rate, peer = (statistics.median(turn[place] for turn in turns) for place in (0, 1))
    method = "loopback server in another process; wall time, median of 5 turns. The pause between requests is a setting, and politeness, not cost"
    bare = Row(benchmark="download", case="requests on one connection, without a pause", ours=rate, unit="requests/s", peer=peer,
               against="pytdx, unchecked", ratio=statistics.median(mine / other for mine, other in turns), ratio_of="times as many",
               target=f"at least {LEAST_RATE:.0f}/s", met=rate >= LEAST_RATE, method=method)
    paced = _paced(port, min(count, 200))
    return [bare, Row(benchmark="download", case="the same with the default pause", ours=paced, unit="requests/s", against="-",
                      target=f"at least {LEAST_RATE:.0f}/s", met=paced >= LEAST_RATE)]


def _paced(port: int, count: int) -> float:
    """Requests a second as a download makes them: through a line, which pauses after each."""
    line = TdxSource(server=f"127.0.0.1:{port}").connect()
    try:
        return _rate(lambda: line.ask(lambda connection: connection.bars(1, "600519", 0, 5)), count)
    finally:
        line.close()


def _rate(ask: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        ask()
    return count / (time.perf_counter() - start)


def _updates(port: int, symbols: int, days: int) -> list[Row]:
    """Every symbol lacks its last sessions: four connections, with the pause between requests that is polite, and without."""
    rows = []
    for pause in (TdxSettings().pause, 0.0):
        with tempfile.TemporaryDirectory() as folder:
            source = TdxSource(settings=TdxSettings(hosts=(f"127.0.0.1:{port}",), pause=0.0))
            query, store = Query(count=symbols, indices=False), Store(folder)
            run_download(store, source, plan_download(store, source, query))
            for symbol in store.symbols()["symbol"]:
                store.write_bars(symbol, store.read_bars(symbol).iloc[:-MISSING], source="tdx")
            source.pool.settings = source.settings = TdxSettings(hosts=source.settings.hosts, pause=pause)
            plan = plan_download(store, source, query)
            began, cpu = time.perf_counter(), time.process_time()
            report = run_download(store, source, plan)
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        if len(report.stored) != plan.update or report.failed:
            raise RuntimeError(f"{len(report.stored)} of {plan.update} updated, {len(report.failed)} failed")
        whole = wall / plan.update * WHOLE
        rows.append(Row(
            benchmark="download", case=f"update of {plan.update} symbols x {days} days, 4 connections, pause {1e3 * pause:.0f} ms",
            ours=wall, unit="s", against="-", ratio=whole,
            ratio_of=f"s for {WHOLE:,} symbols, extrapolated; {1e3 * cpu / plan.update:.1f} ms of CPU a symbol",
            target=f"< {MOST_SECONDS:.0f} s" if pause else "", met=whole < MOST_SECONDS if pause else None,
            method=f"{MISSING} sessions missing everywhere; once each, wall time on a shared machine; {WHOLE:,} symbols are extrapolated, not run"))
    return rows
