"""Where a run stands: everything that changes from step to step besides weights.

In: what happened. Out: numbers that fit in JSON, so that a resume point can hold them exactly. It knows no model and no file.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Progress:
    """The position in the run and the memory of early stopping."""

    epoch: int = 0
    """Epochs finished."""
    batch: int = 0
    """Batches of the current epoch that are in the weights."""
    step: int = 0
    """Optimiser steps done."""
    evaluated: int = -1
    """Step of the last evaluation."""
    best_loss: float | None = None
    best_step: int = 0
    best_epoch: float = 0.0
    without_gain: int = 0
    """Evaluations since the best one."""
    finished: bool = False
    early: bool = False
    """Finished by early stopping."""
    seconds: float = 0.0
    """Time spent, over all sessions."""
    rows: int = 0
    """TrainingStep.rows: part of a batch that fits in memory; 0: all of it."""
    baselines: dict[str, float] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    """Metrics of the last evaluation."""
    extras: dict[str, Any] = field(default_factory=dict)
    """Extras of the last evaluation."""

    def record(self, loss: float, epoch: float, patience: int) -> bool:
        """Take in a validation loss at the present step; whether it is the best so far. Sets ``finished`` when patience is at its end."""
        self.evaluated = self.step
        if self.best_loss is None or loss < self.best_loss:
            self.best_loss, self.best_step, self.best_epoch, self.without_gain = loss, self.step, epoch, 0
            return True
        self.without_gain += 1
        if patience and self.without_gain >= patience:
            self.finished = self.early = True
        return False

    def state(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Progress:
        return cls(**state)


class Meter:
    """Sums of the training loss and the gradient's norm, kept on the device and fetched only when a point of the curve is due."""

    def __init__(self, device: torch.device) -> None:
        self._losses = torch.zeros(2, dtype=torch.float64, device=device)  # since the last point; since the last evaluation
        self._norms = torch.zeros((), dtype=torch.float64, device=device)
        self._windows, self._windows_evaluation, self._steps = 0, 0, 0

    def add_batch(self, loss: torch.Tensor, windows: int) -> None:
        """``loss`` [] is the mean over ``windows``."""
        self.sum_loss(loss, windows)
        self.count(windows)

    def add_step(self, norm: torch.Tensor) -> None:
        self.sum_norm(norm)
        self.count(steps=1)

    def sum_loss(self, loss: torch.Tensor, windows: int) -> None:
        """The part of ``add_batch`` that happens on the device, in place, so that a recorded step can hold it."""
        self._losses += loss.double() * windows

    def sum_norm(self, norm: torch.Tensor) -> None:
        self._norms += torch.nan_to_num(norm.double(), 0.0, 0.0, 0.0)  # fp16: a step the scaler skipped

    def count(self, windows: int = 0, *, steps: int = 0) -> None:
        """The part that happens on the host."""
        self._windows += windows
        self._windows_evaluation += windows
        self._steps += steps

    @property
    def windows(self) -> int:
        """Windows since the last point."""
        return self._windows

    def point(self) -> dict[str, float]:
        """Mean ``loss`` and ``grad_norm`` since the last point; starts the next one. ``nan`` where a loss was."""
        found = {"loss": self._losses[0].item() / max(1, self._windows), "grad_norm": self._norms.item() / max(1, self._steps)}
        self._losses[0], self._windows, self._steps = 0.0, 0, 0
        self._norms.zero_()
        return found

    def since_evaluation(self) -> float:
        """Mean training loss since the last evaluation; starts anew."""
        found = self._losses[1].item() / self._windows_evaluation if self._windows_evaluation else math.nan
        self._losses[1], self._windows_evaluation = 0.0, 0
        return found

    def state(self) -> dict[str, Any]:
        return {"losses": self._losses.tolist(), "norms": self._norms.item(),
                "counts": [self._windows, self._windows_evaluation, self._steps]}

    def restore(self, state: dict[str, Any]) -> None:
        self._losses.copy_(torch.tensor(state["losses"], dtype=torch.float64))
        self._norms.fill_(state["norms"])
        self._windows, self._windows_evaluation, self._steps = state["counts"]
