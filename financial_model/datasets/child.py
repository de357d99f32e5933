"""Heavy work in a process of its own: a loop in a thread would freeze the page, and a stop must really stop it.

In: the name of a module that calls ``serve`` and a job as plain JSON. Out: its result, its progress, its errors as they were raised.
The two processes talk in lines of JSON over the child's standard input and output; the child ends when its input closes, that is when
its parent is gone, however it went. It knows nothing of what the work is.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol

from financial_model import errors
from financial_model.errors import DataError, KairosError, Stopped

Progress = Callable[[str, float, float], object]
"""``progress(stage, done, total)``"""
_POLL = 0.1
_ORPHANED = 70


class Stop(Protocol):
    """A ``threading.Event``, or anything that says whether it is set."""

    def is_set(self) -> bool: ...


def run(module: str, job: Mapping[str, Any], *, progress: Progress | None = None, stop: Stop | None = None,
        abandoned: Callable[[int], object] | None = None) -> Any:
    """Run ``python -m module`` on ``job`` and return its result (plain JSON data).

    A ``KairosError`` raised there is raised here; anything else it raised is a ``RuntimeError`` with its traceback. ``Stopped`` when ``stop`` was
    set: the child is killed, so its work must be atomic. ``DataError`` when it died without a word (usually: no memory left).
    ``abandoned(pid)`` is called after an end without a result, to clear away what a child with this process id had begun.
    """
    child = _start(module)
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(child.stdout, lines), daemon=True)
    reader.start()
    finished = False
    try:
        _send(child.stdin, job)
        while True:
            if stop is not None and stop.is_set():
                raise Stopped
            try:
                line = lines.get(timeout=_POLL)
            except queue.Empty:
                continue
            if line is None:
                raise DataError("panel.child_died", code=child.wait())
            message = json.loads(line)
            if message["kind"] == "result":
                finished = True
                return message["value"]
            if message["kind"] == "error":
                raise _error(message)
            if message["kind"] == "bug":
                raise RuntimeError(f"the child process failed:\n{message['traceback']}")
            if progress is not None:
                progress(message["stage"], message["done"], message["total"])
    finally:
        child.kill()
        child.wait()
        reader.join()
        for pipe in (child.stdin, child.stdout):
            _close(pipe)
        if abandoned is not None and not finished:
            abandoned(child.pid)


def _start(module: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", module]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, encoding="utf-8")


def _close(pipe: IO[str] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except BrokenPipeError:  # a job that a dead child never read is still in the buffer
        return


def _send(pipe: IO[str] | None, job: Mapping[str, Any]) -> None:
    """The pipe stays open: its end tells the child that we are gone."""
    try:
        if pipe is None:
            raise BrokenPipeError
        pipe.write(json.dumps(job) + "\n")
        pipe.flush()
    except BrokenPipeError:  # it died at birth; the reader finds out and says so
        return


def _read(pipe: IO[str] | None, lines: queue.Queue[str | None]) -> None:
    for line in pipe or ():
        lines.put(line)
    lines.put(None)


def _error(message: Mapping[str, Any]) -> KairosError:
    kind = getattr(errors, message["type"], DataError)
    return kind(message["key"], **message["fields"])


def serve(work: Callable[[dict[str, Any], Progress], Any]) -> int:
    """The child's side: read the job, call ``work(job, progress)``, send what became of it. Returns the exit status."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not fall between our lines

    def send(kind: str, **content: Any) -> None:
        channel.write(json.dumps({"kind": kind, **content}, default=str) + "\n")
        channel.flush()

    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        value = work(job, lambda stage, done, total: send("progress", stage=stage, done=float(done), total=float(total)))
    except KairosError as error:
        send("error", type=type(error).__name__, key=error.key, fields=error.fields)
        return 2
    except Exception:  # not swallowed: the parent raises it again
        send("bug", traceback=traceback.format_exc())
        return 1
    send("result", value=value)
    return 0


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(_ORPHANED)
