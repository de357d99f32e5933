"""What a source of bars must offer, and the register of those there are.

A source lists securities and hands out connections; a connection answers for one symbol at a time. Three outcomes are kept apart:
data (a ``Reply`` with bars), legitimately nothing (a ``Reply`` without), and unusable (``SourceError``: the host or the line, try again elsewhere;
``DataError``: this symbol's data, do not try again). Only the second is ever remembered as "has no data".
It knows no store; ``download`` writes what a source delivers. A new source is one file with this interface and one line in ``_REGISTER``.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from financial_model.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.market.adjustment import ExRights


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a source gives and lacks, as shown to a user."""

    network: bool = True
    synthetic: bool = False
    whole: bool = False
    """Writes a whole market at once (``write(store, stocks, progress=, stop=)``) instead of answering symbol by symbol."""
    markets: tuple[str, ...] = ("SH", "SZ")
    minute: bool = False
    events: bool = False
    """Delivers ex-rights events, so that factors are exact."""
    industries: bool = False
    shares: bool = False
    book: bool = False
    delisted: bool = False
    connections: int = 4
    """Most connections at once that are polite."""
    seconds_per_symbol: float = 0.5
    """Rough time for one full history on one connection, for the estimate in a plan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What a user wants. ``symbols`` win over ``count`` and ``boards``; a source sees them as ``str(Symbol)``, each once."""

    symbols: tuple[str, ...] = ()
    count: int | None = None
    """0: all. None: the usual number, filled in before a source sees it."""
    start: str = "1999-01-01"
    boards: tuple[str, ...] = ("main", "chinext", "star", "us")
    exclude_st: bool = False
    indices: bool = True
    """Fetch the index that stands for the market too."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of one source alone: ``variant``, ``seed``, ``server`` ..."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A security a source can deliver."""

    symbol: str
    name: str = ""
    board: str = ""
    until: str = ""
    """ISO day on which it left the exchange; empty: still listed."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One symbol's answer. ``bars``: raw, in the columns of ``bars.COLUMNS`` (``amount``, ``factor`` may be absent); None or empty: nothing."""

    bars: pd.DataFrame | None
    reason: str = "download.no_data"
    """Text key, where there is nothing."""
    events: Sequence[ExRights] | None = None
    """All ex-rights events of the symbol; the factor is then computed from them over the whole history. None: ``bars`` carries its own."""
    shares: Sequence[tuple[str, float, float]] | None = None
    """(date, total, float), a step function."""
    book: Sequence[tuple[str, str, float]] | None = None
    """(report date, day it became public, book per share)."""
    name: str = ""
    industry: tuple[str, str] | None = None
    """(one of ``config.INDUSTRIES``, the source's own wording), where the source says it symbol by symbol."""
    prices: str = "raw"


class Connection(Protocol):
    """One line to a source; used by one worker thread, never shared."""

    def fetch(self, symbol: str, *, start: str, since: str = "") -> Reply:
        """Bars of a symbol from ``start``; with ``since``, only from that day on (it is stored already: the overlap is compared)."""

    def close(self) -> None:
        """Let go of the line; never raises."""


class Source(Protocol):
    """A source of bars."""

    name: str
    capabilities: Capabilities
    bar_seconds: int
    """Length of the bars it was opened for; 86,400: daily."""

    def listings(self, query: Query) -> Sequence[Listing]:
        """What ``query`` means here, in the order it should be fetched; explicit symbols without asking whether they exist."""

    def connect(self) -> Connection:
        """A new line. Raises ``SourceError`` when none can be had."""

    def industries(self, symbols: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """symbol -> (one of ``config.INDUSTRIES``, the source's own wording), in one go; {} where there are none or the replies carry them."""

    def names(self, symbols: Sequence[str]) -> Mapping[str, str]:
        """symbol -> name, of those whose listing or reply did not give one; {} where there are none."""


_REGISTER: dict[str, str | type] = {
    "baostock": "financial_model.market.sources.baostock:BaostockSource",
    "demo": "financial_model.market.sources.demo:DemoSource",
    "tdx": "financial_model.market.sources.tdx:TdxSource",
    "yahoo": "financial_model.market.sources.yahoo:YahooSource",
}
"""Name -> module:class, or a class of a user's own. Modules are imported when their source is opened."""


def source(name: str) -> Callable[[type], type]:
    """Register a class as the source ``name``: what a file of one's own uses. ``ConfigError`` for a name that is taken and a class that lacks a
    part of :class:`Source`."""
    def register(kind: type) -> type:
        if name in _REGISTER:
            raise ConfigError("extensions.taken", name=name[:60])
        missing = [part for part in ("capabilities", "bar_seconds", "listings", "connect", "industries", "names") if not hasattr(kind, part)]
        if missing:
            raise ConfigError("extensions.lacks", name=name[:60], missing=", ".join(missing))
        _REGISTER[name] = kind
        return kind
    return register


def sources() -> tuple[str, ...]:
    """Names of the sources that can be downloaded from."""
    return tuple(_REGISTER)


def own_sources() -> tuple[str, ...]:
    """Names of those that came from a user's own files."""
    return tuple(name for name, kind in _REGISTER.items() if isinstance(kind, type))


def source_class(name: str) -> type:
    """The class of a source, without opening anything. Raises ``NotFoundError``."""
    if name not in _REGISTER:
        raise NotFoundError("download.unknown_source", name=str(name)[:40], known=", ".join(_REGISTER))
    known = _REGISTER[name]
    if isinstance(known, type):
        return known
    module, _, attribute = known.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of the vendors' own old code, met when it is compiled
        return getattr(importlib.import_module(module), attribute)


def open_source(name: str, **options: Any) -> Source:
    """A source ready to be asked; ``options`` are its own settings."""
    return source_class(name)(**options)
