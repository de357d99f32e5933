"""Files that are small on disk and enormous in memory: sheets and Parquet files are asked how large they become before they are opened.

In: a path. Out: nothing, or ``DataError``. (What a ZIP of tables grows to is counted while it is unpacked, in ``archives``.)
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute
import pyarrow.parquet

from financial_model.errors import DataError

SHEET = 1_000_000_000
"""Bytes of XML that an XLSX may hold: a full sheet of a million rows has a third of it. Python reads no member beyond the size it claims."""
CELLS = 1_000_000_000
"""Rows times columns of a Parquet file: all A-shares since 1990 with twenty columns have three quarters of it."""

SHEET_CELLS, SHEET_ROWS = 50_000_000, 1_048_576
"""Cells that a sheet may have once all its rows are as long as its longest (one cell far out makes a small file large), and rows: as many as Excel
knows."""
TEXT = 2_000_000_000
"""Bytes of text in a Parquet file once every row has its own copy."""


def bounded_rows(rows: Iterable[Sequence[Any]], path: Path) -> list[list[Any]]:
    """The rows of a sheet. ``DataError`` as soon as they would make a table of more than ``SHEET_CELLS`` cells."""
    found: list[list[Any]] = []
    width = 0
    for row in rows:
        found.append(list(row))
        width = max(width, len(row))
        if len(found) * width > SHEET_CELLS:
            raise DataError("import.table_too_large", file=path.name[:80], rows=len(found), columns=width, limit=SHEET_CELLS // 1_000_000)
    return found


def check_sheet(path: Path) -> None:
    """``DataError`` for a workbook that unpacks to more than ``SHEET`` bytes; a damaged one is left for its reader to name."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return
    if size > SHEET:
        raise DataError("import.sheet_too_large", file=path.name[:80], size=size // 1_000_000, limit=SHEET // 1_000_000)


def check_parquet(path: Path) -> None:
    """``DataError`` for a table of more than ``CELLS`` cells (its footer says so, and decides what is read), or of more than ``TEXT`` bytes of text:
    a column that refers to one long text a million times is small until it is read."""
    try:
        facts = pyarrow.parquet.read_metadata(path)
    except (pyarrow.ArrowException, OSError):
        return
    if facts.num_rows * facts.num_columns > CELLS:
        raise DataError("import.table_too_large", file=path.name[:80], rows=facts.num_rows, columns=facts.num_columns, limit=CELLS // 1_000_000)
    texts = [facts.schema.column(number).path for number in range(facts.num_columns) if facts.schema.column(number).physical_type == "BYTE_ARRAY"]
    size = _text_bytes(path, [name for name in texts if "." not in name])
    if size > TEXT:
        raise DataError("import.text_too_large", file=path.name[:80], size=size // 1_000_000, limit=TEXT // 1_000_000)


def _text_bytes(path: Path, columns: list[str]) -> int:
    """Bytes of the texts of ``columns``, counted without writing each of them out."""
    size = 0
    try:
        with pyarrow.parquet.ParquetFile(path, read_dictionary=columns) as file:
            for batch in file.iter_batches(columns=columns) if columns else ():
                for column in batch.columns:
                    if pyarrow.types.is_dictionary(column.type):
                        size += pyarrow.compute.sum(pyarrow.compute.binary_length(column.dictionary).take(column.indices)).as_py() or 0
                    else:
                        size += column.nbytes
                if size > TEXT:
                    break
    except (pyarrow.ArrowException, OSError):  # damaged: its reader names it
        return 0
    return size
