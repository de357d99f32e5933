"""A-shares from TDX quote hosts: bars, ex-rights events, share counts, book value, industries, names.

In: a query. Out: listings and one ``Reply`` per symbol, raw prices, volume in shares.
Which hosts are good is in ``tdx_hosts``, what they send in ``tdx_wire``; it knows no store.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import pandas as pd

from financial_model.errors import DataError, SourceError
from financial_model.market.adjustment import ExRights
from financial_model.market.sources.base import Capabilities, Listing, Query, Reply
from financial_model.market.sources.session_end import last_complete_day
from financial_model.market.sources.tdx_hosts import HostPool, TdxSettings
from financial_model.market.sources.tdx_industry import parse_industries
from financial_model.market.sources.tdx_wire import PAGE, EventRow, Finance, Security, TdxConnection
from financial_model.market.symbols import Symbol, board, kind, parse_symbol

log = logging.getLogger(__name__)

MARKETS = {"SZ": 0, "SH": 1, "BJ": 2}
INDEX = "000300.SH"
INTERVALS = {"day": 9, "1m": 8, "5m": 0, "15m": 1, "30m": 2, "60m": 3}
SECONDS = {"day": 86_400, "1m": 60, "5m": 300, "15m": 900, "30m": 1800, "60m": 3600}
OVERLAP = 5
"""Bars asked for twice: pages, and an update and what is stored, must agree on them."""
SHARE_EVENTS = {2, 3, 5, 7, 8, 9, 10}
_EMPTY_ANSWERS = 5
"""Times a proven host must say that it has nothing before that is believed; busy hosts answer with nothing now and then."""
_REPORTED_ASSETS = 2.0
"""Net assets may differ from shares x book per share by this factor (preferred shares, an issue since); beyond it one of them is wrong."""
_LOTS, _SHARES = (60.0, 160.0), (0.6, 1.6)
"""Range of median(amount / volume / close) that says lots of 100, or shares."""

T = TypeVar("T")


class TdxSource:
    """The hosts of ``settings``, or of ``server`` ("host:port,host:port"). ``interval``: day, 1m, 5m, 15m, 30m or 60m.

    ``pause``: seconds between two requests of one connection; hosts cut off clients in a hurry."""

    name = "tdx"
    capabilities = Capabilities(markets=("SH", "SZ", "BJ"), minute=True, events=True, industries=True, shares=True, book=True, seconds_per_symbol=0.5)

    def __init__(self, *, server: str = "", packets: str = "", interval: str = "day", pause: float = TdxSettings.pause,
                 settings: TdxSettings | None = None) -> None:
        settings = settings or TdxSettings()
        if server:
            settings = dataclasses.replace(settings, hosts=tuple(part.strip() for part in server.split(",") if part.strip()))
        if packets:
            settings = dataclasses.replace(settings, packets=tuple(int(char) for char in packets if char in "123"))
        if pause != TdxSettings.pause:
            settings = dataclasses.replace(settings, pause=min(max(float(pause), 0.0), 10.0))
        if interval not in INTERVALS:
            raise DataError("tdx.interval", value=interval, known=", ".join(INTERVALS))
        self.settings, self.interval, self.bar_seconds = settings, interval, SECONDS[interval]
        self.pool = HostPool(settings)
        self._names: dict[str, str] = {}

    def listings(self, query: Query) -> Sequence[Listing]:
        """The shares the hosts list, filtered by board; in an order that does not depend on how many are wanted."""
        if query.symbols:
            return [Listing(symbol=str(parse_symbol(text)), name=self._names.get(str(parse_symbol(text)), "")) for text in query.symbols]
        line = self.connect()
        try:
            found = self._shares(line, query)
        finally:
            line.close()
        found.sort(key=lambda entry: hashlib.blake2b(entry.symbol.encode(), digest_size=8).digest())
        found = found[: query.count] if query.count else found
        if query.indices:
            found.insert(0, Listing(symbol=INDEX, name="沪深300", board="index"))
        return found

    def _shares(self, line: TdxLine, query: Query) -> list[Listing]:
        found = []
        for name in ("SZ", "SH"):
            for symbol, entry in self._listed(line, name):
                if board(symbol) in query.boards and not (query.exclude_st and "ST" in entry.name):
                    found.append(Listing(symbol=symbol, name=entry.name, board=board(symbol)))
        if "bse" in query.boards:  # the hosts never answer a list of Beijing: its codes stand in the industry file
            for market, code in parse_industries(line.ask(lambda connection: connection.file("tdxhy.cfg"))):
                if market == MARKETS["BJ"] and code.startswith("92"):
                    found.append(Listing(symbol=f"{code}.BJ", board="bse"))
        return found

    def _listed(self, line: TdxLine, market: str) -> list[tuple[str, Security]]:
        """Everything the hosts list of SZ or SH, indices and bonds too; the names are kept."""
        entries = line.ask(partial(_securities, market=MARKETS[market]))
        found = [(str(Symbol(code=entry.code, market=market)), entry) for entry in entries if entry.code.isdecimal()]
        self._names.update({symbol: entry.name for symbol, entry in found})
        return found

    def names(self, symbols: Sequence[str]) -> Mapping[str, str]:
        """From the lists of the exchanges concerned: a symbol asked for by its code arrives without a name."""
        line = self.connect()
        try:
            for market in ("SZ", "SH"):
                if any(parse_symbol(symbol).market == market and symbol not in self._names for symbol in symbols):
                    self._listed(line, market)
        finally:
            line.close()
        return {symbol: self._names[symbol] for symbol in symbols if self._names.get(symbol)}

    def connect(self) -> TdxLine:
        return TdxLine(self.pool, self.settings, INTERVALS[self.interval], self._names)

    def industries(self, symbols: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """Today's industries from ``tdxhy.cfg``; not point in time."""
        line = self.connect()
        try:
            content = line.ask(lambda connection: connection.file("tdxhy.cfg"))
        finally:
            line.close()
        if not content:
            raise SourceError("tdx.no_industry_file")
        known = parse_industries(content)
        keyed = {symbol: known.get((MARKETS[parse_symbol(symbol).market], parse_symbol(symbol).code)) for symbol in symbols}
        return {symbol: (industry, "tdxhy.cfg") for symbol, industry in keyed.items() if industry}


class TdxLine:
    """One worker's line: a proven connection, replaced whenever it fails. Use from one thread."""

    def __init__(self, pool: HostPool, settings: TdxSettings, category: int, names: Mapping[str, str]) -> None:
        self.pool, self.settings, self.category, self.names = pool, settings, category, names
        self._connection: TdxConnection | None = None
        self._shown: tuple[str, Finance | None] = ("", None)
        """Code about which this connection has shown that it answers about the code asked for, and what it said of it."""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, question: Callable[[TdxConnection], T]) -> T:
        """The answer to one question, over as many connections as the settings allow. ``SourceError`` when none gives one."""
        last: SourceError | None = None
        for _ in range(self.settings.attempts):
            if self._connection is None:
                self._connection, self._shown = self.pool.acquire(), ("", None)
            try:
                answer = question(self._connection)
            except SourceError as error:
                log.info("%s", error)
                self.pool.failed(self._connection, error)
                self.close()
                last = error
                continue
            self.pool.worked(self._connection)
            time.sleep(self.settings.pause * random.uniform(0.5, 1.5))
            return answer
        raise last or self.pool.no_host()

    def fetch(self, symbol: str, *, start: str, since: str = "") -> Reply:
        """All bars from ``start``, or those from ``since`` on. An empty reply is legitimate only after a proven host said so again and again."""
        code = parse_symbol(symbol)
        market, index = MARKETS.get(code.market, -1), kind(symbol) == "index"
        if market < 0:
            return Reply(bars=None, reason="tdx.not_here")
        first = np.datetime64(since or start or "1990-01-01", "s")
        bars = self._history(market, code.code, first, index)
        if not len(bars):
            return Reply(bars=None)
        if index:
            return Reply(bars=self._frame(bars, 10_000.0), name=self.names.get(symbol, ""))
        unit = volume_unit(bars, symbol)
        rows = self._events(market, code.code)
        shown, finance = self._shown
        if shown != code.code:  # the line was replaced since the bars came
            finance = self.ask(lambda connection: connection.finance(market, code.code))
        return Reply(bars=self._frame(bars, unit), events=ex_rights(rows), shares=share_counts(rows, finance),
                     book=book_value(finance), name=self.names.get(symbol, ""))

    def _events(self, market: int, code: str) -> list[EventRow]:
        """The ex-rights rows. None at all is believed as an empty history of bars is: a lost event would be a wrong return."""
        for _ in range(_EMPTY_ANSWERS):
            rows = self.ask(lambda connection: connection.events(market, code))
            if rows is not None:
                return rows
            self.ask(self.pool.prove)
        return []

    def _history(self, market: int, code: str, first: np.datetime64, index: bool) -> np.ndarray:
        """Bars from ``first`` on, page by page from the newest; neighbouring pages must agree where they overlap."""
        per_day = 1 if self.category == 9 else 240
        wanted = int((np.datetime64("today", "D") - first.astype("datetime64[D]")).astype(int) * 5 / 7 * per_day) + 3 * OVERLAP
        pages: list[np.ndarray] = []
        start = 0
        while True:
            count = min(PAGE, max(wanted - start, OVERLAP + 1))
            page = self._page(market, code, start, count, index)
            if pages and len(page) and not _agree(page, pages[-1]):
                raise SourceError("tdx.pages_disagree", symbol=code, host=self._connection.address if self._connection else "")
            if len(page):
                pages.append(page)
            if len(page) < count or page["time"][0] < first or start + count > 65_000:
                break
            start += count - OVERLAP
            wanted = max(wanted, start + PAGE)
        if not pages:
            return np.empty(0, dtype=[("time", "datetime64[s]")])
        joined = np.concatenate(pages)
        joined = joined[joined["close"] > 0]
        _, keep = np.unique(joined["time"], return_index=True)
        bars = joined[keep]
        return bars[(bars["time"] >= first) & (bars["time"].astype("datetime64[D]") <= last_complete_day("CN"))]

    def _page(self, market: int, code: str, start: int, count: int, index: bool) -> np.ndarray:
        """One page; a short one is believed when the same answer comes again, an empty one when a proven host gives it again and again."""
        def question(connection: TdxConnection) -> np.ndarray:
            self._show_identity(connection, market, code, index)
            bars = connection.bars(market, code, start, count, category=self.category, index=index)
            if not len(bars) and not start and connection.refusal:  # a host that refuses clients is no witness that there is nothing
                raise SourceError("tdx.refused", host=connection.address, words=connection.refusal)
            return bars

        page = self.ask(question)
        again = 0 if len(page) == count else 1 if len(page) else _EMPTY_ANSWERS - 1
        while again:
            if not len(page) and not start:
                self.ask(self.pool.prove)
            other = self.ask(question)
            longer = len(other) > len(page)
            page = other if longer else page
            again = again - 1 if not longer else (0 if len(page) == count else 1)
        return page

    def _show_identity(self, connection: TdxConnection, market: int, code: str, index: bool) -> None:
        """Bars do not say whose they are; the finance reply does. A connection out of step is found before its bars are taken.

        A host need not have a report of an index; if it gives one, it must be of this one."""
        if self._shown[0] == code:
            return
        try:
            answers = (connection.finance(market, code) for _ in range(_EMPTY_ANSWERS))
            self._shown = code, next((report for report in answers if report is not None), None)
        except SourceError as error:
            if not index or getattr(error.fields.get("reason"), "key", "") == "tdx.reason.other_code":
                raise
            self._shown = code, None

    def _frame(self, bars: np.ndarray, unit: float) -> pd.DataFrame:
        return pd.DataFrame({
            "date": bars["time"], "open": bars["open"], "high": bars["high"], "low": bars["low"], "close": bars["close"],
            "volume": bars["volume"].astype(np.float64) * unit, "amount": bars["amount"].astype(np.float64)})


def _securities(connection: TdxConnection, *, market: int) -> list[Security]:
    return connection.securities(market)


def _agree(older: np.ndarray, newer: np.ndarray) -> bool:
    """Whether two pages say the same about the days they share; pages that share none are from different stocks."""
    common, left, right = np.intersect1d(older["time"], newer["time"], return_indices=True)
    return len(common) > 0 and all(np.array_equal(older[name][left], newer[name][right]) for name in ("open", "close", "high", "low", "volume"))


def volume_unit(bars: np.ndarray, symbol: str) -> float:
    """Shares per unit of the volume as sent: 100 or 1, by median(amount / volume / close) of the traded bars; ``DataError`` when it is neither."""
    traded = (bars["volume"] > 0) & (bars["amount"] > 0)
    if not traded.any():
        return 100.0
    ratio = float(np.median(bars["amount"][traded] / bars["volume"][traded] / bars["close"][traded]))
    if _LOTS[0] <= ratio <= _LOTS[1]:
        return 100.0
    if _SHARES[0] <= ratio <= _SHARES[1]:
        return 1.0
    raise DataError("tdx.volume_unit", symbol=symbol, ratio=f"{ratio:.3g}")


def _day(packed: int) -> str:
    return f"{packed // 10000:04d}-{packed // 100 % 100:02d}-{packed % 100:02d}"


def ex_rights(rows: Sequence[EventRow]) -> list[ExRights]:
    """Distributions (category 1, per ten shares) and consolidations (11, 12) as per-share events."""
    found = []
    for row in rows:
        date = np.datetime64(_day(row.date), "D")
        if row.category == 1:
            cash, price, bonus, rights = row.values
            found.append(ExRights(date=date, cash=cash / 10, bonus=bonus / 10, rights=rights / 10, rights_price=price))
        elif row.category in (11, 12) and row.values[2] > 0:
            found.append(ExRights(date=date, scale=row.values[2]))
    return found


def share_counts(rows: Sequence[EventRow], finance: Finance | None) -> list[tuple[str, float, float]]:
    """(date, total, float) in shares: after each change of capital, and as of the latest report."""
    changes = [row for row in rows if row.category in SHARE_EVENTS and 0 < row.values[3] < np.inf]
    found = {_day(row.date): (row.values[3] * 10_000.0, row.values[2] * 10_000.0) for row in changes}
    if finance and finance.total_shares > 0 and finance.updated > 19_900_101:
        found.setdefault(_day(finance.updated), (finance.total_shares, finance.float_shares))
    return [(date, total, floating) for date, (total, floating) in sorted(found.items())]


def book_value(finance: Finance | None) -> list[tuple[str, str, float]] | None:
    """(report, public from, book per share): only the latest report is served, so history stays unknown. None where the report says nothing, or
    its own net assets say something else."""
    if finance is None or finance.book_per_share <= 0 or finance.updated < 19_900_101:
        return None
    implied = finance.total_shares * finance.book_per_share
    if finance.net_assets and implied and not 1 / _REPORTED_ASSETS <= finance.net_assets / implied <= _REPORTED_ASSETS:
        log.warning("book value ignored: %.4g a share, but net assets of %.4g and %.4g shares", finance.book_per_share, finance.net_assets,
                    finance.total_shares)
        return None
    return [(_day(finance.updated), _day(finance.updated), float(finance.book_per_share))]
