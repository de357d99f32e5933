"""What can go wrong through a user's input or the outside world: a message key and its fields.

Every interface translates these by key; ``str(error)`` is the English sentence. Anything that is not a ``KairosError`` is a bug.
"""

from __future__ import annotations

from financial_model.text import translate


class Phrase:
    """A piece of a sentence that is itself in the catalogue: a field of an error or a job's message. ``str()`` is English."""

    def __init__(self, key: str, /, **fields: object) -> None:
        self.key = key
        self.fields = fields

    def message(self, language: str = "en") -> str:
        return translate(self.key, language, **_spoken(self.fields, language))

    def __str__(self) -> str:
        return self.message("en")


def _spoken(fields: dict[str, object], language: str) -> dict[str, object]:
    return {name: value.message(language) if isinstance(value, Phrase | KairosError) else value for name, value in fields.items()}


class KairosError(Exception):
    """Base of every error a user can cause. ``key`` names the sentence in the catalogue, ``fields`` fill it.

    Sentences say what is wrong, where, and what to do next.
    """

    def __init__(self, key: str, /, **fields: object) -> None:
        super().__init__(key)
        self.key = key
        self.fields = fields

    def message(self, language: str = "en") -> str:
        return translate(self.key, language, **_spoken(self.fields, language))

    def __str__(self) -> str:
        return self.message("en")

    def __reduce__(self):  # child processes send errors back through a pipe
        return (_rebuild, (type(self), self.key, self.fields))


def _rebuild(kind: type[KairosError], key: str, fields: dict[str, object]) -> KairosError:
    return kind(key, **fields)


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


class Stopped(Exception):
    """A long operation was asked to stop and has put its state in order. Not a user's error."""
