"""What a download would do, before it does it: which symbols are new, behind, current, or known to have nothing.

In: a store, a source, a query. Out: a ``DownloadPlan`` with rough estimates. It fetches no bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.errors import ConfigError, DataError
from financial_model.market.calendar import exchange, sessions
from financial_model.market.sources.base import Capabilities, Query, Source
from financial_model.market.sources.session_end import last_complete_day
from financial_model.market.symbols import parse_symbol

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.market.store import Store

DAY, SESSION = 86_400, 240 * 60
"""Seconds of a calendar day, and of trading in a Chinese one."""
EMPTY_DAYS = 30
"""A symbol without data is not asked for again for so long."""
BYTES_A_BAR = 80
BOARDS = ("main", "chinext", "star", "bse", "us")
USUAL_COUNT, USUAL_DEMO = 100, 300
"""Stocks fetched when a user names no number; stocks of a market that is written whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanItem:
    """One symbol to fetch: ``new`` (everything) or ``update`` (what is missing)."""

    symbol: str
    name: str = ""
    action: str = "new"


@dataclass(frozen=True, kw_only=True)
class DownloadPlan:
    """What a download would do. Estimates are rough; ``current`` and ``empty`` symbols are left alone."""

    source: str
    start: str
    items: tuple[PlanItem, ...]
    stocks: int
    """Symbols to fetch; for a source that writes a whole market, how many it will have."""
    new: int
    update: int
    current: int
    empty: int
    bars: int
    bytes: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        data = asdict(self)
        data["items"] = [item["symbol"] for item in data["items"]]
        return data


def plan_download(store: Store, source: Source, query: Query, *, retry: bool = False) -> DownloadPlan:
    """What ``query`` means for this store. ``retry``: only symbols that failed or were empty before, asked again now.

    Raises ``DataError`` when synthetic and real data, or bars of two lengths, would mix, ``ConfigError`` for an unknown board or for stocks chosen
    from a source that writes its market whole, ``SourceError`` when the source cannot list anything.
    """
    store.check_source(source.name)
    for name in query.boards:
        if name not in BOARDS:
            raise ConfigError("config.not_a_choice", name="boards", value=str(name)[:40], choices=", ".join(BOARDS))
    start = checked_start(query.start)
    check_choice(source.name, source.capabilities, query, retry=retry)
    if source.capabilities.whole:
        stocks = query.count or USUAL_DEMO
        bars = source.bars_of(stocks, start)  # type: ignore[attr-defined]
        return DownloadPlan(source=source.name, start=start, items=(), stocks=stocks, new=stocks, update=0, current=0, empty=0, bars=bars,
                            bytes=bars * BYTES_A_BAR, seconds=stocks * source.capabilities.seconds_per_symbol)
    symbols = tuple(dict.fromkeys(str(parse_symbol(text)) for text in query.symbols))
    query = replace(query, symbols=symbols, count=USUAL_COUNT if query.count is None else query.count)
    known = store.symbols("all", status="all").set_index("symbol")
    _refuse_other_lengths(known, source.bar_seconds)
    asked = _asked(store)
    per_day = 1 if source.bar_seconds >= DAY else max(1, SESSION // source.bar_seconds)
    if retry:
        again = known[known["status"].isin(("failed", "empty")) & (known["source"] == source.name)]
        items = [PlanItem(symbol=str(symbol), name=row["name"]) for symbol, row in again.iterrows()]
        return _plan(source, start, items, current=0, empty=0, bars=per_day * _sessions_since(items, {}, start))
    items, last, current, empty = [], {}, 0, 0
    for listing in source.listings(query):
        row = known.loc[listing.symbol] if listing.symbol in known.index else None
        if row is not None and row["status"] == "empty" and row["source"] == source.name and _recent(row["updated"]):
            empty += 1
        elif row is None or row["status"] != "ok" or row["source"] != source.name or asked.get(listing.symbol, "9999") > start:
            items.append(PlanItem(symbol=listing.symbol, name=listing.name))
        elif _is_current(listing.symbol, row["last"]) or "" < listing.until < row["updated"][:10]:
            current += 1
        else:
            items.append(PlanItem(symbol=listing.symbol, name=listing.name, action="update"))
            last[listing.symbol] = str(row["last"])[:10]
    return _plan(source, start, items, current=current, empty=empty, bars=per_day * _sessions_since(items, last, start))


def _plan(source: Source, start: str, items: Sequence[PlanItem], *, current: int, empty: int, bars: int) -> DownloadPlan:
    new = sum(item.action == "new" for item in items)
    cost = source.capabilities.seconds_per_symbol * (new + 0.2 * (len(items) - new))
    return DownloadPlan(source=source.name, start=start, items=tuple(items), stocks=len(items), new=new, update=len(items) - new, current=current,
                        empty=empty, bars=bars, bytes=bars * BYTES_A_BAR, seconds=cost / max(source.capabilities.connections, 1))


def check_choice(source: str, capabilities: Capabilities, query: Query, *, retry: bool = False) -> None:
    """Raise ``ConfigError`` where stocks are chosen from a market that is written whole: the choice would be ignored."""
    if not capabilities.whole:
        return
    chosen = {"symbols": query.symbols, "boards": query.boards != Query().boards, "exclude_st": query.exclude_st, "retry": retry}
    names = ", ".join(name for name, given in chosen.items() if given)
    if names:
        raise ConfigError("download.whole", source=source, names=names)


def _refuse_other_lengths(known: pd.DataFrame, seconds: int) -> None:
    """A store holds bars of one length: a download of minute bars would replace daily ones, symbol by symbol."""
    stored = known[(known["status"] == "ok") & (known["interval"] > 0) & (known["interval"] != seconds)]
    if len(stored):
        raise DataError("download.other_length", symbol=str(stored.index[0]), stored=int(stored["interval"].iloc[0]) // 60, asked=seconds // 60)


def checked_start(start: str) -> str:
    """``start`` as an ISO day. ``DataError`` for what is no date."""
    try:
        return str(np.datetime64(start or "1990-01-01", "D"))
    except ValueError:
        raise DataError("bars.bad_range", value=str(start)[:40]) from None


def _sessions_since(items: Sequence[PlanItem], last: dict[str, str], start: str) -> int:
    """Most bars the items can have: sessions since the start, or since the last stored bar."""
    days = {name: sessions(name) for name in {exchange(item.symbol) for item in items}}
    today = np.datetime64("today", "D")
    total = 0
    for item in items:
        calendar = days[exchange(item.symbol)]
        total += int(np.searchsorted(calendar, today) - np.searchsorted(calendar, np.datetime64(last.get(item.symbol, start), "D")))
    return max(total, 0)


def _is_current(symbol: str, last: str) -> bool:
    """True when no session has been completed since the last stored bar."""
    market = "US" if exchange(symbol) == "XNYS" else "CN"
    over = sessions(exchange(symbol), end=str(last_complete_day(market)))
    return len(over) > 0 and np.datetime64(str(last)[:10], "D") >= over[-1]


def _recent(updated: str) -> bool:
    then = datetime.strptime(updated, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return datetime.now(UTC) - then < timedelta(days=EMPTY_DAYS)


def _asked(store: Store) -> dict[str, str]:
    """Symbol -> the start its history was once fetched from: an earlier one means fetching all of it again."""
    with store.connect() as db:
        return dict(db.execute("SELECT symbol, start FROM downloads").fetchall())
