"""How much money a stock turned over of late: what a reader must know before a rank means anything to him.

In: a store, symbols, a date. Out: the mean amount a bar over the last bars up to that date. Of the bar files only the ends are read, as far back as
those bars reach. What comes after the date counts for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from financial_model.errors import KairosError
from financial_model.market import barfile
from financial_model.market.store import Store

BARS = 20


def amounts(store: Store, symbols: Sequence[str], day: str) -> list[float]:
    """Mean amount (in the currency of the prices) of the last ``BARS`` bars up to ``day`` (YYYY-MM-DD); nan where there is none."""
    found = []
    for symbol in symbols:
        try:
            found.append(_amount(store.bar_path(symbol), day))
        except (OSError, ValueError, LookupError, KairosError):  # gone or damaged meanwhile: the ranking stands without this figure
            found.append(math.nan)
    return found


def _amount(path: Path, day: str) -> float:
    head, lines = barfile.last_lines(path, BARS, day)
    places = {name: place for place, name in enumerate(head.split(","))}
    known = [money for line in lines if math.isfinite(money := _money(line.split(","), places))]
    return sum(known) / len(known) if known else math.nan


def _money(cells: list[str], places: Mapping[str, int]) -> float:
    """A bar's amount; where the source had none, close x volume. ``places``: name of a column -> its number."""
    place = places.get("amount", len(cells))
    amount = cells[place] if place < len(cells) else ""
    return float(amount) if amount else float(cells[places["close"]] or "nan") * float(cells[places["volume"]] or "nan")
