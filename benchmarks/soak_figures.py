"""What a soak measures, and what of it is called flat, lost, met.

In: samples, times of answers, events that arrived, as ``soak.py`` notes them. Out: verdicts as plain data and as a table. It asks nobody anything.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.page import ANSWER_MILLISECONDS, percentile

SHARE, FLOOR = 0.05, 3e6
"""Flat: a straight line through the last two thirds rises by less than this share of their median, or by less than so many bytes."""
POINTS = 2000
ALONE = ", without a browser"
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
    clients: int = 0


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
    return {"minutes": measured.minutes, "interrupted": interrupted, "clients": measured.clients, "runs": measured.runs, "reloads": measured.reloads,
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
    missed = [line.split(" | ", 1)[0].lstrip("| ") for line in lines if line.endswith(("NOT met |", "NOT flat |"))]
    whole = "every target that was judged is met" if found["memory"] else "no figures to judge by"
    lines += ["", f"not met: {'; '.join(missed)}" if missed else whole]
    return "\n".join(lines)
