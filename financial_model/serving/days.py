"""Dates that have not come yet: the sessions a forecast is about, and dates as people type them.

In: a symbol, the last bar's date, a number of days. Out: dates on the exchange's calendar. It knows no bars.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from financial_model.errors import ConfigError, DataError
from financial_model.market.calendar import exchange, sessions


def following(symbol: str, last: np.datetime64, count: int, *, wait: int = 0) -> NDArray[np.datetime64]:
    """The ``count`` sessions after ``last``, ``datetime64[D]``; ``wait`` sessions are skipped first.

    Where the published calendar ends, weekdays stand in for sessions.
    """
    day = np.asarray(last).astype("datetime64[D]")[()]
    try:
        name = exchange(symbol)
    except DataError:  # bars of something that is no listed code: any weekday may be a session
        name = ""
    ahead = sessions(name, start=str(day + 1))[:count + wait] if name else np.empty(0, "datetime64[D]")
    missing = count + wait - len(ahead)
    if missing > 0:
        after = ahead[-1] if len(ahead) else day
        ahead = np.concatenate([ahead, np.busday_offset(after, np.arange(1, missing + 1), roll="backward")])
    return ahead[wait:]


def parse_date(text: str) -> np.datetime64:
    """``YYYY-MM-DD`` as a day. ``ConfigError`` when it is none."""
    try:
        day = np.datetime64(text.strip(), "D")
    except ValueError:
        raise ConfigError("serving.bad_date", value=text[:40]) from None
    if np.isnat(day) or len(text.strip()) != 10:
        raise ConfigError("serving.bad_date", value=text[:40])
    return day
