"""Rows of dates and decimal numbers, between text and arrays, in one compiled pass.

In: the bytes below a header, or arrays. Out: arrays, or bytes; None where a cell is anything but an ISO date or a plain decimal: a library's parser
then decides what it is. What is read equals what any correct parser reads, bit for bit, and what is written is the shortest text that reads back
the same. It knows no headers, no files and no prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

_inline: Any = intrinsic
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
    values: NDArray[np.float64]
    """[width, rows]"""
    starts: NDArray[np.int32]
    """[rows * width + 1], row by row; a cell ends one byte before the next begins."""
    shortest: NDArray[np.uint64]
    """[rows], bit c: the text of cell c is what :func:`write` would write for its number."""


def read(body: bytes, width: int, *, dates: int, wanted: NDArray[np.bool_], mark: str = ",") -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """(seconds [rows], values [width, rows]) of ``body``, lines of ``width`` cells of which number ``dates`` is an ISO date or date and time.

    Empty cells are NaN, columns not ``wanted`` are not looked at. None when a line has another width or a wanted cell is no plain decimal.
    """
    text = np.frombuffer(body, np.uint8)
    rows = int(np.count_nonzero(text == ord("\n"))) + (not body.endswith(b"\n"))
    seconds, values = np.empty(rows, np.int64), np.empty((width, rows))
    found = _fill(text, dates, mark, wanted, seconds, values, np.empty(0, np.int32), np.empty(0, U))
    return (seconds, values) if found == rows else None


def read_cells(body: bytes | memoryview, width: int, *, dates: int, mark: str = ",") -> Cells | None:
    """:func:`read` of all columns, with the place of every cell."""
    if width > _COLUMNS or len(body) > _POSITIONS:
        return None
    text, most = np.frombuffer(body, np.uint8), (len(body) + 1) // (width + len("2024-01-02"))  # a row is a date, its marks and its end at least
    seconds, values, starts, shortest = np.empty(most, np.int64), np.empty((width, most)), np.empty(most * width + 1, np.int32), np.empty(most, U)
    rows = _fill(text, dates, mark, np.ones(width, bool), seconds, values, starts, shortest)
    if rows < 1:
        return None
    seconds.flags.writeable = values.flags.writeable = False  # whoever changed them in place would find the old text in the file
    return Cells(text=text, mark=mark, dates=dates, seconds=seconds[:rows], values=values[:, :rows], starts=starts[: rows * width + 1],
                 shortest=shortest[:rows])


def _fill(text: NDArray[np.uint8], dates: int, mark: str, wanted: NDArray[np.bool_], seconds: NDArray[np.int64], values: NDArray[np.float64],
          starts: NDArray[np.int32], shortest: NDArray[np.uint64]) -> int:
    """Rows read, or -1."""
    long_cells = np.empty((_LONG_CELLS, 5), np.int64)
    found, long = _read(text, dates, np.uint8(ord(mark)), wanted, seconds, values, starts, shortest, long_cells) if len(values) > 1 else (-1, 0)
    for column, first, last, start, length in long_cells[:long].tolist():
        values[column, first : last + 1] = float(text[start : start + length].tobytes())
    return found


def write(dates: NDArray[np.datetime64], columns: list[NDArray[np.float64]], *, header: bytes = b"", cells: Cells | None = None,
          places: Sequence[int] = ()) -> bytes:
    """``header`` and lines of a date and one cell per column; NaN is an empty cell. Dates without a time of day where none has one.

    ``cells``: a text whose row i is row i here, and ``places[k]``: which of its columns column k came from (-1: none). Where a column still
    holds its numbers, their cells are copied instead of written. The result does not depend on it.
    """
    stamps = dates.astype("datetime64[s]").astype(np.int64)
    with_time = bool((stamps % 86_400).any())
    source = np.full(len(columns), -1, np.int64)
    together = 0
    theirs = np.empty(0, np.uint8), 0, np.empty(0, np.int64), np.empty((1, 0)), np.empty(0, np.int32), np.empty(0, U)
    if cells is not None and len(cells.seconds) == len(stamps):
        for column, place in enumerate(places):
            if place >= 0 and _holds(columns[column], cells.values[place]):
                source[column] = place
        beside = cells.dates + 1 + np.arange(len(columns))
        together = int(np.append(source != beside, True).argmax()) if cells.mark == "," else 0  # columns that are copied with the date
        theirs = cells.text, cells.dates, cells.seconds, cells.values, cells.starts, cells.shortest
    fresh = np.flatnonzero(source < 0)
    slots = np.cumsum(source < 0) - 1
    values = np.empty((len(fresh), len(stamps)))
    for slot, number in enumerate(fresh):
        values[slot] = columns[number]
    texts: dict[int, tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]] = {}
    while True:
        order, text, starts, ends = _joined(texts, len(columns), len(stamps))
        room = len(stamps) * (_STAMP + 1 + (_NUMBER + 1) * len(columns)) + int((ends - starts).sum()) + 8
        out = np.empty(len(header) + room, np.uint8)
        out[: len(header)] = np.frombuffer(header, np.uint8)
        length, failed = _write(stamps, with_time, values, slots, order, text, starts, ends, source, together, *theirs,
                                out[len(header) :])
        if failed < 0:
            return out[: len(header) + length].tobytes()
        texts[failed] = _as_text(columns[failed])  # all of it: one library writes a whole column
        together = min(together, failed)


def _holds(values: NDArray[np.float64], read: NDArray[np.float64]) -> bool:
    """The numbers that were read, bit for bit; most often they are in the same place (where nobody can write)."""
    return values.dtype == np.float64 and (values.ctypes.data == read.ctypes.data or np.array_equal(values.view(np.int64), read.view(np.int64)))


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


@_inline
def _word(typingctx, data, at):
    """Eight bytes from ``at`` on, the first lowest: one load, which the compiler does not make of eight by itself."""

    def code(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        place = builder.bitcast(builder.gep(array.data, [args[1]]), ir.IntType(64).as_pointer())
        return builder.load(place, align=1)

    return types.uint64(data, at), code


@_inline
def _zeros(typingctx, word):
    """Zero bits below the lowest one (64 for none)."""

    def code(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(word), code


@_compiled
def _value(word, count):
    """The number that the first ``count`` (1 to 8) bytes of a word make, all digits: neighbours joined, pairs, halves."""
    word = (word << (U(64) - U(8) * count)) & U(0x0F0F0F0F0F0F0F0F)
    word = (word * U(10) + (word >> U(8))) & U(0x00FF00FF00FF00FF)
    word = (word * U(100) + (word >> U(16))) & U(0x0000FFFF0000FFFF)
    return (word * U(10_000) + (word >> U(32))) & U(0xFFFFFFFF)


@_compiled
def _short(data, at, size, powers):
    """(length, value, 1 if written so) of a decimal without a sign that ends within eight bytes; length 0 for any other cell."""
    if size - at < U(8):
        return U(0), 0.0, U(0)
    word = _word(data, at)
    bits = word ^ U(0x3030303030303030)  # a digit is 0 to 9 now
    others = (((bits & U(0x7F7F7F7F7F7F7F7F)) + U(0x7676767676767676)) | bits) & U(0x8080808080808080)
    whole = _zeros(others) & U(0x78)
    if others == U(0) or whole == U(0):
        return U(0), 0.0, U(0)
    zero_first = word & U(255) == U(48)
    if (word >> whole) & U(255) != U(46):
        count = whole >> U(3)
        return count, np.float64(np.int64(_value(word, count))), U(count == U(1) or not zero_first)
    others &= others - U(1)
    end = _zeros(others) & U(0x78)
    if others == U(0) or end == whole + U(8):
        return U(0), 0.0, U(0)
    before = (U(1) << whole) - U(1)
    digits = (end >> U(3)) - U(1)
    value = np.float64(np.int64(_value((word & before) | (word >> U(8) & ~before), digits))) / powers[digits - (whole >> U(3))]
    shortest = (word >> (end - U(8))) & U(255) != U(48) and value >= _SMALLEST and (whole == U(8) or not zero_first)
    return end >> U(3), value, U(shortest)


@_compiled
def _month(data, at, day):
    """(the day before the first of the month of ``day``, days in the month) for the date that stands at ``at``."""
    year, month = _digits(data, at, 4), _digits(data, at + U(5), 2)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return day - _digits(data, at + U(8), 2), 28 + leap if month == 2 else 30 if month in (4, 6, 9, 11) else 31


@_compiled
def _read(data, dates, mark, wanted, seconds, values, starts, shortest, long_cells):
    """(rows read or -1, runs of long cells). ``starts`` and ``shortest`` are filled where they have room."""
    width, rows = values.shape
    powers = np.ones(19)
    for i in range(1, 19):
        powers[i] = powers[i - 1] * 10.0
    latest = np.full(width, -1, np.int64)
    remember = starts.size > 0
    month, before, month_days = U(0), np.int64(0), np.int64(0)
    at, size = U(0), U(data.size)
    row, long, cell = 0, 0, 0
    while at < size:
        if row == rows:
            return -1, 0
        plain = U(0)
        for column in range(width):
            start = at
            if remember:
                starts[cell] = np.int32(at)
                cell += 1
            if column == dates:
                if size - at < U(10):
                    return -1, 0
                word = _word(data, at)
                if word != month:  # most rows are of the month of the row above
                    day = _day(data, at)
                    if day == _NO_DAY:
                        return -1, 0
                    month = word
                    before, month_days = _month(data, at, day)
                else:
                    of_month = _digits(data, at + U(8), 2)
                    if of_month < 1 or of_month > month_days:
                        return -1, 0
                    day = before + of_month
                at += U(10)
                clock = 0
                if size - at >= U(9) and (data[at] == 32 or data[at] == 84):
                    clock = _clock(data, at)
                    at += U(9)
                if clock < 0:
                    return -1, 0
                seconds[row] = day * 86_400 + clock
            elif not wanted[column]:
                while at < size and data[at] != mark and data[at] != 10:
                    at += U(1)
            else:
                length, value, good = _short(data, at, size, powers)
                if length:
                    values[column, row] = value
                    plain |= good << U(column & 63)
                    at += length
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
                        plain |= U(1) << U(column & 63)
                    elif digits == U(0) or (point and places == U(0)):
                        return -1, 0
                    elif digits <= U(_EXACT_DIGITS):
                        value = np.float64(np.int64(mantissa)) / powers[places]
                        values[column, row] = -value if negative and mantissa else value
                        if point:
                            good = U(data[at - U(1)] != 48 and places <= U(_PLACES) and _SMALLEST <= value < _LARGEST
                                     and (data[first] != 48 or point == first + U(1)))
                        else:
                            good = U(data[first] != 48 or (digits == U(1) and not negative))
                        plain |= good << U(column & 63)
                    else:
                        run = latest[column]
                        length = at - start
                        if run >= 0 and long_cells[run, 2] == row - 1 and long_cells[run, 4] == np.int64(length) and _same(
                                data, U(long_cells[run, 3]), start, length):
                            long_cells[run, 2] = row
                        elif long == long_cells.shape[0]:
                            return -1, 0
                        else:
                            long_cells[long, 0], long_cells[long, 1], long_cells[long, 2] = column, row, row
                            long_cells[long, 3], long_cells[long, 4] = np.int64(start), np.int64(length)
                            latest[column] = long
                            long += 1
            last = column == width - 1
            if at == size:
                if not last:
                    return -1, 0
                at += U(1)
            elif data[at] != (10 if last else mark):
                return -1, 0
            else:
                at += U(1)
        if remember:
            shortest[row] = plain
        row += 1
    if remember:
        starts[cell] = np.int32(at)
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
    if value < U(10):
        out[at] = np.uint8(U(48) + value)
        return at + U(1)
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
def _copy(out, at, text, start, end):
    """A piece of ``text``; the position behind."""
    for i in range(end - start):
        out[at + U(i)] = text[start + U(i)]
    return at + (end - start)


@_compiled
def _write(stamps, with_time, values, slots, order, text, starts, ends, source, together, known, dates, seconds, parsed, cells, shortest, out):
    """(bytes written, column that needs its text from elsewhere or -1). The first ``together`` columns stand beside the date in ``known`` too."""
    at = U(0)
    length, width, columns = U(19 if with_time else 10), parsed.shape[0], source.size
    all_together = U(0)
    for column in range(together):
        all_together |= U(1) << U(source[column])
    above, lengths = np.zeros(columns, np.uint64), np.zeros(columns, np.uint64)  # where the cell above was written: many numbers repeat
    for row in range(stamps.size):
        begin = 0
        cell = row * width
        start, end = U(0), U(0)
        if seconds.size and seconds[row] == stamps[row]:
            start, end = U(cells[cell + dates]), U(cells[cell + dates + 1]) - U(1)
        if end - start == length and not (with_time and known[start + U(10)] != 32):
            if shortest[row] & all_together == all_together:
                begin = together
                end = U(cells[cell + dates + 1 + together]) - U(1)
            at = _copy(out, at, known, start, end)
        else:
            days = stamps[row] // 86_400
            at = _put_date(out, at, days)
            if with_time:
                at = _put_clock(out, at, stamps[row] - days * 86_400)
        for column in range(begin, columns):
            place = source[column]
            out[at] = 44
            at += U(1)
            if order[column] >= 0:
                at = _copy(out, at, text, U(starts[order[column], row]), U(ends[order[column], row]))
                continue
            if place >= 0 and shortest[row] >> U(place) & U(1):
                at = _copy(out, at, known, U(cells[cell + place]), U(cells[cell + place + 1]) - U(1))
                continue
            start = at
            value = parsed[place, row] if place >= 0 else values[slots[column], row]
            if lengths[column] and value == values[slots[column], row - 1]:
                at = _copy(out, at, out, above[column], above[column] + lengths[column])
            elif value == value:
                at = _put_number(out, at, value)
                if at == U(0):
                    return 0, column
            if place < 0:
                above[column], lengths[column] = start, at - start
        out[at] = 10
        at += U(1)
    return np.int64(at), -1
