"""Who uses the machine: memory and processor time of processes, read from /proc (Linux)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Protocol


class Used(Protocol):
    """Whatever can say how many seconds of processor time it has used."""

    def used(self) -> float: ...


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

    def __init__(self, server: int, browser: Used | None) -> None:
        self.server, self.browser = server, browser
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        ours = used(self.server)
        found = {"server": ours.pop(self.server, 0.0), "training": sum(ours.values()), "machine": busy(), "clock": time.monotonic()}
        return found | ({"browser": self.browser.used()} if self.browser else {})

    def read(self) -> dict[str, float]:
        return {name: value - self._before[name] for name, value in self._now().items()}
