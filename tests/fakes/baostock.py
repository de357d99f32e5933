"""A baostock server on loopback: login, list, bars, adjustment factors, industries, as the real client asks for them, with faults.

    python -m tests.fakes.baostock --port 10030 --count 20

A message is version, number and length separated by 0x01 (21 bytes), the fields separated by 0x01, a checksum, a line end. A reply has the same head,
its body compressed for bars, and ends with a mark of 13 bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socketserver
import threading
import time
import zlib
from dataclasses import dataclass, field

import numpy as np

from financial_model.market.calendar import sessions
from financial_model.market.sources.session_end import last_complete_day

FAULTS = ("drop", "mute", "garbage", "cut", "other_code", "refuse", "expired", "too_many")
SPLIT, END, PAGE = "\x01", b"<![CDATA[]]>\n", 2000
ANSWERS = {"00": "01", "02": "03", "45": "46", "59": "60", "95": "96", "15": "16"}
COMPRESSED = {"96"}
ERRORS = {"refuse": ("10001011", "黑名单用户"), "expired": ("10001004", "客户端版本号过期"), "too_many": ("10001005", "账号登陆数达到上限")}


@dataclass
class Stock:
    """Truth of one code. ``rows``: cells of each day by their column names; ``factors``: (ex-date, cumulative backward factor)."""

    code: str
    name: str
    rows: dict[str, dict[str, str]]
    factors: list[tuple[str, float]] = field(default_factory=list)
    industry: str = "J66货币金融服务"
    listed: str = "1999-11-10"
    delisted: str = ""
    kind: str = "1"


@dataclass
class Market:
    stocks: dict[str, Stock]


def make_market(count: int = 6, days: int = 300, *, seed: int = 3) -> Market:
    """``count`` stocks on the last complete sessions: dividends, suspensions with one ex-date inside, one delisted stock, one ST year, an index."""
    rng = np.random.default_rng(seed)
    dates = sessions("XSHG", end=str(last_complete_day("CN")))[-days:].astype(str)
    codes = [f"sh.60000{n}" if n % 2 == 0 else f"sz.00000{n}" for n in range(count)]
    stocks = {code: _stock(rng, code, dates, number) for number, code in enumerate(codes)}
    stocks["sh.000300"] = Stock("sh.000300", "沪深300", _stock(rng, "sh.000300", dates, 99).rows, kind="2", industry="")
    stocks["sh.900901"] = Stock("sh.900901", "云赛B股", _stock(rng, "sh.900901", dates[:50], 98).rows)
    return Market(stocks)


def _stock(rng: np.random.Generator, code: str, dates: np.ndarray, number: int) -> Stock:
    delisted = number == 1
    days = dates[: len(dates) // 2] if delisted else dates
    halted = np.zeros(len(days), bool)
    if number == 2:
        halted[60:75] = True
    ex = {40: 0.5, 66: 0.8} if number < 90 else {}
    close, factor, rows, factors = 10.0 + number, 1.0, {}, []
    for row, day in enumerate(days):
        previous = close
        if row in ex:
            reference = round(previous - ex[row], 2)
            factor *= previous / reference
            factors.append((str(day), round(factor, 6)))
            previous = reference if not halted[row] else previous
        pending = next((cash for ex_row, cash in ex.items() if halted[ex_row] and row == 75), 0.0)
        previous = round(previous - pending, 2)
        close = previous if halted[row] else round(previous * float(np.exp(rng.normal(0, 0.01))), 2)
        opened = close if halted[row] else round(previous * 1.001, 2)
        volume = 0 if halted[row] else int(rng.integers(1e6, 9e6))
        rows[str(day)] = {
            "date": str(day), "code": code, "open": f"{opened:.4f}", "high": f"{max(opened, close):.4f}", "low": f"{min(opened, close):.4f}",
            "close": f"{close:.4f}", "preclose": f"{previous:.4f}", "volume": "" if halted[row] else str(volume),
            "amount": "" if halted[row] else f"{volume * close:.4f}", "adjustflag": "3", "turn": "" if halted[row] else "0.5",
            "tradestatus": "0" if halted[row] else "1", "pctChg": "0", "peTTM": "9.500000", "pbMRQ": f"{0.8 + 0.001 * row:.6f}",
            "psTTM": "1.0", "pcfNcfTTM": "1.0", "isST": "1" if number == 3 and row < 100 else "0"}
    return Stock(code, f"样本 {number}" if number != 3 else "ST样本", rows, factors, delisted=str(days[-1]) if delisted else "",
                 industry=("J66货币金融服务", "C15酒、饮料和精制茶制造业", "银行", "X99未知")[number % 4])


@dataclass
class Faults:
    on: set[str] = field(default_factory=set)
    first: int = 0
    """Only the first so many requests; 0: every one."""
    delay: float = 1.0


class _Handler(socketserver.BaseRequestHandler):
    server: BaostockServer

    def handle(self) -> None:
        waiting = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            while True:
                while b"\n" not in waiting:
                    piece = self.request.recv(65536)
                    if not piece:
                        return
                    waiting += piece
                line, _, waiting = waiting.partition(b"\n")
                if not self._answer(line.decode()):
                    return

    def _answer(self, line: str) -> bool:
        text, _, checksum = line.rpartition(SPLIT)
        version, number, length = text[:21].split(SPLIT)
        fields = text[21:].split(SPLIT)
        assert zlib.crc32(text.encode()) == int(checksum) and len(text[21:]) == int(length)
        fault = self.server.draw(number)
        if fault == "drop":
            return False
        if fault == "mute":
            time.sleep(self.server.faults.delay)
            return False
        if fault in ERRORS:
            return self._send(version, ANSWERS[number] if fault != "refuse" else "04", [*ERRORS[fault]], "")
        return self._send(version, ANSWERS[number], self.server.reply(number, fields, fault == "other_code"), fault or "")

    def _send(self, version: str, number: str, fields: list[str], fault: str) -> bool:
        body = SPLIT.join([*fields, "0"]).encode()
        packed = zlib.compress(body) if number in COMPRESSED else body
        if fault == "garbage":
            packed = bytes(len(packed))
        wire = f"{version}{SPLIT}{number}{SPLIT}{len(packed):010d}".encode() + packed + END
        if fault == "cut":
            self.request.sendall(wire[: len(wire) // 2])
            return False
        for start in range(0, len(wire), 5000):  # never in one piece
            self.request.sendall(wire[start : start + 5000])
        return True


class BaostockServer(socketserver.ThreadingTCPServer):
    """``with BaostockServer(market) as server: server.port``."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, market: Market, faults: Faults | None = None, *, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.market, self.faults = market, faults or Faults()
        self.lock = threading.Lock()
        self.requests = 0

    @property
    def port(self) -> int:
        return self.server_address[1]

    def __enter__(self) -> BaostockServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that closes early is part of the game."""

    def draw(self, number: str) -> str:
        """The fault of this message; a login meets only the refusals."""
        with self.lock:
            self.requests += number != "00"
            late = self.faults.first and self.requests > self.faults.first
        usable = {name for name in self.faults.on if (name in ERRORS) == (number == "00")}
        return "" if late or not usable else sorted(usable)[0]

    def reply(self, number: str, fields: list[str], other: bool) -> list[str]:
        method = fields[0]
        if number in ("00", "02"):
            return ["0", "success", method, fields[1]]
        page, size = int(fields[2]), int(fields[3])
        names, rows, tail = getattr(self, f"_{method}")(fields[4:])
        echo = ["sz.999999", *fields[5:]] if other else fields[4:]
        part = rows[(page - 1) * size : page * size]
        head = ["0", "success", method, fields[1], str(page), str(size), json.dumps({"record": part}, ensure_ascii=False) if part else ""]
        return [*head, *([echo[0], ",".join(names), *echo[2:]] if tail else [*echo, ",".join(names)])]

    def _query_stock_basic(self, _: list[str]) -> tuple[list[str], list[list[str]], bool]:
        rows = [[stock.code, stock.name, stock.listed, stock.delisted, stock.kind, "0" if stock.delisted else "1"]
                for stock in self.market.stocks.values()]
        return ["code", "code_name", "ipoDate", "outDate", "type", "status"], rows, False

    def _query_stock_industry(self, _: list[str]) -> tuple[list[str], list[list[str]], bool]:
        rows = [["2026-11-16", stock.code, stock.name, stock.industry, "证监会行业分类"] for stock in self.market.stocks.values()]
        return ["updateDate", "code", "code_name", "industry", "industryClassification"], rows, False

    def _query_history_k_data_plus(self, asked: list[str]) -> tuple[list[str], list[list[str]], bool]:
        code, columns, start, end = asked[:4]
        stock = self.market.stocks.get(code)
        names = columns.split(",")
        days = [day for day in (stock.rows if stock else ()) if start <= day <= end]
        return names, [[stock.rows[day][name] for name in names] for day in days] if stock else [], True

    def _query_adjust_factor(self, asked: list[str]) -> tuple[list[str], list[list[str]], bool]:
        stock = self.market.stocks.get(asked[0])
        rows = [[asked[0], day, "1.000000", f"{factor:.6f}", f"{factor:.6f}"] for day, factor in (stock.factors if stock else ())]
        return ["code", "dividOperateDate", "foreAdjustFactor", "backAdjustFactor", "adjustFactor"], rows, False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=10030)
    parser.add_argument("--count", type=int, default=9)
    parser.add_argument("--days", type=int, default=2500)
    parser.add_argument("--fault", action="append", choices=FAULTS, default=[])
    arguments = parser.parse_args()
    server = BaostockServer(make_market(min(arguments.count, 9), arguments.days), Faults(on=set(arguments.fault)), port=arguments.port)
    print(f"{len(server.market.stocks)} codes on 127.0.0.1:{server.port}; Ctrl-C ends", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
