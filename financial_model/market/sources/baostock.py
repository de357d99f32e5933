"""A-shares from baostock: what TDX lacks. Delisted stocks, the ST flag of each day, P/B and turnover as they were, adjustment factors.

In: a query. Out: raw prices, volume in shares, the exchange's factor, dated columns. The package ``baostock`` is optional; its constants (addresses,
message numbers, the version the server asks for) are used, its client is not: that one waits for ever when the server is silent, spins when it hangs
up, prints, and keeps one connection for the whole process. The layout below is the one it reads and writes. It knows no store.
"""

from __future__ import annotations

import hashlib
import json
import socket
import time
import zlib
from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np
import pandas as pd

from financial_model.errors import ConfigError, Phrase, RateLimitError, SourceError, system_reason
from financial_model.market.classification import OTHER, industry_of
from financial_model.market.sources.base import Capabilities, Listing, Query, Reply
from financial_model.market.sources.session_end import last_complete_day
from financial_model.market.symbols import board, kind, parse_symbol

PACKAGE = "baostock==0.9.4"
INDEX = "000300.SH"
COLUMNS = {
    "date": "date", "open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume", "amount": "amount", "turn": "turnover",
    "tradestatus": "tradable", "peTTM": "pe", "pbMRQ": "pb", "isST": "is_st",
}
"""Their column -> ours. ``turnover`` is in percent."""
INDEX_COLUMNS = ("date", "open", "high", "low", "close", "volume", "amount")
LARGEST = 64 << 20
"""Bytes of one reply; a page of 2,000 rows has far fewer."""
_END = b"<![CDATA[]]>\n"
_STOCK = "1"
_NOTHING = {"10004011", "10004015"}
"""Their numbers for a code that does not exist, or is of no kind they serve."""
_STOP = {"10001005", "10001006", "10001007", "10001011"}
"""Too many logins, no right, not activated, on the black list: going on would make it worse."""
_BY_LETTER = {"A": "consumer", "D": "utilities", "E": "industrial", "F": "consumer", "G": "industrial", "H": "consumer", "J": "finance",
              "K": "real_estate", "L": "industrial", "M": "industrial", "N": "industrial", "O": "consumer", "P": "consumer", "Q": "healthcare",
              "R": "telecom", "S": OTHER}
_BY_NUMBER = {
    "energy": "B06 B07 B11 C25", "materials": "B08 B09 B10 C20 C22 C23 C26 C28 C29 C30 C31 C32", "healthcare": "C27", "telecom": "I63",
    "technology": "C39 I64 I65", "consumer": "C13 C14 C15 C16 C17 C18 C19 C21 C24 C36", "industrial": "C33 C34 C35 C37 C38 C40 C41 C42 C43",
}
_CSRC = {code: industry for industry, codes in _BY_NUMBER.items() for code in codes.split()}


class BaostockSource:
    """The public server, or ``server`` "host:port". ``key``: an account's own, for the faster server; empty: anonymous."""

    name = "baostock"
    bar_seconds = 86_400
    capabilities = Capabilities(markets=("SH", "SZ"), industries=True, book=True, delisted=True, connections=1, seconds_per_symbol=1.0)

    def __init__(self, *, server: str = "", key: str = "", timeout: float = 30.0) -> None:
        self.protocol = _protocol()
        host, port = self.protocol.BAOSTOCK_VIP_SERVER_IP if key else self.protocol.BAOSTOCK_SERVER_IP, str(self.protocol.BAOSTOCK_SERVER_PORT)
        if server:
            host, _, port = server.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError("baostock.server_format", value=server[:60])
        self.host, self.port, self.key, self.timeout = host, int(port), key, timeout
        self._names: dict[str, str] = {}

    def listings(self, query: Query) -> Sequence[Listing]:
        """Every A-share they know, delisted ones too; in an order that does not depend on how many are wanted."""
        if query.symbols:
            return [Listing(symbol=str(parse_symbol(text))) for text in query.symbols]
        line = self.connect()
        try:
            rows = line.ask("query_stock_basic", "", "")
        finally:
            line.close()
        found = []
        for row in rows:
            symbol = _symbol(row["code"])
            if row["type"] == _STOCK and board(symbol) in query.boards and not (query.exclude_st and "ST" in row["code_name"]):
                found.append(Listing(symbol=symbol, name=row["code_name"], board=board(symbol), until=row["outDate"]))
        found.sort(key=lambda entry: hashlib.blake2b(entry.symbol.encode(), digest_size=8).digest())
        found = found[: query.count] if query.count else found
        return [*([Listing(symbol=INDEX, name="沪深300", board="index")] if query.indices else []), *found]

    def connect(self) -> BaostockLine:
        return BaostockLine(self)

    def industries(self, symbols: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """Today's industries: sections of the securities regulator, or Shenwan's first level, whichever they send."""
        wanted, line = set(symbols), self.connect()
        try:
            rows = line.ask("query_stock_industry", "", "")
        finally:
            line.close()
        return {_symbol(row["code"]): (industry(row["industry"]), row["industry"]) for row in rows
                if row["industry"].strip() and _symbol(row["code"]) in wanted}

    def names(self, symbols: Sequence[str]) -> Mapping[str, str]:
        line = self.connect()
        try:
            return {_symbol(row["code"]): row["code_name"] for row in line.ask("query_stock_basic", "", "") if _symbol(row["code"]) in set(symbols)}
        finally:
            line.close()


class BaostockLine:
    """A login and its socket, opened when first asked; closed, never used again, after any failure. Use from one thread."""

    def __init__(self, source: BaostockSource) -> None:
        self.source, self.protocol = source, source.protocol
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def fetch(self, symbol: str, *, start: str, since: str = "") -> Reply:
        """Bars from ``start``, or from ``since``; the factor is theirs, cumulative since listing, so old rows never change."""
        code = parse_symbol(symbol)
        if code.market not in ("SH", "SZ"):
            return Reply(bars=None, reason="baostock.not_here")
        theirs, end = f"{code.market.lower()}.{code.code}", str(last_complete_day("CN"))
        index = kind(symbol) == "index"
        wanted = INDEX_COLUMNS if index else tuple(COLUMNS)
        rows = self.ask("query_history_k_data_plus", theirs, ",".join(wanted), since or start or "1990-01-01", end, "d", "3")
        if not rows:
            return Reply(bars=None)
        events = [] if index else self.ask("query_adjust_factor", theirs, "1990-01-01", end)
        try:
            bars = bar_table(rows)
            if not index:
                bars["factor"] = factors(bars, events)
        except ValueError as error:  # a date or a factor that is none
            raise self._failed(Phrase("baostock.reason.unreadable", words=str(error)[:120])) from error
        return Reply(bars=bars)

    # ---------------------------------------------------------------- the wire
    def ask(self, method: str, *parameters: str) -> list[dict[str, str]]:
        """Every row of an answer, over all its pages; none for a code they do not have."""
        page, rows = 1, []
        size = self.protocol.BAOSTOCK_PER_PAGE_COUNT
        while True:
            if self._socket is None:
                self._open()
            body = self._exchange(_REQUESTS[method], [method, "anonymous", str(page), str(size), *parameters])
            if body[0] in _NOTHING:
                return []
            records = self._records(method, page, parameters, body)
            rows += records
            if len(records) != size:
                return rows
            page += 1

    def _records(self, method: str, page: int, parameters: Sequence[str], body: list[str]) -> list[dict[str, str]]:
        try:
            if body[2] != method or int(body[4]) != page or body[7] != parameters[0]:
                raise self._failed(Phrase("baostock.reason.other_question"))
            names = [name.strip() for name in body[_FIELDS_AT[method]].split(",")]
            if not _NEEDED[method] <= set(names):
                raise self._failed(Phrase("baostock.reason.columns"))
            records = json.loads(body[6], strict=False)["record"] if body[6].strip() else []
            return [dict(zip(names, record, strict=True)) for record in records]
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise self._failed(Phrase("baostock.reason.unreadable", words=str(error)[:120] or type(error).__name__)) from error

    def _open(self) -> None:
        try:
            self._socket = socket.create_connection((self.source.host, self.source.port), timeout=self.source.timeout)
        except OSError as error:
            raise self._failed(system_reason(error)) from error
        self._exchange("LOGIN", ["login", "anonymous", "123456", self.source.key or "0"])

    def _exchange(self, kind: str, fields: Sequence[str]) -> list[str]:
        """The fields of the answer to one message. ``RateLimitError`` where they ask to be left alone, ``SourceError`` for any other refusal."""
        number, split = getattr(self.protocol, f"MESSAGE_TYPE_{kind}_REQUEST"), self.protocol.MESSAGE_SPLIT
        text = split.join(fields)
        message = f"{self.protocol.BAOSTOCK_CLIENT_VERSION}{split}{number}{split}{len(text):010d}{text}"
        try:
            self._socket.sendall(f"{message}{split}{zlib.crc32(message.encode())}\n".encode())  # type: ignore[union-attr]
            version, answered, body = self._read(split)
        except OSError as error:
            raise self._failed(system_reason(error)) from error
        except (ValueError, zlib.error) as error:
            raise self._failed(Phrase("baostock.reason.unreadable", words=str(error)[:120] or type(error).__name__)) from error
        if answered not in (getattr(self.protocol, f"MESSAGE_TYPE_{kind}_RESPONSE"), self.protocol.MESSAGE_TYPE_EXCEPTIONS):
            raise self._failed(Phrase("baostock.reason.other_question"))
        if body[0] == self.protocol.BSERR_SUCCESS or body[0] in _NOTHING:
            return body
        self.close()
        words = " ".join(body[:2])
        if body[0] in _STOP:
            raise RateLimitError("baostock.refused", words=words)
        if body[0] == self.protocol.BSERR_CLIENT_VESION_EXPIRE:
            raise SourceError("baostock.outdated", version=version, words=words)
        raise SourceError("baostock.bad_answer", host=self.source.host, reason=words)

    def _read(self, split: str) -> tuple[str, str, list[str]]:
        """(version, message number, fields) of one reply: a head of 21 bytes, a body, an end mark."""
        reply, deadline = bytearray(), time.monotonic() + 4 * self.source.timeout
        while not reply.endswith(_END):
            piece = self._socket.recv(65536)  # type: ignore[union-attr]
            if not piece:
                raise self._failed(Phrase("baostock.reason.hung_up"))
            reply += piece
            if len(reply) > LARGEST or time.monotonic() > deadline:
                raise self._failed(Phrase("baostock.reason.endless"))
        head = bytes(reply[: self.protocol.MESSAGE_HEADER_LENGTH]).decode()
        version, number, length = head.split(split)
        content = bytes(reply[self.protocol.MESSAGE_HEADER_LENGTH : -len(_END)])
        if number in self.protocol.COMPRESSED_MESSAGE_TYPE_TUPLE:
            content = zlib.decompress(content[: int(length)])
        return version, number, content.decode().split(split)

    def _failed(self, reason: Phrase) -> SourceError:
        self.close()
        return SourceError("baostock.bad_answer", host=self.source.host, reason=reason)


_REQUESTS = {"query_stock_basic": "QUERYSTOCKBASIC", "query_stock_industry": "QUERYSTOCKINDUSTRY", "query_history_k_data_plus": "GETKDATAPLUS",
             "query_adjust_factor": "ADJUSTFACTOR"}
_FIELDS_AT = {"query_stock_basic": 9, "query_stock_industry": 9, "query_history_k_data_plus": 8, "query_adjust_factor": 10}
"""Place of the column names in an answer."""
_NEEDED = {"query_stock_basic": {"code", "code_name", "outDate", "type"}, "query_stock_industry": {"code", "industry"},
           "query_history_k_data_plus": set(INDEX_COLUMNS), "query_adjust_factor": {"dividOperateDate", "backAdjustFactor"}}


def bar_table(rows: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """Our columns from their rows of text. Empty cells are unknown; on a suspended day the volume is 0."""
    table = pd.DataFrame(list(rows)).rename(columns=COLUMNS)
    bars = pd.DataFrame({"date": table.pop("date").to_numpy(str).astype("datetime64[s]")})
    for name in table:
        bars[name] = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
    if "tradable" in bars:
        bars.loc[bars["tradable"] == 0, ["volume", "amount"]] = 0.0
    return bars


def factors(bars: pd.DataFrame, events: Sequence[Mapping[str, str]]) -> np.ndarray:
    """float64 [n] cumulative backward factor since listing. Inside a suspension an event waits for the first day that trades,
    as the price does."""
    days = bars["date"].to_numpy().astype("datetime64[D]")
    traded = np.flatnonzero(bars["volume"].to_numpy() > 0)
    found = np.ones(len(days))
    for event in sorted(events, key=lambda row: row["dividOperateDate"]):
        row = int(np.searchsorted(days, np.datetime64(event["dividOperateDate"], "D")))
        if row:
            later = traded[np.searchsorted(traded, row) :]
            row = int(later[0]) if len(later) else len(days)
        found[row:] = float(event["backAdjustFactor"])
    return found


def industry(label: str) -> str:
    """One of our eleven for "J66货币金融服务" (the regulator's sections) or "银行" (Shenwan's first level); ``other`` where it is neither."""
    known = industry_of(label)
    return known or _CSRC.get(label[:3]) or (_BY_LETTER.get(label[:1], OTHER) if label[1:3].isdigit() else OTHER)


def _symbol(theirs: str) -> str:
    return f"{theirs[3:]}.{theirs[:2].upper()}"


def _protocol() -> ModuleType:
    try:
        import baostock.common.contants as protocol
    except ImportError:
        raise ConfigError("baostock.missing", package=PACKAGE) from None
    return protocol
