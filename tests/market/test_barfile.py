"""The last lines of a bar file, read from its end: those of the whole file, and of one file."""

import os
from datetime import date, timedelta
from pathlib import Path

import pytest

from financial_model.market.barfile import last_lines

HEADER = "date,close,volume"
FIRST = date(2000, 1, 1)


def rows(count: int, extra: str = "") -> list[str]:
    return [f"{FIRST + timedelta(days=row)}{extra},{row + 0.25},{row * 100}" for row in range(count)]


def day(row: int) -> str:
    return str(FIRST + timedelta(days=row))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("total", [0, 1, 19, 20, 21, 140, 3000])
def test_they_are_those_of_the_whole_file(tmp_path, end, closed, total):
    path, lines = tmp_path / "a.csv", rows(total)
    path.write_bytes(end.join([HEADER, *lines]).encode() + end.encode() * closed)
    for row in {-1, 0, 5, 19, total // 2, total - 150, total - 21, total - 1, total + 5}:
        expected = lines[max(0, row + 1 - 20) : max(0, row + 1)] if row < total else lines[-20:]
        assert last_lines(path, 20, day(row)) == (HEADER, expected)


def test_wherever_the_cut_falls_no_line_is_lost_or_torn(tmp_path):
    path, lines = tmp_path / "a.csv", rows(400)
    for length in range(60):  # the last line moves the cut through two lines, byte by byte
        last = f"{day(400)},1.5,{'7' * length}"
        path.write_text("\n".join([HEADER, *lines, last, ""]), "utf-8")
        for count in (20, 150, 190):
            assert last_lines(path, count, day(400))[1] == [*lines, last][-count:]


def test_several_bars_a_day_all_count(tmp_path):
    path = tmp_path / "a.csv"
    lines = [line for pair in zip(rows(200, " 10:30:00"), rows(200, " 15:00:00"), strict=True) for line in pair]
    path.write_text("\n".join([HEADER, *lines]), "utf-8")
    assert last_lines(path, 20, day(190)) == (HEADER, lines[362:382])


def test_what_stands_before_them_is_not_read(tmp_path):
    path, lines = tmp_path / "a.csv", rows(3000)
    content = bytearray("\n".join([HEADER, *lines]).encode())
    content[5000] = 0xFF
    path.write_bytes(content)
    assert last_lines(path, 20, day(2999))[1] == lines[-20:]
    with pytest.raises(ValueError):
        last_lines(path, 20, day(200))


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no file that is open")
def test_a_file_that_takes_its_place_meanwhile_is_not_mixed_in(tmp_path, monkeypatch):
    path, newer, lines = tmp_path / "a.csv", tmp_path / "b.csv", rows(3000)
    path.write_text("\n".join([HEADER, *lines]), "utf-8")
    newer.write_text("date,open,close,volume\n" + "\n".join(f"{day(row)},9,9,9" for row in range(100)), "utf-8")
    really = Path.open

    def replaced_once_open(self, *arguments, **named):
        file = really(self, *arguments, **named)
        if newer.exists():
            os.replace(newer, path)
        return file

    monkeypatch.setattr(Path, "open", replaced_once_open)
    assert last_lines(path, 20, day(1500)) == (HEADER, lines[1481:1501])
    assert last_lines(path, 1, day(5000)) == ("date,open,close,volume", [f"{day(99)},9,9,9"])


def test_an_empty_file_has_no_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"")
    with pytest.raises(ValueError):
        last_lines(path, 20, day(0))
