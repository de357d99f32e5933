"""Heavy work in a process of its own: a loop in a thread would freeze the page, and a stop must really stop it.

In: the name of a module that calls ``serve`` and a job as plain JSON. Out: its result, its progress, its errors as they were raised.
The two processes talk in lines of JSON over the child's standard input and output; the child ends when its input closes, that is when
its parent is gone, however it went. It knows nothing of what the work is.
A stop kills a child, or is told to it (``patient``), and then the child puts things in order and ends by itself.
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
from financial_model.errors import DataError, KairosError, Stopped, packed

Progress = Callable[[str, float, float], object]
"""``progress(stage, done, total)``"""
_POLL = 0.1
ORPHANED = 70
"""Exit status of a child whose parent is gone."""
_STOP = "stop"
_STATUS = {"result": 0, "bug": 1, "error": 2, "stopped": 3}


class Died(DataError):
    """The child ended without a word; usually the memory was full."""


class Stop(Protocol):
    """A ``threading.Event``, or anything that says whether it is set."""

    def is_set(self) -> bool: ...


def run(module: str, job: Mapping[str, Any], *, progress: Progress | None = None, stop: Stop | None = None,
        abandoned: Callable[[int], object] | None = None, patient: bool = False) -> Any:
    """Run ``python -m module`` on ``job`` and return its result (plain JSON data).

    A ``KairosError`` raised there is raised here; anything else it raised is a ``RuntimeError`` with its traceback and its ``error_id``, if it had
    one. ``Stopped`` when ``stop`` was set: the child is killed, so its work must be atomic. Where ``patient``, the child is told instead (the event
    that :func:`serve` hands to its work), and what it does then counts. ``Died`` when it ended without a word.
    ``abandoned(pid)`` is called after an end without a result, to clear away what a child with this process id had begun.
    """
    child = start(module)
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(child.stdout, lines), daemon=True)
    reader.start()
    finished = told = False
    try:
        send(child.stdin, json.dumps(job))
        while True:
            if stop is not None and stop.is_set() and not told:
                if not patient:
                    raise Stopped
                send(child.stdin, _STOP)
                told = True
            try:
                line = lines.get(timeout=_POLL)
            except queue.Empty:
                continue
            if line is None:
                raise Died("panel.child_died", code=child.wait())
            message = json.loads(line)
            if message["kind"] == "progress":
                if progress is not None:
                    progress(message["stage"], message["done"], message["total"])
                continue
            finished = message["kind"] == "result"
            return result(message)
    finally:
        child.kill()
        child.wait()
        reader.join()
        close(child)
        if abandoned is not None and not finished:
            abandoned(child.pid)


def start(module: str) -> subprocess.Popen[str]:
    """``python -m module`` with its standard input and output as pipes of text, in UTF-8."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", module]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, encoding="utf-8")


def close(child: subprocess.Popen[str]) -> None:
    """Our ends of the pipes of a child that has ended."""
    for pipe in (child.stdin, child.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except BrokenPipeError:  # a job that a dead child never read is still in the buffer
            continue


def send(pipe: IO[str] | None, line: str) -> None:
    """A line to a child. The pipe stays open: its end tells the child that we are gone."""
    try:
        if pipe is None:
            raise BrokenPipeError
        pipe.write(line + "\n")
        pipe.flush()
    except BrokenPipeError:  # it died at birth; the reader finds out and says so
        return


def _read(pipe: IO[str] | None, lines: queue.Queue[str | None]) -> None:
    for line in pipe or ():
        lines.put(line)
    lines.put(None)


def result(message: Mapping[str, Any]) -> Any:
    """What a child says at its end (:func:`outcome`): its result, or raised what it raised."""
    if message["kind"] == "result":
        return message["value"]
    if message["kind"] == "stopped":
        raise Stopped
    if message["kind"] == "error":
        raise _error(message)
    bug = RuntimeError(f"the child process failed:\n{message['traceback']}")
    vars(bug).update(message["marks"])
    raise bug


def _error(message: Mapping[str, Any]) -> KairosError:
    kind = getattr(errors, message["type"], DataError)
    return kind(message["key"], **message["fields"])


def outcome(work: Callable[[], Any]) -> dict[str, Any]:
    """What became of ``work``, as :func:`result` understands it: kind result, stopped, error or bug, and what belongs to it."""
    try:
        return {"kind": "result", "value": work()}
    except Stopped:
        return {"kind": "stopped"}
    except KairosError as error:
        return {"kind": "error", "type": type(error).__name__, "key": error.key, "fields": packed(error.fields)}
    except Exception as error:  # not swallowed: the parent raises it again
        marks = {name: vars(error)[name] for name in ("error_id",) if name in vars(error)}
        return {"kind": "bug", "traceback": traceback.format_exc(), "marks": marks}


def channel() -> IO[str]:
    """The child's way to its parent; from now on whatever a library prints goes to standard error, and not between our lines."""
    found = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return found


def serve(work: Callable[..., Any], *, patient: bool = False) -> int:
    """The child's side: read the job, call ``work(job, progress)``, send what became of it. Returns the exit status.

    Where ``patient``, it is ``work(job, progress, stop)`` with an event that is set when the parent was asked to stop.
    """
    to_parent = channel()

    def say(**message: Any) -> None:
        to_parent.write(json.dumps(message, default=packed) + "\n")
        to_parent.flush()

    def progress(stage: str, done: float = 0, total: float = 0) -> None:
        say(kind="progress", stage=stage, done=float(done), total=float(total))

    job, stop = json.loads(sys.stdin.readline()), threading.Event()
    threading.Thread(target=_listen, args=(stop,), daemon=True).start()
    found = outcome(lambda: work(job, progress, *([stop] if patient else [])))
    say(**found)
    return _STATUS[found["kind"]]


def _listen(stop: threading.Event) -> None:
    """Set ``stop`` when it is said, and leave with the parent."""
    for line in sys.stdin:
        if line.strip() == _STOP:
            stop.set()
    os._exit(ORPHANED)
