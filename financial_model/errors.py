"""What can go wrong through a user's input or the outside world: a message key and its fields.

Every interface translates these by key; ``str(error)`` is the English sentence. Anything that is not a ``KairosError`` is a bug.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from typing import Any

from financial_model.text import translate


class Phrase:
    """A piece of a sentence that is itself in the catalogue: a field of an error or a job's message. ``str()`` is English."""

    def __init__(self, key: str, /, **fields: object) -> None:
        self.key = key
        self.fields = fields

    def message(self, language: str = "en") -> str:
        return translate(self.key, language, **self.fields)

    def __str__(self) -> str:
        return self.message("en")


class KairosError(Exception):
    """Base of every error a user can cause. ``key`` names the sentence in the catalogue, ``fields`` fill it.

    Sentences say what is wrong, where, and what to do next.
    """

    def __init__(self, key: str, /, **fields: object) -> None:
        super().__init__(key)
        self.key = key
        self.fields = fields

    def message(self, language: str = "en") -> str:
        return translate(self.key, language, **self.fields)

    def __str__(self) -> str:
        return self.message("en")

    def __reduce__(self):  # child processes send errors back through a pipe
        return (_rebuild, (type(self), self.key, self.fields))


def _rebuild(kind: type[KairosError], key: str, fields: dict[str, object]) -> KairosError:
    return kind(key, **fields)


def packed(value: object) -> Any:
    """Fields of a sentence as JSON data: a piece of a sentence keeps its key, so that it is still said in the reader's language."""
    if isinstance(value, Phrase | KairosError):
        return {"key": value.key, "fields": packed(value.fields)}
    if isinstance(value, Mapping):
        return {str(name): packed(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [packed(part) for part in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


class ConfigError(KairosError):
    """A setting is impossible, or two settings contradict each other."""


class DataError(KairosError):
    """Bars, files or tables that cannot be read, or say something impossible."""


class SourceError(KairosError):
    """A data source did not answer, or answered with something unusable (host, not data)."""


class RateLimitError(SourceError):
    """A source asks to be left alone for a while: the job stops, keeps what it has, and can be resumed."""


class NotFoundError(KairosError):
    """An unknown symbol, run, checkpoint or file."""


class CheckpointError(KairosError):
    """A checkpoint that is corrupt, foreign, or does not fit."""


class StorageError(KairosError):
    """The disk is full, or a folder cannot be written."""


class JobError(KairosError):
    """A job cannot be started, stopped or resumed in its present state."""


class BusyError(KairosError):
    """More was asked for at once than this machine takes on; the field ``seconds`` says when to come back."""


_SYSTEM = {
    "refused": (errno.ECONNREFUSED,), "broken_off": (errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE),
    "no_way": (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN), "no_address": (errno.EADDRNOTAVAIL,),
    "late": (errno.ETIMEDOUT,), "forbidden": (errno.EACCES, errno.EPERM), "read_only": (errno.EROFS,), "missing": (errno.ENOENT,),
    "busy": (errno.EBUSY, errno.ETXTBSY), "folder": (errno.EISDIR,), "no_folder": (errno.ENOTDIR,), "too_many": (errno.EMFILE, errno.ENFILE),
    "long_name": (errno.ENAMETOOLONG,), "input_output": (errno.EIO,),
}


def system_reason(error: BaseException) -> Phrase:
    """Why the operating system did not do something, in the catalogue's words; its own are quoted where there are none."""
    if isinstance(error, TimeoutError):
        return Phrase("system.late")
    if isinstance(error, socket.gaierror):
        return Phrase("system.unknown_name")
    number = error.errno if isinstance(error, OSError) else None
    for name, numbers in _SYSTEM.items():
        if number in numbers:
            return Phrase(f"system.{name}")
    words = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return Phrase("system.other", words=words.splitlines()[0][:120])


class Stopped(Exception):
    """A long operation was asked to stop and has put its state in order. Not a user's error."""
