"""A long ordinary day in short: ``./start.sh soak [--minutes 30]``.

The app with a demo market in a temporary folder, a training on, eight clients that ask as open pages and programs do, and a Chromium with a page that
stays open and one that is loaded again now and then. Measured: memory of server and pages over time, points of the curve that never arrived, how long
answers take, and who has used the processor meanwhile. In the end the browser is closed and the clients go on for a minute: what the server takes to
answer, apart from what a small machine takes that draws pages as well. Ctrl-C ends it early with the figures so far; nothing is left behind. It needs
Linux for the memory of processes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.page import ANSWER_MILLISECONDS, Visitor, percentile
from tests.e2e.browser import ARGUMENTS, Watcher, chromium, serving

PAGES, PROGRAMS = 6, 2
"""Clients that refresh as an open page does, and clients of gradio_client's named endpoints."""
TICK_SECONDS, SAMPLE_SECONDS, RELOAD_SECONDS = 2.0, 5.0, 40.0
SHARE, FLOOR = 0.05, 3e6
"""Flat: a straight line through the last two thirds rises by less than this share of their median, or by less than so many bytes."""
SETTINGS = {"name": "soak", "backbone": "lstm", "hidden": 64, "epochs": 1000, "windows_per_epoch": 20_000, "patience": 0}
POINTS = 2000
ALONE_SECONDS, ALONE_SHARE = 60.0, 0.2
"""How long the clients go on without a browser on the machine: so many seconds, but no more than this share of the whole."""
ALONE = ", without a browser"
PATIENCE = 300_000.0
"""Milliseconds after which a page that does not move counts as hung: a busy machine is no finding."""
Samples = list[tuple[float, float]]
"""(seconds since the beginning, value)"""


@dataclass
class Measured:
    """Everything that was noted on the way."""

    memory: dict[str, Samples] = field(default_factory=dict)
    """Bytes, by what they belong to."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """How long answers took, by kind of question."""
    processor: dict[str, float] = field(default_factory=dict)
    """Seconds of processor time while the browser was there, by who used it; ``machine``: everybody."""
    errors: list[str] = field(default_factory=list)
    points: int = 0
    lost: list[str] = field(default_factory=list)
    runs: int = 0
    reloads: int = 0
    minutes: float = 0.0


# ---------------------------------------------------------------- judging
def trend(samples: Samples) -> dict[str, Any]:
    """The straight line (median of all slopes between two samples) through the last two thirds: median, growth over them, and whether it is flat."""
    late = samples[len(samples) // 3:]
    middle = statistics.median(value for _, value in late)
    slopes = [(b - a) / (t - s) for (s, a), (t, b) in itertools.combinations(late, 2) if t > s]
    growth = statistics.median(slopes) * (late[-1][0] - late[0][0]) if slopes else 0.0
    allowed = max(SHARE * middle, FLOOR)
    return {"samples": len(late), "median": middle, "growth": growth, "allowed": allowed, "minutes": (late[-1][0] - late[0][0]) / 60,
            "flat": bool(growth < allowed) if len(slopes) > 2 else None}


def lost_points(path: Path, arrived: Sequence[dict[str, Any]], curves: dict[str, Any]) -> list[str]:
    """What stands in the run's story and did not reach a client: by the events, asked for in pieces, and by the series a chart draws."""
    from financial_model.serving.curves import thin

    written = [json.loads(line) for line in path.read_bytes().splitlines()]
    lost = [] if list(arrived) == written else [f"{len(arrived)} events arrived of {len(written)}, or others"]
    names = {("train", "step"), ("validation", "epoch")}
    for split, kind in sorted(names):
        points = [(event["step"], event["metrics"]["loss"]) for event in written if event["kind"] == kind and event.get("split") == split]
        shown = curves["series"].get(f"{split}/loss", {"step": [], "value": []})
        wanted = [points[place] for place in thin(len(points), POINTS)]
        if list(zip(shown["step"], shown["value"], strict=True)) != wanted:
            lost.append(f"{split}: {len(shown['step'])} points are drawn of {len(wanted)}, or others")
    return lost


def resident(process: int) -> float:
    """Bytes of memory that belong to a process alone (anonymous, resident): files it maps can always be dropped."""
    for line in Path(f"/proc/{process}/status").read_text("utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return 1024.0 * float(line.split()[1])
    raise RuntimeError("this system does not tell the memory of a process")


def used(process: int) -> dict[int, float]:
    """Seconds of processor time of a process and of everything below it, by process id, the ended ones left out."""
    parents, seconds = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text("utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(path.parent.name)] = int(fields[1])
        seconds[int(path.parent.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {one: seconds[one] for one in found if one in seconds}


def busy() -> float:
    """Seconds all processors of the machine have worked since it was started."""
    ticks = list(map(int, Path("/proc/stat").read_text("utf-8").split("\n", 1)[0].split()[1:]))
    return (sum(ticks[:3]) + sum(ticks[5:7])) / os.sysconf("SC_CLK_TCK")  # without idle, waiting for a disk, and what a host took


class Meter:
    """Who has used the processor since it was made."""

    def __init__(self, server: int, browser: Browser | None) -> None:
        self.server, self.browser = server, browser
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        ours = used(self.server)
        found = {"server": ours.pop(self.server, 0.0), "training": sum(ours.values()), "machine": busy(), "clock": time.monotonic()}
        return found | ({"browser": self.browser.used()} if self.browser else {})

    def read(self) -> dict[str, float]:
        return {name: value - self._before[name] for name, value in self._now().items()}


# ---------------------------------------------------------------- clients
class Clients:
    """Threads that ask, each at its own pace, until ``ended``."""

    def __init__(self, address: str, measured: Measured, ended: threading.Event) -> None:
        self.address, self.measured, self.ended = address, measured, ended
        self.run = ""
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


# ---------------------------------------------------------------- the whole
def soak(minutes: float, *, stocks: int, years: int, interrupted: threading.Event, say: Callable[[str], object]) -> Measured:
    """Everything, for so many minutes or until ``interrupted``."""
    from financial_model.market.sources.demo import write_demo
    from financial_model.market.store import Store

    measured, ended = Measured(), threading.Event()
    with tempfile.TemporaryDirectory(prefix="kairos-soak-") as name:
        folder = Path(name)
        write_demo(Store(folder / "data"), stocks=stocks, years=years)
        with serving(folder) as (address, process):
            training = Training(address, folder, measured)
            clients = Clients(address, measured, ended)
            training.start()
            clients.run = training.run
            try:
                with browsing(address, measured, interrupted) as browser:
                    clients.start()
                    meter = Meter(process, browser)
                    _watch(minutes, process, training, clients, browser, measured, interrupted, say)
                    measured.processor = meter.read()
                if browser:
                    clients.alone = True
                    interrupted.wait(min(ALONE_SECONDS, 60 * ALONE_SHARE * minutes))
            except Exception:
                if not interrupted.is_set():  # what Ctrl-C has cut off is no finding
                    raise
            finally:
                ended.set()
                clients.join()
            if not interrupted.is_set():
                training.stop()
                training.settle()
    return measured


def _watch(minutes: float, process: int, training: Training, clients: Clients, browser: Browser | None, measured: Measured,
           interrupted: threading.Event, say: Callable[[str], object]) -> None:
    began = time.monotonic()
    told = 0.0
    while (passed := time.monotonic() - began) < 60 * minutes and not interrupted.wait(TICK_SECONDS):
        measured.minutes = passed / 60
        if not training.follow():
            training.settle()
            training.start()
            clients.run = training.run
        last = max((samples[-1][0] for samples in measured.memory.values()), default=-SAMPLE_SECONDS)
        if passed - last >= SAMPLE_SECONDS:
            found = {"server": resident(process), **(browser.sample() if browser else {})}
            for name, value in found.items():
                measured.memory.setdefault(name, []).append((passed, value))
        if browser:
            browser.reload_now_and_then()
        if passed - told >= 60:
            told = passed
            say(f"{passed / 60:.0f} of {minutes:g} minutes; " + ", ".join(f"{name} {samples[-1][1] / 1e6:.0f} MB"
                                                                          for name, samples in measured.memory.items()))
    measured.minutes = (time.monotonic() - began) / 60


def shares(measured: Measured) -> dict[str, float]:
    """Cores in use on average, by whom; and milliseconds of the server's processor time for an answer to a client (those to the browser count in)."""
    if not measured.processor:
        return {}
    seconds = dict(measured.processor)
    clock, count = seconds.pop("clock"), sum(len(times) for kind, times in measured.seconds.items() if not kind.endswith(ALONE))
    found = {name: value / clock for name, value in seconds.items()}
    others = found["machine"] - sum(found.get(name, 0.0) for name in ("server", "training", "browser"))
    return found | {"others": others, "ms_per_answer": 1e3 * seconds["server"] / max(1, count)}


def report(measured: Measured, interrupted: bool) -> dict[str, Any]:
    """Figures and verdicts as plain data."""
    memory = {name: trend(samples) for name, samples in measured.memory.items() if len(samples) > 3}
    answers = {kind: {"count": len(seconds), "median_ms": 1e3 * statistics.median(seconds), "p95_ms": 1e3 * percentile(seconds)}
               for kind, seconds in measured.seconds.items()}
    whole = not measured.lost and not measured.errors and all(entry["flat"] is not False for entry in memory.values())
    return {"minutes": measured.minutes, "interrupted": interrupted, "clients": PAGES + PROGRAMS, "runs": measured.runs, "reloads": measured.reloads,
            "memory": memory, "answers": answers, "processor": shares(measured), "points": measured.points, "lost": measured.lost,
            "errors": measured.errors,
            "passed": whole and not interrupted and bool(memory), "samples": measured.memory}


def render(found: dict[str, Any]) -> str:
    lines = [f"{found['minutes']:.1f} minutes, {found['clients']} clients, {found['runs']} training(s), {found['reloads']} reloads of the page"
             f"{'; interrupted' if found['interrupted'] else ''}", "", "| what | measured | allowed or wanted | |", "|---|---|---|---|"]
    verdicts = {True: "flat", False: "NOT flat", None: "too short"}
    lines += [f"| memory, {name} | median {entry['median'] / 1e6:.1f} MB, {entry['growth'] / 1e6:+.1f} MB in the last "
              f"{entry['minutes']:.1f} minutes | < {entry['allowed'] / 1e6:.1f} MB | {verdicts[entry['flat']]} |"
              for name, entry in found["memory"].items()]
    if found["interrupted"]:
        lines.append("| points of the curve | not compared: interrupted | none lost | |")
    else:
        lines.append(f"| points of the curve | {found['points']} written, lost: {'; '.join(found['lost']) or 'none'} | none lost | "
                     f"{'NOT met' if found['lost'] else 'met'} |")
    for kind, entry in found["answers"].items():
        wanted = kind.startswith("refresh")
        verdict = ("met" if entry["p95_ms"] < ANSWER_MILLISECONDS else "NOT met") if wanted else ""
        lines.append(f"| {kind}, {entry['count']} answers | median {entry['median_ms']:.0f} ms, 95th percentile {entry['p95_ms']:.0f} ms | "
                     f"{f'< {ANSWER_MILLISECONDS:.0f} ms' if wanted else ''} | {verdict} |")
    if used := found["processor"]:
        said = ", ".join(f"{name} {used[name]:.2f}" for name in ("server", "training", "browser", "others") if name in used)
        lines.append(f"| processor, {os.cpu_count()} cores | {said}; the server's own {used['ms_per_answer']:.0f} ms an answer |  |  |")
    lines.append(f"| errors | {'; '.join(found['errors'][:5]) or 'none'} | none | {'NOT met' if found['errors'] else 'met'} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./start.sh soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--stocks", type=int, default=60)
    parser.add_argument("--years", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("soak.json"), help="where to write the figures (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not sys.platform.startswith("linux"):
        parser.error("the soak needs Linux: it reads the memory of processes from /proc")
    if options.minutes <= 0:
        parser.error("--minutes must be more than 0")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    interrupted = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: interrupted.set())
    try:
        measured = soak(options.minutes, stocks=options.stocks, years=options.years, interrupted=interrupted,
                        say=lambda text: sys.stderr.write(f"{text}\n"))
    except Exception:
        if not interrupted.is_set():
            raise
        sys.stderr.write("stopped before there were figures; nothing is left behind\n")
        return 130
    found = report(measured, interrupted.is_set())
    options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    sys.stdout.write(render(found) + "\n")
    return 130 if found["interrupted"] else 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
