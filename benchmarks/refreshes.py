"""What a page that stays open keeps of each refresh: ``python -m benchmarks.refreshes [--count 200]``.

A run that says it is training and writes points, without the computing; a Chromium with one page on the training tab, refreshed as fast as it draws.
Measured after every tenth of the refreshes, rubbish collected: script memory, nodes, listeners. Flat: as in the soak.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.soak_figures import trend
from tests.e2e.browser import ARGUMENTS, chromium, free_port

TICK_SECONDS = 0.3
BEGIN, STEPS_PER_EPOCH = 40, 50
"""Points there are before the page is opened, and points an epoch."""
CURVE = "#basic-curve path[data-name=training]"


def measure(count: int) -> Iterator[tuple[int, float, int, int]]:
    """(refreshes with new points so far, bytes of script memory, nodes, listeners), as it comes."""
    from playwright.sync_api import sync_playwright

    from financial_model import config as settings
    from financial_model.paths import Workspace
    from financial_model.serving.runs import RunStore
    from financial_model.training.events import EventLog
    from financial_model.ui import app

    app.TICK_SECONDS = TICK_SECONDS
    with tempfile.TemporaryDirectory(prefix="kairos-refreshes-") as name:
        workspace = Workspace(data_dir=Path(name) / "data", checkpoint_dir=Path(name) / "runs")
        runs = RunStore(workspace.checkpoint_dir)
        run = runs.create(settings.build({"name": "refreshes", "backbone": "lstm", "epochs": 1000}), state="running")
        served = app.launch("127.0.0.1", free_port(), workspace=workspace, language="en")
        try:
            with sync_playwright() as driver, EventLog(run.path / "events.jsonl") as events:
                for step in range(1, BEGIN + 1):
                    _point(events, step)
                browser = driver.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
                page = browser.new_context(locale="en-US").new_page()
                page.set_default_timeout(120_000)
                page.goto(served.url)
                page.locator("#k-status .k-status").wait_for()
                page.get_by_role("tab", name="Basic training", exact=True).click()
                page.locator(CURVE).wait_for(state="attached")
                devtools = page.context.new_cdp_session(page)
                for refresh in range(count):
                    if refresh % max(1, count // 20) == 0:
                        devtools.send("HeapProfiler.collectGarbage")
                        counters = devtools.send("Memory.getDOMCounters")
                        used = devtools.send("Runtime.getHeapUsage")["usedSize"]
                        yield refresh, float(used), counters["nodes"], counters["jsEventListeners"]
                    before = page.locator(CURVE).get_attribute("d")
                    _point(events, BEGIN + refresh + 1)
                    page.wait_for_function("([curve, before]) => document.querySelector(curve)?.getAttribute('d') !== before", arg=[CURVE, before])
                browser.close()
        finally:
            served.close()


def _point(events: object, step: int) -> None:
    epoch, loss = step / STEPS_PER_EPOCH, 0.7 + 0.3 * math.exp(-step / 200) + 0.01 * math.sin(step)
    events.append("step", step=step, epoch=epoch, split="train", metrics={  # type: ignore[attr-defined]
        "loss": loss, "learning_rate": 1e-3, "grad_norm": 1.0, "windows_per_second": 5000.0, "eta_seconds": 60.0})
    if step % STEPS_PER_EPOCH == 0:
        events.append("epoch", step=step, epoch=epoch, split="validation", metrics={"loss": loss + 0.02})  # type: ignore[attr-defined]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refreshes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    count = parser.parse_args().count
    if chromium() is None:
        parser.error("no Chromium is installed")
    found = []
    sys.stdout.write("| refreshes | scripts, MB | nodes | listeners |\n|---|---|---|---|\n")
    for refresh, used, nodes, listeners in measure(count):
        found.append((float(refresh), used))
        sys.stdout.write(f"| {refresh} | {used / 1e6:.1f} | {nodes:,} | {listeners:,} |\n")
        sys.stdout.flush()
    judged = trend(found)
    sys.stdout.write(f"median {judged['median'] / 1e6:.1f} MB, {judged['growth'] / 1e6:+.2f} MB in the last two thirds, allowed "
                     f"{judged['allowed'] / 1e6:.1f} MB: {'flat' if judged['flat'] else 'NOT flat'}\n")
    return 0 if judged["flat"] else 1


if __name__ == "__main__":
    sys.exit(main())
