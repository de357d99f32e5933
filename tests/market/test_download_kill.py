"""A download in a process of its own, killed without warning, goes on where it was and ends with the server's truth, bar by bar."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import financial_model
from financial_model.market.store import Store
from tests.fakes.tdx import TdxServer
from tests.fakes.tdx_market import SH, SZ, make_market
from tests.market.truth import difference, shares_of, symbol_of

ROOT = Path(financial_model.__file__).parents[1]
COUNT = 40
PATIENCE = 60


@pytest.fixture(scope="module")
def market():
    return make_market(COUNT, 900)


def command(server: TdxServer, folder: Path) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "financial_model", "download", "--source", "tdx", "--server", f"127.0.0.1:{server.port}",
            "--count", str(COUNT), "--data-dir", str(folder), "--json"]


def files(folder: Path) -> int:
    return len(list((folder / "training_data").glob("[!.]*.csv")))


def killed_after(count: int, server: TdxServer, folder: Path) -> int:
    """Start the download, kill it without warning once ``count`` symbols are on disk; how many there are then."""
    child = subprocess.Popen(command(server, folder), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    try:
        while files(folder) < count:
            assert child.poll() is None and time.monotonic() < deadline, "the download ended, or hung, before it could be killed"
            time.sleep(0.005)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert child.returncode == -signal.SIGKILL
    return files(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_killed_twice_and_resumed_ends_with_the_servers_truth(market, tmp_path):
    folder = tmp_path / "data"
    with TdxServer(market) as server:
        first = killed_after(6, server, folder)
        survivors = [entry for entry in shares_of(market) if Store(folder).has(symbol_of(entry))]
        assert 6 <= len(survivors) == first < COUNT
        assert {difference(Store(folder), entry) for entry in survivors} == {""}, "what was on disk at the kill is whole"

        second = killed_after(first + 8, server, folder)
        assert first + 8 <= second < COUNT

        for leftover in folder.rglob(".*.tmp"):
            os.utime(leftover, (0, 0))  # as if some time had passed
        done = subprocess.run(command(server, folder), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)
    report, store = json.loads(done.stdout), Store(folder)
    assert report["failed"] == [] and report["halted"] is None
    assert 0 < len(report["stored"]) <= COUNT + 1 - second + 8, "what was complete is not fetched again; only symbols in flight are"

    assert {symbol_of(entry): difference(store, entry) for entry in shares_of(market)} == dict.fromkeys(map(symbol_of, shares_of(market)), "")
    assert difference(store, market.listings[SH, "000300"]) == ""
    assert sorted(store.symbols()["symbol"]) == sorted(map(symbol_of, shares_of(market)))
    assert store.names()["000001.SZ"] == market.listings[SZ, "000001"].name, "names came with the list"
    assert len(store.industries()) == COUNT, "industries of what an earlier, killed job stored are there too"
    assert not list(folder.rglob("*.tmp")), "no half-written file stays"
    again = store.symbols("all")
    assert (again["status"] == "ok").all() and json.loads((folder / "metadata.json").read_text("utf-8"))["stocks"] == COUNT
