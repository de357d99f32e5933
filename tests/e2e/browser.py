"""A real Chromium and a real server, for the tests that look at the page as a person does."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ABORTED = ("AbortError", "Connection errored out", "queue/data", "heartbeat", "net::ERR_ABORTED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING")
"""What a reload cuts off in mid-flight is no error of the page; at any other moment it is."""


def chromium() -> str | None:
    """The browser that is installed; KAIROS_CHROMIUM names another one."""
    return os.environ.get("KAIROS_CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def server(folder: Path, *arguments: str, seconds: float = 120) -> Iterator[str]:
    """``app.py`` as a child process with its data under ``folder``; yields its address."""
    with serving(folder, *arguments, seconds=seconds) as (address, _):
        yield address


@contextmanager
def serving(folder: Path, *arguments: str, seconds: float = 120) -> Iterator[tuple[str, int]]:
    """The same, with the process id of the server."""
    port = free_port()
    command = [
        sys.executable,
        str(ROOT / "app.py"),
        "--port",
        str(port),
        "--data-dir",
        str(folder / "data"),
        "--checkpoint-dir",
        str(folder / "checkpoints"),
    ]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "gradio"), "PYTHONUTF8": "1"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + seconds
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "server.log").read_text("utf-8", errors="replace")[-3000:])
            time.sleep(0.2)
        yield address, process.pid
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


RING = """() => {
  const part = document.activeElement, style = element => getComputedStyle(element);
  const rung = element => style(element).outlineStyle !== "none" && parseFloat(style(element).outlineWidth) > 0;
  const said = `${part.closest("[id]")?.id} ${part.tagName} ${(part.ariaLabel || part.textContent).trim().slice(0, 30)}`;
  return part === document.body ? null : [said, [part, part.parentElement, part.closest(".wrap")].some(element => element && rung(element))];
}"""


TOP = """() => {
    const top = document.createElement("span");
    top.tabIndex = -1;
    document.body.prepend(top);
    top.focus();
}"""
"""Puts the keyboard before everything else, wherever somebody has clicked before."""


def walk(page: Any, steps: int) -> list[tuple[str, bool]]:
    """What the tab key reaches from the top of the page on, and whether one sees where one is."""
    page.evaluate(TOP)
    reached = []
    for _ in range(steps):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(RING))
    return [(name, ring) for name, ring in filter(None, reached)]


def downloaded(page: Any, button: str) -> Any:
    """The file a button brings, pressed once and as soon as it can be: no press may be lost while the page is drawn."""
    with page.expect_download(timeout=90_000) as waiting:
        page.locator(button).click(timeout=90_000)
    return waiting.value


class Watcher:
    """Everything a page did that it should not have done."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.strangers: list[str] = []
        self._reloading = False
        own = urlparse(address).netloc
        page.on("pageerror", lambda error: self._say(str(error)))
        page.on("console", lambda message: message.type == "error" and self._say(message.text))
        page.on("request", lambda request: urlparse(request.url).netloc not in (own, "") and self.strangers.append(request.url))

    def _say(self, text: str) -> None:
        if not (self._reloading and any(word in text for word in ABORTED)):
            self.errors.append(text)

    @contextmanager
    def reload(self) -> Iterator[None]:
        """Load the page again; the body of the ``with`` waits until it is there."""
        self._reloading = True
        self.page.reload()
        yield
        self._reloading = False
