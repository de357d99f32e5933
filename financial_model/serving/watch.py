"""A ranking that keeps itself current: after each close the new bars, then the ranking again.

In: a workspace and how often to look. Out: a call for every ranking that became possible, a line for every update that failed. Nothing is asked of
a source before the session has closed, and nothing twice for the same session. As a job (:func:`keep_ranked`) it does the work through other jobs,
so that every page sees the download and the ranking as if somebody had asked for them. It knows no page and no command.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from financial_model.errors import ConfigError, DataError, JobError, KairosError, NotFoundError, Phrase, SourceError, Stopped
from financial_model.market.calendar import exchange, sessions
from financial_model.market.store import Store
from financial_model.paths import Workspace
from financial_model.serving.market import download

if TYPE_CHECKING:
    from financial_model.serving.tasks import JobContext

logger = logging.getLogger(__name__)

CLOSES = {"XSHG": (ZoneInfo("Asia/Shanghai"), time(15, 0)), "XNYS": (ZoneInfo("America/New_York"), time(16, 0))}
SETTLING = timedelta(minutes=30)
"""From the close until a source is asked: the day's bar must be final."""
SHORTEST = 60.0
"""Seconds between two looks: a source is not asked in a tight loop, whatever a user types."""
EVERY = 3600.0
"""Seconds between two looks where nobody says otherwise."""
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


def next_closed(name: str, now: datetime) -> datetime:
    """When the first bar after :func:`last_closed` will be final, in the exchange's own time."""
    zone, close = CLOSES[name]
    later = sessions(name, start=str(last_closed(name, now) + 1))
    day = later[0].item() if len(later) else now.astimezone(zone).date()  # beyond the published calendar: look every day
    return datetime.combine(day, close, zone) + SETTLING


def check(workspace: Workspace, seconds: float) -> str:
    """The source that would be asked. ``ConfigError`` for a time below ``SHORTEST``, or bars that cannot grow."""
    if not seconds >= SHORTEST:
        raise ConfigError("watch.too_often", seconds=f"{seconds:g}", least=f"{SHORTEST:g}")
    return source_of(Store(workspace.data_dir))


def watch(workspace: Workspace, seconds: float, look: Callable[[], None], *, stop: threading.Event, tell: Callable[..., None],
          clock: Callable[[], datetime] = lambda: datetime.now(UTC), fetch: Callable[[str, Sequence[str]], Mapping[str, Any]] | None = None,
          rest: Callable[[datetime], None] = lambda until: None) -> None:
    """Look now, then every ``seconds``: when a session has closed that the store lacks, fetch it and look again. Returns when ``stop`` is set.

    ``look()`` makes the ranking; ``fetch(source, symbols)`` brings new bars and returns a report as ``serving.market.download`` does (which is what
    it is by default). ``tell(key, **fields)`` is told of every round in which something was tried, ``rest(until)`` when something can happen next, in
    the exchange's time.
    A session for which the source had nothing new is tried again at the next look. Raises what :func:`check` raises.
    """
    source, store = check(workspace, seconds), Store(workspace.data_dir)

    def due() -> tuple[np.datetime64 | None, Any]:
        """The session the store lacks, if one has closed, and the store's symbols."""
        table = store.symbols()
        closed = last_closed(_exchange(table), clock())
        return None if np.datetime64(str(table["last"].dropna().max())[:10], "D") >= closed else closed, table

    look()
    while True:
        missing, table = due()
        now = clock()
        name = _exchange(table)
        rest(next_closed(name, now) if missing is None else (now + timedelta(seconds=seconds)).astimezone(CLOSES[name][0]))
        if stop.wait(seconds):
            return
        missing, table = due()
        if missing is None:
            continue
        symbols = tuple(table["symbol"][table["status"] == "ok"])
        try:
            report = fetch(source, symbols) if fetch else download(workspace, source, symbols=symbols, stop=stop)
        except (SourceError, JobError) as error:
            logger.warning("%s", error)
            tell("watch.failed", session=str(missing), reason=_said(error))
            continue
        if not report["stored"]:
            tell("watch.nothing_new", session=str(missing))
            continue
        tell("watch.updated", session=str(missing), stocks=len(report["stored"]))
        look()


def _said(error: KairosError) -> Phrase:
    """What an error says, without the frames it came through."""
    return Phrase(error.key, **error.fields)


def _exchange(table: Any) -> str:
    return exchange(str(table["symbol"].iloc[0]))


def keep_ranked(context: JobContext, seconds: float = EVERY) -> None:
    """:func:`watch` as a job that ranks the pool of its run: downloads and rankings are jobs of their own, it says what came last and what is next.

    The first ranking must succeed; a later one that fails is told and tried again after the next close, unless the run is gone.
    """
    store = Store(context.workspace.data_dir)
    ranked = False

    def look() -> None:
        nonlocal ranked
        try:
            context.ask("rank", run=context.run_id, top=0, as_of=None)
        except NotFoundError:
            raise
        except KairosError as error:
            if not ranked:
                raise
            context.tell("watch.not_ranked", reason=_said(error))
            return
        ranked = True
        context.tell("watch.ranked", session=str(store.summary()["last"])[:10])

    context.progress("watch")
    watch(context.workspace, seconds, look, stop=context.stop, tell=context.tell,
          fetch=lambda source, symbols: context.ask("download", source=source, symbols=symbols),
          rest=lambda until: context.rest(until.isoformat(timespec="minutes")))
    raise Stopped
