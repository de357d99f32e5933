"""A TDX quote server on loopback that speaks the wire format to an unmodified pytdx client, with every known fault switchable.

    python -m tests.fakes.tdx --port 7709 --count 300 --days 2500
    python -m tests.fakes.tdx --port 7709 --fault refuse
    python -m tests.fakes.tdx --port 7709 --count 5000 --days 250 --behind 3

The layout of requests and replies is the one of the client's own parsers, read from the other side.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import socketserver
import struct
import threading
import time
import zlib
from dataclasses import dataclass, field

from tests.fakes.tdx_market import BJ, MINUTES, Bars, Listing, TdxMarket, intraday, make_market

FAULTS = ("drop", "mute", "late", "split", "empty", "short", "refuse", "wrong_code", "wrong_id", "truncated", "garbage", "stale")
REFUSAL = "客户端与行情主站不匹配,不能使用!"
SETUP = (0x000D, 0x0FDB)
REPLY = b"\xb1\xcb\x74\x00"


@dataclass
class Faults:
    """Which faults are on, and for which share of the data requests (1 = every one; ``first`` = only the first so many)."""

    on: set[str] = field(default_factory=set)
    share: float = 1.0
    first: int = 0
    delay: float = 1.5
    seed: int = 1
    codes: set[str] = field(default_factory=set)
    """Empty: every code."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._count = 0
        self._lock = threading.Lock()

    def draw(self, code: str) -> str | None:
        """The fault of this data request, if any."""
        with self._lock:
            if not self.on or (self.codes and code not in self.codes):
                return None
            self._count += 1
            if self.first and self._count > self.first:
                return None
            return self._random.choice(sorted(self.on)) if self._random.random() < self.share else None


def varint(value: int) -> bytes:
    """Six value bits, a sign and a more flag in the first byte, then seven bits a byte."""
    magnitude = abs(value)
    first = (magnitude & 0x3F) | (0x40 if value < 0 else 0)
    magnitude >>= 6
    out = bytearray([first | (0x80 if magnitude else 0)])
    while magnitude:
        byte = magnitude & 0x7F
        magnitude >>= 7
        out.append(byte | (0x80 if magnitude else 0))
    return bytes(out)


def bar_records(entry: Listing, category: int, start: int, count: int) -> bytes:
    """``start`` counts back from the newest bar; the page itself is in ascending order."""
    bars = intraday(entry, MINUTES[category]) if category in MINUTES else Bars(entry.date, None, entry.prices, entry.volume, entry.amount)
    last = max(0, len(bars.date) - start)
    first = max(0, last - min(count, 800))
    lots = 100.0 if category == 4 else 1.0  # category 4 answers in shares, as minute bars do; 9 in lots
    out, previous = bytearray(struct.pack("<H", last - first)), 0
    for row in range(first, last):
        opened, close, high, low = (int(value) for value in bars.prices[row])
        out += _stamp(int(bars.date[row]), None if bars.minute is None else int(bars.minute[row])) + varint(opened - previous)
        out += varint(close - opened) + varint(high - opened) + varint(low - opened)
        out += struct.pack("<ff", float(bars.volume[row]) * lots, float(bars.amount[row]))
        if entry.is_index:
            out += struct.pack("<HH", 900, 800)
        previous = close
    return bytes(out)


def _stamp(day: int, minute: int | None) -> bytes:
    """A day as yyyymmdd; a minute bar's end as a packed day and minutes since midnight."""
    if minute is None:
        return struct.pack("<I", day)
    return struct.pack("<HH", (day // 10000 - 2004) << 11 | day % 10000, minute)


class _Handler(socketserver.BaseRequestHandler):
    server: TdxServer

    def handle(self) -> None:
        server = self.server
        with server.lock:
            server.connections += 1
            self.number = server.connections
        try:
            while True:
                head = self._read(10)
                if head is None:
                    return
                message, length = head[1:5], struct.unpack("<H", head[6:8])[0]
                data = self._read(length)
                if data is None:
                    return
                with server.lock:
                    server.requests += 1
                if not self._answer(message, data[:2], data[2:]):
                    return
        except (ConnectionError, TimeoutError):
            return

    def _read(self, count: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < count:
            piece = self.request.recv(count - len(parts))
            if not piece:
                return None
            parts += piece
        return bytes(parts)

    def _answer(self, message: bytes, kind: bytes, data: bytes) -> bool:
        """Send the reply to one request; ``False`` closes the connection."""
        server, number = self.server, struct.unpack("<H", kind)[0]
        code, body = server.reply(number, data, self.number)
        if body is None:  # a request the real server never answers
            time.sleep(server.faults.delay)
            return False
        wire = number not in SETUP and "wrong_code" not in server.faults.on
        fault = server.faults.draw(code) if wire else None
        if number == 0x0FDB and "refuse" in server.faults.on:
            body = REFUSAL.encode("gbk")
        if fault == "refuse" and number == 0x052D:
            body = struct.pack("<H", 0)
        return self._send(message, kind, body, fault)

    def _send(self, message: bytes, kind: bytes, body: bytes, fault: str | None) -> bool:
        faults = self.server.faults
        if fault == "drop":
            return False
        if fault == "mute":
            time.sleep(faults.delay)
            return False
        if fault == "late":
            time.sleep(faults.delay)
        if fault == "empty":
            body = struct.pack("<H", 0)
        if fault == "short":
            body = struct.pack("<H", 5)
        if fault == "garbage":
            body = bytes(random.Random(len(body)).randbytes(len(body)))
        packed = zlib.compress(body) if len(body) > 100 else body
        if len(packed) >= len(body):
            packed = body
        if fault == "wrong_id":
            message = bytes([message[0] ^ 0x55, *message[1:]])
        reply = REPLY + b"\x1c" + message + b"\x00" + kind + struct.pack("<HH", len(packed), len(body)) + packed
        if fault == "truncated":
            self.request.sendall(reply[: 16 + len(packed) // 2])
            return False
        if fault == "split":
            self.request.sendall(reply[:7])
            time.sleep(0.05)
            self.request.sendall(reply[7:])
        else:
            self.request.sendall(reply)
        return True


class TdxServer(socketserver.ThreadingTCPServer):
    """``with TdxServer(market) as server: server.port``. Counts connections and requests. ``behind``: newest sessions it does not have yet."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, market: TdxMarket, faults: Faults | None = None, *, port: int = 0, behind: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.market, self.faults, self.behind = market, faults or Faults(), behind
        self.lock = threading.Lock()
        self.connections = self.requests = 0

    @property
    def port(self) -> int:
        return self.server_address[1]

    def __enter__(self) -> TdxServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that closes early is part of the game."""

    def reply(self, number: int, data: bytes, connection: int) -> tuple[str, bytes | None]:
        """(code asked for, body). ``None`` as body: the server stays silent."""
        if number in SETUP:
            return "", b"\x00" * 68 + "模拟行情主站".encode("gbk")
        if number == 0x044E:
            (market,) = struct.unpack("<H", data[:2])
            return "", None if market == BJ else struct.pack("<H", len(self.market.of(market)))
        if number == 0x0450:
            market, start = struct.unpack("<HH", data[:4])
            return "", None if market == BJ else self._list(market, start)
        if number == 0x052D:
            market, raw, category, _, start, count = struct.unpack("<H6sHHHH", data[:16])
            return self._bars(market, raw.decode(), category, start, count, connection)
        if number in (0x000F, 0x0010):
            market, raw = struct.unpack("<B6s", data[2:9])
            code = raw.decode()
            if self._swaps(code, connection):
                code = self._neighbour(market, code)
            entry, echo = self.market.listings.get((market, code)), code.encode()
            return raw.decode(), self._events(market, echo, entry) if number == 0x000F else self._finance(market, echo, entry)
        if number == 0x02C5:
            content = self.market.files.get(data.rstrip(b"\0").decode(), b"")
            return "", struct.pack("<I1s32s1s", len(content), b"0", b"0" * 32, b"0")
        if number == 0x06B9:
            start, size = struct.unpack("<II", data[:8])
            content = self.market.files.get(data[8:].rstrip(b"\0").decode(), b"")
            piece = content[start : start + min(size, 30000)]
            return "", struct.pack("<I", len(piece)) + piece
        return "", struct.pack("<H", 0)

    def _swaps(self, code: str, connection: int) -> bool:
        """A server out of step is so for every question about a code on one connection."""
        faults = self.faults
        if "wrong_code" not in faults.on or (faults.codes and code not in faults.codes):
            return False
        return random.Random(f"{faults.seed} {code} {connection}").random() < faults.share

    def _neighbour(self, market: int, code: str) -> str:
        """Another code of the same kind: what a server out of step would answer with."""
        asked = self.market.listings.get((market, code))
        kind = bool(asked and asked.is_index)
        return next((other.code for other in self.market.of(market) if other.code != code and other.is_index == kind), code)

    def _list(self, market: int, start: int) -> bytes:
        page = self.market.of(market)[start : start + 1000]
        rows = [struct.pack("<6sH8s4sBI4s", entry.code.encode(), 100, entry.name.encode("gbk")[:8], b"", 2, 0, b"") for entry in page]
        return struct.pack("<H", len(page)) + b"".join(rows)

    def _bars(self, market: int, code: str, category: int, start: int, count: int, connection: int) -> tuple[str, bytes]:
        entry = self.market.listings.get((market, self._neighbour(market, code) if self._swaps(code, connection) else code))
        if entry is None:
            return code, struct.pack("<H", 0)
        start += self.behind + (60 if "stale" in self.faults.on else 0)
        return code, bar_records(entry, category, start, count)

    def _events(self, market: int, raw: bytes, entry: Listing | None) -> bytes:
        events = entry.events if entry else []
        rows = [struct.pack("<B6sBIB", market, raw, 0, event.date, event.category) + struct.pack("<ffff", *event.values) for event in events]
        return struct.pack("<HB6sH", 1, market, raw, len(rows)) + b"".join(rows)

    def _finance(self, market: int, raw: bytes, entry: Listing | None) -> bytes:
        if entry is None:
            return struct.pack("<H", 0)
        figures = [0.0] * 30
        figures[0] = entry.total_shares / 10_000
        figures[15] = entry.total_shares * entry.book_per_share / 1000  # thousand yuan
        figures[28] = entry.book_per_share
        return struct.pack("<HB6sfHHII30f", 1, market, raw, entry.float_shares / 10_000, 1, 1, int(entry.date[-1]), int(entry.date[0]), *figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=7709)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--days", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--behind", type=int, default=0, help="newest sessions it does not have yet; start it again without to try an update")
    parser.add_argument("--fault", action="append", choices=FAULTS, default=[])
    parser.add_argument("--share", type=float, default=1.0, help="share of the data requests that meet a fault")
    arguments = parser.parse_args()
    market = make_market(arguments.count, arguments.days, seed=arguments.seed)
    server = TdxServer(market, Faults(on=set(arguments.fault), share=arguments.share), port=arguments.port, behind=arguments.behind)
    print(f"{len(market.listings)} listings on 127.0.0.1:{server.port}; Ctrl-C ends", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
