"""A Yahoo server on loopback: chart, quote summary, quote and crumb, as the real yfinance client asks for them, with faults.

    python -m tests.fakes.yahoo --port 8800 --symbols AAPL,MSFT,NVDA

The client reaches it through a session that sends every *.yahoo.com request to a mirror (financial_model.market.sources.yahoo_session).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

FAULTS = ("rate_limit", "server_error", "nan", "cut", "hang", "down")
SECTORS = ("Technology", "Financial Services", "Healthcare", "Energy", "Utilities", "Consumer Cyclical", "Real Estate", "Communication Services")


@dataclass
class Stock:
    """Truth of one ticker. Raw prices [n, 4] open, high, low, close; ``events``: (row, dividend per raw share, split ratio)."""

    symbol: str
    date: np.ndarray
    raw: np.ndarray
    volume: np.ndarray
    events: list[tuple[int, float, float]]
    sector: str
    shares: float = 1e9
    book: float = 12.0

    def split_after(self) -> np.ndarray:
        """Product of the splits that come after each row: what Yahoo divides prices by."""
        later = np.ones(len(self.date))
        for row, _, ratio in self.events:
            later[:row] *= ratio
        return later


@dataclass
class YahooMarket:
    stocks: dict[str, Stock]


def make_market(symbols: list[str], days: int = 900, *, seed: int = 5) -> YahooMarket:
    rng = np.random.default_rng(seed)
    end = np.datetime64("today", "D")
    dates = np.arange(end - np.timedelta64(days * 2, "D"), end, dtype="datetime64[D]")
    dates = dates[np.is_busday(dates)][-days:]
    stocks = {}
    for position, symbol in enumerate(symbols):
        dividends = [(row, round(float(rng.uniform(0.1, 0.9)), 2), 1.0) for row in range(60, days, 63)]
        events = sorted([*dividends, (days // 2 + 1, 0.0, 4.0 if position % 2 == 0 else 0.1)])
        close, previous = np.empty(days), float(rng.uniform(30, 300))
        by_row = {row: (cash, ratio) for row, cash, ratio in events}
        for row in range(days):
            cash, ratio = by_row.get(row, (0.0, 1.0))
            previous = round((previous - cash) / ratio * float(np.exp(rng.normal(0, 0.015))), 2)
            close[row] = previous
        opened = np.round(close * np.exp(rng.normal(0, 0.005, days)), 2)
        raw = np.stack([opened, np.maximum(opened, close) + 0.25, np.minimum(opened, close) - 0.25, close], axis=1)
        stocks[symbol] = Stock(symbol, dates, raw, rng.integers(1_000_000, 9_000_000, days).astype(float), events, SECTORS[position % len(SECTORS)])
    return YahooMarket(stocks)


@dataclass
class Faults:
    on: set[str] = field(default_factory=set)
    symbols: set[str] = field(default_factory=set)
    """Empty: all."""
    first: int = 0
    """Only the first so many chart requests; 0: every one."""
    after: int = 0
    """Only from this chart request on."""
    hang: float = 2.0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: YahooServer

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with self.server.lock:
            self.server.paths.append(url.path)
        if url.path.startswith("/v8/finance/chart/"):
            self._chart(unquote(url.path.rsplit("/", 1)[1]), query)
        elif url.path.startswith("/v10/finance/quoteSummary/"):
            self._summary(unquote(url.path.rsplit("/", 1)[1]))
        elif url.path == "/v7/finance/quote":
            self._json({"quoteResponse": {"result": [self._quote(name) for name in query.get("symbols", "").split(",")], "error": None}})
        elif url.path == "/v1/test/getcrumb":
            self._send(200, b"crumb", "text/plain")
        elif url.path.startswith("/ws/fundamentals-timeseries"):
            self._json({"timeseries": {"result": [], "error": None}})
        else:
            self._send(200, b"<html></html>", "text/html", cookie=True)

    def _send(self, status: int, body: bytes, kind: str = "application/json", *, cookie: bool = False, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if cookie:
            expires = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 86400 * 300))
            self.send_header("Set-Cookie", f"A3=fake; Expires={expires}; Path=/")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def _json(self, value: object, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode())

    def _fault(self, symbol: str) -> str | None:
        faults = self.server.faults
        with self.server.lock:
            self.server.charts += 1
            number = self.server.charts
        active = faults.on and (not faults.symbols or symbol in faults.symbols)
        if not active or (faults.first and number > faults.first) or number <= faults.after:
            return None
        return random.Random(number).choice(sorted(faults.on))

    def _chart(self, symbol: str, query: dict[str, str]) -> None:
        fault = self._fault(symbol)
        stock = self.server.market.stocks.get(symbol)
        if fault == "rate_limit":
            return self._send(429, b"Too Many Requests", "text/plain")
        if fault == "server_error":
            return self._send(500, b"{}")
        if fault == "down":
            return self._send(200, b"Will be right back", "text/html")
        if fault == "hang":
            time.sleep(self.server.faults.hang)
        if stock is None:
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return self._json({"chart": {"result": None, "error": error}}, 404)
        body = json.dumps(self._chart_body(stock, query, nothing=fault == "nan")).encode()
        if fault == "cut":
            self.close_connection = True
            return self._send(200, body[: len(body) // 2], length=len(body))
        return self._send(200, body)

    def _chart_body(self, stock: Stock, query: dict[str, str], *, nothing: bool) -> dict:
        stamps = stock.date.astype("datetime64[s]").astype(np.int64) + 14 * 3600 + 1800
        first, last = int(query.get("period1", 0)), int(query.get("period2", 1 << 40))
        rows = np.flatnonzero((stamps >= first - 14 * 3600 - 1800) & (stamps <= last))
        if "range" in query:
            rows = rows[-5:]
        later = stock.split_after()
        prices = stock.raw[rows] / later[rows, None]
        adjusted = prices[:, 3] * self._dividend_factor(stock)[rows]
        fields = {name: [None if nothing else round(float(value), 6) for value in prices[:, column]]
                  for column, name in enumerate(("open", "high", "low", "close"))}
        fields["volume"] = [None if nothing else int(value) for value in stock.volume[rows] * later[rows]]
        inside = set(rows.tolist())
        dividends = {str(stamps[row]): {"amount": round(cash / later[row], 6), "date": int(stamps[row])}
                     for row, cash, _ in stock.events if cash and row in inside}
        splits = {str(stamps[row]): {"date": int(stamps[row]), "splitRatio": f"{ratio}:1",
                                     "numerator": max(ratio, 1), "denominator": max(round(1 / ratio), 1)}
                  for row, _, ratio in stock.events if ratio != 1 and row in inside}
        meta = {"currency": "USD", "symbol": stock.symbol, "exchangeName": "NMS", "fullExchangeName": "NasdaqGS", "instrumentType": "EQUITY",
                "firstTradeDate": int(stamps[0]), "regularMarketTime": int(stamps[-1]), "gmtoffset": -18000, "timezone": "EST",
                "exchangeTimezoneName": "America/New_York", "regularMarketPrice": float(stock.raw[-1, 3]), "priceHint": 2,
                "dataGranularity": query.get("interval", "1d"), "range": query.get("range", ""), "validRanges": ["1d", "5d", "1y", "max"]}
        result = {"meta": meta, "timestamp": [int(stamps[row]) for row in rows], "events": {"dividends": dividends, "splits": splits},
                  "indicators": {"quote": [fields], "adjclose": [{"adjclose": [None if nothing else round(float(value), 6) for value in adjusted]}]}}
        return {"chart": {"result": [result], "error": None}}

    @staticmethod
    def _dividend_factor(stock: Stock) -> np.ndarray:
        factor = np.ones(len(stock.date))
        for row, cash, _ in stock.events:
            if cash:
                factor[:row] *= 1 - cash / stock.raw[row - 1, 3]
        return factor

    def _summary(self, symbol: str) -> None:
        stock = self.server.market.stocks.get(symbol)
        if stock is None:
            return self._json({"quoteSummary": {"result": None, "error": {"code": "Not Found", "description": "Quote not found"}}}, 404)
        price = float(stock.raw[-1, 3])
        result = {"assetProfile": {"sector": stock.sector, "industry": "Sample"}, "quoteType": {"symbol": symbol, "longName": f"{symbol} Inc."},
                  "summaryDetail": {"marketCap": stock.shares * price},
                  "defaultKeyStatistics": {"sharesOutstanding": stock.shares, "bookValue": stock.book, "priceToBook": price / stock.book,
                                           "mostRecentQuarter": 1_767_139_200}}
        return self._json({"quoteSummary": {"result": [result], "error": None}})

    def _quote(self, symbol: str) -> dict:
        return {"symbol": symbol, "longName": f"{symbol} Inc.", "quoteType": "EQUITY"}


class YahooServer(ThreadingHTTPServer):
    """``with YahooServer(market) as server: server.port``. Remembers the paths asked for."""

    daemon_threads = True

    def __init__(self, market: YahooMarket, faults: Faults | None = None, *, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.market, self.faults = market, faults or Faults()
        self.lock = threading.Lock()
        self.paths: list[str] = []
        self.charts = 0

    @property
    def port(self) -> int:
        return self.server_address[1]

    def __enter__(self) -> YahooServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8800)
    parser.add_argument("--symbols", default="AAPL,MSFT,NVDA,GOOG,TSLA,QQQ")
    parser.add_argument("--days", type=int, default=2500)
    parser.add_argument("--fault", action="append", choices=FAULTS, default=[])
    arguments = parser.parse_args()
    server = YahooServer(make_market(arguments.symbols.split(","), arguments.days), Faults(on=set(arguments.fault)), port=arguments.port)
    print(f"{len(server.market.stocks)} tickers on 127.0.0.1:{server.port}; Ctrl-C ends", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
