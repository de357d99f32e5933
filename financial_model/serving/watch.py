"""A ranking that keeps itself current: after each close the new bars, then the ranking again.

In: a workspace and how often to look. Out: a call for every ranking that became possible, a line for every update that failed. Nothing is asked of
a source before the session has closed, and nothing twice for the same session. It knows no page and no command.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from financial_model.errors import ConfigError, DataError, SourceError
from financial_model.market.calendar import exchange, sessions
from financial_model.market.store import Store
from financial_model.paths import Workspace
from financial_model.serving.market import download

logger = logging.getLogger(__name__)

CLOSES = {"XSHG": (ZoneInfo("Asia/Shanghai"), time(15, 0)), "XNYS": (ZoneInfo("America/New_York"), time(16, 0))}
SETTLING = timedelta(minutes=30)
"""From the close until a source is asked: the day's bar must be final."""
SHORTEST = 60.0
"""Seconds between two looks: a source is not asked in a tight loop, whatever a user types."""
OWN_FILES = ("files", "demo")
"""Sources nothing can be fetched from."""


def source_of(store: Store) -> str:
    """The source most stored stocks came from. ``ConfigError`` when there is none to ask: imported files and the synthetic market do not grow."""
    table = store.symbols()
    names = table["source"][table["status"] == "ok"]
    if names.empty:
        raise DataError("serving.no_data", folder=str(store.data_dir))
    source = str(names.mode().iloc[0])
    if source in OWN_FILES:
        raise ConfigError("watch.nothing_to_ask", source=source)
    return source


def last_closed(name: str, now: datetime) -> np.datetime64:
    """The newest session of an exchange whose bar is final at ``now`` (with a time zone)."""
    zone, close = CLOSES[name]
    here = now.astimezone(zone)
    days = sessions(name, end=str(here.date()))
    today = bool(len(days)) and days[-1] == np.datetime64(here.date(), "D")
    return days[-2] if today and here < datetime.combine(here.date(), close, zone) + SETTLING else days[-1]


def watch(workspace: Workspace, seconds: float, look: Callable[[], None], *, stop: threading.Event, tell: Callable[..., None],
          clock: Callable[[], datetime] = lambda: datetime.now(UTC), options: dict[str, Any] | None = None) -> None:
    """Look now, then every ``seconds``: when a session has closed that the store lacks, fetch it and look again. Returns when ``stop`` is set.

    ``look()`` makes the ranking. ``tell(key, **fields)`` is told of every round in which something was tried. A session for which the source had
    nothing new is tried again at the next look. ``ConfigError`` for a time below ``SHORTEST`` or bars that cannot grow.
    """
    if not seconds >= SHORTEST:
        raise ConfigError("watch.too_often", seconds=f"{seconds:g}", least=f"{SHORTEST:g}")
    store = Store(workspace.data_dir)
    source = source_of(store)
    look()
    while not stop.wait(seconds):
        table = store.symbols()
        last = str(table["last"].dropna().max())[:10]
        due = last_closed(exchange(str(table["symbol"].iloc[0])), clock())
        if np.datetime64(last, "D") >= due:
            continue
        try:
            report = download(workspace, source, symbols=tuple(table["symbol"][table["status"] == "ok"]), options=options, stop=stop)
        except SourceError as error:
            logger.warning("%s", error)
            tell("watch.failed", session=str(due), reason=error)
            continue
        if not report["stored"]:
            tell("watch.nothing_new", session=str(due))
            continue
        tell("watch.updated", session=str(due), stocks=len(report["stored"]))
        look()
