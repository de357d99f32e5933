"""Files that are small on disk and enormous in memory: sheets and Parquet files are asked how large they become before they are opened.

In: a path. Out: nothing, or ``DataError``. (What a ZIP of tables grows to is counted while it is unpacked, in ``archives``.)
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import pyarrow.parquet

from financial_model.errors import DataError

SHEET = 1_000_000_000
"""Bytes of XML that an XLSX may hold: a full sheet of a million rows has a third of it. Python reads no member beyond the size it claims."""
CELLS = 1_000_000_000
"""Rows times columns of a Parquet file: all A-shares since 1990 with twenty columns have three quarters of it."""


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
    """``DataError`` for a table of more than ``CELLS`` cells; its footer says so, and decides what is read."""
    try:
        facts = pyarrow.parquet.read_metadata(path)
    except (pyarrow.ArrowException, OSError):
        return
    if facts.num_rows * facts.num_columns > CELLS:
        raise DataError("import.table_too_large", file=path.name[:80], rows=facts.num_rows, columns=facts.num_columns, limit=CELLS // 1_000_000)
