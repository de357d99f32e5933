"""Rows of dates and decimals between text and arrays: equal to a library's parser and writer, or handed over to it."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from financial_model.kernels import bar_text

DAYS = np.datetime64("2024-02-27", "s") + np.arange(6) * np.timedelta64(86_400, "s")


def read(text: str, width: int, **options):
    return bar_text.read(text.encode(), width, **{"dates": 0, "wanted": np.ones(width, bool), **options})


def by_pyarrow(dates, columns) -> bytes:
    days = dates.astype("datetime64[D]")
    arrays = [pa.array(days if (dates == days).all() else dates), *(pa.array(column, mask=np.isnan(column)) for column in columns)]
    stream = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    pyarrow.csv.write_csv(pa.table(arrays, names=[f"c{number}" for number in range(len(arrays))]), stream, options)
    return stream.getvalue()


def hard_numbers(seed: int, rows: int) -> np.ndarray:
    """Prices, factors with all their digits, sums of money, volumes, gaps, and numbers of every size."""
    random = np.random.default_rng(seed)
    kinds = [
        np.round(random.lognormal(3, 2, rows), 2), np.round(random.lognormal(0, 1, rows), 5), random.lognormal(0, 1, rows),
        np.repeat(random.lognormal(0, 1, rows // 10 + 1), 10)[:rows], random.integers(0, 10**14, rows).astype(float),
        np.round(random.lognormal(15, 2, rows), 1), random.lognormal(0, 30, rows), -np.round(random.lognormal(3, 2, rows), 3)]
    table = np.array(kinds)
    table[random.random(table.shape) < 0.05] = np.nan
    return table


@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_is_what_pyarrow_writes_or_plainer_and_reads_back_the_same(seed):
    rows = 400
    dates = np.datetime64("1990-01-01", "s") + np.sort(np.random.default_rng(seed).choice(40_000, rows, replace=False)) * np.timedelta64(86_400, "s")
    if seed % 2:
        dates = dates + np.timedelta64(9 * 3600 + 31 * 60 + 5, "s")
    columns = list(hard_numbers(seed, rows))
    text = bytes(bar_text.write(dates, columns))
    for ours, theirs in zip(text.decode().splitlines(), by_pyarrow(dates, columns).decode().splitlines(), strict=True):
        for cell, other in zip(ours.split(","), theirs.split(","), strict=True):
            assert cell == other or ("e" in other and float(cell) == float(other))
    read_here = [*range(6), 7]  # not the column with exponents
    wanted = np.isin(np.arange(9), [0, *(column + 1 for column in read_here)])
    seconds, values = bar_text.read(text, 9, dates=0, wanted=wanted)
    assert np.array_equal(seconds, dates.astype(np.int64))
    assert np.array_equal(values[[column + 1 for column in read_here]], np.array(columns)[read_here], equal_nan=True)


def test_cells_with_every_digit_are_read_exactly():
    cells = ["0.30000000000000004", "0.30000000000000004", "1.2345678901234567", "", "123456789012345678", "0.1"]
    _, values = read("".join(f"2024-01-{day + 1:02d},{cell}\n" for day, cell in enumerate(cells)), 2)
    assert np.array_equal(values[1], [float(cell) if cell else np.nan for cell in cells], equal_nan=True)


def test_the_last_line_may_lack_its_end_and_the_date_may_stand_anywhere():
    seconds, values = read("1.5;2024-02-29 09:31:05;-2\n;2024-03-01T00:00:00;3", 3, dates=1, mark=";")
    assert list(seconds.astype("datetime64[s]").astype(str)) == ["2024-02-29T09:31:05", "2024-03-01T00:00:00"]
    assert np.array_equal(values[0], [1.5, np.nan], equal_nan=True) and list(values[2]) == [-2, 3]


def test_columns_nobody_wants_may_hold_anything():
    _, values = read("2024-01-02,x y,7\n", 3, wanted=np.array([True, False, True]))
    assert values[2] == 7


@pytest.mark.parametrize("text", [
    "2024-01-02,1,2\n", "2024-01-02\n", "2024-01-02,1\n\n", "\n2024-01-02,1\n", "2024-02-30,1\n", "2023-02-29,1\n", "2024-13-01,1\n",
    "2024-1-02,1\n", "20240102,1\n", ",1\n", "2024-01-02 24:00:00,1\n", "2024-01-02 09:3,1\n", "2024-01-02,1e5\n", "2024-01-02,+1\n",
    "2024-01-02,1.\n", "2024-01-02,.5\n", "2024-01-02,-\n", "2024-01-02,1.2.3\n", "2024-01-02,nan\n", "2024-01-02, 1\n", "2024-01-02,1\r\n",
    '2024-01-02,"1"\n', "2024-01-02,1,\n", "2024-01-0", "2024-01-02"])
def test_anything_else_is_left_to_a_full_parser(text):
    assert read(text, 2) is None


def test_every_day_of_four_centuries_keeps_its_date():
    dates = np.arange(np.datetime64("1890-01-01"), np.datetime64("2290-01-01")).astype("datetime64[s]")
    text = bytes(bar_text.write(dates, [np.ones(len(dates))]))
    assert text.startswith(b"1890-01-01,1\n") and text.split(b",1\n")[:-1] == [str(day)[:10].encode() for day in dates]
    seconds, _ = read(text.decode(), 2)
    assert np.array_equal(seconds, dates.astype(np.int64))


CELLS = ["0", "00", "-0", "0.0", "1", "1.0", "1.50", "01.5", "10", "12.34", "123456.78", "0.001", "0.0009", "0.5", "-3.25", "", "1234567", "12345678",
         "123456789012345", "1234567890123456", "99999999999999.5", "1.234567", "1.2345678", "0.30000000000000004", "100000000000000000000", "9.99"]


def any_rows(seed: int, mark: str, clock: bool) -> str:
    random = np.random.default_rng(seed)
    lines = [mark.join([*random.choice(CELLS, 2), f"20{day // 28:02d}-02-{day % 28 + 1:02d}" + " 09:31:00" * clock, *random.choice(CELLS, 4)])
             for day in range(300)]
    return "\n".join(lines) + "\n" * (seed % 2)


@pytest.mark.parametrize("mark, clock", [(",", False), (",", True), (";", False)])
@pytest.mark.parametrize("seed", range(4))
def test_cells_that_are_copied_are_what_would_be_written(seed, mark, clock):
    cells = bar_text.read_cells(any_rows(seed, mark, clock).encode(), 7, dates=2, mark=mark)
    assert np.array_equal(cells.block[[0, 1, 3, 4, 5, 6]], bar_text.read(
        any_rows(seed, mark, clock).encode(), 7, dates=2, wanted=np.ones(7, bool), mark=mark)[1][[0, 1, 3, 4, 5, 6]], equal_nan=True)
    dates, random = cells.seconds.astype("datetime64[s]"), np.random.default_rng(seed)
    changed = np.where(random.random(len(dates)) < 0.1, 7.25, cells.values[5])
    for columns, places in (
            ([*cells.values[3:]], [3, 4, 5, 6]), ([*cells.values[3:], np.ones(len(dates)), np.full(len(dates), np.nan)], [3, 4, 5, 6, -1, -1]),
            ([cells.values[6], cells.values[0], cells.values[3].copy(), changed, 100 * cells.values[4]], [6, 0, 3, 5, 4])):
        assert bar_text.write(dates, columns, cells=cells, places=places) == bar_text.write(dates, columns)
        later = dates + np.timedelta64(86_400, "s")
        assert bar_text.write(later, columns, cells=cells, places=places) == bar_text.write(later, columns)
        assert bar_text.write(dates[1:], [column[1:] for column in columns], cells=cells, places=places) == bar_text.write(
            dates[1:], [column[1:] for column in columns])


def test_numbers_whose_text_is_remembered_cannot_be_changed_in_place():
    cells = bar_text.read_cells(b"2024-01-02,1\n", 2, dates=0)
    with pytest.raises(ValueError, match="read-only"):
        cells.values[1] *= 2


def test_a_cell_of_every_length_before_the_end_of_the_text_is_read():
    for digits in range(1, 16):
        for places in range(digits):
            number = "123456789012345"[:digits]
            text = f"{number[: digits - places]}.{number[digits - places:]}".rstrip(".")
            _, values = read(f"2024-01-02,{text},{text}", 3)
            assert list(values[1:, 0]) == [float(text)] * 2
