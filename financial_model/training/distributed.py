"""Several processes that train one model: how they speak to each other.

In: a process group of torch.distributed. Out: :class:`Processes` whose sums, decisions and results are the same in all of them. Host messages are
JSON through gloo, never a pickle; gradients on GPUs go through NCCL. How processes find each other stands in ``launcher.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from financial_model.errors import ConfigError, KairosError, Stopped, packed
from financial_model.training.processes import Processes, lost
from financial_model.training.resume import ResumePoint

if TYPE_CHECKING:
    import torch.distributed as dist


class Several(Processes):
    """This process among others, over a group whose host messages go through gloo; on GPUs the gradients through NCCL."""

    def __init__(self, group: dist.ProcessGroup, rank: int, count: int, *, local_rank: int = 0, local_count: int = 1,
                 failure: Callable[[], KairosError | None] = lambda: None, note: Callable[[str], None] = lambda run: None) -> None:
        """``local_rank`` of ``local_count``: the place on this machine. ``failure``: what another process said before it ended."""
        self.rank, self.count, self.local_rank, self.local_count = rank, count, local_rank, local_count
        self._group, self._failure, self._note = group, failure, note

    @property
    def builds(self) -> bool:
        return self.local_rank == 0

    def device(self, name: str) -> str:
        """One GPU for each process of a machine. ``ConfigError`` when there are fewer, or when one GPU is named for all."""
        if name == "cpu" or name == "auto" and not torch.cuda.is_available():
            return "cpu"
        found = torch.cuda.device_count()
        if name not in ("auto", "cuda") or self.local_count > found:
            raise ConfigError("training.process_devices", device=name[:40], processes=self.local_count, found=found)
        torch.cuda.set_device(self.local_rank)
        return f"cuda:{self.local_rank}"

    def lead(self, work: Callable[[], Any]) -> Any:
        if not self.leads:
            return _opened(self._send({}, 0))
        try:
            found = work()
        except (KairosError, Stopped) as error:
            self._send(_sealed(error), 0)
            raise
        self._send({"found": found}, 0)
        return found

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        votes = torch.tensor(wishes, dtype=torch.int32)
        self._sum(votes)
        return tuple(vote > 0 for vote in votes.tolist())

    def every(self, value: Any) -> list[Any]:
        return [self._send(value, root) for root in range(self.count)]

    def check_alike(self, **facts: str) -> None:
        first, *others = self.every(facts)
        for process, other in enumerate(others, start=1):
            if other != first:
                raise ConfigError("training.processes_differ", first=", ".join(first.values()), process=process, other=", ".join(other.values()))

    def share_weights(self, model: torch.nn.Module) -> None:
        for tensor in model.state_dict().values():
            self._broadcast(tensor, 0)

    def share_point(self, point: ResumePoint | None) -> ResumePoint | None:
        known = self.lead(lambda: None if point is None else {
            "path": str(point.path), "facts": point.facts, "tensors": {name: _form(tensor) for name, tensor in point.tensors.items()}})
        if known is None:
            return None
        if point is None:
            tensors = {name: torch.empty(form["shape"], dtype=getattr(torch, form["dtype"])) for name, form in known["tensors"].items()}
            point = ResumePoint(Path(known["path"]), known["facts"], tensors)
        for tensor in point.tensors.values():
            self._broadcast(tensor, 0)
        return point

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter], loss: Tensor) -> Tensor:
        """A gradient that no process has stays absent, as in one process alone: the optimiser then leaves its weights be."""
        moving = [parameter for parameter in parameters if parameter.requires_grad]
        present = self.agree(*(parameter.grad is not None for parameter in moving))
        moving = [parameter for parameter, there in zip(moving, present, strict=True) if there]
        parts = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in moving]
        sums = torch.cat([*(part.flatten() for part in parts), loss.to(torch.float32).reshape(1)])
        self._sum(sums)
        *found, total = sums.split([*(part.numel() for part in parts), 1])
        for parameter, part in zip(moving, found, strict=True):
            parameter.grad = part.view_as(parameter)
        return total[0]

    def remember(self, run: str) -> None:
        self._note(run)

    # ------------------------------------------------------------ messages
    def _send(self, value: Any, root: int) -> Any:
        """JSON data of the process ``root`` for everyone."""
        text = json.dumps(value, default=_plainly).encode() if self.rank == root else b""
        size = torch.tensor([len(text)])
        self._broadcast(size, root)
        data = torch.frombuffer(bytearray(text), dtype=torch.uint8) if text else torch.empty(int(size), dtype=torch.uint8)
        self._broadcast(data, root)
        return json.loads(data.numpy().tobytes())

    def _broadcast(self, tensor: Tensor, root: int) -> None:
        whole = tensor.contiguous()
        self._wait(lambda: self._group.broadcast(whole, root))
        if whole is not tensor:
            tensor.copy_(whole)

    def _sum(self, tensor: Tensor) -> None:
        self._wait(lambda: self._group.allreduce([tensor]))

    def _wait(self, begin: Callable[[], Any]) -> None:
        """``JobError`` when another process is gone, or what that process said before it left."""
        try:
            begin().wait()
        except RuntimeError as error:
            raise (self._failure() or lost()) from error


def _plainly(value: Any) -> Any:
    """Arrays and tensors as lists; unlike ``plain`` it leaves what is not a number as it is."""
    return value.tolist()


def _form(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}


def _sealed(error: KairosError | Stopped) -> dict[str, Any]:
    if isinstance(error, Stopped):
        return {"stopped": True}
    return {"failed": error.key, "fields": packed(error.fields)}


def _opened(told: dict[str, Any]) -> Any:
    if "stopped" in told:
        raise Stopped
    if "failed" in told:
        raise KairosError(told["failed"], **told["fields"])
    return told["found"]
