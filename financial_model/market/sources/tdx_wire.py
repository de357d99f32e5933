"""One connection to one TDX quote host: pytdx for the requests, our own reading of the replies.

In: a host and a question. Out: numpy records, or a ``SourceError`` that says what the host did. It knows nothing of stores, retries or jobs.

pytdx 1.72 reads headers in one ``recv``, ignores whose answer it gets, and decodes volumes by a formula that is wrong below 128;
here headers are read whole, every request carries its own number and the echo is checked, floats are floats, and after any
exception the socket is closed, never used again.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from pytdx.errors import TdxConnectionError, TdxFunctionCallError
from pytdx.hq import TdxHq_API
from pytdx.parser.get_block_info import GetBlockInfo, GetBlockInfoMeta
from pytdx.parser.get_finance_info import GetFinanceInfo
from pytdx.parser.get_index_bars import GetIndexBarsCmd
from pytdx.parser.get_report_file import GetReportFile
from pytdx.parser.get_security_bars import GetSecurityBarsCmd
from pytdx.parser.get_security_count import GetSecurityCountCmd
from pytdx.parser.get_security_list import GetSecurityList
from pytdx.parser.get_xdxr_info import GetXdXrInfo
from pytdx.parser.setup_commands import SetupCmd1, SetupCmd2, SetupCmd3

from financial_model.errors import Phrase, SourceError, system_reason

PAGE = 800
DAILY = 9
"""Category 9: daily bars with volume in lots of 100 shares; 4 is daily too, in shares."""
_INTRADAY = {0, 1, 2, 3, 7, 8}
_BAR = np.dtype([("time", "datetime64[s]"), ("open", "f8"), ("close", "f8"), ("high", "f8"), ("low", "f8"), ("volume", "f8"), ("amount", "f8")])
_FIRST_MESSAGE = 0x01000000
_LISTED = 1000
"""Rows of a full page of the security list."""


class _Protocol(Exception):
    """The reply is not an answer to the question; its text is the key of the reason."""


def _read_exactly(client: Any, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        piece = client.recv(count - len(parts))
        if not piece:
            raise _Protocol("tdx.reason.closed")
        parts += piece
    return bytes(parts)


class _Checked:
    """Mixed into pytdx's commands: numbered requests, whole reads, and a check that the reply belongs to the question."""

    client: Any
    send_pkg: Any
    numbers = itertools.count(1)

    def _call_api(self) -> Any:
        self.setup()  # type: ignore[attr-defined]
        request = bytearray(self.send_pkg)
        request[1:5] = struct.pack("<I", _FIRST_MESSAGE + next(self.numbers) % 0x00FFFFFF)
        self.client.sendall(bytes(request))
        header = _read_exactly(self.client, 16)
        if header[:4] != b"\xb1\xcb\x74\x00":
            raise _Protocol("tdx.reason.not_tdx")
        if header[5:9] != request[1:5] or header[10:12] != request[10:12]:
            raise _Protocol("tdx.reason.other_request")
        packed, raw = struct.unpack("<HH", header[12:16])
        body = _read_exactly(self.client, packed)
        if packed != raw:
            try:
                body = zlib.decompress(body)
            except zlib.error as error:
                raise _Protocol("tdx.reason.unpack") from error
        if len(body) != raw:
            raise _Protocol("tdx.reason.cut_off")
        return self.parseResponse(body)  # type: ignore[attr-defined]


class _Bars(_Checked, GetSecurityBarsCmd):
    def parseResponse(self, body: bytes) -> np.ndarray:
        return parse_bars(body, self.category, 0)


class _IndexBars(_Checked, GetIndexBarsCmd):
    def parseResponse(self, body: bytes) -> np.ndarray:
        return parse_bars(body, self.category, 4)


class _Raw(_Checked):
    def parseResponse(self, body: bytes) -> bytes:
        return body


class _Events(_Raw, GetXdXrInfo):
    pass


class _Finance(_Raw, GetFinanceInfo):
    pass


class _Count(_Checked, GetSecurityCountCmd):
    pass


class _List(_Raw, GetSecurityList):
    pass


class _FileSize(_Checked, GetBlockInfoMeta):
    pass


class _FilePiece(_Raw, GetBlockInfo):
    pass


class _ReportPiece(_Checked, GetReportFile):
    pass


class _Setup1(_Raw, SetupCmd1):
    pass


class _Setup2(_Raw, SetupCmd2):
    pass


class _Setup3(_Raw, SetupCmd3):
    pass


_SETUP: dict[int, type] = {1: _Setup1, 2: _Setup2, 3: _Setup3}


def _varint(body: bytes, position: int) -> tuple[int, int]:
    byte = body[position]
    value, shift, negative = byte & 0x3F, 6, byte & 0x40
    while byte & 0x80:
        position += 1
        byte = body[position]
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 48:
            raise _Protocol("tdx.reason.garbled")
    return (-value if negative else value), position + 1


def parse_bars(body: bytes, category: int, extra: int) -> np.ndarray:
    """Bars in ascending order (time; open, close, high, low in yuan; volume and amount as sent). Anything left over or missing is refused.
    A bar of zeros alone says that nothing traded."""
    try:
        count = struct.unpack_from("<H", body)[0]
        times, prices, flows = [], np.empty((count, 4)), np.empty((count, 2))
        position, previous = 2, 0
        for row in range(count):
            times.append(_time(body, position, category))
            position += 4
            opened, position = _varint(body, position)
            close, position = _varint(body, position)
            high, position = _varint(body, position)
            low, position = _varint(body, position)
            opened += previous
            previous = opened + close
            prices[row] = opened, previous, opened + high, opened + low
            flows[row] = struct.unpack_from("<ff", body, position)
            position += 8 + extra
    except (struct.error, IndexError, ValueError) as error:
        raise _Protocol("tdx.reason.garbled") from error
    if position != len(body):
        raise _Protocol("tdx.reason.garbled")
    bars = np.empty(count, dtype=_BAR)
    bars["time"] = np.array(times, dtype="datetime64[s]")
    for column, name in enumerate(("open", "close", "high", "low")):
        bars[name] = prices[:, column] / 1000.0
    bars["volume"], bars["amount"] = flows[:, 0], flows[:, 1]
    idle = ~prices.any(axis=1) & (flows[:, 0] == 0)  # a halted minute is sent as zeros
    if not np.isfinite(flows).all() or (flows < 0).any() or (prices[~idle] <= 0).any() or (bars["high"] < bars["low"]).any():
        raise _Protocol("tdx.reason.impossible")
    if count > 1 and (np.diff(bars["time"]) <= np.timedelta64(0, "s")).any():
        raise _Protocol("tdx.reason.order")
    return bars


def _time(body: bytes, position: int, category: int) -> np.datetime64:
    if category in _INTRADAY:
        packed, minutes = struct.unpack_from("<HH", body, position)
        year, month, day = (packed >> 11) + 2004, (packed % 2048) // 100, (packed % 2048) % 100
        return np.datetime64(f"{year:04d}-{month:02d}-{day:02d}T{minutes // 60:02d}:{minutes % 60:02d}", "s")
    (packed,) = struct.unpack_from("<I", body, position)
    return np.datetime64(f"{packed // 10000:04d}-{packed // 100 % 100:02d}-{packed % 100:02d}", "s")


@dataclass(frozen=True)
class Security:
    market: int
    code: str
    name: str


@dataclass(frozen=True)
class EventRow:
    """A row of the ex-rights reply: category 1 per ten shares (cash, rights price, bonus, rights), else four category-dependent figures."""

    date: int
    category: int
    values: tuple[float, float, float, float]


@dataclass(frozen=True)
class Finance:
    """The latest report. Shares in shares, net assets and book per share in yuan, dates yyyymmdd (0: none)."""

    total_shares: float
    float_shares: float
    net_assets: float
    book_per_share: float
    updated: int
    listed: int


class _Client(TdxHq_API):
    """pytdx's socket handling with our choice of set-up packets; what the host says to them is kept."""

    packets: tuple[int, ...] = (1, 2, 3)
    greeting: bytes = b""

    def setup(self) -> None:
        for number in self.packets:
            self.greeting += _SETUP[number](self.client).call_api()


class TdxConnection:
    """A socket to one host; use from one thread. Any failure raises ``SourceError`` and leaves it closed."""

    def __init__(self, host: str, port: int, *, timeout: float = 5.0, packets: tuple[int, ...] = (1, 2, 3)) -> None:
        self.host, self.port, self.timeout, self.packets = host, port, timeout, packets
        self._client: _Client | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def refusal(self) -> str:
        """The host's own words if its greeting holds a sentence of refusal, else empty."""
        text = (self._client.greeting if self._client else b"").decode("gbk", errors="ignore")
        return "".join(char for char in text if char.isprintable()).strip() if "不" in text else ""

    def open(self) -> None:
        if self._client is not None:
            return
        client = _Client(raise_exception=True)
        client.packets = self.packets
        try:
            client.connect(self.host, self.port, time_out=self.timeout)
        except (OSError, TdxConnectionError, TdxFunctionCallError, _Protocol) as error:
            _quiet_close(client)
            raise SourceError("tdx.unreachable", host=self.address, reason=_words(error)) from error
        self._client = client

    def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            _quiet_close(client)

    def _ask(self, command: type, *arguments: Any) -> Any:
        self.open()
        try:
            call = command(self._client.client)  # type: ignore[union-attr]
            call.setParams(*arguments)
            return call.call_api()
        except (OSError, _Protocol, struct.error) as error:
            greeting = self.refusal
            self.close()
            raise SourceError("tdx.bad_answer", host=self.address, reason=greeting or _words(error)) from error
        except BaseException:  # whatever it was: half an answer may still be on its way
            self.close()
            raise

    def bars(self, market: int, code: str, start: int, count: int, *, category: int = DAILY, index: bool = False) -> np.ndarray:
        """At most 800 bars, ``start`` counted back from the newest."""
        return self._ask(_IndexBars if index else _Bars, category, market, code, start, min(count, PAGE))

    def events(self, market: int, code: str) -> list[EventRow] | None:
        """Distributions and changes of capital; ``None`` where the host answers with nothing, without even naming the code."""
        body = self._ask(_Events, market, code)
        if body == b"\0\0":
            return None
        self._check_echo(body, market, code)
        (count,) = struct.unpack_from("<H", body, 9) if len(body) >= 11 else (0,)
        if len(body) != 11 + 29 * count:
            self._refuse("tdx.reason.cut_off")
        rows = []
        for row in range(count):
            date, category = struct.unpack_from("<IB", body, 11 + 29 * row + 8)
            rows.append(EventRow(date, category, struct.unpack_from("<ffff", body, 11 + 29 * row + 13)))
        if not all(_is_day(row.date) and (row.category != 1 or np.isfinite(row.values).all()) for row in rows):
            self._refuse("tdx.reason.impossible")
        return rows

    def finance(self, market: int, code: str) -> Finance | None:
        """The latest report, or ``None`` where the host has none."""
        body = self._ask(_Finance, market, code)
        if len(body) < 9 + 16 + 4 * 30:
            return None
        self._check_echo(body, market, code)
        float_shares, _, _, updated, listed = struct.unpack_from("<fHHII", body, 9)
        figures = struct.unpack_from("<30f", body, 25)
        total, net_assets, book = figures[0], figures[15], figures[28]
        if not np.isfinite((float_shares, total, net_assets, book)).all() or (updated and not _is_day(updated)):
            self._refuse("tdx.reason.impossible")
        return Finance(total * 10_000.0, float_shares * 10_000.0, net_assets * 1000.0, book, updated, listed)

    def securities(self, market: int) -> list[Security]:
        """The whole list of a market: bonds, funds and indices too. It ends with its own last page, never before the count is reached."""
        total = self._ask(_Count, market)
        found: list[Security] = []
        count = _LISTED
        while len(found) < total or count >= _LISTED:
            body = self._ask(_List, market, len(found))
            (count,) = struct.unpack_from("<H", body) if len(body) >= 2 else (0,)
            if len(body) != 2 + 29 * count or (count == 0 and len(found) < total):
                self._refuse("tdx.reason.cut_off")
            for row in range(count):
                code, _, name = struct.unpack_from("<6sH8s", body, 2 + 29 * row)
                found.append(Security(market, code.decode("ascii", "replace"), name.decode("gbk", "ignore").rstrip("\0 ")))
        return found

    def file(self, name: str) -> bytes:
        """A file the host serves, such as ``tdxhy.cfg``; empty where it has none."""
        size, parts = self._ask(_FileSize, name)["size"], bytearray()
        while len(parts) < size:
            body = self._ask(_FilePiece, name, len(parts), min(30000, size - len(parts)))
            if len(body) <= 4 or struct.unpack_from("<I", body)[0] != len(body) - 4:
                self._refuse("tdx.reason.cut_off")
            parts += body[4:]
        return bytes(parts)

    def _check_echo(self, body: bytes, market: int, code: str) -> None:
        if len(body) >= 9 and (body[2] != market or body[3:9] != code.encode()):
            self._refuse("tdx.reason.other_code")

    def _refuse(self, reason: str) -> None:
        self.close()
        raise SourceError("tdx.bad_answer", host=self.address, reason=Phrase(reason))


def _is_day(packed: int) -> bool:
    try:
        np.datetime64(f"{packed // 10000:04d}-{packed // 100 % 100:02d}-{packed % 100:02d}", "D")
    except ValueError:
        return False
    return True


def _quiet_close(client: _Client) -> None:
    """Close without the half-open states that pytdx raises on."""
    if client.client is not None:
        client.client.close()
        client.client = None


def _words(error: BaseException) -> Phrase:
    if isinstance(error, _Protocol):
        return Phrase(str(error))
    if isinstance(error, TdxConnectionError) and error.__context__ is not None:  # pytdx's own words are "other errors"
        error = error.__context__
    if isinstance(error, struct.error):
        return Phrase("tdx.reason.garbled")
    return Phrase("tdx.reason.timeout") if isinstance(error, TimeoutError) else system_reason(error)
