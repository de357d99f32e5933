"""What a person holds, read from his own table: symbol and shares, and where he knows them the cost and the date of purchase.

In: a CSV as brokers and spreadsheets write it (UTF-8 or GBK, English or Chinese headers), or rows typed into the page. Out: `Holding` records.
Whatever cannot be understood is refused with its line. It knows no price and no forecast.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from financial_model.errors import DataError, NotFoundError
from financial_model.market.symbols import parse_symbol

COLUMNS = ("symbol", "shares", "cost", "bought")
_ALIASES = {
    "symbol": "symbol code ticker 证券代码 股票代码 代码",
    "shares": "shares quantity qty position 股数 数量 持仓 持股数 持仓数量 股票余额 证券数量 股份余额",
    "cost": "cost costprice averagecost price 成本 成本价 买入均价",
    "bought": "bought boughtdate date purchased 买入日期 建仓日期 日期",
}
_FIELD_OF = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
MOST_ROWS = 20_000
LARGEST = 5_000_000
"""Bytes of a file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """All shares of one stock."""

    symbol: str
    shares: float
    cost: float | None = None
    """Price paid per share, where known."""
    bought: np.datetime64 | None = None
    """Day of the last purchase; None: long ago."""


def read_holdings(path: Path | str) -> list[Holding]:
    """Holdings from a CSV file. ``NotFoundError`` or ``DataError`` say what is wrong and on which line."""
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("orders.no_file", path=str(path)[:200])
    if path.stat().st_size > LARGEST:
        raise DataError("orders.file_too_large", name=path.name[:80], limit=LARGEST // 1_000_000)
    content = path.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return parse_holdings(content.decode(encoding), path.name)
        except UnicodeDecodeError:
            continue
    raise DataError("orders.not_text", name=path.name[:80])


def parse_holdings(text: str, name: str = "-") -> list[Holding]:
    """:func:`read_holdings` of the text of a file called ``name``."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text.replace("\x00", "")))]
    except csv.Error as error:
        raise DataError("orders.not_text", name=name[:80]) from error
    numbered = [(line, row) for line, row in enumerate(rows, start=1) if any(cell.strip() for cell in row)]
    if not numbered:
        return []
    if len(numbered) > MOST_ROWS:
        raise DataError("orders.too_many_rows", name=name[:80], limit=MOST_ROWS)
    fields = [_FIELD_OF.get("".join(cell.lower().split()).replace("_", "")) for cell in numbered[0][1]]
    for needed in ("symbol", "shares"):
        if needed not in fields:
            raise DataError("orders.no_column", name=name[:80], column=needed, found=", ".join(cell.strip() for cell in numbered[0][1])[:120])
    records = [(line, {field: row[place] for place, field in enumerate(fields) if field and place < len(row)}) for line, row in numbered[1:]]
    return merged(_holding(record, line) for line, record in records)


def typed_holdings(rows: Iterable[Sequence[Any]]) -> list[Holding]:
    """Holdings from the rows of a table with the columns ``COLUMNS``; empty rows are left out."""
    cells = [["" if cell is None or cell != cell else str(cell) for cell in row] for row in rows]
    found = [(line, dict(zip(COLUMNS, row, strict=False))) for line, row in enumerate(cells, start=1) if any(cell.strip() for cell in row)]
    return merged(_holding(record, line) for line, record in found)


def as_rows(holdings: Iterable[Holding]) -> list[list[Any]]:
    """What :func:`typed_holdings` reads."""
    return [[item.symbol, item.shares, item.cost, "" if item.bought is None else str(item.bought)] for item in holdings]


def merged(holdings: Iterable[Holding]) -> list[Holding]:
    """One record a stock: shares added, costs averaged, the newest purchase kept (its rules hold for the whole)."""
    found: dict[str, Holding] = {}
    for holding in holdings:
        if not holding.shares:
            continue
        other = found.get(holding.symbol)
        found[holding.symbol] = holding if other is None else _together(other, holding)
    return list(found.values())


def _together(one: Holding, other: Holding) -> Holding:
    shares = one.shares + other.shares
    costs = None if one.cost is None or other.cost is None else (one.cost * one.shares + other.cost * other.shares) / shares
    days = [day for day in (one.bought, other.bought) if day is not None]
    return Holding(symbol=one.symbol, shares=shares, cost=costs, bought=max(days) if days else None)


def _holding(record: Mapping[str, str], line: int) -> Holding:
    code = record.get("symbol", "").strip().strip("'=\"")  # spreadsheets protect leading zeros so
    try:
        symbol = str(parse_symbol(code.zfill(6) if code.isdigit() else code))
    except DataError as error:
        raise DataError("orders.bad_symbol", line=line, value=code[:40]) from error
    shares = _number(record.get("shares", ""), line, "shares")
    if shares is None:
        raise DataError("orders.bad_number", line=line, column="shares", value="")
    cost = _number(record.get("cost", ""), line, "cost")
    return Holding(symbol=symbol, shares=shares, cost=cost, bought=_day(record.get("bought", ""), line))


def _number(text: str, line: int, column: str) -> float | None:
    written = text.strip().replace(",", "").replace("，", "")
    if not written:
        return None
    try:
        value = float(written)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0 or value > 1e15:
        raise DataError("orders.bad_number", line=line, column=column, value=text[:40])
    return value


def _day(text: str, line: int) -> np.datetime64 | None:
    written = text.strip().split(" ")[0].split("T")[0].replace("/", "-").replace(".", "-")
    if not written:
        return None
    if written.isdigit() and len(written) == 8:
        written = f"{written[:4]}-{written[4:6]}-{written[6:]}"
    parts = written.split("-")
    try:
        return np.datetime64("-".join([parts[0], *(part.zfill(2) for part in parts[1:])]) if len(parts) == 3 else "x", "D")
    except ValueError:
        raise DataError("orders.bad_date", line=line, value=text[:40]) from None
