"""Trainings, and whatever else computes for long, in a process of their own, so that the page answers while they are on.

A training in a thread shares Python's one lock with everybody who looks at the page, and its memory with the server. Here it has both for itself, and
gives way where others want the processor. It ends with the server, however that ends; when it is killed (no memory left), the server goes on.
In: a job's context and parameters. Out: what the task in ``tasks.py`` gives. It knows no queue and no page.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from financial_model import config as settings
from financial_model import extensions, runtime
from financial_model.datasets import child
from financial_model.errors import JobError
from financial_model.paths import Workspace
from financial_model.serving import tasks
from financial_model.serving.failures import memory_failure
from financial_model.serving.process import act_for, identity
from financial_model.serving.runs import RunInfo, RunStore
from financial_model.serving.tasks import JobContext, Task

MODULE = "financial_model.serving.apart"
TRAININGS = ("train", "resume", "compare", "sweep")
KINDS = (*TRAININGS, "evaluate", "backtest", "export", "import", "analyze", "integrity")
"""Whatever computes for long and brings a run or plain data. Rankings and forecasts are asked where the loaded models are (``beside.py``): a process
for each would take longer to begin than they do; downloads wait for others most of the time."""


def _apart(kind: str) -> Task:
    def perform(context: JobContext, **parameters: Any) -> Any:
        if "config" in parameters:
            parameters["config"] = settings.to_dict(parameters["config"])
        job = {"kind": kind, "run": context.run_id, "parameters": parameters, "owner": identity(),
               "workspace": [str(context.workspace.data_dir), str(context.workspace.checkpoint_dir)]}
        try:
            found = child.run(MODULE, job, progress=context.progress, stop=context.stop, patient=True)
        except child.Died as error:
            raise JobError("jobs.child_died" if kind in TRAININGS else "jobs.worker_died", code=error.fields["code"]) from error
        return context.runs.info(found["run"]) if found["run"] else found["result"]

    return perform


TASKS: Mapping[str, Task] = {**tasks.TASKS, **{kind: _apart(kind) for kind in KINDS}}
"""The tasks of a server that shows pages."""


# ---------------------------------------------------------------- in the process of its own
def work(job: Mapping[str, Any], progress: Callable[..., None], stop: threading.Event) -> dict[str, Any]:
    """The task itself: ``{"run": id, "result": None}`` where it gives a run, else ``{"run": "", "result": plain data}``."""
    act_for(job["owner"])
    if job["kind"] in TRAININGS:  # for the rest somebody waits
        runtime.give_way()
    extensions.load()
    data, checkpoints = map(Path, job["workspace"])
    parameters = dict(job["parameters"])
    if "config" in parameters:
        parameters["config"] = settings.from_dict(parameters["config"])
    context = JobContext(workspace=Workspace(data_dir=data, checkpoint_dir=checkpoints), runs=RunStore(checkpoints), run_id=job["run"], stop=stop,
                         progress=progress, ask=_nobody, tell=_nobody, rest=_nobody)
    try:
        found = tasks.TASKS[job["kind"]](context, **parameters)
    except Exception as error:
        failure = memory_failure(error)
        if failure is None:
            raise
        raise failure from error
    return {"run": found.id, "result": None} if isinstance(found, RunInfo) else {"run": "", "result": found}


def _nobody(*_: Any, **__: Any) -> Any:
    raise RuntimeError("work in a process of its own asks for no other job")


def main() -> int:
    for name in (signal.SIGINT, signal.SIGTERM):  # meant for the server, which passes on what it decides; without it this process ends by itself
        signal.signal(name, signal.SIG_IGN)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    return child.serve(work, patient=True)


if __name__ == "__main__":
    sys.exit(main())
