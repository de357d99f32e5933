"""Numbers to text: rows of ISO dates and the shortest decimals that read back the same, compiled.

In: arrays, and cells of a text they were read from. Out: bytes in an array with room for them. What is not kept of a word is written over by
what follows, so the array has ``SLACK`` bytes more than its text can need.
"""

from __future__ import annotations

import numpy as np

from financial_model.kernels.words import U, compiled, digits_of, inlined, put_word, word_at

PLACES, SMALLEST, LARGEST, LARGEST_WHOLE = 6, 1e-3, 1e13, 1e15
"""Numbers that are written here: so many decimal places at most, and between these sizes; whole ones below 1e15. Others are written by pyarrow."""
STAMP, NUMBER = 19, 20
"""Room for a date with its time, and for a number."""
SLACK = 32
"""Bytes that may be written beyond what is kept."""
DONE, FULL = -1, -2
"""What :func:`write_rows` says instead of a column: all is written, or the array may be too small."""
_DAYS = 86_400 * 10**9
_EXACT = 9e15
"""Below 2**53: whole numbers up to here are exact."""


# ---------------------------------------------------------------- cells
@inlined
def _put(out, at, value, count):
    """The last ``count`` digits of a number below 10**8; the position behind."""
    put_word(out, at, digits_of(value) >> U(8) * (U(8) - count))
    return at + count


@compiled
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


@compiled
def _length(value):
    return U(1) + U(value >= 10) + U(value >= 100) + U(value >= 1000) + U(value >= 10_000) + U(value >= 100_000) + U(value >= 1_000_000) + U(
        value >= 10_000_000)


@compiled
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
    word = digits_of(U((year_of_era + era * 400 + (month <= 2)) * 10_000 + month * 100 + day))
    put_word(out, at, word)
    out[at + U(4)] = 45
    put_word(out, at + U(5), (word >> U(32) & U(0xFFFF)) | U(45 << 16) | word >> U(48) << U(24))
    return at + U(10)


@compiled
def _put_clock(out, at, seconds):
    out[at] = 32
    at = _put(out, at + U(1), U(seconds // 3600), U(2))
    out[at] = 58
    at = _put(out, at + U(1), U(seconds // 60 % 60), U(2))
    out[at] = 58
    return _put(out, at + U(1), U(seconds % 60), U(2))


@compiled
def _put_number(out, at, value):
    """The shortest decimal of ``value``; position 0 where it is not among those written here."""
    size = abs(value)
    if value < 0:
        out[at] = 45
        at += U(1)
    if not size < LARGEST_WHOLE:
        return U(0)
    above = np.int64(size)
    if above == size:
        return _put_whole(out, at, U(above))
    if not SMALLEST <= size < LARGEST:
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
            if places == PLACES:
                return U(0)
    at = _put_whole(out, at, U(above))
    out[at] = 46
    return _put(out, at + U(1), U(scaled - above * power), U(places))


@inlined
def _put_cell(out, at, value):
    """A number, or nothing for NaN; position 0 where it is not among those written here."""
    return _put_number(out, at, value) if value == value else at


@compiled
def _put_stamp(out, at, stamp, with_time):
    """The date of seconds since 1970, and the time of day if it is to be seen."""
    days = stamp // 86_400
    at = _put_date(out, at, days)
    return _put_clock(out, at, stamp - days * 86_400) if with_time else at


@inlined
def _copy(out, at, text, start, end):
    """A piece of ``text``; the position behind. Four words at a time, where they do not reach beyond the text: most rows take two turns."""
    length = end - start
    done = U(0)
    if U(text.size) - start >= length + U(SLACK):
        while done < length:
            first, second = word_at(text, start + done), word_at(text, start + done + U(8))
            third, fourth = word_at(text, start + done + U(16)), word_at(text, start + done + U(24))
            put_word(out, at + done, first)
            put_word(out, at + done + U(8), second)
            put_word(out, at + done + U(16), third)
            put_word(out, at + done + U(24), fourth)
            done += U(SLACK)
    else:
        while done < length:
            out[at + done] = text[start + done]
            done += U(1)
    return at + length


@inlined
def _again(out, at, start, length):
    """What was written at ``start`` once more, byte by byte: a word of bytes that were stored one by one a moment ago has to be waited for."""
    for i in range(length):
        out[at + U(i)] = out[start + U(i)]
    return at + length


# ---------------------------------------------------------------- rows
@compiled
def has_clock(stamps):
    """Whether any of the seconds since 1970 is not midnight."""
    for row in range(stamps.size):
        if U(stamps[row] + _DAYS) % U(86_400):  # far enough from zero for the quick division of numbers without a sign
            return True
    return False


@compiled
def all_alike(values):
    """Whether each line of ``values`` holds one number, or nothing, in all its places."""
    for line in range(values.shape[0]):
        first = values[line, 0] if values.shape[1] else 0.0
        for row in range(values.shape[1]):
            if values[line, row] != first and (first == first or values[line, row] == values[line, row]):
                return False
    return True


@compiled
def write_rows(stamps, with_time, values, slots, order, text, starts, ends, source, together, alike, known, dates, seconds, parsed, cells, shortest,
               latest, out):
    """(bytes written, column that needs its text from elsewhere, DONE or FULL).

    Column k is copied from column ``source[k]`` of the rows ``known`` where that is not -1 and the cell is as it would be written; the first
    ``together`` columns stand beside the date there too. Else it is in ``text`` where ``order[k]`` is not -1, else in ``values[slots[k]]``.
    ``alike``: the columns behind those hold the same in every row. ``latest`` [2, columns]: zeros.
    """
    at = U(0)
    length, width, columns = U(19 if with_time else 10), parsed.shape[0], source.size
    all_together = U(0)
    for column in range(together):
        all_together |= U(1) << U(source[column])
    longest = U(STAMP + 1 + SLACK + (NUMBER + 1) * columns)
    rest, head, tail = U(0), U(0), U(0)  # what follows the copied columns where that is the same in every row, and short
    above, lengths = latest[0], latest[1]  # where the cell above was written: many numbers repeat
    for row in range(stamps.size):
        if not text.size and U(out.size) < at + longest:
            return np.int64(at), FULL
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
            at = _put_stamp(out, at, stamps[row], with_time)
        if rest and begin == together:
            put_word(out, at, head)
            put_word(out, at + U(8), tail)
            at += rest
            continue
        start_of_rest = at
        for column in range(begin, columns):
            place = source[column]
            out[at] = 44
            at += U(1)
            if order[column] >= 0:
                at = _copy(out, at, text, U(starts[order[column], row]), U(ends[order[column], row]))
            elif place >= 0 and shortest[row] >> U(place) & U(1):
                at = _copy(out, at, known, U(cells[cell + place]), U(cells[cell + place + 1]) - U(1))
            elif place >= 0:
                end = _put_cell(out, at, parsed[place, row])
                if end == U(0):
                    return 0, column
                at = end
            else:
                value = values[slots[column], row]
                start = at
                if lengths[column] and value == values[slots[column], row - 1]:
                    at = _again(out, at, above[column], lengths[column])
                else:
                    at = _put_cell(out, at, value)
                    if at == U(0):
                        return 0, column
                above[column], lengths[column] = start, at - start
        out[at] = 10
        at += U(1)
        if alike and begin == together and at - start_of_rest <= U(16):
            rest, head, tail = at - start_of_rest, word_at(out, start_of_rest), word_at(out, start_of_rest + U(8))
    return np.int64(at), DONE
