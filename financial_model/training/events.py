"""The story of a run, one JSON object per line: what every curve on every screen is drawn from.

In: a kind and its fields. Out: ``events.jsonl``, append-only; and its reader.
It knows no torch and no page, and a failure to write never stops a training: it is logged once.

A line has ``time`` (seconds since 1970), ``kind``, and where they apply ``step`` (optimiser steps done), ``epoch`` (epochs done, with their
fraction), ``split`` and ``metrics``. Kinds that a training writes:

- ``run``: parameters, device, precision, compile (and compile_key), steps, steps_per_epoch, windows, split_dates
- ``stage``: stage
- ``step``: loss, grad_norm, learning_rate, windows_per_second, eta_seconds of the train split; means since the point before
- ``epoch``: loss, train_loss and scores of the validation split, and ``best``
- ``baseline``: name, and the validation loss of a constant forecast in the objective's units
- ``checkpoint``: name; ``warning``: key, fields, message; ``resume``: step and when its resume point was saved
- ``ensemble``: members, and the validation loss and scores of their average

A training that is a part of another (a fold of a walk-forward, a member of an ensemble) writes into the log of the whole (:class:`Part`); its
events also have ``fold`` or ``member`` and ``members``.

A run that was killed goes on from its last resume point, so the file may hold points beyond it that are trained once more. Nothing is
erased: an event ``resume`` with the ``step`` of that point is appended, and the reader drops what stands before it with a greater step, or with that
step but written after the point was ``saved``, by a session that went on from it before (:func:`without_rewound`).
Every reader therefore sees each point of a curve exactly once.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from financial_model.training.plain import plain

logger = logging.getLogger(__name__)


class EventLog:
    """The writer of one ``events.jsonl``; several threads may append."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._stream: BinaryIO | None = None
        self._warned = False

    def append(self, kind: str, **fields: Any) -> None:
        """Write one line at once. When the disk refuses, one warning is logged and the caller goes on."""
        line = json.dumps(plain({"time": now(), "kind": kind, **fields}), ensure_ascii=False) + "\n"
        with self._lock:
            try:
                if self._stream is None:
                    self._stream = _open_repaired(self.path)
                data = line.encode("utf-8")
                if self._stream.write(data) != len(data):  # unbuffered: a full disk may take only a part
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                self._drop_stream()
                if not self._warned:
                    logger.warning("%s could not be written (%s); the training goes on without a part of its curve", self.path, error)
                self._warned = True

    def close(self) -> None:
        with self._lock:
            self._drop_stream()

    def _drop_stream(self) -> None:
        """Forget the stream; the next append opens the file anew and cuts off what was half written."""
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close()
            except OSError as error:  # some file systems report a full disk only now
                logger.debug("closing %s: %s", self.path, error)

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Part(EventLog):
    """The events of one training of several, on the time line of the whole: its steps and epochs begin where those before it ended."""

    def __init__(self, events: EventLog, *, first_step: int, first_epoch: float, left: int, **marks: Any) -> None:
        """``left``: trainings from this one to the last, which will be about as long. ``marks``: what every event of this one carries."""
        super().__init__(events.path)
        self._events, self._begin, self._left, self._marks = events, {"step": first_step, "epoch": first_epoch}, left, marks

    def append(self, kind: str, **fields: Any) -> None:
        for name, begin in self._begin.items():
            if name in fields:
                fields[name] += begin
        if kind == "run":
            fields["steps"] = self._begin["step"] + fields["steps"] * self._left
        self._events.append(kind, **fields, **self._marks)


def _open_repaired(path: Path) -> BinaryIO:
    """``path`` opened at its end, without the torn last line a kill may have left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = open(path, "ab+", buffering=0)
    size = stream.seek(0, os.SEEK_END)
    end = size
    while end:
        start = max(0, end - 65536)
        stream.seek(start)
        found = stream.read(end - start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end != size:
        stream.truncate(end)
    return stream


def read_events(path: Path | str, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The complete lines from byte ``offset`` on, rewound points dropped, and the offset to read from next time.

    A missing file has no events. A torn last line is left for the next call. Who reads in pieces and keeps what he read passes the whole
    list through :func:`without_rewound` whenever a piece holds a ``resume`` event.
    """
    try:
        with open(path, "rb") as stream:
            stream.seek(offset)
            data = stream.read()
    except FileNotFoundError:
        return [], 0
    complete = data.rfind(b"\n") + 1
    events = []
    for line in data[:complete].splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            logger.warning("an unreadable line in %s is skipped", path)
            continue
        if isinstance(event, dict):
            events.append(event)
    return without_rewound(events), offset + complete


def without_rewound(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """``events`` without the points that a later ``resume`` event trained once more. Applying it twice changes nothing."""
    kept: list[dict[str, Any]] = []
    for event in events:
        if event.get("kind") == "resume":
            kept = [old for old in kept if old.get("kind") == "resume" or not _trained_again(old, event)]
        kept.append(event)
    return kept


def _trained_again(event: dict[str, Any], resume: dict[str, Any]) -> bool:
    step, point = _step(event), _step(resume)
    return step > point or step == point >= 0 and event.get("time", 0.0) > resume.get("saved", math.inf)


def now() -> float:
    """Seconds since 1970 as events have them."""
    return round(time.time(), 3)


def _step(event: dict[str, Any]) -> int:
    """The step of an event; one without (a stage, a warning) belongs to no point of a curve and is never dropped."""
    step = event.get("step")
    return step if isinstance(step, int) else -1
