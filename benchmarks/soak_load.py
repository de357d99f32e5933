"""The load of a soak: clients that ask as open pages and programs do, a training that is always on, a Chromium with two pages.

In: the address of a server, and where to note what they see (``soak_figures.Measured``). Out: nothing but those notes.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks.page import Visitor
from benchmarks.processes import resident, used
from benchmarks.soak_figures import ALONE, POINTS, Measured, lost_points
from tests.e2e.browser import ARGUMENTS, Watcher, chromium

PAGES, PROGRAMS = 6, 2
"""Clients that refresh as an open page does, and clients of gradio_client's named endpoints."""
TICK_SECONDS, RELOAD_SECONDS = 2.0, 40.0
SETTINGS = {"name": "soak", "backbone": "lstm", "hidden": 64, "epochs": 1000, "windows_per_epoch": 20_000, "patience": 0}
PATIENCE = 300_000.0
"""Milliseconds after which a page that does not move counts as hung: a busy machine is no finding."""


class Clients:
    """Threads that ask, each at its own pace, until ``ended``."""

    def __init__(self, address: str, measured: Measured, ended: threading.Event) -> None:
        self.address, self.measured, self.ended = address, measured, ended
        self.run = ""
        measured.clients = PAGES + PROGRAMS
        self.alone = False
        """Whether the browser has been closed."""
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._guarded, args=(self._page, place)) for place in range(PAGES)]
        self._threads += [threading.Thread(target=self._guarded, args=(self._program, place)) for place in range(PROGRAMS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _guarded(self, work: Callable[[int], None], place: int) -> None:
        try:
            work(place)
        except Exception as error:  # whatever it is: that is the finding
            if not self.ended.is_set():  # a server that was told to go hangs up
                self.measured.errors.append(f"client {place}: {type(error).__name__}: {error}"[:300])

    def _note(self, kind: str, seconds: float) -> None:
        with self._lock:
            self.measured.seconds.setdefault(kind + ALONE * self.alone, []).append(seconds)

    def _page(self, place: int) -> None:
        """An open page on the training tab; it comes anew now and then."""
        self.ended.wait(TICK_SECONDS * place / PAGES)
        for visit in itertools.count():
            visitor = Visitor(self.address)
            with contextlib.closing(visitor):
                visitor.enter(f"soak{place}-{visit}")
                visitor.open("basic")
                leave = time.monotonic() + RELOAD_SECONDS * (1 + place)
                while time.monotonic() < leave:
                    if self.ended.wait(TICK_SECONDS):
                        return
                    self._note("refresh of a page", visitor.refresh())

    def _program(self, place: int) -> None:
        """A program that asks the named endpoints."""
        from gradio_client import Client

        client = Client(self.address, verbose=False)
        while not self.ended.wait(TICK_SECONDS):
            for question, named in (("/list_runs", {}), ("/job_status", {"job": self.run})):
                began = time.perf_counter()
                client.predict(api_name=question, **named)
                self._note("gradio_client", time.perf_counter() - began)


class Training:
    """The training that is always on, and the reader of its curve."""

    def __init__(self, address: str, folder: Path, measured: Measured) -> None:
        self.web = httpx.Client(base_url=f"{address}/api/v1", timeout=60)
        self.folder, self.measured = folder, measured
        self.job = self.run = ""
        self.offset, self.arrived = 0, []

    def start(self) -> None:
        job = self._asked("POST", "/jobs", json={"kind": "train", "preset": "quick", "settings": SETTINGS})
        self.job, self.run = job["id"], job["run"]
        self.offset, self.arrived = 0, []
        self.measured.runs += 1

    def follow(self) -> bool:
        """Read what is new; whether the training is still on."""
        began = time.perf_counter()
        answer = self._asked("GET", f"/runs/{self.run}/events", params={"offset": self.offset})
        self.measured.seconds.setdefault("REST, new points", []).append(time.perf_counter() - began)
        self.arrived += answer["events"]
        self.offset = answer["next"]
        return self.state() in ("queued", "preparing", "running")

    def state(self) -> str:
        return self._asked("GET", f"/jobs/{self.job}")["state"]

    def settle(self) -> None:
        """Compare, once it is over, what arrived with what was written."""
        self.follow()
        self.measured.points += sum(event["kind"] in ("step", "epoch") for event in self.arrived)
        curves = self._asked("GET", f"/runs/{self.run}/curves", params={"points": POINTS})
        self.measured.lost += lost_points(self.folder / "checkpoints" / self.run / "events.jsonl", self.arrived, curves)

    def stop(self) -> None:
        if self.follow():
            self._asked("POST", f"/jobs/{self.job}/stop")
            while self.state() in ("queued", "preparing", "running", "stopping"):
                time.sleep(0.5)

    def _asked(self, method: str, path: str, **more: Any) -> Any:
        return self.web.request(method, path, **more).raise_for_status().json()


class Browser:
    """Chromium with two pages on the training tab: one stays open, one is loaded again now and then."""

    def __init__(self, driver: Any, path: str, address: str, measured: Measured) -> None:
        self.measured = measured
        self.browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS), handle_sigint=False, handle_sigterm=False)
        self.system = self.browser.new_browser_cdp_session()
        self.watchers = [self._open(address) for _ in range(2)]
        self.cdp = [watcher.page.context.new_cdp_session(watcher.page) for watcher in self.watchers]
        self._reloaded = time.monotonic()

    def _open(self, address: str) -> Watcher:
        page = self.browser.new_context(locale="en-US").new_page()
        page.set_default_timeout(PATIENCE)
        watcher = Watcher(page, address)
        page.goto(address)
        self._to_the_training(page)
        return watcher

    @staticmethod
    def _to_the_training(page: Any) -> None:
        page.locator("#k-status .k-status").wait_for()
        page.get_by_role("tab", name="Basic training", exact=True).click()
        page.locator("#basic-curve svg path").first.wait_for(state="attached")

    def sample(self) -> dict[str, float]:
        """Bytes: script memory of the page that stays, and the memory of the processes that draw both, rubbish collected before."""
        for session in self.cdp:
            session.send("HeapProfiler.collectGarbage")
        used = self.cdp[0].send("Runtime.getHeapUsage")["usedSize"]
        processes = [entry["id"] for entry in self.system.send("SystemInfo.getProcessInfo")["processInfo"] if entry["type"] == "renderer"]
        return {"page that stays, scripts": float(used), "both pages, processes": sum(map(resident, processes))}

    def used(self) -> float:
        """Seconds of processor time of all its processes."""
        entries = self.system.send("SystemInfo.getProcessInfo")["processInfo"]
        return sum(used(next(entry["id"] for entry in entries if entry["type"] == "browser")).values())

    def reload_now_and_then(self) -> None:
        if time.monotonic() - self._reloaded < RELOAD_SECONDS:
            return
        watcher = self.watchers[1]
        with watcher.reload():
            self._to_the_training(watcher.page)
        self.measured.reloads += 1
        self._reloaded = time.monotonic()

    def close(self) -> None:
        self.measured.errors += [f"page: {text}"[:300] for watcher in self.watchers for text in watcher.errors]
        self.browser.close()


@contextlib.contextmanager
def browsing(address: str, measured: Measured, ended: threading.Event) -> Iterator[Browser | None]:
    """A browser, where there is one."""
    path = chromium()
    if path is None:
        yield None
        return
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as driver:
        browser = Browser(driver, path, address, measured)
        try:
            yield browser
        finally:
            try:
                browser.close()
            except Error:
                if not ended.is_set():  # Ctrl-C in a terminal reaches the browser as well
                    raise
