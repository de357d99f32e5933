"""How processes of one training find each other: what torchrun puts into the environment, the first handshake, and what a restart remembers.

In: the environment. Out: :class:`Processes`, inside a block. The launcher's own store outlives the processes it starts, so it holds the run
they work on, and what the first one that failed had to say: the others then repeat no sentence of their own. It knows no run and no loop.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from financial_model.errors import KairosError, packed

if TYPE_CHECKING:
    import torch.distributed as dist

    from financial_model.training.processes import Processes

WAIT = timedelta(hours=12)
"""Longest time the first process may work alone (the panel, an evaluation) while others wait. A death is noticed at once: connections break."""
RUN, FAILURE = "run", "failure"


def launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun, or another launcher that speaks like it, has started this process."""
    return all(environment.get(name) for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))


class Launch:
    """One process of a launch: who it is, and the store all of them share."""

    def __init__(self, store: dist.Store, environment: Mapping[str, str]) -> None:
        self.rank, self.count = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        self.local_rank = int(environment.get("LOCAL_RANK", "0"))
        self.local_count = int(environment.get("LOCAL_WORLD_SIZE", "1"))
        self.attempt = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._store = store

    def join(self) -> Processes:
        """Wait until all have come; :class:`Processes` that can speak to each other."""
        import torch
        import torch.distributed as dist

        from financial_model.training.distributed import Several

        gpus = torch.cuda.is_available() and dist.is_nccl_available()
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", store=dist.PrefixStore(f"group/{self.attempt}", self._store),
                                rank=self.rank, world_size=self.count, timeout=WAIT)
        group = dist.group.WORLD
        assert group is not None
        return Several(group, self.rank, self.count, local_rank=self.local_rank, local_count=self.local_count, failure=self.failure, note=self.note)

    def note(self, run: str) -> None:
        """Remember the run this launch works on, also after a restart."""
        self._store.set(RUN, run)

    def remembered(self) -> str:
        """The run that an earlier attempt of this launch worked on; empty at the first."""
        return self._store.get(RUN).decode() if self._store.check([RUN]) else ""

    def failure(self) -> KairosError | None:
        """What the first process of this attempt that failed had to say."""
        name = self._failure_name()
        try:
            known = json.loads(self._store.get(name)) if self._store.check([name]) else None
        except RuntimeError:  # the launcher is gone too
            return None
        return None if known is None else KairosError(known["key"], **known["fields"])

    def speaks(self, error: KairosError) -> bool:
        """Note ``error``; whether it is the first of this attempt, which a person should read."""
        told = json.dumps({"by": self.rank, "key": error.key, "fields": packed(error.fields)})
        try:
            return self._store.compare_set(self._failure_name(), "", told).decode() == told
        except RuntimeError:
            return True

    def _failure_name(self) -> str:
        return f"{FAILURE}/{self.attempt}"


@contextmanager
def launch(environment: Mapping[str, str] = os.environ) -> Iterator[Launch | None]:
    """The launch this process belongs to, or None. Its errors leave the block as they are in the process that failed first, and silently,
    with an exit code of 2, in the others. What ends the process from outside (SIGTERM) is such an error too."""
    if not launched(environment):
        yield None
        return
    import torch.distributed as dist

    agent = environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = dist.TCPStore(environment["MASTER_ADDR"], int(environment["MASTER_PORT"]), is_master=not agent and environment["RANK"] == "0",
                          timeout=timedelta(minutes=10), wait_for_workers=False)
    mine = Launch(dist.PrefixStore("kairos", store), environment)
    with _terminable(mine):
        try:
            yield mine
        except KairosError as error:
            if not mine.speaks(error):
                raise SystemExit(2) from error
            raise
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()


@contextmanager
def _terminable(mine: Launch) -> Iterator[None]:
    """The launcher ends what is left of an attempt with SIGTERM: the run then says so, instead of breaking off."""
    from financial_model.training.processes import lost

    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: Any) -> None:
        raise mine.failure() or lost()

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
