"""One table of somebody's file as the bars of its symbols: which column is what, which rows belong to whom, cells as numbers.

In: a ``RawTable`` and what the user chose. Out: for each symbol its bars as they are stored, or why there are none. It knows no folder and no store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from financial_model.errors import DataError, KairosError
from financial_model.market.barfile import Origin
from financial_model.market.sources.columns import ColumnMap, map_columns, plain
from financial_model.market.sources.naming import file_symbol, row_symbol
from financial_model.market.sources.repair import Options, Repaired, repair
from financial_model.market.sources.tables import RawTable
from financial_model.market.sources.values import Bad, labels, numbers, texts, times
from financial_model.market.symbols import parse_symbol

NEEDED = ("date", "open", "high", "low", "close")


def columns_of(table: RawTable, choice: Mapping[str, str] | None) -> ColumnMap:
    """What each column is. A header that was chosen and is not there is refused: something else must not take its place."""
    for name, header in (choice or {}).items():
        if header and header not in table.headers:
            raise DataError("import.no_such_column", file=table.path.name, column=header[:60], field=name, found=", ".join(table.headers)[:200])
    found = map_columns(table.headers, choice)
    missing = [name for name in NEEDED if name not in found.fields]
    if missing:
        raise DataError("bars.missing_columns", name=table.path.name, missing=", ".join(missing), found=", ".join(table.headers)[:200])
    return found


def bars_of(table: RawTable, columns: ColumnMap, options: Options) -> Iterator[tuple[str, Repaired | KairosError]]:
    """(symbol, its bars or why there are none) for each symbol of a table."""
    time, bad_times = times_of(table, columns)
    values: dict[str, NDArray[np.float64]] = {}
    bad: dict[str, Bad] = {"date": bad_times} if bad_times else {}
    for name, header in columns.labels.items():
        if name in ("date", "time", "symbol", "name", "industry"):
            continue
        column, unreadable = _numbers(table, header)
        if unreadable and name in columns.extra:
            continue  # text beside the prices is nobody's feature
        values[name] = column
        if unreadable and name in (*NEEDED, "volume", "amount", "factor", "preclose", "adj_close"):
            bad[name] = unreadable
    _join_repeats(table, columns, values)
    _turnover_in_currency(columns, values)
    tushare = plain(columns.fields.get("symbol", "")) == "tscode"
    for symbol, rows in rows_by_symbol(table, columns):
        try:
            parsed = str(parse_symbol(symbol))
            _refuse_unreadable(parsed, rows, bad, table, columns)
            lines = np.array([table.line(int(row)) for row in rows]) if table.blank is not None else rows + table.first_line
            whole = len(rows) == len(time)  # all rows, in their order: nothing to pick
            part = values if whole else {name: column[rows] for name, column in values.items()}
            repaired = repair(parsed, time if whole else time[rows], part, lines, options=options, scales=columns.scales, tushare=tushare)
            if table.cells is not None:
                places = {name: table.headers.index(header) for name, header in columns.labels.items()}
                repaired.origin = Origin(cells=table.cells, places=places)
            yield parsed, repaired
        except DataError as error:
            yield symbol, error


def times_of(table: RawTable, columns: ColumnMap) -> tuple[NDArray[np.datetime64], Bad]:
    header, clock = columns.fields["date"], columns.fields.get("time")
    known = table.read(header) if clock is None else None
    if known is not None and known.dtype.kind == "M":
        return known, {}
    return times(table.data[header], table.data[clock] if clock is not None else None)


def _numbers(table: RawTable, header: str) -> tuple[NDArray[np.float64], Bad]:
    known = table.read(header)
    return (known, {}) if known is not None and known.dtype.kind == "f" else numbers(table.data[header])


def _refuse_unreadable(symbol: str, rows: NDArray[np.int64], bad: Mapping[str, Bad], table: RawTable, columns: ColumnMap) -> None:
    for name, cells in bad.items():
        inside = np.intersect1d(rows, np.fromiter(cells, np.int64))
        if not len(inside):
            continue
        row = int(inside[0])
        if name == "date":
            raise DataError("bars.bad_date", name=symbol, line=table.line(row), value=cells[row][:40])
        raise DataError("bars.not_a_number", name=symbol, line=table.line(row), column=columns.fields[name], value=cells[row][:40])


def rows_by_symbol(table: RawTable, columns: ColumnMap) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """(symbol as written, its row numbers in order) for each symbol of the table, in order of appearance."""
    if "symbol" not in columns.fields:
        hint = table.tickers[0] if table.tickers else ""
        yield hint or file_symbol(table.path), np.arange(table.rows)
        return
    column = labels(table.data[columns.fields["symbol"]]).combine_chunks().dictionary_encode()
    codes = column.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.flatnonzero(np.diff(codes[order])) + 1
    names = names_of(table, by_code=True)
    for rows in np.split(order, ends):
        written = column.dictionary[codes[rows[0]]].as_py().strip()
        yield row_symbol(written, names.get(written, ""), strict=False), np.sort(rows)


def names_of(table: RawTable, by_code: bool = False) -> dict[str, str]:
    """Names given in the table: symbol -> name (or code as written -> name)."""
    found = map_columns(table.headers)
    if "name" not in found.fields or "symbol" not in found.fields:
        return {}
    pairs = table.data.select([found.fields["symbol"], found.fields["name"]]).group_by([found.fields["symbol"], found.fields["name"]]).aggregate([])
    codes, names = texts(pairs[found.fields["symbol"]]), texts(pairs[found.fields["name"]])
    return {code if by_code else row_symbol(code, name, strict=False): name for code, name in zip(codes, names, strict=True)}


def _join_repeats(table: RawTable, columns: ColumnMap, values: dict[str, NDArray]) -> None:
    """``volume.1`` beside ``volume``: fills its gaps, and must not contradict it."""
    for name, header in columns.repeats.items():
        if name not in values:
            continue
        second, _ = _numbers(table, header)
        first = values[name]
        differ = np.isfinite(first) & np.isfinite(second) & (np.abs(first - second) > 1e-6 * np.abs(first))
        if differ.any():
            raise DataError("import.columns_disagree", file=table.path.name, first=columns.fields[name], second=header,
                            line=table.line(int(differ.argmax())))
        values[name] = np.where(np.isfinite(first), first, second)


def _turnover_in_currency(columns: ColumnMap, values: dict[str, NDArray]) -> None:
    """English tables call both the rate in percent and the amount turnover; no rate has a median above 1,000."""
    if "turnover" in values and "amount" not in values and plain(columns.fields["turnover"]) == "turnover":
        finite = values["turnover"][np.isfinite(values["turnover"])]
        if len(finite) and np.median(finite) > 1000:
            values["amount"] = values.pop("turnover")
