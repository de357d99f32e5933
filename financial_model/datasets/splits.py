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
from financial_model.errors import DataError, Phrase
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
    begin, first_cut, second_cut = _cuts(sessions, config)
    return _cut(sessions, begin, first_cut, second_cut, len(sessions), label_bars(horizon, entry), config.embargo)


def walk_forward(times: NDArray[np.int64], config: SplitConfig, horizon: int, entry: str = "close") -> list[Split]:
    """``config.folds`` splits that move through time: the test part of :func:`date_split` in pieces, each after a training of its own.

    The pieces follow each other to the last session and are equally long, to a session. Validation keeps its length; training grows
    (``expanding``) or moves along (``rolling``). ``DataError`` when a piece is too short for a label.
    """
    sessions, purge = unique_times(times), label_bars(horizon, entry)
    begin, first_cut, second_cut = _cuts(sessions, config)
    edges = np.linspace(second_cut, len(sessions), config.folds + 1).round().astype(int).tolist()
    if len(sessions) - second_cut < config.folds * (purge + 1 + config.embargo):
        raise DataError("split.too_many_folds", folds=config.folds, sessions=max(0, len(sessions) - second_cut), needed=purge + 1 + config.embargo)
    rolling = config.walk_forward == "rolling"
    return [_cut(sessions, begin + (edge - second_cut) * rolling, first_cut + edge - second_cut, edge, last, purge, config.embargo)
            for edge, last in zip(edges, edges[1:], strict=False)]


def _cuts(sessions: NDArray[np.int64], config: SplitConfig) -> tuple[int, int, int]:
    """Positions of the first training session, of the one after the training and of the one after the validation."""
    begin = int(np.searchsorted(sessions, seconds(config.train_start))) if config.train_start else 0
    if config.train_end:
        first, second = (int(np.searchsorted(sessions, _end(date), side="right")) for date in (config.train_end, config.validation_end))
        return begin, first, second
    count = len(sessions) - begin
    return begin, begin + round(count * config.train), begin + round(count * (config.train + config.validation))


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


def _end(date: str) -> int:
    """The last second a date means: of its day, or itself where it names an hour."""
    return seconds(date) + (86_399 if len(date.strip()) <= len("2021-12-31") else 0)


def _cut(sessions: NDArray[np.int64], first: int, first_cut: int, second_cut: int, last: int, purge: int, embargo: int) -> Split:
    """The split with train ``[first, first_cut)``, validation ``[first_cut + embargo, second_cut)``, test ``[second_cut + embargo, last)``."""
    edges = ((first, first_cut), (first_cut + embargo, second_cut), (second_cut + embargo, last))
    for name, (begin, end) in zip(PARTS, edges, strict=True):
        if end - begin <= purge:
            raise DataError("split.too_short", part=Phrase(f"split.part.{name}"), sessions=max(0, end - begin), needed=purge + 1, total=len(sessions))
    spans = [(int(sessions[begin]), int(sessions[end - 1])) for begin, end in edges]
    counts = tuple(end - begin for begin, end in edges)
    return Split(train=spans[0], validation=spans[1], test=spans[2], purge=purge, embargo=embargo, sessions=counts)  # type: ignore[arg-type]
