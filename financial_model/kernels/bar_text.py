"""Rows of dates and decimal numbers, between text and arrays, in one compiled pass.

In: the bytes below a header, or arrays. Out: arrays, or bytes; None where a cell is anything but an ISO date or a plain decimal: a library's parser
then decides what it is. What is read equals what any correct parser reads, bit for bit, and what is written is the shortest text that reads back
the same. It knows no headers, no files and no prices. The passes themselves are in ``bar_parse`` and ``bar_format``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from financial_model.kernels.bar_format import DONE, FULL, NUMBER, SLACK, STAMP, all_alike, has_clock, write_rows
from financial_model.kernels.bar_parse import read_rows

_LONG_CELLS = 4096
"""Runs of equal cells with more digits (adjustment factors) that are left to Python; beyond that the text is not ours."""
_COLUMNS, _POSITIONS = 64, 2**31 - 1
"""Most columns and bytes of a text whose cells are remembered: a bit of a word each, a 32-bit position each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """Rows that were read, and where their cells stand in the text: a number that is written again as it was need not be made into text anew."""

    text: NDArray[np.uint8]
    mark: str
    dates: int
    """Number of the date's column."""
    seconds: NDArray[np.int64]
    """[rows]"""
    values: tuple[NDArray[np.float64], ...]
    """[width] arrays of [rows], all of one block"""
    starts: NDArray[np.int32]
    """[rows * width + 1], row by row; a cell ends one byte before the next begins."""
    shortest: NDArray[np.uint64]
    """[rows], bit c: the text of cell c is what :func:`write` would write for its number."""
    block: NDArray[np.float64]
    """[width, rows], the values again"""


_Text = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]
"""Bytes, and where each row's cell starts and ends in them."""
_NO_CELLS = np.empty(0, np.uint8), 0, np.empty(0, np.int64), np.empty((1, 0)), np.empty(0, np.int32), np.empty(0, np.uint64)


def read(body: bytes, width: int, *, dates: int, wanted: NDArray[np.bool_], mark: str = ",") -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """(seconds [rows], values [width, rows]) of ``body``, lines of ``width`` cells of which number ``dates`` is an ISO date or date and time.

    Empty cells are NaN, columns not ``wanted`` are not looked at. None when a line has another width or a wanted cell is no plain decimal.
    """
    text = np.frombuffer(body, np.uint8)
    rows = int(np.count_nonzero(text == ord("\n"))) + (not body.endswith(b"\n"))
    seconds, values = np.empty(rows, np.int64), np.empty((width, rows))
    found = _fill(text, dates, mark, wanted, seconds, values, np.empty(0, np.int32), np.empty(0, np.uint64))
    return (seconds, values) if found == rows else None


def read_cells(body: bytes | memoryview, width: int, *, dates: int, mark: str = ",") -> Cells | None:
    """:func:`read` of all columns, with the place of every cell."""
    if width > _COLUMNS or len(body) > _POSITIONS:
        return None
    text, most = np.frombuffer(body, np.uint8), (len(body) + 1) // (width + len("2024-01-02"))  # a row is a date, its marks and its end at least
    seconds, shortest = np.empty(most, np.int64), np.empty(most, np.uint64)
    values, starts = np.empty((width, most)), np.empty(most * width + 1, np.int32)
    rows = _fill(text, dates, mark, np.ones(width, bool), seconds, values, starts, shortest)
    if rows < 1:
        return None
    seconds.flags.writeable = values.flags.writeable = False  # whoever changed them in place would find the old text in the file
    block = values[:, :rows]
    return Cells(text=text, mark=mark, dates=dates, seconds=seconds[:rows], values=tuple(block), starts=starts[: rows * width + 1],
                 shortest=shortest[:rows], block=block)


def _fill(text: NDArray[np.uint8], dates: int, mark: str, wanted: NDArray[np.bool_], seconds: NDArray[np.int64], values: NDArray[np.float64],
          starts: NDArray[np.int32], shortest: NDArray[np.uint64]) -> int:
    """Rows read, or -1."""
    long_cells = np.empty((_LONG_CELLS, 5), np.int64)
    if len(values) < 2:
        return -1
    latest = np.full(len(values), -1)
    found, long = read_rows(text, dates, np.uint8(ord(mark)), wanted, seconds, values, starts, shortest, long_cells, latest)
    for column, first, last, start, length in long_cells[:long].tolist():
        values[column, first : last + 1] = float(text[start : start + length].tobytes())
    return found


def write(dates: NDArray[np.datetime64], columns: list[NDArray[np.float64]], *, header: bytes = b"", cells: Cells | None = None,
          places: Sequence[int] = ()) -> memoryview:
    """``header`` and lines of a date and one cell per column; NaN is an empty cell. Dates without a time of day where none has one.

    ``cells``: a text whose row i is row i here, and ``places[k]``: which of its columns column k came from (-1: none). Where a column still
    holds its numbers, their cells are copied instead of written. The result does not depend on it.
    """
    stamps = dates.astype("datetime64[s]").astype(np.int64, copy=False)
    with_time, count = has_clock(stamps), len(stamps)
    source, together, theirs = [-1] * len(columns), 0, _NO_CELLS
    if cells is not None and len(cells.seconds) == count:
        source = [place if place >= 0 and _holds(columns[column], cells.values[place]) else -1 for column, place in enumerate(places)]
        while cells.mark == "," and together < len(source) and source[together] == cells.dates + 1 + together:
            together += 1  # columns that are copied with the date
        theirs = cells.text, cells.dates, cells.seconds, cells.block, cells.starts, cells.shortest
    fresh = [column for column, place in enumerate(source) if place < 0]
    slots = np.full(len(columns), -1)
    slots[fresh] = range(len(fresh))
    values = np.empty((len(fresh), count))
    for slot, column in enumerate(fresh):
        values[slot] = columns[column]
    texts: dict[int, _Text] = {}
    alike = len(fresh) == len(columns) - together and all_alike(values)  # all that stands behind what is copied
    enough = len(theirs[0]) + count * (NUMBER + 1) * len(fresh) * (not alike) + count * len(",,1")
    while True:
        order, text, starts, ends = _joined(texts, len(columns), count)
        room = count * (STAMP + 1 + (NUMBER + 1) * len(columns)) + int((ends - starts).sum()) + SLACK
        out = np.empty(len(header) + (min(room, enough) if theirs is not _NO_CELLS and not texts else room), np.uint8)
        out[: len(header)] = np.frombuffer(header, np.uint8)
        length, failed = write_rows(stamps, with_time, values, slots, order, text, starts, ends, np.array(source, np.int64), together,
                                    alike and not texts, *theirs, np.zeros((2, len(columns)), np.uint64), out[len(header) :])
        if failed == DONE:
            return out.data[: len(header) + length]
        if failed == FULL:
            enough = room
            continue
        texts[failed] = _as_text(columns[failed])  # all of it: one library writes a whole column
        together = min(together, failed)


def _holds(values: NDArray[np.float64], read: NDArray[np.float64]) -> bool:
    """The numbers that were read, bit for bit; most often they are the same array (in which nobody can write)."""
    return values is read or (values.dtype == np.float64 and np.array_equal(values.view(np.int64), read.view(np.int64)))


def _as_text(values: NDArray[np.float64]) -> _Text:
    """(bytes, start and end of each row's cell in them) by pyarrow's shortest text; neighbours that are equal share one."""
    bits = values.view(np.int64)
    heads = np.flatnonzero(np.concatenate(([True], bits[1:] != bits[:-1])))
    cells = pc.cast(pa.array(values[heads], mask=np.isnan(values[heads])), pa.string())
    offsets = np.frombuffer(cells.buffers()[1], np.int32)[: len(heads) + 1].astype(np.int64)
    run = np.repeat(np.arange(len(heads)), np.diff(np.append(heads, len(values))))
    return np.frombuffer(cells.buffers()[2] or b"", np.uint8), offsets[:-1][run], offsets[1:][run]


def _joined(texts: dict[int, _Text], width: int, rows: int) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """The texts of all columns that have one behind each other; ``order`` [width] is a column's place among them or -1."""
    order = np.full(width, -1, np.int64)
    if not texts:
        return order, np.empty(0, np.uint8), np.empty((0, rows), np.int64), np.empty((0, rows), np.int64)
    order[list(texts)] = np.arange(len(texts))
    bases = np.cumsum([0, *(len(text) for text, _, _ in texts.values())])
    text = np.concatenate([np.empty(0, np.uint8), *(text for text, _, _ in texts.values())])
    starts = np.array([start + base for (_, start, _), base in zip(texts.values(), bases, strict=False)], np.int64).reshape(len(texts), rows)
    ends = np.array([end + base for (_, _, end), base in zip(texts.values(), bases, strict=False)], np.int64).reshape(len(texts), rows)
    return order, text, starts, ends
