"""A process that stays: asked again and again, it keeps what it has loaded and compiled, and shares neither Python's lock nor memory with its parent.

In: the name of a module that calls :func:`serve`, and questions as plain JSON, several at once if need be. Out: answers, progress, errors as they
were raised there. It is started by the first question, let go when nobody has asked for a while, replaced when it has died, and ends with its
parent. It knows nothing of what is asked. Lines of JSON go both ways, as in ``datasets/child.py``; each names the number of its question.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from financial_model import errors
from financial_model.datasets import child
from financial_model.errors import JobError

IDLE_SECONDS = 600.0
"""How long it is kept for the next question: a loaded model answers at once, but holds memory."""
_POLL = 0.1


class _Process:
    """One life of it. Its lock is the companion's."""

    def __init__(self, module: str, lock: threading.Lock) -> None:
        self._child, self._lock = child.start(module), lock
        self.asked: dict[int, queue.Queue[dict[str, Any] | None]] = {}
        """Number of each question that is not answered yet, and where what is said about it goes; None: it has died."""
        self.dead = False
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._child.pid

    def say(self, **message: Any) -> None:
        child.send(self._child.stdin, json.dumps(message))

    def status(self) -> int:
        return self._child.wait()

    def end(self) -> None:
        self._child.kill()

    def _listen(self) -> None:
        for line in self._child.stdout or ():
            message = json.loads(line)
            with self._lock:
                waiting = self.asked.get(message["number"])
            if waiting is not None:
                waiting.put(message)
        self._child.wait()
        with self._lock:
            self.dead = True
            for waiting in self.asked.values():
                waiting.put(None)
        child.close(self._child)


class Companion:
    """Whoever asks. Safe to use from many threads."""

    def __init__(self, module: str, idle: float = IDLE_SECONDS) -> None:
        self._module, self._idle = module, idle
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._process: _Process | None = None
        self._timer: threading.Timer | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        with self._lock:
            return self._process.pid if self._process is not None and not self._process.dead else None

    def ask(self, question: Mapping[str, Any], *, progress: child.Progress | None = None, stop: child.Stop | None = None) -> Any:
        """The answer (plain JSON data) to a question. Raises what :func:`child.run` raises, ``JobError`` once it was closed."""
        number, waiting = next(self._numbers), queue.Queue[dict[str, Any] | None]()
        process = self._enter(number, waiting)
        told = False
        try:
            process.say(number=number, question=question)
            while True:
                if stop is not None and stop.is_set() and not told:
                    process.say(number=number, stop=True)
                    told = True
                try:
                    message = waiting.get(timeout=_POLL if stop is not None else None)
                except queue.Empty:
                    continue
                if message is None:
                    raise child.Died("jobs.companion_died", code=process.status())
                if message["kind"] != "progress":
                    return child.result(message)
                if progress is not None:
                    progress(message["stage"], message["done"], message["total"])
        finally:
            self._leave(process, number)

    def _enter(self, number: int, waiting: queue.Queue[dict[str, Any] | None]) -> _Process:
        with self._lock:
            if self._closed:
                raise JobError("jobs.closed")
            if self._timer is not None:
                self._timer.cancel()
            if self._process is None or self._process.dead:
                self._process = _Process(self._module, self._lock)
            self._process.asked[number] = waiting
            return self._process

    def _leave(self, process: _Process, number: int) -> None:
        with self._lock:
            del process.asked[number]
            if process is self._process and not process.asked:
                self._timer = threading.Timer(self._idle, self._let_go, (process,))
                self._timer.daemon = True
                self._timer.start()

    def _let_go(self, process: _Process) -> None:
        with self._lock:
            if process is self._process and not process.asked:
                self._process = None
                process.end()

    def close(self) -> None:
        """End it; a question that is under way fails, a later one is refused."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            if self._process is not None:
                self._process.end()


# ---------------------------------------------------------------- in the process itself
def serve(answer: Callable[[Any, Callable[..., None], threading.Event], Any]) -> NoReturn:
    """Answer every question with ``answer(question, progress, stop)``, each in a thread of its own, until the parent is gone."""
    to_parent, lock, stops = child.channel(), threading.Lock(), dict[int, threading.Event]()

    def say(number: int, message: Mapping[str, Any]) -> None:
        line = json.dumps({"number": number, **message}, default=errors.packed)
        with lock:
            to_parent.write(line + "\n")
            to_parent.flush()

    def work(number: int, question: Any) -> None:
        def progress(stage: str, done: float = 0, total: float = 0) -> None:
            say(number, {"kind": "progress", "stage": stage, "done": float(done), "total": float(total)})

        found = child.outcome(lambda: answer(question, progress, stops[number]))
        del stops[number]
        say(number, found)

    for line in sys.stdin:
        message = json.loads(line)
        if "question" in message:
            stops[message["number"]] = threading.Event()
            threading.Thread(target=work, args=(message["number"], message["question"]), daemon=True).start()
        elif (asked := stops.get(message["number"])) is not None:
            asked.set()
    os._exit(child.ORPHANED)
