"""Codes of stocks and indices: every way people write them, one way we print them.

In: what a person, a file name or a data vendor calls a security. Out: ``Symbol``, its board, and a search over names and pinyin initials.
It knows no bars and no store; whether a code really exists is not its business.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from financial_model.errors import DataError

BOARDS = ("main", "chinext", "star", "bse", "us", "index", "fund", "other")

_EXCHANGES = {"SH": "SH", "SS": "SH", "XSHG": "SH", "SZ": "SZ", "XSHE": "SZ", "BJ": "BJ", "XBSE": "BJ"}
_CHINESE = re.compile(r"(?:(SH|SS|SZ|BJ)[.:]?)?(\d{6})(?:\.(SH|SS|XSHG|SZ|XSHE|BJ|XBSE))?")
_TICKER = re.compile(r"\^?[A-Z][A-Z0-9]{0,9}(?:[.-][A-Z0-9]{1,4})?|\d{4,5}\.[A-Z]{1,2}")
_CLASS_SHARE = re.compile(r"([A-Z][A-Z0-9]*)\.([A-Z])")

_PREFIXES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "SH": (
        ("main", ("600", "601", "603", "605")), ("star", ("688", "689")), ("index", ("000", "880", "881", "999")),
        ("fund", ("50", "51", "52", "53", "55", "56", "58")), ("other", ("900", "10", "11", "12", "13", "20")),
    ),
    "SZ": (
        ("main", ("000", "001", "002", "003")), ("chinext", ("300", "301", "302")), ("index", ("399",)),
        ("fund", ("15", "16", "18")), ("other", ("200", "10", "11", "12", "13")),
    ),
    "BJ": (("bse", ("920", "43", "83", "87", "88")), ("index", ("899",)), ("other", ("81", "82"))),
}
"""Board by the first digits, per exchange. Boards only: a prefix says nothing about an industry."""

_BARE = (
    ("SH", ("600", "601", "603", "605", "688", "689", "880", "881", "999", "900", "50", "51", "52", "53", "55", "56", "58", "110", "113", "118")),
    ("SZ", ("000", "001", "002", "003", "300", "301", "302", "399", "200", "15", "16", "18", "123", "127", "128")),
    ("BJ", ("920", "43", "83", "87", "899")),
)
"""Exchange of six digits written without one. 000001 is the bank (SZ); the Composite is 000001.SH, written out."""

INDEX_NAMES = {
    "000001.SH": ("上证指数", "上证综指", "上证综合指数"), "000016.SH": ("上证50",), "000300.SH": ("沪深300",), "000688.SH": ("科创50",),
    "000852.SH": ("中证1000",), "000905.SH": ("中证500",), "000906.SH": ("中证800",), "399001.SZ": ("深证成指",),
    "399005.SZ": ("中小100", "中小板指"), "399006.SZ": ("创业板指",), "399300.SZ": ("沪深300",), "899050.BJ": ("北证50",),
}
"""Indices whose digits also belong to a stock, or could: a file that names them is recognised by the name."""

_REMEMBERED = 40
"""Longest text whose symbol is remembered: a page of a file that is no symbol need not stay in memory."""


@dataclass(frozen=True, order=True, slots=True)
class Symbol:
    """One security. ``str()`` is the form used everywhere: ``600519.SH``, ``AAPL``, ``^GSPC``."""

    code: str
    market: str
    """SH, SZ, BJ, or US for everything that is written as a Yahoo ticker."""

    def __str__(self) -> str:
        return self.code if self.market == "US" else f"{self.code}.{self.market}"


def parse_symbol(text: str | Symbol) -> Symbol:
    """The security meant by ``text``: 600519, sh600519, SH600519, 600519.SH, 600519.SS, AAPL, BRK-B, BRK.B, ^GSPC, 000300.SH.

    Raises ``DataError`` ``symbols.unknown`` for anything else.
    """
    if isinstance(text, Symbol):
        return text
    written = str(text)
    return _parsed(written) if len(written) <= _REMEMBERED else _parsed.__wrapped__(written)


@lru_cache(maxsize=20_000)
def _parsed(text: str) -> Symbol:
    """A ranking asks for the same few thousand names several times each."""
    written = unicodedata.normalize("NFKC", text).strip().strip("'\"").upper()
    match = _CHINESE.fullmatch(written)
    if match:
        before, code, after = match.groups()
        named = {_EXCHANGES[part] for part in (before, after) if part}
        markets = named or {market for market, prefixes in _BARE if code.startswith(prefixes)}
        if len(markets) == 1:
            return Symbol(code, markets.pop())
    elif _TICKER.fullmatch(written):
        return Symbol(_CLASS_SHARE.sub(r"\1-\2", written.removesuffix(".US")), "US")
    raise DataError("symbols.unknown", symbol=text[:40])


def index_by_name(code: str, name: str) -> Symbol | None:
    """The index with these six digits that carries this name (``000300``, ``沪深300``), or None."""
    for symbol, names in INDEX_NAMES.items():
        if symbol.startswith(code) and name.strip() in names:
            return parse_symbol(symbol)
    return None


def board(symbol: str | Symbol) -> str:
    """main, chinext, star, bse, us, index, fund or other."""
    return _board(parse_symbol(symbol))


@lru_cache(maxsize=20_000)
def _board(parsed: Symbol) -> str:
    if parsed.market == "US":
        return "index" if parsed.code.startswith("^") else "us"
    return next((name for name, prefixes in _PREFIXES[parsed.market] if parsed.code.startswith(prefixes)), "other")


def kind(symbol: str | Symbol) -> str:
    """``index`` or ``stock`` (everything that can be bought)."""
    return "index" if board(symbol) == "index" else "stock"


@lru_cache(maxsize=20_000)
def pinyin_initials(name: str) -> str:
    """``贵州茅台`` -> ``gzmt``; letters and digits stay, lower case. Empty for a name without either."""
    from pypinyin import Style, lazy_pinyin  # 0.3 s to import, and only a search needs it

    return "".join(part for syllable in lazy_pinyin(name, style=Style.FIRST_LETTER) for part in syllable.lower() if part.isalnum())


def search(text: str, names: Mapping[str, str], limit: int = 20) -> list[str]:
    """Symbols of ``names`` (symbol -> name) that ``text`` could mean, the best first: code, name, pinyin initials."""
    wanted = unicodedata.normalize("NFKC", text).strip().lower()
    if not wanted:
        return []
    try:
        exact = str(parse_symbol(wanted))
    except DataError:
        exact = ""
    latin = wanted.isascii()
    found = []
    for symbol, name in names.items():
        code, lowered = symbol.lower(), name.lower()
        if symbol == exact:
            score = 0
        elif code.startswith(wanted):
            score = 1
        elif lowered.startswith(wanted):
            score = 2
        elif latin and name and pinyin_initials(name).startswith(wanted):
            score = 3
        elif wanted in lowered:
            score = 4
        elif wanted in code or (latin and name and wanted in pinyin_initials(name)):
            score = 5
        else:
            continue
        found.append((score, symbol))
    return [symbol for _, symbol in sorted(found)[:limit]]
