"""Cutting history into train, validation and test: by date, the same for all stocks, with nothing shared between the parts.

In: the times of all rows and the settings. Out: ``Split``. It knows no features, no labels and no windows, only sessions.

A label that is asked on session s needs the bars up to s + purge. Every part therefore ends with ``purge`` sessions on which no window may
end: their bars serve as labels of earlier windows of the same part, so no label ever reaches into the next one. ``window_ends`` enforces it
for each stock (a stock that was suspended reaches further); ``embargo`` sessions more are left out after each boundary.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from financial_model.config import SplitConfig
from financial_model.errors import DataError
from financial_model.features.labels import last_bar

Span = tuple[int, int]
PARTS = ("train", "validation", "test")
label_bars = last_bar
"""(horizon, entry) -> bars after a window's last one that its label needs: a later entry needs one more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """First and last time (inclusive, seconds) of each part; labels lie inside them too."""

    train: Span
    validation: Span
    test: Span
    purge: int
    """Sessions at the end of each part on which no labelled window ends."""
    embargo: int = 0
    sessions: tuple[int, int, int] = (0, 0, 0)
    """Sessions in each part, purge included."""

    def part(self, name: str) -> Span:
        if name not in PARTS:
            raise ValueError(f"no part {name!r}")
        return getattr(self, name)

    def describe(self) -> dict[str, object]:
        """Plain JSON for a report or a checkpoint: ISO dates and counts."""
        parts = {name: {"first": iso(self.part(name)[0]), "last": iso(self.part(name)[1]), "sessions": count}
                 for name, count in zip(PARTS, self.sessions, strict=True)}
        return {**parts, "purge": self.purge, "embargo": self.embargo}


def date_split(times: NDArray[np.int64], config: SplitConfig, horizon: int, entry: str = "close") -> Split:
    """Train | validation | test over the sessions in ``times`` (any order, repeated): by ratio, or at the explicit dates of ``config``.

    ``DataError`` when a part would hold no session on which a labelled window can end.
    """
    sessions = unique_times(times)
    if config.train_end:
        first_cut = int(np.searchsorted(sessions, _end_of_day(config.train_end), side="right"))
        second_cut = int(np.searchsorted(sessions, _end_of_day(config.validation_end), side="right"))
    else:
        first_cut = round(len(sessions) * config.train)
        second_cut = round(len(sessions) * (config.train + config.validation))
    return _cut(sessions, 0, first_cut, second_cut, len(sessions), label_bars(horizon, entry), config.embargo)


def walk_forward(times: NDArray[np.int64], *, train: int, validation: int, test: int, step: int = 0, horizon: int, entry: str = "close",
                 embargo: int = 0, expanding: bool = True) -> list[Split]:
    """Splits that move through time; ``train``, ``validation``, ``test`` and ``step`` in sessions.

    ``step`` 0 means ``test``: the test parts then follow each other without gap or overlap. Expanding: every training part starts at the first
    session; rolling: it always has ``train`` sessions. The last split may have a shorter test part. ``DataError`` when not one fits.
    """
    sessions, purge = unique_times(times), label_bars(horizon, entry)
    step = step or test
    splits: list[Split] = []
    for moved in range(0, max(0, len(sessions) - train - validation - embargo - purge), step):
        first_cut = train + moved
        second_cut = first_cut + validation
        last = min(second_cut + test, len(sessions))
        splits.append(_cut(sessions, 0 if expanding else moved, first_cut, second_cut, last, purge, embargo))
        if last == len(sessions):
            break
    if not splits:
        raise DataError("split.walk_forward_short", sessions=len(sessions), needed=train + validation + embargo + purge + 1)
    return splits


def unique_times(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sessions in ascending order; hashing first, because sorting all rows of a large panel takes a second."""
    return np.sort(np.unique(times, sorted=False))


def iso(time: int) -> str:
    """Seconds as an ISO date, with the hour where it is not midnight."""
    moment = datetime.fromtimestamp(int(time), UTC)
    return moment.strftime("%Y-%m-%d" if int(time) % 86_400 == 0 else "%Y-%m-%d %H:%M")


def seconds(date: str) -> int:
    """An ISO date as seconds at its midnight UTC. ``DataError`` when it is not a date."""
    try:
        return int(datetime.fromisoformat(date.strip()).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise DataError("split.not_a_date", date=date[:40]) from None


def _end_of_day(date: str) -> int:
    return seconds(date) + 86_399


def _cut(sessions: NDArray[np.int64], first: int, first_cut: int, second_cut: int, last: int, purge: int, embargo: int) -> Split:
    """The split with train ``[first, first_cut)``, validation ``[first_cut + embargo, second_cut)``, test ``[second_cut + embargo, last)``."""
    edges = ((first, first_cut), (first_cut + embargo, second_cut), (second_cut + embargo, last))
    for name, (begin, end) in zip(PARTS, edges, strict=True):
        if end - begin <= purge:
            raise DataError("split.too_short", part=name, sessions=max(0, end - begin), needed=purge + 1, total=len(sessions))
    spans = [(int(sessions[begin]), int(sessions[end - 1])) for begin, end in edges]
    counts = tuple(end - begin for begin, end in edges)
    return Split(train=spans[0], validation=spans[1], test=spans[2], purge=purge, embargo=embargo, sessions=counts)  # type: ignore[arg-type]
