"""The series a chart draws, gathered from a run's events and thinned on the server.

In: events as they are appended. Out: points per series, at most so many. It knows no files and no page.
A run that was resumed trains the steps since its resume point once more; the event ``resume`` says from where, and the points beyond it go.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

MAX_POINTS = 400
VALIDATION = "validation/loss"


class Curves:
    """Series by name: ``train/loss``, ``validation/loss``, ``train/learning_rate`` ...: one per split and metric, and of an ensemble per member."""

    def __init__(self) -> None:
        self.offset = 0
        """Bytes of the event file read so far; kept here for whoever feeds."""
        self._series: dict[tuple[int, str], tuple[list[int], list[float], list[float]]] = {}
        """By member (0: the run is no ensemble) and name."""
        self._baselines: dict[str, dict[str, float]] = {}
        self._member, self._members = 0, 0
        """The one that trains, and how many there will be."""
        self._together: list[tuple[int, int, float]] = []
        """(step, members, validation loss of their average)"""

    def feed(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take in events in the order they were written; kinds other than step, epoch, baseline and resume say nothing here."""
        for event in events:
            metrics = event.get("metrics") or {}
            self._member, self._members = int(event.get("member", self._member)), max(self._members, int(event.get("members", 0)))
            if event.get("kind") == "baseline":
                self._baselines[str(event.get("name", "baseline"))] = {name: value for name, value in metrics.items() if _is_number(value)}
            elif event.get("kind") == "resume":
                self._rewind(int(event["step"]))
            elif event.get("kind") == "ensemble" and _is_number(metrics.get("loss")):
                self._together.append((int(event["step"]), int(event["members"]), float(metrics["loss"])))
            elif event.get("kind") in ("step", "epoch"):
                split, step, epoch = event.get("split") or "train", int(event.get("step") or 0), float(event.get("epoch") or 0)
                for name, value in metrics.items():
                    if _is_number(value):
                        self._append(f"{split}/{name}", step, epoch, float(value))

    def _rewind(self, step: int) -> None:
        for columns in self._series.values():
            place = bisect_right(columns[0], step)
            for column in columns:
                del column[place:]
        self._together = [entry for entry in self._together if entry[0] <= step]

    def _append(self, name: str, step: int, epoch: float, value: float) -> None:
        steps, epochs, values = self._series.setdefault((self._member, name), ([], [], []))
        steps.append(step)
        epochs.append(epoch)
        values.append(value)

    def series(self, max_points: int = MAX_POINTS) -> dict[str, Any]:
        """``{"series": {name: {"step": [...], "epoch": [...], "value": [...]}}, "baselines": {name: {metric: value}}, "best": {...} | None}``.

        ``best`` is the point of lowest validation loss over all points, not only over those kept. Of an ensemble the series are the present
        member's, and ``members`` is ``{"number", "count", "validation": {number: points}, "together": [[members, loss], ...]}``.
        """
        def points(key: tuple[int, str]) -> dict[str, list[Any]]:
            steps, epochs, values = self._series[key]
            kept = thin(len(steps), max_points)
            return {"step": [steps[i] for i in kept], "epoch": [epochs[i] for i in kept], "value": [values[i] for i in kept]}

        found = {"series": {name: points((member, name)) for member, name in self._series if member == self._member},
                 "baselines": {name: dict(values) for name, values in self._baselines.items()}, "best": self._best()}
        if self._member:
            found["members"] = {
                "number": self._member, "count": self._members, "together": [[count, loss] for _, count, loss in self._together],
                "validation": {key[0]: points(key) for key in sorted(self._series) if key[1] == VALIDATION}}
        return found

    def _best(self) -> dict[str, float] | None:
        known = [(value, step, epoch) for (_, name), columns in self._series.items() if name == VALIDATION
                 for step, epoch, value in zip(*columns, strict=True)]
        if not known:
            return None
        value, step, epoch = min(known)
        return {"step": step, "epoch": epoch, "value": value}


def thin(count: int, max_points: int) -> list[int]:
    """Indices of at most ``max_points`` points out of ``count``, the last always among them.

    The stride is a power of two, so points that were shown stay where they are while the curve grows, instead of dancing.
    """
    if count <= max_points:
        return list(range(count))
    stride = 1
    while (count - 1) // stride + 2 > max_points:
        stride *= 2
    kept = list(range(0, count, stride))
    return kept if kept[-1] == count - 1 else [*kept, count - 1]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
