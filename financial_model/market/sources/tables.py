"""Files people keep prices in, as tables of text and numbers: CSV in any usual encoding, XLSX, Parquet.

In: a path. Out: a ``RawTable`` that remembers which line of the file each row came from. Second header rows, title lines and closing remarks of
known exports are taken off here. It knows headers only well enough to find the header row; what they mean is for ``columns``.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from financial_model.errors import DataError, NotFoundError, Phrase
from financial_model.market.sources.bounds import SHEET_ROWS, bounded_rows, check_parquet, check_sheet
from financial_model.market.sources.columns import FIELD_OF, TEXT_FIELDS, plain, recognised

if TYPE_CHECKING:
    from financial_model.kernels.bar_text import Cells

log = logging.getLogger(__name__)

SUFFIXES = (".parquet", ".csv", ".txt", ".tsv", ".xlsx")
NULLS = ["", "None", "none", "NaN", "nan", "NAN", "NA", "N/A", "#N/A", "null", "NULL", "-", "--", "—"]
_TITLE_LINES = 5
_HEAD_BYTES, _HEAD_ROWS = 16_384, 250
"""Of a text and of a sheet: what :func:`read_head` looks at."""
_CLOSING = re.compile(r"\s*#?\s*数据来源")


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """A table as it stands in a file."""

    path: Path
    headers: tuple[str, ...]
    first_line: int
    """Line of the file on which the first row stands (a sheet's row number, for Parquet the row itself)."""
    tickers: tuple[str, ...] = ()
    """Codes found in a second header row."""
    encoding: str = ""
    blank: NDArray[np.int64] | None = None
    """Line numbers of blank lines below the header, which are no rows."""
    content: bytes = b""
    """All bytes of the file, of text files."""
    parsed: pa.Table | None = None
    """The columns as a library read them; None with ``cells``."""
    cells: Cells | None = None
    """The numbers and where they stand in the text, column by column as in ``headers``, when it is one of ISO dates and plain decimals."""

    @cached_property
    def data(self) -> pa.Table:
        """The columns under their headers."""
        if self.parsed is not None:
            return self.parsed
        return pa.table([pa.array(self.read(header)) for header in self.headers], names=list(self.headers))

    @property
    def rows(self) -> int:
        return self.data.num_rows if self.cells is None else len(self.cells.seconds)

    def read(self, header: str) -> NDArray | None:
        """The column where it was read to numbers (float64) or times (datetime64[s]) without exception, else None."""
        if self.cells is None:
            return None
        number = self.headers.index(header)
        return self.cells.seconds.view("datetime64[s]") if number == self.cells.dates else self.cells.values[number]

    def line(self, row: int) -> int:
        """Line of the file of a row."""
        line = self.first_line + row
        for empty in self.blank if self.blank is not None else ():
            line += int(empty <= line)
        return line


def read_table(path: Path) -> RawTable:
    """The table of a file. Raises ``DataError`` (``import.*``) when it is none, ``NotFoundError`` when there is no such file."""
    if not path.is_file():
        raise NotFoundError("import.no_such_path", path=str(path)[:200])
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        check_parquet(path)
        return _parquet(path)
    if suffix == ".xlsx":
        check_sheet(path)
        return _sheet(path)
    if suffix in SUFFIXES:
        return _text(path, path.read_bytes())
    raise DataError("import.unknown_format", file=path.name, known=", ".join(SUFFIXES))


def read_head(path: Path) -> RawTable:
    """The first rows of a text or a sheet; all rows where each has its symbol; of Parquet only times and symbols, but of all rows."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        check_parquet(path)
        return _parquet(path, ("date", "time", "symbol", "name"))
    if suffix == ".xlsx":
        check_sheet(path)
        head = _sheet(path, _HEAD_ROWS)
    else:
        with path.open("rb") as stream:
            raw = stream.read(_HEAD_BYTES)
        if len(raw) == _HEAD_BYTES:
            raw = raw[: raw.rfind(b"\n") + 1 + raw.startswith(b"\xff\xfe")]  # a line ends in two bytes there
        head = _text(path, raw)
    return read_table(path) if any(FIELD_OF.get(plain(header)) == "symbol" for header in head.headers) else head


# ---------------------------------------------------------------- text
def _text(path: Path, raw: bytes) -> RawTable:
    content, encoding = _decoded(raw, path)
    delimiter, top, headers, tickers, below = _head(content, path)
    start = _offset(content, top + 1 + below)
    cells = _simple(memoryview(content)[start:], headers, delimiter)
    if cells is not None:
        return RawTable(path=path, headers=headers, first_line=top + 2 + below, tickers=tickers, encoding=encoding, content=raw, cells=cells)
    types = {label: pa.string() for label in headers if FIELD_OF.get(plain(label)) in TEXT_FIELDS}
    ragged: list[int] = []

    def wrong_width(row: pyarrow.csv.InvalidRow) -> str:
        if not _CLOSING.match(row.text or "") and (row.text or "").strip():
            ragged.append(row.number or 0)
        return "skip"

    body = content[start:]
    try:
        data = pyarrow.csv.read_csv(
            io.BytesIO(body), pyarrow.csv.ReadOptions(use_threads=False, column_names=list(headers), block_size=max(1024, len(body) + 1)),
            pyarrow.csv.ParseOptions(delimiter=delimiter, invalid_row_handler=wrong_width),
            pyarrow.csv.ConvertOptions(column_types=types, null_values=NULLS, strings_can_be_null=True))
    except pa.ArrowException as error:
        if not body.strip():
            raise DataError("bars.empty", name=path.name) from None
        raise DataError("import.unreadable", file=path.name, reason=str(error).splitlines()[0][:120]) from None
    blank = _blank_lines(body, top + 2 + below) if body.count(b"\n") > data.num_rows - (not body.endswith(b"\n")) else None
    table = RawTable(path=path, headers=headers, parsed=data, first_line=top + 2 + below, tickers=tickers, encoding=encoding, blank=blank,
                     content=raw)
    if ragged:
        raise DataError("import.ragged", file=path.name, line=table.line(min(ragged) - 1), columns=len(headers))
    return table


def _simple(body: memoryview, headers: tuple[str, ...], delimiter: str) -> Cells | None:
    """A table of ISO dates and plain decimals, the usual case, in a fifth of the time; None where any cell is something else."""
    from financial_model.kernels import bar_text

    fields = [FIELD_OF.get(plain(header)) for header in headers]
    if fields.count("date") != 1 or not body or {*TEXT_FIELDS} - {"date"} & set(fields):
        return None
    return bar_text.read_cells(body, len(headers), dates=fields.index("date"), mark=delimiter)


def _decoded(raw: bytes, path: Path) -> tuple[bytes, str]:
    """A file's text as UTF-8 bytes with ``\\n`` line ends, and the encoding it was in."""
    if raw.isascii() and b"\x00" not in raw:  # read in place: most files hold nothing but digits
        return (raw if b"\r" not in raw else raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")), "utf-8-sig"
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings: Sequence[str] = ("utf-16",)
    else:
        encodings = ("utf-8-sig", "gb18030")
    if b"\x00" not in raw or encodings == ("utf-16",):
        for encoding in encodings:
            try:
                text = raw.decode(encoding)
            except UnicodeDecodeError:
                continue
            plain = raw if encoding == "utf-8-sig" and not raw.startswith(b"\xef\xbb\xbf") else text.encode()
            return plain.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in plain else plain, encoding
    raise DataError("import.not_text", file=path.name)


def _offset(content: bytes, lines: int) -> int:
    """Where the line after the first ``lines`` begins."""
    position = 0
    for _ in range(lines):
        end = content.find(b"\n", position)
        if end < 0:
            return len(content)
        position = end + 1
    return position


def _blank_lines(body: bytes, first: int) -> NDArray[np.int64] | None:
    if b"\n\n" not in body and not body.startswith(b"\n"):
        return None
    ends = np.flatnonzero(np.frombuffer(body, np.uint8) == 10)
    starts = np.concatenate(([0], ends[:-1] + 1))
    return np.flatnonzero(ends == starts) + first


# ---------------------------------------------------------------- the header row
def _head(content: bytes, path: Path) -> tuple[str, int, tuple[str, ...], tuple[str, ...], int]:
    """The delimiter, and what :func:`_header` says of the first lines."""
    lines = content[:65536].split(b"\n", _TITLE_LINES + 4)[: _TITLE_LINES + 4]
    usual = _usual_header(lines[0]) if not b"".join(lines[1:]).translate(None, b"0123456789-.,") else None
    if usual is not None:
        return ",", 0, usual, (), 0
    head = [line.decode("utf-8", "ignore") for line in lines]
    delimiter = max(",\t;|", key=lambda mark: sum(line.count(mark) for line in head[: _TITLE_LINES + 1]))
    rows = [next(csv.reader([line], delimiter=delimiter), []) for line in head]
    return (delimiter, *_header(rows, path))


@lru_cache(maxsize=256)
def _usual_header(line: bytes) -> tuple[str, ...] | None:
    """The headers of a first line with nothing but numbers and commas below: the next file most often has the same. None: look closer."""
    if any(mark in line for mark in b"\t;|") or b"," not in line:
        return None
    row = next(csv.reader([line.decode("utf-8", "ignore")]), [])
    return _unique([cell.strip() for cell in row]) if recognised(row) else None


def _header(rows: list[list[str]], path: Path) -> tuple[int, tuple[str, ...], tuple[str, ...], int]:
    """(number of the header row, unique headers, tickers of a second header row, header rows below the first)."""
    known = [recognised(row) for row in rows[: _TITLE_LINES + 1]]
    if not known or max(known) == 0:
        filled = [row for row in rows if any(cell.strip() for cell in row)]
        if not filled:
            raise DataError("import.empty_file", file=path.name)
        raise DataError("import.no_header", file=path.name, found=", ".join(filled[0])[:120])
    top = known.index(max(known))
    headers, below = [cell.strip() for cell in rows[top]], 0
    tickers: tuple[str, ...] = ()
    for row in rows[top + 1 : top + 3]:
        if not _under_header(row, headers):
            break
        below += 1
        if headers[0].lower() == "price" or not headers[0]:  # yfinance: the first column is named in a row below
            headers[0] = "Date"
        tickers = tickers or tuple(dict.fromkeys(cell.strip() for cell in row[1:] if cell.strip()))
    if len(tickers) > 1:
        raise DataError("import.several_tickers", file=path.name, tickers=", ".join(tickers[:5]))
    return top, _unique(headers), tickers, below


def _under_header(row: list[str], headers: list[str]) -> bool:
    """A further header row holds no number at all and no date in its first cells."""
    if len(row) != len(headers) or not {"open", "close"} <= {FIELD_OF.get(plain(header)) for header in headers}:
        return False
    cells = [cell.strip() for cell in row if cell.strip()]
    words = [cell for cell in cells if not re.match(r"\d{4}[-/.年]\d|[-+\d.,%eE]+$", cell)]
    prices = {FIELD_OF.get(plain(header)): cell.strip() for header, cell in zip(headers, row, strict=True)}
    empty_prices = not any(prices.get(name) for name in ("open", "high", "low", "close"))
    return len(words) == len(cells) and (empty_prices or prices.get("open") == prices.get("close")) and bool(cells)


def _unique(headers: Sequence[str]) -> tuple[str, ...]:
    """Repeated headers get the endings pandas gives them: volume, volume.1."""
    seen: dict[str, int] = {}
    out = []
    for header in headers:
        count = seen.get(header, 0)
        seen[header] = count + 1
        out.append(f"{header}.{count}" if count else header)
    return tuple(out)


# ---------------------------------------------------------------- sheets and Parquet
def _sheet(path: Path, most: int | None = None) -> RawTable:
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles that are missing and cells that are no dates: what is read is checked here
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                sheet = book.worksheets[0]
                sheet.reset_dimensions()  # what a sheet says of its size is not what it holds
                rows = bounded_rows(sheet.iter_rows(max_row=min(most or SHEET_ROWS, SHEET_ROWS), values_only=True), path)
            finally:
                book.close()
    except DataError:
        raise
    except Exception as error:  # a zip of XML from anywhere fails in a dozen ways; all of them mean the same to a user
        log.info("%s: %s: %s", path.name, type(error).__name__, error)
        raise DataError("import.unreadable", file=path.name, reason=Phrase("import.reason.workbook")) from None
    while rows and not any(cell not in (None, "") for cell in rows[-1]):
        rows.pop()
    width = max((len(row) for row in rows), default=0)
    rows = [row + [None] * (width - len(row)) for row in rows]
    head = [["" if cell is None else str(cell) for cell in row] for row in rows[: _TITLE_LINES + 4]]
    top, headers, tickers, below = _header(head, path)
    body = rows[top + 1 + below :]
    if not body:
        raise DataError("bars.empty", name=path.name)
    columns = {header: _cells([row[position] for row in body]) for position, header in enumerate(headers)}
    return RawTable(path=path, headers=headers, parsed=pa.table(columns), first_line=top + 2 + below, tickers=tickers)


def _cells(values: list) -> pa.Array:
    """A column of a sheet: numbers where every cell is one, else text."""
    if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    texts = [None if value is None or str(value).strip() in NULLS else str(value) for value in values]
    return pa.array(texts, pa.string())


def _parquet(path: Path, fields: Sequence[str] | None = None) -> RawTable:
    """``fields``: the columns that mean one of these; None: all of them."""
    try:
        only = None if fields is None else [header for header in pyarrow.parquet.read_schema(path).names if FIELD_OF.get(plain(header)) in fields]
        data = pyarrow.parquet.read_table(path, columns=only)
        headers = tuple(data.column_names)
        data.validate(full=True)  # text that is none would fail where it is used
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        log.info("%s: %s", path.name, error)
        raise DataError("import.unreadable", file=path.name, reason=Phrase("import.reason.parquet")) from None
    if not recognised(headers):
        raise DataError("import.no_header", file=path.name, found=", ".join(headers)[:120])
    return RawTable(path=path, headers=headers, parsed=data, first_line=1)
