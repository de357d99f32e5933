"""What a page's refresh costs while another visitor asks for something heavy: ``python -m benchmarks.company [--folder F] [--stocks 3000]``.

A real server over a demo market and a model trained on it; one visitor with an open page refreshes, as a browser does, in turns alone and beside a
call that is made again and again. What happens once only (the first ranking of a new server, also where numba has compiled nothing yet) is watched
from the question to the answer. With ``--folder`` market and model are kept for the next time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.page import ANSWER_MILLISECONDS, Visitor, percentile
from benchmarks.processes import busy, resident, used
from tests.e2e.browser import serving

PAUSE = 0.1
"""Seconds between two refreshes: more pages than one that asks every two seconds."""
PACE = 0.65
"""Seconds from one call to the next at least: more often the server refuses a program."""
ROUNDS, REFRESHES = 4, 40
SETTINGS = {"name": "company", "backbone": "lstm", "hidden": 64, "layers": 1, "context_length": 60, "epochs": 1, "windows_per_epoch": 20_000}
UPLOADED = (300, 1500)
"""Stocks and days of the file that is forecast."""
CALLS = ("rank", "forecast", "orders", "upload", "plan")
Call = Callable[[], object]


def prepare(folder: Path, stocks: int) -> None:
    """A market, a model and a file to be sent, unless they are there."""
    from financial_model import config as settings
    from financial_model.market.sources.demo import write_demo
    from financial_model.market.store import Store
    from financial_model.paths import Workspace
    from financial_model.serving.experiment import run_training
    from financial_model.serving.predictor import Predictor

    workspace = Workspace(data_dir=folder / "data", checkpoint_dir=folder / "checkpoints")
    if not (folder / "bars.csv").exists():
        store = Store(workspace.data_dir)
        write_demo(store, stocks=stocks, years=4)
        run_training(workspace, settings.build(SETTINGS))
        Predictor(workspace).rank("company", 1)  # the panel up to the newest bar
        _file(store, folder / "bars.csv")


def _file(store: object, target: Path) -> None:
    import pandas as pd

    stocks, days = UPLOADED
    symbols = store.symbols()["symbol"][:stocks]  # type: ignore[attr-defined]
    parts = [store.read_bars(symbol).tail(days).assign(symbol=symbol) for symbol in symbols]  # type: ignore[attr-defined]
    pd.concat(parts, ignore_index=True).to_csv(target, index=False)


def calls(address: str, folder: Path) -> dict[str, Call]:
    """What the other visitor may ask for."""
    client = httpx.Client(base_url=f"{address}/api/v1", timeout=600)
    content = (folder / "bars.csv").read_bytes()
    symbols = [entry["symbol"] for entry in client.get("/symbols", params={"limit": 20}).json()["symbols"]]
    turn = iter(symbols * 10_000)

    def post(path: str, **body: object) -> httpx.Response:
        return client.post(path, json=body).raise_for_status()

    def sent() -> str:
        return str(client.post("/uploads", params={"name": "bars.csv"}, content=content).raise_for_status().json()["id"])

    def forecast_file() -> None:
        job = post("/jobs", kind="custom", run="company", upload=sent()).json()["id"]
        while (found := client.get(f"/jobs/{job}").json())["state"] not in ("finished", "failed", "stopped"):
            time.sleep(0.3)
        if found["state"] != "finished":
            raise RuntimeError(found["message"])

    return {"rank": lambda: post("/rank", run="company", top=6000), "forecast": lambda: post("/predict", run="company", symbol=next(turn)),
            "orders": lambda: post("/orders", run="company", capital=1_000_000), "upload": forecast_file,
            "plan": lambda: post(f"/uploads/{sent()}/plan")}


@contextmanager
def beside(call: Call) -> Iterator[list[float]]:
    """Somebody who asks again and again; the seconds each answer took."""
    ended, took = threading.Event(), [0.0]
    took.clear()

    def ask() -> None:
        while not ended.is_set():
            began = time.perf_counter()
            call()
            took.append(time.perf_counter() - began)
            ended.wait(max(0.0, PACE - took[-1]))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        ended.set()
        thread.join()


def refreshed(visitor: Visitor, count: int) -> list[float]:
    found = []
    for _ in range(count):
        time.sleep(PAUSE)
        found.append(visitor.refresh())
    return found


def until_answered(visitor: Visitor, call: Call) -> tuple[list[float], float]:
    """Refreshes from a question to its answer, and how long that took."""
    found: list[float] = []
    began = time.perf_counter()
    thread = threading.Thread(target=call)
    thread.start()
    while thread.is_alive():
        found.append(visitor.refresh())
        time.sleep(PAUSE / 2)
    return found, time.perf_counter() - began


def line(name: str, seconds: list[float], answer: float) -> str:
    worst = percentile(seconds)
    figures = " | ".join(f"{1e3 * value:.0f}" for value in (statistics.median(seconds), worst, max(seconds)))
    met = "" if name.endswith("alone") else "met" if 1e3 * worst < ANSWER_MILLISECONDS else "NOT met"
    return f"| {name} | {len(seconds)} | {figures} | {met} | {f'{answer:.2f}' if answer else ''} |\n"


def first_use(folder: Path, name: str) -> Iterator[str]:
    """The first ranking of a new server."""
    with serving(folder) as (address, _):
        visitor = Visitor(address)
        visitor.open("data")
        refreshed(visitor, 5)
        ask = calls(address, folder)["rank"]
        yield line(f"{name}, alone", refreshed(visitor, REFRESHES), 0.0)
        seconds, answer = until_answered(visitor, ask)
        yield line(f"{name}, from question to answer", seconds, answer)


def measure(folder: Path, chosen: list[str]) -> Iterator[str]:
    yield "| call | refreshes | median, ms | 95th percentile | worst | < 100 ms | answer, s |\n|---|---|---|---|---|---|---|\n"
    if "first" in chosen:
        yield from first_use(folder, "first ranking of a server")
        with tempfile.TemporaryDirectory() as cache:
            os.environ["NUMBA_CACHE_DIR"] = cache
            yield from first_use(folder, "the same, nothing compiled yet")
            del os.environ["NUMBA_CACHE_DIR"]
    with serving(folder) as (address, server):
        visitor, heavy = Visitor(address), calls(address, folder)
        visitor.open("data")
        for name in (name for name in CALLS if name in chosen):
            heavy[name]()
            alone, company, answers = [], [], []
            began = time.monotonic(), busy(), sum(used(server).values())
            for _ in range(ROUNDS):
                alone += refreshed(visitor, REFRESHES)
                with beside(heavy[name]) as took:
                    company += refreshed(visitor, REFRESHES)
                answers += took
            passed, worked, own = time.monotonic() - began[0], busy() - began[1], sum(used(server).values()) - began[2]
            yield line(f"{name}, alone", alone, 0.0)
            yield line(f"{name}, beside it", company, statistics.median(answers))
            sys.stderr.write(f"{name}: {worked / passed:.2f} processors at work, {own / passed:.2f} for the server and its processes\n")
        sys.stderr.write(f"memory of the server's own process: {resident(server) / 1e6:.0f} MB\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.company", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--stocks", type=int, default=3000)
    parser.add_argument("--only", action="append", choices=("first", *CALLS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kairos-company-") as name:
        folder = options.folder or Path(name)
        prepare(folder, options.stocks)
        for text in measure(folder, options.only or ["first", *CALLS]):
            sys.stdout.write(text)
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
