"""Trading sessions: the days on which bars can exist.

In: an exchange and a range of dates. Out: session dates as ``datetime64[D]``.
It knows no store; the dates a store really holds are asked from its bars.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from financial_model.errors import DataError
from financial_model.market.symbols import Symbol, parse_symbol

_FIRST = {"XSHG": "1990-12-19", "XNYS": "1970-01-02"}


def exchange(symbol: str | Symbol) -> str:
    """XSHG for every Chinese market (they keep the same sessions), XNYS otherwise."""
    return "XNYS" if parse_symbol(symbol).market == "US" else "XSHG"


@lru_cache(maxsize=4)
def _all(name: str) -> NDArray[np.datetime64]:
    import exchange_calendars  # half a second; only a plan, a report or the demo market asks

    sessions = exchange_calendars.get_calendar(name, start=_FIRST[name]).sessions.to_numpy().astype("datetime64[D]")
    sessions.flags.writeable = False
    return sessions


def sessions(name: str = "XSHG", start: str = "", end: str = "") -> NDArray[np.datetime64]:
    """Sessions of XSHG or XNYS from ``start`` to ``end``, both included, ``datetime64[D]`` ascending.

    The published calendar ends a year or so ahead; later days are simply absent.
    """
    if name not in _FIRST:
        raise DataError("calendar.unknown", name=str(name)[:20], known=", ".join(_FIRST))
    days = _all(name)
    low = np.searchsorted(days, np.datetime64(start, "D")) if start else 0
    high = np.searchsorted(days, np.datetime64(end, "D"), side="right") if end else len(days)
    return days[low:high]


def missing_sessions(days: NDArray[np.datetime64], name: str) -> NDArray[np.datetime64]:
    """Sessions between the first and last of ``days`` on which ``days`` has nothing: suspensions or gaps."""
    if not len(days):
        return np.empty(0, "datetime64[D]")
    held = np.asarray(days).astype("datetime64[D]")
    return np.setdiff1d(sessions(name, str(held.min()), str(held.max())), held)
