"""Questions somebody waits for, answered by a process beside the server's that stays: the page goes on while a pool is ranked.

In: the questions of ``answers.py``. Out: their answers. A process for each (``apart.py``) would take longer to begin than they do; this one keeps its
models loaded and its code compiled. When it dies, the question fails with a sentence and the next one starts another.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from financial_model import extensions
from financial_model.datasets import child
from financial_model.errors import JobError
from financial_model.paths import Workspace
from financial_model.serving.answers import Answers
from financial_model.serving.companion import IDLE_SECONDS, Companion, serve
from financial_model.serving.failures import memory_failure
from financial_model.serving.jobs import free_memory
from financial_model.serving.passing import packed, unpacked

MODULE = "financial_model.serving.beside"


class Beside:
    """Answers as :class:`Answers` does, by the process beside."""

    def __init__(self, workspace: Workspace, idle: float = IDLE_SECONDS) -> None:
        self._workspace = [str(workspace.data_dir), str(workspace.checkpoint_dir)]
        self.companion = Companion(MODULE, idle)

    def ask(self, kind: str, *, progress: Callable[..., None] | None = None, stop: threading.Event | None = None, **question: Any) -> Any:
        """As there; ``JobError`` where the process died over it."""
        asked = {"workspace": self._workspace, "kind": kind, "question": packed(question)}
        try:
            return unpacked(self.companion.ask(asked, progress=progress, stop=stop))
        except child.Died as error:
            raise JobError(error.key, **error.fields) from error

    def close(self) -> None:
        self.companion.close()


# ---------------------------------------------------------------- in the process itself
@cache
def _answers(data_dir: str, checkpoint_dir: str) -> Answers:
    return Answers(Workspace(data_dir=Path(data_dir), checkpoint_dir=Path(checkpoint_dir)))


def answer(asked: Mapping[str, Any], progress: Callable[..., None], stop: threading.Event) -> Any:
    try:
        return packed(_answers(*asked["workspace"]).ask(asked["kind"], progress=progress, stop=stop, **asked["question"]))
    except Exception as error:
        failure = memory_failure(error)
        if failure is None:
            raise
        raise failure from error
    finally:
        free_memory()


def main() -> int:
    for name in (signal.SIGINT, signal.SIGTERM):  # meant for the server, without which this process ends by itself
        signal.signal(name, signal.SIG_IGN)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    extensions.load()
    return serve(answer)


if __name__ == "__main__":
    sys.exit(main())
