"""US stocks and any Yahoo ticker through yfinance's public interface, one symbol at a time.

In: a query. Out: raw prices (Yahoo's split adjustment undone), splits and dividends as events, sector, shares and book value of today.
A silent failure of the client (empty or NaN columns) is found here, and a rate limit stops the job. It knows no store.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from financial_model.errors import ConfigError, DataError, Phrase, RateLimitError, SourceError
from financial_model.market.adjustment import ExRights
from financial_model.market.sources.base import Capabilities, Listing, Query, Reply
from financial_model.market.sources.session_end import last_complete_day
from financial_model.market.symbols import parse_symbol

log = logging.getLogger(__name__)

SECTORS = {
    "Basic Materials": "materials", "Communication Services": "telecom", "Consumer Cyclical": "consumer", "Consumer Defensive": "consumer",
    "Energy": "energy", "Financial Services": "finance", "Healthcare": "healthcare", "Industrials": "industrial", "Real Estate": "real_estate",
    "Technology": "technology", "Utilities": "utilities",
}
INDEX = "^GSPC"
LARGE_CAPS = tuple((
    "AAPL MSFT NVDA AMZN GOOGL META BRK-B LLY AVGO JPM TSLA UNH XOM V PG MA JNJ COST HD MRK ABBV CVX CRM BAC WMT NFLX AMD KO PEP TMO LIN ADBE "
    "DIS ACN WFC MCD CSCO QCOM ABT TXN DHR INTU GE IBM CAT AMGN VZ PFE NOW CMCSA AMAT UNP PM UBER SPGI ISRG NEE COP HON RTX GS LOW T BKNG SYK "
    "ELV TJX VRTX BLK MS LMT DE C MDT SCHW ADP GILD MMC PLD CB ETN BA REGN MDLZ BMY ADI SBUX CI FI SO MO DUK TMUS UPS PGR AMT INTC NKE").split())
"""Large American companies of today: a start for a user who names no symbols, and survivors by construction."""
ATTEMPTS = 3
HOLES = 0.02
"""Largest share of rows with a missing price that is dropped in silence; above it the symbol is refused."""

_CLIENT_ERRORS = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError)
"""What the client lets through when an answer is garbage."""

T = TypeVar("T")


class YahooSource:
    """Yahoo, or a mirror of it (``server`` "host:port", as in the tests). ``cache_dir`` holds the client's time zones and cookie."""

    name = "yahoo"
    bar_seconds = 86_400
    capabilities = Capabilities(markets=("US",), events=True, industries=True, shares=True, book=True, connections=2, seconds_per_symbol=1.0)

    def __init__(self, *, server: str = "", cache_dir: str = "", pause: float = 0.3, timeout: float = 15.0) -> None:
        import yfinance

        if server and (":" not in server or not server.rpartition(":")[2].isdigit()):
            raise ConfigError("yahoo.server_format", value=server[:60])
        self.pause, self.timeout = (0.0 if server else pause), timeout
        yfinance.set_tz_cache_location(cache_dir or tempfile.mkdtemp(prefix="kairos-yahoo-"))
        yfinance.config.debug.hide_exceptions = False
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="^yfinance")  # it turns its own on; nobody here can act on them
        logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # every failure is raised, and reported in our own words
        self.session = _session(server)

    def listings(self, query: Query) -> Sequence[Listing]:
        if query.symbols:
            return [Listing(symbol=str(parse_symbol(text))) for text in query.symbols]
        if "us" not in query.boards:
            raise ConfigError("config.not_a_choice", name="boards", value=", ".join(query.boards)[:40], choices="us")
        chosen = LARGE_CAPS[: query.count] if query.count else LARGE_CAPS
        return [*([Listing(symbol=INDEX, board="index")] if query.indices else []), *(Listing(symbol=symbol, board="us") for symbol in chosen)]

    def connect(self) -> YahooLine:
        return YahooLine(self)

    def industries(self, symbols: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """Nothing here: each reply carries the sector of its symbol."""
        return {}

    def names(self, symbols: Sequence[str]) -> Mapping[str, str]:
        """Nothing here: each reply carries its name."""
        return {}


class YahooLine:
    """Asks for one symbol after the other, politely. The client shares one session and cookie between all threads."""

    def __init__(self, source: YahooSource) -> None:
        self.source = source
        self._information: dict[str, dict[str, Any]] = {}

    def close(self) -> None:
        """Nothing to let go of: the session belongs to the source."""

    def fetch(self, symbol: str, *, start: str, since: str = "") -> Reply:
        """The whole history each time (one request either way), so that every split is known; with ``since`` only its last bars are kept."""
        raw = self._ask(symbol, lambda: self._history(symbol, start))
        if raw is None:
            return Reply(bars=None, reason="yahoo.unknown")
        frame, events = unsplit(raw, symbol)
        frame = frame[frame["date"].to_numpy() <= last_complete_day("US")]
        if since:
            frame = frame[frame["date"].to_numpy() >= np.datetime64(since, "s")]
        if symbol.startswith("^"):
            return Reply(bars=frame, events=events)
        facts = self.information(symbol) if not since else {}
        return Reply(bars=frame, events=events, name=str(facts.get("longName") or facts.get("shortName") or ""),
                     shares=_shares(facts), book=_book(facts), industry=_industry(facts))

    def information(self, symbol: str) -> dict[str, Any]:
        """Name, sector, shares and book value as of today; empty where Yahoo has none. A failure costs these facts, not the bars."""
        if symbol not in self._information:
            import yfinance

            try:
                self._information[symbol] = dict(self._ask(symbol, lambda: yfinance.Ticker(symbol, session=self.source.session).info) or {})
            except RateLimitError:
                raise
            except SourceError as error:
                log.warning("%s", error)
                self._information[symbol] = {}
        return self._information[symbol]

    def _history(self, symbol: str, start: str) -> pd.DataFrame:
        import yfinance

        ticker = yfinance.Ticker(symbol, session=self.source.session)
        return ticker.history(start=start or "1960-01-01", auto_adjust=False, actions=True, timeout=self.source.timeout)

    def _ask(self, symbol: str, question: Callable[[], T]) -> T | None:
        """The answer, or ``None`` where Yahoo says that there is no such ticker. Backs off twice before ``SourceError`` or ``RateLimitError``."""
        from yfinance.exceptions import YFException, YFRateLimitError

        for attempt in range(ATTEMPTS):
            time.sleep(self.source.pause)
            self.source.session.forget()
            try:
                return question()
            except YFRateLimitError as error:
                if attempt + 1 == ATTEMPTS:
                    raise RateLimitError("yahoo.rate_limited", symbol=symbol) from error
            except _CLIENT_ERRORS + (YFException,) as error:
                if self.source.session.status == 404:
                    return None
                if attempt + 1 == ATTEMPTS:
                    raise SourceError("yahoo.bad_answer", symbol=symbol, reason=_reason(error)) from error
            time.sleep((2.0**attempt) * max(self.source.pause, 0.05))
        return None


def _reason(error: Exception) -> Phrase:
    """What went wrong on the way or with the answer; the client's own words where there are no better ones."""
    from curl_cffi.requests import exceptions

    if isinstance(error, exceptions.Timeout | TimeoutError):
        return Phrase("system.late")
    if isinstance(error, exceptions.DNSError):
        return Phrase("system.unknown_name")
    if isinstance(error, exceptions.ConnectionError):
        return Phrase("yahoo.reason.no_line")
    return Phrase("yahoo.reason.unreadable", words=str(error).strip()[:120] or type(error).__name__)


def unsplit(raw: pd.DataFrame, symbol: str) -> tuple[pd.DataFrame, list[ExRights]]:
    """Yahoo's table as raw bars and events. Yahoo divides prices and dividends by all later splits; this multiplies them back."""
    needed = ["Open", "High", "Low", "Close", "Volume"]
    if any(name not in raw.columns for name in needed):
        raise SourceError("yahoo.bad_answer", symbol=symbol, reason=Phrase("yahoo.reason.columns"))
    whole = raw[np.isfinite(raw[needed].to_numpy(dtype=np.float64)).all(axis=1)]
    if len(whole) < (1 - HOLES) * len(raw):
        raise DataError("yahoo.holes", symbol=symbol, missing=len(raw) - len(whole), rows=len(raw))
    dates = pd.DatetimeIndex(whole.index).tz_localize(None).normalize().to_numpy().astype("datetime64[s]")
    splits = whole["Stock Splits"].to_numpy(dtype=np.float64) if "Stock Splits" in whole else np.zeros(len(whole))
    cash = whole["Dividends"].to_numpy(dtype=np.float64) if "Dividends" in whole else np.zeros(len(whole))
    ratio = np.where(splits > 0, splits, 1.0)
    later = np.append(np.cumprod(ratio[::-1])[::-1][1:], 1.0)  # splits after each day
    frame = pd.DataFrame({"date": dates})
    for name in needed[:4]:
        frame[name.lower()] = np.round(whole[name].to_numpy(dtype=np.float64) * later, 6)
    frame["volume"] = np.round(whole["Volume"].to_numpy(dtype=np.float64) / later)
    days = dates.astype("datetime64[D]")
    events = [ExRights(date=days[row], cash=float(cash[row] * later[row] * ratio[row]), bonus=float(ratio[row] - 1.0))
              for row in np.flatnonzero((cash > 0) | (ratio != 1.0))]
    return frame, events


def _shares(facts: Mapping[str, Any]) -> list[tuple[str, float, float]] | None:
    total, floating = facts.get("sharesOutstanding"), facts.get("floatShares")
    return [(_today(), float(total), float(floating or total))] if total else None


def _book(facts: Mapping[str, Any]) -> list[tuple[str, str, float]] | None:
    value = facts.get("bookValue")
    return [(_today(), _today(), float(value))] if value and float(value) > 0 else None


def _industry(facts: Mapping[str, Any]) -> tuple[str, str] | None:
    """Today's sector; none where Yahoo names none (funds, indices)."""
    sector = facts.get("sector")
    return (SECTORS.get(sector, "other"), sector) if sector else None


def _today() -> str:
    return str(np.datetime64("today", "D"))


def _session(server: str) -> Any:
    """The client's kind of session, remembering each thread's last status; with ``server`` it reaches that address and nothing else."""
    from urllib.parse import urlsplit, urlunsplit

    from curl_cffi import requests

    class Session(requests.Session):  # type: ignore[type-arg]
        _last = threading.local()

        def request(self, method: Any, url: str, *arguments: Any, **options: Any) -> Any:
            if server:
                parts = urlsplit(url)
                if not (parts.hostname or "").endswith("yahoo.com"):
                    raise OSError(f"{parts.hostname} is not Yahoo")
                url = urlunsplit(("http", server, parts.path, parts.query, ""))
            response = super().request(method, url, *arguments, **options)
            self._last.status = response.status_code
            return response

        @property
        def status(self) -> int:
            return getattr(self._last, "status", 0)

        def forget(self) -> None:
            self._last.status = 0

    return Session() if server else Session(impersonate="chrome")
