"""What a training tells: the points of its curves and the facts beside them, as events.

In: sums on the device, the position of the run. Out: lines in ``events.jsonl``. It reads the device only when a point is due, and decides
nothing about the training.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any

from financial_model.text import translate
from financial_model.training.events import EventLog
from financial_model.training.progress import Meter
from financial_model.training.step import NotFiniteError

logger = logging.getLogger(__name__)

POINT_SECONDS = 0.5
"""Least time between two points of the training curve."""
POINTS = 2000
"""A run longer than POINTS times POINT_SECONDS writes its points more rarely, so that the file of a night stays small."""


class Reporter:
    """Writes the events of one session, which begins at ``first_step``."""

    def __init__(self, events: EventLog, meter: Meter, *, steps_per_epoch: int, total_steps: int) -> None:
        self.events, self.meter = events, meter
        self._steps_per_epoch, self._total_steps = steps_per_epoch, total_steps
        self.begin(0)

    def begin(self, step: int) -> None:
        """The session takes its first step from ``step``."""
        self._first_step = step
        self._began = self._last_point = time.monotonic()
        self._nothing_yet = True

    def epoch(self, step: int) -> float:
        """Epochs done after ``step`` steps."""
        return round(step / self._steps_per_epoch, 4)

    def due(self, seconds: float) -> bool:
        """Whether a point is due in a run that has lasted ``seconds``; the first one at once, so that a page shows life."""
        return self._nothing_yet or time.monotonic() - self._last_point >= max(POINT_SECONDS, seconds / POINTS)

    def point(self, step: int, learning_rate: float) -> None:
        """A point of the training curve; none when nothing was learned since the last. ``NotFiniteError`` when the loss is not a number."""
        windows = self.meter.windows
        if not windows:
            return
        metrics = self.meter.point()
        now = time.monotonic()
        if not math.isfinite(metrics["loss"]):
            raise NotFiniteError("loss")
        seconds_per_step = (now - self._began) / max(1, step - self._first_step)
        self.events.append("step", step=step, epoch=self.epoch(step), split="train", metrics={
            **metrics, "learning_rate": learning_rate, "windows_per_second": windows / max(now - self._last_point, 1e-9),
            "eta_seconds": (self._total_steps - step) * seconds_per_step})
        self._last_point, self._nothing_yet = now, False

    def evaluated(self, step: int, metrics: dict[str, Any], best: bool) -> None:
        """A point of the validation curve."""
        self.events.append("epoch", step=step, epoch=self.epoch(step), split="validation", metrics=metrics, best=best)
        logger.info("epoch %.2f, step %d: validation loss %.5f%s", self.epoch(step), step, metrics["loss"], " (best)" if best else "")
        self._last_point = time.monotonic()  # the next point measures training alone

    def constants(self, losses: dict[str, float]) -> None:
        """The validation loss of the constant forecasts: lines for the page to draw, in the objective's own units."""
        for name, loss in losses.items():
            self.events.append("baseline", step=0, epoch=0, split="validation", name=name, metrics={"loss": loss})

    def checkpoint(self, step: int, name: str) -> None:
        self.events.append("checkpoint", step=step, epoch=self.epoch(step), name=name)

    def stage(self, stage: str) -> None:
        self.events.append("stage", stage=stage)

    def warning(self, key: str, **fields: Any) -> None:
        """Something changed its ways; the page translates ``key``."""
        logger.warning("%s", translate(key, **fields))
        self.events.append("warning", key=key, fields=fields, message=translate(key, **fields))
