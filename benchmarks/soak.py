"""A long ordinary day in short: ``./start.sh soak [--minutes 30]``.

The app with a demo market in a temporary folder, a training on, eight clients that ask as open pages and programs do, and a Chromium with a page that
stays open and one that is loaded again now and then. Measured: memory of server and pages over time, points of the curve that never arrived, how long
answers take, and who has used the processor meanwhile. In the end the browser is closed and the clients go on for a minute: what the server takes to
answer, apart from what a small machine takes that draws pages as well. Ctrl-C ends it early with the figures so far; nothing is left behind. It needs
Linux for the memory of processes.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.processes import Meter, resident
from benchmarks.soak_figures import Measured, render, report
from benchmarks.soak_load import TICK_SECONDS, Browser, Clients, Training, browsing
from tests.e2e.browser import serving

SAMPLE_SECONDS = 5.0
ALONE_SECONDS, ALONE_SHARE = 60.0, 0.2
"""How long the clients go on without a browser on the machine: so many seconds, but no more than this share of the whole."""


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
