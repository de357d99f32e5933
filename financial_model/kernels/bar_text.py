"""Rows of dates and decimal numbers, between text and arrays, in one compiled pass.

In: the bytes below a header, or arrays. Out: arrays, or bytes; None where a cell is anything but an ISO date or a plain decimal: a library's parser
then decides what it is. What is read equals what any correct parser reads, bit for bit, and what is written is the shortest text that reads back
the same. It knows no headers, no files and no prices.
"""

from __future__ import annotations

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_compiled = numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
U = np.uint64
_EXACT = 9e15
"""Below 2**53: whole numbers up to here are exact."""
_NO_DAY = -(1 << 40)
_EXACT_DIGITS = 15
"""A mantissa of so many digits and a power of ten up to 22 are exact in float64, so one division rounds as the full algorithm would."""
_LONG_CELLS = 4096
"""Runs of equal cells with more digits (adjustment factors) that are left to Python; beyond that the text is not ours."""
_PLACES, _SMALLEST, _LARGEST, _LARGEST_WHOLE = 6, 1e-3, 1e13, 1e15
"""Numbers that are written here: so many decimal places at most, and between these sizes; whole ones below 1e15. Others are written by pyarrow."""
_STAMP, _NUMBER = 19, 20
"""Room for a date with its time, and for a number."""


def read(body: bytes, width: int, *, dates: int, wanted: NDArray[np.bool_], mark: str = ",") -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """(seconds [rows], values [width, rows]) of ``body``, lines of ``width`` cells of which number ``dates`` is an ISO date or date and time.

    Empty cells are NaN, columns not ``wanted`` are not looked at. None when a line has another width or a wanted cell is no plain decimal.
    """
    data = np.frombuffer(body, np.uint8)
    rows = int(np.count_nonzero(data == ord("\n"))) + (not body.endswith(b"\n"))
    seconds, values = np.empty(rows, np.int64), np.empty((width, rows))
    long_cells = np.empty((_LONG_CELLS, 5), np.int64)
    found, long = _read(data, dates, np.uint8(ord(mark)), wanted, seconds, values, long_cells)
    if found != rows or width < 2:
        return None
    for column, first, last, start, length in long_cells[:long].tolist():
        values[column, first : last + 1] = float(body[start : start + length])
    return seconds, values


def write(dates: NDArray[np.datetime64], columns: list[NDArray[np.float64]]) -> bytes:
    """Lines of a date and one cell per column; NaN is an empty cell. Dates without a time of day where none has one."""
    days = dates.astype("datetime64[D]")
    stamps = dates.astype("datetime64[s]").astype(np.int64)
    values = np.ascontiguousarray(columns, np.float64)
    texts: dict[int, tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]] = {}
    while True:
        order, text, starts, ends = _joined(texts, len(values), len(stamps))
        room = len(stamps) * (_STAMP + 1 + (_NUMBER + 1) * len(values)) + int((ends - starts).sum()) + 8
        out = np.empty(room, np.uint8)
        length, failed = _write(stamps, not (dates == days).all(), values, order, text, starts, ends, out)
        if failed < 0:
            return out[:length].tobytes()
        texts[failed] = _as_text(values[failed])


def _as_text(values: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """(bytes, start and end of each row's cell in them) by pyarrow's shortest text; neighbours that are equal share one."""
    bits = values.view(np.int64)
    heads = np.flatnonzero(np.concatenate(([True], bits[1:] != bits[:-1])))
    cells = pc.cast(pa.array(values[heads], mask=np.isnan(values[heads])), pa.string())
    offsets = np.frombuffer(cells.buffers()[1], np.int32)[: len(heads) + 1].astype(np.int64)
    run = np.repeat(np.arange(len(heads)), np.diff(np.append(heads, len(values))))
    return np.frombuffer(cells.buffers()[2] or b"", np.uint8), offsets[:-1][run], offsets[1:][run]


def _joined(texts: dict[int, tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]], width: int, rows: int
            ) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """The texts of all columns that have one behind each other; ``order`` [width] is a column's place among them or -1."""
    order = np.full(width, -1, np.int64)
    order[list(texts)] = np.arange(len(texts))
    bases = np.cumsum([0, *(len(text) for text, _, _ in texts.values())])
    text = np.concatenate([np.empty(0, np.uint8), *(text for text, _, _ in texts.values())])
    starts = np.array([start + base for (_, start, _), base in zip(texts.values(), bases, strict=False)], np.int64).reshape(len(texts), rows)
    ends = np.array([end + base for (_, _, end), base in zip(texts.values(), bases, strict=False)], np.int64).reshape(len(texts), rows)
    return order, text, starts, ends


# ---------------------------------------------------------------- text to numbers
# Positions and digits are unsigned throughout: one comparison tells a digit, and no index can mean "from the end". That is worth a factor of ten.
@_compiled
def _digits(data, at, count):
    """The number that ``count`` digits from ``at`` on make, or -1."""
    value = U(0)
    for i in range(count):
        digit = U(data[at + U(i)]) - U(48)
        if digit > U(9):
            return np.int64(-1)
        value = value * U(10) + digit
    return np.int64(value)


@_compiled
def _day(data, at):
    """Days since 1970 of YYYY-MM-DD, or a very negative number where there is no such day."""
    year, month, day = _digits(data, at, 4), _digits(data, at + U(5), 2), _digits(data, at + U(8), 2)
    if year < 1 or month < 1 or month > 12 or day < 1 or data[at + U(4)] != 45 or data[at + U(7)] != 45:
        return _NO_DAY
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > (28 + leap if month == 2 else 30 if month in (4, 6, 9, 11) else 31):
        return _NO_DAY
    past = year - (month <= 2)
    era = past // 400
    of_era = past - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@_compiled
def _clock(data, at):
    """Seconds of " HH:MM:SS" (or with a T before it), or -1."""
    hour, minute, second = _digits(data, at + U(1), 2), _digits(data, at + U(4), 2), _digits(data, at + U(7), 2)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59 or data[at + U(3)] != 58 or data[at + U(6)] != 58:
        return np.int64(-1)
    return hour * 3600 + minute * 60 + second


@_compiled
def _same(data, first, second, length):
    for i in range(length):
        if data[first + U(i)] != data[second + U(i)]:
            return False
    return True


@_compiled
def _read(data, dates, mark, wanted, seconds, values, long_cells):
    """(rows read or -1, runs of long cells)."""
    width, rows = values.shape
    powers = np.ones(19)
    for i in range(1, 19):
        powers[i] = powers[i - 1] * 10.0
    latest = np.full(width, -1, np.int64)
    at, size = U(0), U(data.size)
    row, long = 0, 0
    while at < size:
        if row == rows:
            return -1, 0
        for column in range(width):
            start = at
            if column == dates:
                if size - at < U(10):
                    return -1, 0
                day = _day(data, at)
                at += U(10)
                clock = 0
                if size - at >= U(9) and (data[at] == 32 or data[at] == 84):
                    clock = _clock(data, at)
                    at += U(9)
                if day == _NO_DAY or clock < 0:
                    return -1, 0
                seconds[row] = day * 86_400 + clock
            elif not wanted[column]:
                while at < size and data[at] != mark and data[at] != 10:
                    at += U(1)
            else:
                negative = at < size and data[at] == 45
                if negative:
                    at += U(1)
                first = at
                mantissa, point = U(0), U(0)
                while at < size:
                    digit = U(data[at]) - U(48)
                    if digit <= U(9):
                        mantissa = mantissa * U(10) + digit  # too many digits overflow, and are then not used
                    elif data[at] == 46 and point == U(0) and at > first:
                        point = at
                    else:
                        break
                    at += U(1)
                places = at - point - U(1) if point else U(0)
                digits = at - first - (U(1) if point else U(0))
                if at == start:
                    values[column, row] = np.nan
                elif digits == U(0) or (point and places == U(0)):
                    return -1, 0
                elif digits <= U(_EXACT_DIGITS):
                    value = np.float64(np.int64(mantissa)) / powers[places]
                    values[column, row] = -value if negative and mantissa else value
                else:
                    run = latest[column]
                    length = np.int64(at - start)
                    if run >= 0 and long_cells[run, 2] == row - 1 and long_cells[run, 4] == length and _same(
                            data, U(long_cells[run, 3]), start, length):
                        long_cells[run, 2] = row
                    elif long == long_cells.shape[0]:
                        return -1, 0
                    else:
                        long_cells[long, 0], long_cells[long, 1], long_cells[long, 2] = column, row, row
                        long_cells[long, 3], long_cells[long, 4] = np.int64(start), length
                        latest[column] = long
                        long += 1
            last = column == width - 1
            if at == size:
                if not last:
                    return -1, 0
            elif data[at] != (10 if last else mark):
                return -1, 0
            else:
                at += U(1)
        row += 1
    return row, long


# ---------------------------------------------------------------- numbers to text
@_compiled
def _eight(value):
    """The eight digits of a number below 10**8 as the bytes of one word, the first digit lowest: both halves, all pairs, all digits at once."""
    above = value // U(10_000)
    halves = above | (value - above * U(10_000)) << U(32)
    hundreds = (halves * U(10_486) >> U(20)) & U(0x7F0000007F)
    pairs = (halves - hundreds * U(100)) << U(16) | hundreds
    tens = (pairs * U(103) >> U(10)) & U(0x000F000F000F000F)
    return U(0x3030303030303030) + (tens | (pairs - tens * U(10)) << U(8))


@_compiled
def _store(out, at, word):
    """Eight bytes; what a caller does not keep is written over by the next cell."""
    for i in range(8):
        out[at + U(i)] = np.uint8(word >> U(8 * i) & U(255))


@_compiled
def _put(out, at, value, count):
    """The last ``count`` digits of a number below 10**8; the position behind."""
    _store(out, at, _eight(value) >> U(8) * (U(8) - count))
    return at + count


@_compiled
def _put_whole(out, at, value):
    """A whole number below 10**16."""
    if value >= U(100_000_000):
        above = value // U(100_000_000)
        at = _put(out, at, above, _length(above))
        return _put(out, at, value - above * U(100_000_000), U(8))
    return _put(out, at, value, _length(value))


@_compiled
def _length(value):
    return U(1) + U(value >= 10) + U(value >= 100) + U(value >= 1000) + U(value >= 10_000) + U(value >= 100_000) + U(value >= 1_000_000) + U(
        value >= 10_000_000)


@_compiled
def _put_date(out, at, days):
    """YYYY-MM-DD of days since 1970."""
    shifted = days + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    word = _eight(U((year_of_era + era * 400 + (month <= 2)) * 10_000 + month * 100 + day))
    _store(out, at, word)
    out[at + U(4)] = 45
    _store(out, at + U(5), (word >> U(32) & U(0xFFFF)) | U(45 << 16) | word >> U(48) << U(24))
    return at + U(10)


@_compiled
def _put_clock(out, at, seconds):
    out[at] = 32
    at = _put(out, at + U(1), U(seconds // 3600), U(2))
    out[at] = 58
    at = _put(out, at + U(1), U(seconds // 60 % 60), U(2))
    out[at] = 58
    return _put(out, at + U(1), U(seconds % 60), U(2))


@_compiled
def _put_number(out, at, value):
    """The shortest decimal of ``value``; position 0 where it is not among those written here."""
    size = abs(value)
    if value < 0:
        out[at] = 45
        at += U(1)
    if not size < _LARGEST_WHOLE:
        return U(0)
    above = np.int64(size)
    if above == size:
        return _put_whole(out, at, U(above))
    if not _SMALLEST <= size < _LARGEST:
        return U(0)
    power, places = 100, 2
    scaled = np.int64(size * 100.0 + 0.5)
    if scaled / 100.0 == size:
        if scaled % 10 == 0:
            scaled, power, places = scaled // 10, 10, 1
    else:
        factor = 100.0
        while True:
            factor, power, places = factor * 10.0, power * 10, places + 1
            if size * factor > _EXACT:
                return U(0)
            scaled = np.int64(size * factor + 0.5)
            if scaled / factor == size:
                break
            if places == _PLACES:
                return U(0)
    at = _put_whole(out, at, U(above))
    out[at] = 46
    return _put(out, at + U(1), U(scaled - above * power), U(places))


@_compiled
def _write(stamps, with_time, values, order, text, starts, ends, out):
    """(bytes written, column that needs its text from elsewhere or -1)."""
    at = U(0)
    for row in range(stamps.size):
        days = stamps[row] // 86_400
        at = _put_date(out, at, days)
        if with_time:
            at = _put_clock(out, at, stamps[row] - days * 86_400)
        for column in range(values.shape[0]):
            out[at] = 44
            at += U(1)
            place = order[column]
            if place >= 0:
                for i in range(starts[place, row], ends[place, row]):
                    out[at] = text[i]
                    at += U(1)
            elif values[column, row] == values[column, row]:
                at = _put_number(out, at, values[column, row])
                if at == U(0):
                    return 0, column
        out[at] = 10
        at += U(1)
    return np.int64(at), -1
