"""What a training asks of the processes it shares its work with; and the answers of a process that is alone.

In: questions of the loop. Out: common decisions. Each process learns its share of every global batch; gradients are summed before a step, so all
hold the same weights at every moment, and only the first writes, evaluates and looks at the clock. It knows no torch: ``distributed.py`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from financial_model.config import RunConfig
from financial_model.errors import ConfigError, JobError
from financial_model.training.events import EventLog
from financial_model.training.plain import plain

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from financial_model.training.resume import ResumePoint


class Processes:
    """One process alone: it leads, and every question is answered by itself."""

    rank, count = 0, 1

    @property
    def leads(self) -> bool:
        """Whether this process writes, evaluates and decides."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        return self.count > 1

    @property
    def builds(self) -> bool:
        """Whether this process prepares the data of its machine."""
        return True

    def device(self, name: str) -> str:
        """Where this process computes, when the user asked for ``name``."""
        return name

    def lead(self, work: Callable[[], Any]) -> Any:
        """What ``work`` gives in the first process; the others wait for it. Its ``KairosError`` or ``Stopped`` is raised by all."""
        return work()

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """Each wish is granted to all where one process has it."""
        return wishes

    def every(self, value: Any) -> list[Any]:
        """``value`` (plain JSON data) of each process, in their order."""
        return [value]

    def check_alike(self, **facts: str) -> None:
        """``ConfigError`` where the ``facts`` of another process are not those of the first."""

    def share_weights(self, model: torch.nn.Module) -> None:
        """Everyone takes the first one's weights and buffers."""

    def share_point(self, point: ResumePoint | None) -> ResumePoint | None:
        """Everyone goes on from the resume point the first one has read."""
        return point

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter], loss: Tensor) -> Tensor:
        """Replace every gradient by its sum over the processes; the sum of ``loss`` []."""
        return loss

    def remember(self, run: str) -> None:
        """Note which run this launch works on, for a restart of it."""


ALONE = Processes()


class Whispered(EventLog):
    """The events of a process that does not lead: warnings wait for the first one to write them down, the rest is known to it anyway."""

    def __init__(self) -> None:
        super().__init__("")
        self.waiting: list[dict[str, Any]] = []

    def append(self, kind: str, **fields: Any) -> None:
        if kind == "warning":
            self.waiting.append(plain(fields))


def pass_on(processes: Processes, events: EventLog) -> None:
    """Write the waiting warnings of all others into the first one's ``events``; each says from which process it comes."""
    told = processes.every(events.waiting if isinstance(events, Whispered) else [])
    if isinstance(events, Whispered):
        events.waiting = []
    for rank, warnings in enumerate(told if processes.leads else ()):
        for fields in warnings:
            events.append("warning", **fields, process=rank)


def refuse(config: RunConfig) -> None:
    """``ConfigError`` for what cannot be divided among processes: windows that are compared with each other, and several trainings in one run."""
    names = (
        ("cross_section", config.model.cross_section), ("objective", config.by_date()), ("seeds", config.training.seeds > 1),
        ("walk_forward", config.split.walk_forward != "none"))
    for name, given in names:
        if given:
            raise ConfigError(f"training.alone_{name}", objective=config.objective())


def lost() -> JobError:
    """Another process has ended, or the launcher ends this one."""
    return JobError("training.process_lost")
