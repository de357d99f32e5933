"""Work that outlives the page: jobs in queues, one worker thread each, watched through snapshots.

In: a kind and its parameters. Out: a job that can be looked at, stopped, listed; its result when it is done.
Trainings queue for the device; whole pools, single questions and data each have a queue of their own, so that none waits for a night's training.
The page may close at any time: nothing here depends on it. Runs keep their state on disk (``runs.py``); this module knows no torch.
"""

from __future__ import annotations

import gc
import itertools
import logging
import re
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from financial_model.errors import BusyError, JobError, KairosError, NotFoundError, Phrase, Stopped
from financial_model.paths import Workspace
from financial_model.serving.failures import error_id, memory_failure
from financial_model.serving.runs import RunInfo, RunStore
from financial_model.serving.tasks import TASKS, JobContext, Task

logger = logging.getLogger(__name__)

LANES = {"train": "device", "resume": "device", "compare": "device", "sweep": "device",
         "evaluate": "forecast", "backtest": "forecast", "rank": "forecast",
         "forecast": "ask", "export": "forecast", "custom": "ask", "orders": "forecast", "publish": "forecast", "score": "ask",
         "download": "data", "import": "data", "analyze": "data", "integrity": "data", "watch": "watch"}
"""Which queue a kind waits in; a training on a second GPU waits in that one's own, and so does every watch."""
_FURTHER_GPU = re.compile(r"cuda:[1-9]\d*")
DONE = frozenset({"finished", "stopped", "failed"})
QUEUED, RETRY_SECONDS = 100, 60
"""Jobs that may wait, whoever asks for them; and when it is worth asking again."""
PREPARATIONS = frozenset({"panel", "split"})
"""Stages before the work that was asked for begins."""
ASK_SECONDS = 0.5
"""How soon a job that waits for another one notices that it shall stop."""
KEEP = 50
"""Finished jobs remembered; runs and data are on disk anyway."""


@dataclass
class Job:
    """One piece of work. Read it through :meth:`JobService.snapshot`, which holds the lock."""

    id: str
    kind: str
    parameters: dict[str, Any]
    number: int
    lane: str
    run_id: str = ""
    state: str = "queued"
    stage: str = ""
    done: float = 0.0
    total: float = 0.0
    created: str = ""
    began: float = 0.0
    """Monotonic time at which the present stage began."""
    first: float = 0.0
    """``done`` at that time."""
    ended: str = ""
    until: str = ""
    """Of a job that rests: when there is something to do again (ISO)."""
    message_key: str = ""
    message_fields: dict[str, Any] = field(default_factory=dict)
    error_id: str = ""
    result: Any = None
    stop: threading.Event = field(default_factory=threading.Event)
    after: list[Callable[[], object]] = field(default_factory=list)
    """What waits for its end."""

    @property
    def study(self) -> str:
        """The comparison or sweep it works on."""
        return str(self.parameters.get("comparison") or self.parameters.get("sweep") or "")


class JobService:
    """The queues and their workers. One per process; created by whoever serves."""

    def __init__(self, workspace: Workspace, tasks: Mapping[str, Task] | None = None) -> None:
        self.workspace = workspace
        self.runs = RunStore(workspace.checkpoint_dir)
        self._tasks = dict(TASKS if tasks is None else tasks)
        self._jobs: dict[str, Job] = {}
        self._queues: dict[str, deque[Job]] = {}
        self._workers: dict[str, threading.Thread] = {}
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._closed = False

    # ------------------------------------------------------------ asking for work
    def submit(self, kind: str, **parameters: Any) -> Job:
        """Queue a job. ``train`` takes ``config`` (a RunConfig), ``resume`` and ``evaluate`` ``run``, ``compare`` ``comparison``; see
        ``tasks.py`` for the rest.

        A run that is queued or running anywhere is refused with ``JobError``.
        """
        if kind not in self._tasks or kind not in LANES:
            raise NotFoundError("jobs.unknown_kind", kind=kind, known=", ".join(self._tasks))
        job = Job(id=uuid.uuid4().hex[:12], kind=kind, parameters=parameters, number=next(self._numbers), lane=LANES[kind],
                  created=datetime.now().isoformat(timespec="seconds"))
        with self._changed:
            if self._closed:
                raise JobError("jobs.closed")
            if sum(other.state == "queued" for other in self._jobs.values()) >= QUEUED:
                raise BusyError("jobs.queue_full", count=QUEUED, seconds=RETRY_SECONDS)
            if kind == "train":
                job.run_id = self.runs.create(parameters["config"]).id
            elif "run" in parameters:
                job.run_id = self.runs.get(parameters["run"]).id
            if kind == "watch":
                job.lane = f"watch {job.run_id}"
                if any(other.lane == job.lane and other.state not in DONE for other in self._jobs.values()):
                    raise JobError("jobs.watched", run=job.run_id)
            if job.lane == "device" and job.run_id:
                device = self.runs.info(job.run_id).run_config().training.device
                job.lane = device if _FURTHER_GPU.fullmatch(device) else job.lane
            if kind == "resume":
                self.runs.claim(job.run_id, "queued")
            self._enqueue(job)
        return job

    def _enqueue(self, job: Job) -> None:
        """Into its queue, whose worker is started by its first job."""
        self._jobs[job.id] = job
        self._queues.setdefault(job.lane, deque()).append(job)
        if job.lane not in self._workers:
            self._workers[job.lane] = threading.Thread(target=self._work, args=(job.lane,), name=f"jobs-{job.lane}", daemon=True)
            self._workers[job.lane].start()
        self._changed.notify_all()

    def stop(self, job_id: str) -> None:
        """Ask a job to stop. A queued one leaves its queue at once; a running one stops at its next step; a done one is left alone."""
        with self._changed:
            job = self._job(job_id)
            if job.state == "queued":
                self._queues[job.lane].remove(job)
                self._withdraw(job)
                self._end(job, "stopped", "jobs.withdrawn")
            elif job.state not in DONE:
                job.state = "stopping"
                job.stop.set()

    def _withdraw(self, job: Job) -> None:
        """Undo on disk what queuing did: a training that never began leaves no run behind."""
        if job.kind == "train":
            self.runs.set_state(job.run_id, "stopped", "jobs.withdrawn")
            self.runs.delete(job.run_id)
        elif job.kind == "resume":
            self.runs.release(job.run_id)

    # ------------------------------------------------------------ looking
    def snapshot(self, job_id: str, language: str = "en") -> dict[str, Any]:
        """Everything about a job at this moment, consistent, as plain data (``result`` as the task returned it)."""
        with self._changed:
            job = self._job(job_id)
            elapsed = time.monotonic() - job.began if job.began and job.state not in DONE else 0.0
            rate = (job.done - job.first) / elapsed if elapsed > 0 else 0.0
            ahead = [other for other in self._queues[job.lane] if other.number < job.number]
            return {
                "id": job.id, "kind": job.kind, "run": job.run_id, "study": job.study, "state": job.state,
                "stage": job.stage, "done": job.done, "total": job.total,
                "rate": rate, "eta": (job.total - job.done) / rate if rate > 0 and job.total else None,
                "position": len(ahead) + 1 if job.state == "queued" else 0, "created": job.created, "ended": job.ended, "until": job.until,
                "message_key": job.message_key, "message_fields": dict(job.message_fields),
                "message": Phrase(job.message_key, **job.message_fields).message(language) if job.message_key else "",
                "error_id": job.error_id, "result": job.result,
            }

    def list(self, language: str = "en") -> list[dict[str, Any]]:
        """Snapshots of all remembered jobs, newest first."""
        with self._changed:
            return [self.snapshot(job.id, language) for job in sorted(self._jobs.values(), key=lambda job: -job.number)]

    def wait(self, job_id: str, timeout: float | None = None) -> dict[str, Any]:
        """Block until a job is done (or ``timeout`` seconds have passed) and return its snapshot."""
        with self._changed:
            job = self._job(job_id)
            self._changed.wait_for(lambda: job.state in DONE, timeout)
            return self.snapshot(job_id)

    def when_done(self, job_id: str, call: Callable[[], object]) -> None:
        """``call()`` once a job is done; at once where it is, or is no longer remembered. It must be quick: everybody waits for it."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or job.state in DONE:
                call()
            else:
                job.after.append(call)

    def _job(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise NotFoundError("jobs.unknown", job=str(job_id)[:40])
        return self._jobs[job_id]

    def close(self, timeout: float = 30.0) -> None:
        """Stop everything in good order, for the end of the process: what runs keeps its state and can be resumed."""
        with self._changed:
            self._closed = True
            jobs = [job for job in self._jobs.values() if job.state not in DONE]
            for job in jobs:
                self.stop(job.id)
            self._changed.notify_all()
            workers = list(self._workers.values())
        deadline = time.monotonic() + timeout
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))

    # ------------------------------------------------------------ working
    def _work(self, lane: str) -> None:
        queue = self._queues[lane]
        while True:
            with self._changed:
                self._changed.wait_for(lambda: queue or self._closed)
                if not queue:
                    return
                job = queue.popleft()
                job.state = "preparing"
            self._perform(job)
            free_memory()

    def _perform(self, job: Job) -> None:
        context = JobContext(workspace=self.workspace, runs=self.runs, run_id=job.run_id, stop=job.stop,
                             progress=lambda stage, done=0, total=0: self._progress(job, stage, done, total),
                             ask=lambda kind, **parameters: self._ask(job, kind, parameters),
                             tell=lambda key, **fields: self._tell(job, key, fields), rest=lambda until: self._rest(job, until))
        try:
            result = self._tasks[job.kind](context, **job.parameters)
        except Stopped:
            self._finish(job, "stopped", "jobs.stopped")
        except KairosError as error:
            logger.warning("%s: %s", job.kind, error)
            self._finish(job, "failed", error.key, error.fields)
        except Exception as error:
            # The one place where a bug must not take the worker, and every job behind it, along.
            failure = memory_failure(error)
            if failure is not None:
                self._finish(job, "failed", failure.key, failure.fields)
                return
            number = error_id(error)
            logger.exception("%s failed unexpectedly (error %s)", job.kind, number)
            self._finish(job, "failed", "jobs.unexpected", {"id": number}, number=number)
        else:
            run = result if isinstance(result, RunInfo) else None
            stopped = run is not None and run.state == "stopped"
            job.result = result if run is None else run.to_json()
            self._finish(job, "stopped" if stopped else "finished", "jobs.stopped" if stopped else "")

    def _progress(self, job: Job, stage: str, done: float, total: float) -> None:
        with self._changed:
            if stage != job.stage or not job.total:  # the rate counts from the first figure: a resumed run does not begin at 0
                job.stage, job.began, job.first = stage, time.monotonic(), float(done)
            job.done, job.total = float(done), float(total)
            if job.state == "preparing" and stage not in PREPARATIONS:
                job.state = "running"

    def _ask(self, job: Job, kind: str, parameters: dict[str, Any]) -> Any:
        """The result of another job that ``job`` needs."""
        asked = self.submit(kind, **parameters).id
        while (found := self.wait(asked, ASK_SECONDS))["state"] not in DONE:
            if job.stop.is_set():
                self.stop(asked)
        if job.stop.is_set():
            raise Stopped
        if found["state"] != "finished":
            raise JobError(found["message_key"], **found["message_fields"])
        return found["result"]

    def _tell(self, job: Job, key: str, fields: Mapping[str, Any]) -> None:
        with self._changed:
            job.message_key, job.message_fields = key, dict(fields)

    def _rest(self, job: Job, until: str) -> None:
        with self._changed:
            job.until = until

    def _finish(self, job: Job, state: str, key: str = "", fields: Mapping[str, Any] | None = None, *, number: str = "") -> None:
        with self._changed:
            job.error_id = number
            self._end(job, state, key, fields)

    def _end(self, job: Job, state: str, key: str = "", fields: Mapping[str, Any] | None = None) -> None:
        job.state, job.message_key, job.message_fields = state, key, dict(fields or {})
        job.until = ""
        job.ended = datetime.now().isoformat(timespec="seconds")
        for call in job.after:
            call()
        done = sorted((other for other in self._jobs.values() if other.state in DONE), key=lambda other: other.number)
        for old in done[:-KEEP]:
            del self._jobs[old.id]
        self._changed.notify_all()


def free_memory() -> None:
    """Give back what a job held: cycles first, then the device's cache if torch was used at all."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
