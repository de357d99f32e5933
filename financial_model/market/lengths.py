"""One length of bars for the stocks of a store: a universe has one (``Store.check_intervals``), so an import takes no other.

In: a store, what most stocks of an import have, and then stock by stock the length of its bars. Out: nothing, or the refusal. It reads no file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from financial_model.errors import DataError
from financial_model.market.schema import one
from financial_model.market.symbols import kind

if TYPE_CHECKING:
    from financial_model.market.store import Store

OTHER_LENGTH = ("import.other_length", "import.length_of_most")
"""Refusals that depend on what else is stored or imported."""


class OneLength:
    """What has been taken so far decides; before anything is, the length that most have. Indices may differ: they are in no universe."""

    def __init__(self, store: Store | None, most: Callable[[], tuple[str, int] | None]):
        """``most``: (one of the stocks to come that have bars as most of them have, their seconds), asked only where ``store`` has no stock yet;
        None where that is not known: then the first table decides (:meth:`settle`)."""
        self._stocks, self._other, self._seconds = _stored(store) if store is not None else (0, "", 0)
        self._folder = str(store.data_dir) if store is not None else ""
        self._most = None if self._stocks else most()

    def settle(self, table: Iterable[tuple[str, int]]) -> None:
        """What most stocks of a table about to be taken have (stock, seconds) decides, where nothing has decided before; else it is not looked at."""
        if self._most is None and not self._stocks:
            self._most = most_of(table)

    def check(self, code: str, seconds: int) -> None:
        """Raise ``DataError`` (one of ``OTHER_LENGTH``) where bars of ``seconds`` (0: a single bar) are not as long as those of the others."""
        if not seconds or kind(code) != "stock":
            return
        if self._most is not None and seconds != self._most[1]:
            raise DataError("import.length_of_most", name=code, minutes=seconds // 60, other=self._most[0], other_minutes=self._most[1] // 60)
        if not self._stocks or (self._stocks == 1 and self._other == code):  # nobody stands beside it
            self._stocks, self._other, self._seconds = 1, code, seconds
        elif seconds != self._seconds:
            raise DataError("import.other_length", name=code, minutes=seconds // 60, other=self._other, other_minutes=self._seconds // 60,
                            folder=self._folder)
        else:
            self._stocks += self._other != code


def most_of(stocks: Iterable[tuple[str, int]]) -> tuple[str, int] | None:
    """The first of the stocks (stock, seconds) with bars as long as most of them have; of lengths that are met as often, the one met first."""
    votes: Counter[int] = Counter()
    first: dict[int, str] = {}
    for symbol, seconds in stocks:
        votes[seconds] += 1
        first.setdefault(seconds, symbol)
    if not votes:
        return None
    seconds = max(votes, key=votes.__getitem__)
    return first[seconds], seconds


def _stored(store: Store) -> tuple[int, str, int]:
    """(how many stocks have the bars that most have, one of them, their seconds); 0 of them where there is none. Makes no store."""
    if not store.database.is_file():
        return 0, "", 0
    with store.connect() as db:
        row = one(db, "SELECT COUNT(*), MIN(symbol), interval FROM symbols WHERE kind='stock' AND status='ok' AND interval > 0 GROUP BY interval"
                      " ORDER BY COUNT(*) DESC LIMIT 1")
    return tuple(row) if row is not None else (0, "", 0)
