"""Tables that leave the program: CSV that Excel reads in Chinese and that cannot carry a formula.

In: a DataFrame. Out: bytes or a file. It knows no forecast.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from financial_model.paths import atomic_write

if TYPE_CHECKING:
    import pandas as pd

BOM = b"\xef\xbb\xbf"
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell of text that begins so is a formula to a spreadsheet (OWASP, CSV injection)."""


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """UTF-8 with a byte-order mark; text that a spreadsheet would run is made text by an apostrophe. Numbers stay numbers."""
    safe = frame.rename(columns=lambda name: _harmless(name))
    for column in safe.columns:
        if not _is_number(safe[column]):
            safe[column] = safe[column].map(_harmless)
    return BOM + safe.to_csv(index=False, lineterminator="\r\n").encode("utf-8")


def write_csv(frame: pd.DataFrame, path: Path | str) -> Path:
    """:func:`csv_bytes` into a file, atomically. ``StorageError`` when it cannot be written."""
    path = Path(path)
    atomic_write(path, csv_bytes(frame))
    return path


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(_DANGEROUS) else value


def _is_number(column: pd.Series) -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
