"""How the learning rate moves over a run.

In: the number of the optimiser step, and for ``plateau`` the validation losses so far. Out: a learning rate.
Everything is a pure function of the step, except the plateau's scale, which is saved with the resume point: so a resumed run goes on exactly.
It knows no optimiser.
"""

from __future__ import annotations

import math
from typing import Any

from financial_model.config import TrainConfig
from financial_model.errors import ConfigError

ONECYCLE_RISE = 0.3
"""Least share of a onecycle run spent rising (Smith and Topin 2018; also the default of torch's OneCycleLR)."""
ONECYCLE_START = 25.0
"""A onecycle run starts at the learning rate divided by this."""
PLATEAU_FACTOR = 0.5


class Schedule:
    """The learning rate of each step of a run of ``total_steps``."""

    def __init__(self, config: TrainConfig, total_steps: int) -> None:
        if config.schedule not in _SHAPES:
            raise ConfigError("config.not_a_choice", name="schedule", value=config.schedule, choices=", ".join(_SHAPES))
        self._shape = _SHAPES[config.schedule]
        self._adapts = config.schedule == "plateau"
        self.base = config.learning_rate
        self.minimum = min(config.min_learning_rate, config.learning_rate)
        self.total_steps = max(1, total_steps)
        rise = max(config.warmup, ONECYCLE_RISE) if config.schedule == "onecycle" else config.warmup
        self.warmup_steps = min(round(rise * self.total_steps), self.total_steps)
        self.patience = max(1, config.patience // 2)
        self._scale, self._best, self._bad = 1.0, math.inf, 0

    def learning_rate(self, step: int) -> float:
        """The learning rate of optimiser step ``step`` (the first is 0, and never has the rate 0)."""
        return max(self.minimum, self._shape(self, step) * self._scale) if self._adapts else self._shape(self, step)

    def evaluated(self, loss: float) -> None:
        """Tell the schedule a validation loss. Only ``plateau`` listens: after ``patience`` evaluations without gain the rate halves."""
        if loss < self._best:
            self._best, self._bad = loss, 0
            return
        self._bad += 1
        if self._bad >= self.patience:
            self._scale, self._bad = self._scale * PLATEAU_FACTOR, 0

    def state(self) -> dict[str, Any]:
        """What a resume point must hold, as JSON: numbers or None."""
        return {"scale": self._scale, "best": None if math.isinf(self._best) else self._best, "bad": self._bad}

    def restore(self, state: dict[str, Any]) -> None:
        self._scale, self._bad = state["scale"], state["bad"]
        self._best = math.inf if state["best"] is None else state["best"]


def _warm(schedule: Schedule, step: int) -> float | None:
    """The straight rise from base / warm-up steps to base, or None once it is over."""
    return schedule.base * (step + 1) / schedule.warmup_steps if step < schedule.warmup_steps else None


def _constant(schedule: Schedule, step: int) -> float:
    warm = _warm(schedule, step)
    return schedule.base if warm is None else warm


def _cosine(schedule: Schedule, step: int) -> float:
    """From base down to the minimum over all steps that follow the warm-up."""
    warm = _warm(schedule, step)
    if warm is not None:
        return warm
    share = (step - schedule.warmup_steps) / max(1, schedule.total_steps - schedule.warmup_steps)
    return _between(schedule.base, schedule.minimum, share)


def _onecycle(schedule: Schedule, step: int) -> float:
    start = schedule.base / ONECYCLE_START
    if step < schedule.warmup_steps:
        return _between(start, schedule.base, step / schedule.warmup_steps)
    share = (step - schedule.warmup_steps) / max(1, schedule.total_steps - schedule.warmup_steps)
    return _between(schedule.base, min(schedule.minimum, start), share)


def _between(first: float, last: float, share: float) -> float:
    """From ``first`` (share 0) to ``last`` (share 1) along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


_SHAPES = {"constant": _constant, "plateau": _constant, "cosine": _cosine, "onecycle": _onecycle}
