"""Text to numbers: rows of ISO dates and plain decimals, compiled.

In: the bytes of rows, arrays to fill. Out: the arrays filled, and how many rows there were, or that some cell is anything else.
Positions and digits are unsigned throughout: one comparison tells a digit, and no index can mean "from the end". That is worth a factor of ten.
"""

from __future__ import annotations

import numpy as np

from financial_model.kernels.bar_format import LARGEST, PLACES, SMALLEST
from financial_model.kernels.words import U, compiled, inlined, number_of, word_at, zeros

NOTHING = np.uint64(2**64 - 1)
"""A position nowhere: what stands there is not ours to read."""
_NO_DAY = -(1 << 40)
_POWERS = np.array([float(10**power) for power in range(19)])
_EXACT_DIGITS = 15
"""A mantissa of so many digits and a power of ten up to 22 are exact in float64, so one division rounds as the full algorithm would."""


# ---------------------------------------------------------------- dates
@inlined
def _digits(data, at, count):
    """The number that ``count`` digits from ``at`` on make, or -1."""
    value = U(0)
    for i in range(count):
        digit = U(data[at + U(i)]) - U(48)
        if digit > U(9):
            return np.int64(-1)
        value = value * U(10) + digit
    return np.int64(value)


@compiled
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


@compiled
def _clock(data, at):
    """Seconds of " HH:MM:SS" (or with a T before it), or -1."""
    hour, minute, second = _digits(data, at + U(1), 2), _digits(data, at + U(4), 2), _digits(data, at + U(7), 2)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59 or data[at + U(3)] != 58 or data[at + U(6)] != 58:
        return np.int64(-1)
    return hour * 3600 + minute * 60 + second


@compiled
def _month(data, at, day):
    """(the day before the first of the month of ``day``, days in the month) for the date that stands at ``at``."""
    year, month = _digits(data, at, 4), _digits(data, at + U(5), 2)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return day - _digits(data, at + U(8), 2), 28 + leap if month == 2 else 30 if month in (4, 6, 9, 11) else 31


@inlined
def _stamp(data, at, month, before, days):
    """(position behind a date and its time of day, seconds since 1970, then what is known of its month).

    ``month``: the bytes YYYY-MM- of the row above, ``before``: the day before the first of it, ``days``: how many it has. Most rows are of the
    month of the row above, and then only the day is read.
    """
    size = U(data.size)
    if size - at < U(10):
        return NOTHING, np.int64(0), month, before, days
    word = word_at(data, at)
    if word != month:
        day = _day(data, at)
        if day == _NO_DAY:
            return NOTHING, np.int64(0), month, before, days
        month = word
        before, days = _month(data, at, day)
    else:
        of_month = _digits(data, at + U(8), 2)
        if of_month < 1 or of_month > days:
            return NOTHING, np.int64(0), month, before, days
        day = before + of_month
    at += U(10)
    clock = np.int64(0)
    if size - at >= U(9) and (data[at] == 32 or data[at] == 84):
        clock = _clock(data, at)
        at += U(9)
    return (at if clock >= 0 else NOTHING), day * 86_400 + clock, month, before, days


# ---------------------------------------------------------------- decimals
@inlined
def _short(data, at):
    """(length, value, 1 if written so) of a decimal without a sign that ends within eight bytes; length 0 for any other cell."""
    if U(data.size) - at < U(8):
        return U(0), 0.0, U(0)
    word = word_at(data, at)
    bits = word ^ U(0x3030303030303030)  # a digit is 0 to 9 now
    others = (((bits & U(0x7F7F7F7F7F7F7F7F)) + U(0x7676767676767676)) | bits) & U(0x8080808080808080)
    whole = zeros(others) & U(0x78)
    if others == U(0) or whole == U(0):
        return U(0), 0.0, U(0)
    zero_first = word & U(255) == U(48)
    if (word >> whole) & U(255) != U(46):
        count = whole >> U(3)
        return count, np.float64(np.int64(number_of(word, count))), U((count == U(1)) | (not zero_first))
    others &= others - U(1)
    end = zeros(others) & U(0x78)
    if others == U(0) or end == whole + U(8):
        return U(0), 0.0, U(0)
    before = (U(1) << whole) - U(1)
    digits = (end >> U(3)) - U(1)
    value = np.float64(np.int64(number_of((word & before) | (word >> U(8) & ~before), digits))) / _POWERS[digits - (whole >> U(3))]
    shortest = ((word >> (end - U(8))) & U(255) != U(48)) & (value >= SMALLEST) & ((whole == U(8)) | (not zero_first))
    return end >> U(3), value, U(shortest)


@compiled
def _decimal(data, at):
    """(position behind any plain decimal, its value, 1 if it is written so, 1 if it has more digits than can be read here). Nothing is NaN."""
    size, start = U(data.size), at
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
    if at == start:
        return at, np.nan, U(1), U(0)
    places = at - point - U(1) if point else U(0)
    digits = at - first - (U(1) if point else U(0))
    if digits == U(0) or (point and places == U(0)):
        return NOTHING, 0.0, U(0), U(0)
    if digits > U(_EXACT_DIGITS):
        return at, 0.0, U(0), U(1)
    size_of = np.float64(np.int64(mantissa)) / _POWERS[places]
    if point:
        plain = U(data[at - U(1)] != 48 and places <= U(PLACES) and SMALLEST <= size_of < LARGEST and (data[first] != 48 or point == first + U(1)))
    else:
        plain = U(data[first] != 48 or (digits == U(1) and not negative))
    return at, -size_of if negative and mantissa else size_of, plain, U(0)


@compiled
def _same(data, first, second, length):
    for i in range(length):
        if data[first + U(i)] != data[second + U(i)]:
            return False
    return True


@compiled
def _note_long(data, start, at, row, column, latest, long_cells, count):
    """Remember a cell that is to be read elsewhere, one entry for equal cells below each other; how many there are now, or -1 for too many."""
    run, length = latest[column], at - start
    if run >= 0 and long_cells[run, 2] == row - 1 and long_cells[run, 4] == np.int64(length) and _same(data, U(long_cells[run, 3]), start, length):
        long_cells[run, 2] = row
        return count
    if count == long_cells.shape[0]:
        return -1
    long_cells[count, 0], long_cells[count, 1], long_cells[count, 2] = column, row, row
    long_cells[count, 3], long_cells[count, 4] = np.int64(start), np.int64(length)
    latest[column] = count
    return count + 1


# ---------------------------------------------------------------- rows
@inlined
def _skip(data, at, mark):
    """The end of a cell that nobody wants."""
    while at < U(data.size) and data[at] != mark and data[at] != 10:
        at += U(1)
    return at


@inlined
def _behind(data, at, mark, last):
    """The position behind the mark, or behind the end of the row, that must stand at ``at``; the end of the text ends a row too."""
    if at == U(data.size):
        return at + U(1) if last else NOTHING
    return at + U(1) if data[at] == (10 if last else mark) else NOTHING


@compiled
def read_rows(data, dates, mark, wanted, seconds, values, starts, shortest, long_cells, latest):
    """(rows read or -1, entries of ``long_cells``). ``starts`` and ``shortest`` are filled where they have room; ``latest``: -1 for each column."""
    width, rows = values.shape
    remember = starts.size > 0
    month, before, days = U(0), np.int64(0), np.int64(0)
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
                at, seconds[row], month, before, days = _stamp(data, at, month, before, days)
            elif not wanted[column]:
                at = _skip(data, at, mark)
            else:
                length, value, good = _short(data, at)
                if length:
                    at += length
                else:
                    at, value, good, more = _decimal(data, at)
                    if more:
                        long = _note_long(data, start, at, row, column, latest, long_cells, long)
                        if long < 0:
                            return -1, 0
                values[column, row] = value
                plain |= good << U(column & 63)
            if at == NOTHING:
                return -1, 0
            at = _behind(data, at, mark, column == width - 1)
            if at == NOTHING:
                return -1, 0
        if remember:
            shortest[row] = plain
        row += 1
    if remember:
        starts[cell] = np.int32(at)
    return row, long
