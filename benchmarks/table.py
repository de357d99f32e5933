"""What a benchmark reports, how turns are taken, and the one table.

In: functions to be timed. Out: rows with both figures, their ratio and the target, as text and as JSON.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison. ``ours`` and ``peer`` are in ``unit``; ``ratio`` says how many times better ours is, or what the text says it is."""

    benchmark: str
    case: str
    ours: float | None = None
    """None: it was not measured, and ``case`` says why."""
    unit: str = ""
    peer: float | None = None
    against: str = ""
    ratio: float | None = None
    ratio_of: str = "times faster"
    target: str = ""
    met: bool | None = None
    method: str = ""


CPU_TIME = "in CPU time, which a busy machine changes little"
"""What a method says when its clock was ``time.process_time``."""


def side_by_side(*functions: Callable[[], Any], rounds: int = 7, budget: float = 20.0, clock: Callable[[], float] | None = None) -> list[list[float]]:
    """Seconds of every call, one list per function. They take turns, so that a busy moment of the machine hits all of them.

    Each is called once before, uncounted. At least three rounds, at most ``rounds``, fewer when ``budget`` seconds are over. ``clock``: wall time
    by default; ``time.process_time`` compares what functions of one thread cost, also where other processes take the machine from them.
    """
    clock = clock or time.perf_counter
    seconds: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    began = time.perf_counter()
    for turn in range(rounds):
        for taken, function in zip(seconds, functions, strict=True):
            start = clock()
            function()
            taken.append(clock() - start)
        if turn >= 2 and time.perf_counter() - began > budget:
            break
    return seconds


def median_ratio(left: list[float], right: list[float]) -> float:
    """Median over rounds of right / left: how many times faster the left one is."""
    return statistics.median(b / a for a, b in zip(left, right, strict=True))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    from financial_model import __version__, runtime

    facts = runtime.describe()
    names = ("processor", "cores", "memory_total", "system", "python", "torch", "numba", "device", "device_name", "threads", "precision")
    return {"kairos": __version__, **{name: facts[name] for name in names}}


def as_json(facts: dict[str, Any], rows: list[Row], quick: bool) -> dict[str, Any]:
    return {"machine": facts, "quick": quick, "time": time.strftime("%Y-%m-%d %H:%M:%S"), "rows": [dataclasses.asdict(row) for row in rows]}


def render(facts: dict[str, Any], rows: list[Row], quick: bool) -> str:
    """The table as Markdown, the methods below it."""
    lines = [
        f"Machine: {facts['processor']}, {facts['cores']} cores, {facts['memory_total'] / 2**30:.0f} GB, {facts['device']}; "
        f"Python {facts['python']}, torch {facts['torch']}, numba {facts['numba']}{'; quick' if quick else ''}.", "",
        "| benchmark | case | Kairos | peer | ratio | target |", "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.ours is None:
            lines.append(f"| {row.benchmark} | {row.case} | not measured | | | {row.target} |")
            continue
        peer = f"{number(row.peer)} ({row.against})" if row.peer is not None else row.against
        ratio = f"{number(row.ratio)} {row.ratio_of}" if row.ratio is not None else ""
        met = "" if row.met is None else (" met" if row.met else " NOT met")
        lines.append(f"| {row.benchmark} | {row.case} | {number(row.ours)} {row.unit} | {peer} | {ratio} | {row.target}{met} |")
    methods = dict.fromkeys(f"- {row.benchmark}: {row.method}" for row in rows if row.method)
    return "\n".join([*lines, "", "Method", *methods])


def number(value: float) -> str:
    """Three figures, thousands separated."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
