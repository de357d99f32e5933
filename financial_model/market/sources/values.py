"""Cells of somebody's table as numbers and times, with the rows that are neither.

In: a column as text, integers, floats or dates. Out: float64 or datetime64[s], and what could not be read, by row: the caller decides what a bad
cell costs. It knows no headers and no files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Bad = dict[int, str]
"""Row -> the text that could not be read."""

_SUFFIXES = {"%": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "万": 1e4, "亿": 1e8}
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*([%kmb万亿]?)", re.IGNORECASE)
_FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d-%H:%M", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M",
    "%Y/%m/%d-%H:%M", "%Y%m%d", "%Y%m%d %H:%M:%S", "%Y%m%d %H:%M", "%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y.%m.%d", "%Y年%m月%d日",
    "%b %d, %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y")
_AMERICAN, _EUROPEAN = ("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S"), ("%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S")
_ZONE = r"(Z|[+-]\d{2}:?\d{2})$"


def numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], Bad]:
    """(float64 [rows] with NaN where empty or unreadable, unreadable cells).

    Text may carry thousands commas, a percent sign or K, M, B, 万, 亿. 32-bit floats become the decimal they stand for: 1145.06, not 1145.0600586.
    """
    kind = column.type
    if pa.types.is_float32(kind):
        return _decimals(_array(column)), {}
    elif pa.types.is_null(kind):
        return np.full(len(column), np.nan), {}
    elif pa.types.is_dictionary(kind) or pa.types.is_large_string(kind) or pa.types.is_decimal(kind):
        column = pc.cast(column, pa.string())
    if pa.types.is_string(column.type):
        return _from_text(column)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        texts = pc.cast(column, pa.string()).to_pylist()
        return np.full(len(column), np.nan), {row: text for row, text in enumerate(texts) if text is not None}
    return _array(pc.cast(column, pa.float64())), {}


def _decimals(values: NDArray) -> NDArray[np.float64]:
    wide = values.astype(np.float64)
    rounded = np.round(wide, 2)
    odd = np.flatnonzero(~(rounded.astype(np.float32) == values) & np.isfinite(values))
    rounded[odd] = _array(pa.chunked_array([pc.cast(pc.cast(pa.array(values[odd]), pa.string()), pa.float64())]))
    return rounded


def _array(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return column.combine_chunks().to_numpy(zero_copy_only=False)


def _from_text(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], Bad]:
    trimmed = pc.utf8_trim_whitespace(column)
    try:
        return _array(pc.cast(trimmed, pa.float64())), {}
    except pa.ArrowInvalid:
        pass  # some cell is no plain number: read them one by one
    values, bad = np.full(len(column), np.nan), {}
    for row, text in enumerate(trimmed.to_pylist()):
        if text:
            match = _NUMBER.fullmatch(text.replace(",", "").replace("，", ""))
            if match:
                values[row] = float(match[1]) * _SUFFIXES.get(match[2].lower(), 1.0)
            else:
                bad[row] = text
    return values, bad


def texts(column: pa.ChunkedArray) -> list[str]:
    """[rows] stripped text, empty where there is none."""
    return [text.strip() for text in labels(column).to_pylist()]


def labels(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as text; whole numbers without a decimal point, empty where there is nothing."""
    if pa.types.is_floating(column.type):
        column = pc.cast(column, pa.int64(), safe=False)
    return pc.fill_null(pc.cast(column, pa.string()), "")


def times(column: pa.ChunkedArray, clock: pa.ChunkedArray | None = None) -> tuple[NDArray[np.datetime64], Bad]:
    """(datetime64[s] [rows] with NaT where unreadable, unreadable cells). ``clock``: a second column with the time of day.

    A time zone is dropped, not converted: bars carry the exchange's own time. One format must fit all rows; month/day and day/month that both
    fit, and differ, are refused as unreadable.
    """
    if pa.types.is_timestamp(column.type) and column.type.tz:
        column = pc.local_timestamp(column)
    if clock is None and (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        found = pc.cast(column, pa.timestamp("s"), safe=False)
        return _stamps(found), {int(row): "" for row in np.flatnonzero(_missing(found))}
    if pa.types.is_floating(column.type):
        column = pc.cast(column, pa.int64(), safe=False)
    text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    if clock is not None:
        text = pc.binary_join_element_wise(text, pc.utf8_trim_whitespace(pc.cast(clock, pa.string())), " ")
    text = pc.replace_substring_regex(text, pattern=r"(:\d{2}(?:\.\d+)?)\s*" + _ZONE, replacement=r"\1")
    found = _parse(text)
    missing = np.flatnonzero(_missing(found))
    originals = text.take(pa.array(missing)).to_pylist()
    return _stamps(found), {int(row): original or "" for row, original in zip(missing, originals, strict=True)}


def _missing(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.is_null(column).combine_chunks().to_numpy(zero_copy_only=False), bool)


def _stamps(column: pa.ChunkedArray) -> NDArray[np.datetime64]:
    return column.combine_chunks().to_numpy(zero_copy_only=False).astype("datetime64[s]")


def _parse(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """timestamp[s] under the one format that reads most rows; rows it cannot read are null."""
    try:
        return pc.cast(text, pa.timestamp("s"))  # ISO 8601, the usual case
    except pa.ArrowInvalid:
        pass
    epoch = _epoch(text)
    if epoch is not None:
        return epoch
    short = pc.replace_substring_regex(text, pattern=r"\.0+$", replacement="")
    usual, american, european = (_one_format(short, formats) for formats in (_FORMATS, _AMERICAN, _EUROPEAN))
    if american.null_count == european.null_count == 0 and not american.equals(european):
        return pa.chunked_array([pa.nulls(len(text), pa.timestamp("s"))])
    return min((usual, american, european), key=lambda found: found.null_count)


def _one_format(text: pa.ChunkedArray, formats: Sequence[str]) -> pa.ChunkedArray:
    best = pa.chunked_array([pa.nulls(len(text), pa.timestamp("s"))])
    for pattern in formats:
        found = pc.strptime(text, format=pattern, unit="s", error_is_null=True)
        if found.null_count == len(text):
            continue
        again = pc.strftime(found, format=pattern)
        found = pc.if_else(pc.equal(_bare(again), _bare(text)), found, pa.scalar(None, found.type))  # strptime reads 30 February as 1 March
        if found.null_count < best.null_count:
            best = found
        if best.null_count == 0:
            break
    return best


def _bare(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without the zeros in front of numbers, in lower case: what a format leaves open."""
    return pc.utf8_lower(pc.replace_substring_regex(text, pattern=r"(^|[^0-9.])0+([0-9])", replacement=r"\1\2"))


def _epoch(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Seconds or milliseconds since 1970, where every cell is one (ten digits or thirteen)."""
    for digits, scale in ((10, 1), (13, 1000)):
        if len(text) and pc.all(pc.match_substring_regex(text, pattern=rf"^\d{{{digits}}}$"), skip_nulls=False).as_py():
            return pc.cast(pc.divide(pc.cast(text, pa.int64()), scale), pa.timestamp("s"))
    return None
