"""How quickly the page is there, and how quickly it answers while a training runs beside it on the same machine."""

from __future__ import annotations

import contextlib
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.table import Row
from tests.e2e.browser import ARGUMENTS, chromium, server

FIRST_PAINT_SECONDS, ANSWER_MILLISECONDS = 2.5, 100.0
PAINT = "() => performance.getEntriesByType('paint').find(entry => entry.name === 'first-contentful-paint').startTime"
METHOD = (
    "app.py as a child process, demo market of 60 stocks; paint: a fresh Chromium context each time, first contentful paint and the moment the "
    "status bar carries figures; answers: the page's own two-second refresh of one visitor on the training tab, and the start page, both over "
    "HTTP while a quick LSTM trains in the server")


def run(quick: bool) -> list[Row]:
    from financial_model.market.sources.demo import write_demo
    from financial_model.market.store import Store

    visits, answers = (4, 40) if quick else (10, 150)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_demo(Store(folder / "data"), stocks=60, years=3)
        with server(folder) as address:
            visitor = Visitor(address)
            painted, filled = paints(address, visits)
            visitor.open("basic")
            calm = [visitor.refresh() for _ in range(answers)]
            visitor.start_training(epochs=200)
            visitor.wait_until_training()
            asked = [visitor.refresh() for _ in range(answers)]
            fetched = [visitor.fetch() for _ in range(answers)]
            if not visitor.training():
                raise RuntimeError("the training ended before the last answer was measured")
    rows = [_row("first contentful paint, median", statistics.median(painted), "s", FIRST_PAINT_SECONDS)] if painted else []
    if filled:
        rows.append(_row("page with live figures, median", statistics.median(filled), "s", FIRST_PAINT_SECONDS))
    rows += [_row("refresh while training, 95th percentile", 1e3 * percentile(asked), "ms", ANSWER_MILLISECONDS, 1e3 * percentile(calm)),
             _row("start page while training, 95th percentile", 1e3 * percentile(fetched), "ms", ANSWER_MILLISECONDS)]
    return rows


def _row(case: str, value: float, unit: str, limit: float, calm: float | None = None) -> Row:
    ratio = None if calm is None else value / calm
    return Row(benchmark="page", case=case, ours=value, unit=unit, peer=calm, against="" if calm is None else "without a training", ratio=ratio,
               ratio_of="times as long", target=f"< {limit:g} {unit}", met=value < limit, method=METHOD)


def percentile(seconds: list[float], share: float = 0.95) -> float:
    return sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


def paints(address: str, visits: int) -> tuple[list[float], list[float]]:
    """Seconds to the first contentful paint and to the first live figures; empty where there is no browser."""
    path = chromium()
    if path is None:
        return [], []
    from playwright.sync_api import sync_playwright

    painted, filled = [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        for _ in range(visits):
            context = browser.new_context(locale="en-US")
            page = context.new_page()
            began = time.perf_counter()
            page.goto(address, wait_until="commit")
            page.locator("#k-status .k-status").wait_for(timeout=60_000)
            filled.append(time.perf_counter() - began)
            painted.append(page.evaluate(PAINT) / 1e3)
            context.close()
        browser.close()
    return painted, filled


class Visitor:
    """One open page, spoken to as the browser does: through the queue, with the state the server keeps for it."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=60)
        self.config = self.client.get("/config").json()
        self.session = "benchmark"
        self._presence = contextlib.ExitStack()
        self.named = {component["id"]: component["props"] for component in self.config["components"]}
        self.tick = next(entry for entry in self.config["dependencies"] if "tick" in {event for _, event in entry["targets"]})

    def refresh(self) -> float:
        """Seconds for one tick of the page's timer, and for the drawing where it rings for one."""
        began = time.perf_counter()
        told = self.call(self.tick, self.values(self.tick))
        for component, value in zip(self.tick["outputs"], told, strict=True):
            if str(self.named[component].get("elem_id", "")).startswith("bell-") and not isinstance(value, dict):
                draw = next(entry for entry in self.config["dependencies"] if [component, "change"] in entry["targets"])
                self.call(draw, self.values(draw))
        return time.perf_counter() - began

    def values(self, dependency: dict[str, Any]) -> list[Any]:
        return [self.named[component].get("value") for component in dependency["inputs"]]

    def enter(self, session: str) -> None:
        """Be another page than before, connected as a browser keeps it for as long as it is open: by its end the server knows that it was closed."""
        self.leave()
        self.session = session
        present = self._presence.enter_context(self.client.stream("GET", f"/gradio_api/heartbeat/{session}"))
        present.raise_for_status()

    def leave(self) -> None:
        self._presence.close()

    def close(self) -> None:
        self.leave()
        self.client.close()

    def open(self, tab: str) -> Any:
        """Look at a tab: from now on a refresh draws what stands on it."""
        shown = self._dependency(f"tab-{tab}")
        self.named[next(key for key, props in self.named.items() if props.get("elem_id") == "k-opened")]["value"] = tab
        return self.call(shown, self.values(shown))

    def fetch(self) -> float:
        began = time.perf_counter()
        self.client.get("/").raise_for_status()
        return time.perf_counter() - began

    def start_training(self, epochs: int) -> None:
        start = self._dependency("basic-start")
        places = [self.named[component].get("elem_id") for component in start["inputs"]]
        self.call(start, [epochs if place == "basic-set-epochs" else value for place, value in zip(places, self.values(start), strict=True)])

    def wait_until_training(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not self.training():
            if time.monotonic() > deadline:
                raise RuntimeError("the training did not begin")
            time.sleep(1)

    def training(self) -> bool:
        """Whether a visitor who has just come, and is told everything, sees a run at work."""
        own, self.session = self.session, f"newcomer{time.monotonic_ns()}"
        told = json.dumps(self.open("basic"))
        self.session = own
        return '"now\\">Training<' in told

    def _dependency(self, elem_id: str) -> dict[str, Any]:
        entries = self.config["dependencies"]
        return next(entry for entry in entries if any(self.named.get(target, {}).get("elem_id") == elem_id for target, _ in entry["targets"]))

    def call(self, dependency: dict[str, Any], values: list[Any]) -> Any:
        """One event, sent as the browser sends it: straight, or into the queue whose stream is then read until the answer comes."""
        body = {"data": values, "fn_index": dependency["id"], "session_hash": self.session}
        if not dependency["queue"]:
            return self.client.post("/gradio_api/run/predict", json=body).raise_for_status().json()["data"]
        self.client.post("/gradio_api/queue/join", json=body).raise_for_status()
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    if not message["success"]:
                        raise RuntimeError(str(message["output"]))
                    return message["output"]["data"]
        raise RuntimeError("the stream ended without an answer")
