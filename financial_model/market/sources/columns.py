"""Which column of somebody's table is which: headers in Chinese and English, with their units, to our names.

In: the header row of a file. Out: a ``ColumnMap``, a plain value that can be shown, and corrected, before anything is imported.
It knows no values; what depends on them (units, adjustment) is decided in ``repair``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from financial_model.errors import ConfigError

_ALIASES: dict[str, str] = {
    # our name: headers, compared without case, spaces, dots, dashes, underscores and brackets
    "date": "date datetime timestamp timestamps tradedate tradingday day 日期 交易日期 交易时间 日期时间 交易日 indexlevel0",
    "time": "time 时间",
    "symbol": "symbol code ticker tscode stockcode secucode thscode 股票代码 证券代码 代码 指数代码 合约代码",
    "name": "name secname stockname shortname 名称 股票名称 股票简称 证券简称 证券名称 指数名称",
    "open": "open openprice start 开盘 开盘价 今开 今开盘",
    "high": "high highprice max 最高 最高价",
    "low": "low lowprice min 最低 最低价",
    "close": "close closeprice closelast end last price 收盘 收盘价",
    "volume": "volume vol 成交量 总手 成交股数",
    "amount": "amount money value turnovervalue 成交额 成交金额",
    "preclose": "preclose prevclose previousclose yclose 前收盘 前收盘价 昨收 昨收价 昨收盘 前收",
    "adj_close": "adjclose adjustedclose adjustclose",
    "factor": "factor adjfactor backadjustfactor 后复权因子 复权因子",
    "turnover": "turnover turn turnoverpct turnoverrate turnoverratio 换手率 换手",
    "pb": "pb pbmrq pbratio 市净率",
    "pe": "pe pettm peratio 市盈率 市盈率ttm 滚动市盈率",
    "ps": "ps psttm 市销率",
    "is_st": "isst st 是否st",
    "trade_status": "tradestatus 交易状态",
    "adjust_flag": "adjustflag",
    "total_shares": "totalshares totalshare 总股本",
    "float_shares": "floatshares floatshare 流通股本",
    "market_cap": "marketcap totalmv 总市值",
    "float_market_cap": "floatmarketcap circmv 流通市值",
    "book_per_share": "bookpershare bvps 每股净资产",
    "change": "change 涨跌额 涨跌",
    "change_percent": "changepercent pctchg pctchange chg 涨跌幅",
    "amplitude": "amplitude 振幅",
    "industry": "industry sector gicssector 行业 所属行业 所处行业 行业名称",
}
FIELD_OF = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
TEXT_FIELDS = ("date", "time", "symbol", "name", "industry")
"""Read as text: leading zeros, time zones and names survive."""
_IGNORED = re.compile(r"unnamed\d*|index|id|序号|")
_UNITS = re.compile(r"[(（\[]([^)）\]]*)[)）\]]")
_SCALES = {"手": 100.0, "lots": 100.0, "千股": 1e3, "万股": 1e4, "股": 1.0, "shares": 1.0,
           "元": 1.0, "千元": 1e3, "万元": 1e4, "百万元": 1e6, "亿元": 1e8, "亿": 1e8, "万": 1e4}


@dataclass(frozen=True, kw_only=True)
class ColumnMap:
    """Our field -> header in the file, and what else the headers say."""

    fields: dict[str, str]
    extra: dict[str, str] = field(default_factory=dict)
    """Numeric columns we have no name for, under a name made of their own; kept."""
    ignored: tuple[str, ...] = ()
    repeats: dict[str, str] = field(default_factory=dict)
    """Our field -> a second header that says the same (``volume.1``); must not contradict the first."""
    scales: dict[str, float] = field(default_factory=dict)
    """Our field -> factor to shares or currency units, where the header names its unit."""

    @property
    def labels(self) -> dict[str, str]:
        """Every field to be read -> header."""
        return {**self.fields, **self.extra}


def map_columns(headers: Sequence[str], choice: Mapping[str, str] | None = None) -> ColumnMap:
    """The meaning of each header. ``choice`` (our field -> header) overrides what is recognised; "" for a field leaves it out.

    The map of a header met before is the same object: it is to be read only.
    """
    return _mapped(tuple(headers), tuple((choice or {}).items()))


@lru_cache(maxsize=256)
def _mapped(headers: tuple[str, ...], choice: tuple[tuple[str, str], ...]) -> ColumnMap:
    fields = {name: header for name, header in choice if header in headers}
    dropped = {name for name, _ in choice} - set(fields)
    taken = set(fields.values())
    extra: dict[str, str] = {}
    repeats: dict[str, str] = {}
    scales: dict[str, float] = {}
    ignored: list[str] = []
    for header in headers:
        base = plain(header)
        again = re.fullmatch(r"(.+)\.\d+", header.strip())
        name = FIELD_OF.get(base) or (FIELD_OF.get(plain(again[1])) if again else None)
        if header in taken or (name in dropped):
            continue
        if name and name not in fields and not again:
            fields[name] = header
        elif name and again:
            repeats.setdefault(name, header)
        elif name or _IGNORED.fullmatch(base):
            ignored.append(header)
        else:
            extra[_slug(header)] = header
    if "date" not in fields and "time" in fields:
        fields["date"] = fields.pop("time")
    for name, header in fields.items():
        unit = _UNITS.search(unicodedata.normalize("NFKC", header))
        if unit and name in ("volume", "amount") and unit[1].strip().lower() in _SCALES:
            scales[name] = _SCALES[unit[1].strip().lower()]
    return ColumnMap(fields=fields, extra=extra, ignored=tuple(ignored), repeats=repeats, scales=scales)


def column_choice(pairs: Iterable[str]) -> dict[str, str]:
    """Our field -> header, as a person writes it: ``close=Schluss``; ``volume=`` leaves a field out. ``ConfigError`` for what is neither."""
    found: dict[str, str] = {}
    for pair in filter(str.strip, pairs):
        name, separator, header = (part.strip() for part in pair.partition("="))
        if not separator or name not in _ALIASES:
            raise ConfigError("import.column_format", text=pair.strip()[:60], known=", ".join(_ALIASES))
        found[name] = header
    return found


def recognised(headers: Sequence[str]) -> int:
    """How many of the headers mean something to us; a header row is known by it."""
    return len({FIELD_OF[name] for name in map(plain, headers) if name in FIELD_OF})


@lru_cache(maxsize=4096)
def plain(header: str) -> str:
    """A header without case, spaces, punctuation and unit, as the aliases are written."""
    text = _UNITS.sub("", unicodedata.normalize("NFKC", str(header))).lower()
    return re.sub(r"[\s_.\-%*\ufeff/:]+", "", text)


def _slug(header: str) -> str:
    """A column name people can read and a CSV header can hold."""
    text = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", header).lower()).strip("_") or "column"
    return f"{text}_" if text in FIELD_OF.values() or text == "tradable" else text
