"""The file of one symbol: UTF-8 CSV with ISO dates, oldest first, that people can open, copy and diff.

In: checked bars, or a path. Out: bytes, or columns as arrays. Numbers are written with the fewest digits that read back the same.
It knows no database and no vendor.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from financial_model.errors import DataError

if TYPE_CHECKING:
    from financial_model.kernels.bar_text import Cells

Columns = dict[str, NDArray]
"""``date`` int64 seconds, everything else float64, all of one length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The text that columns were read from, cell by cell."""

    cells: Cells
    places: Mapping[str, int]
    """Name of a column -> its number in the text."""


def encode(columns: Mapping[str, NDArray], origin: Origin | None = None) -> memoryview:
    """The CSV of checked columns (``date`` datetime64[s], the others float64); daily dates without a time.

    With ``origin`` cells whose numbers are as they were read are copied, not written anew: the same bytes in a fraction of the time.
    """
    from financial_model.kernels import bar_text

    names = [name for name in columns if name != "date"]
    header, arrays = ",".join(("date", *names)).encode() + b"\n", [columns[name] for name in names]
    if origin is None:
        return bar_text.write(columns["date"], arrays, header=header)
    return bar_text.write(columns["date"], arrays, header=header, cells=origin.cells, places=[origin.places.get(name, -1) for name in names])


def decode(path: Path, columns: Collection[str] | None = None) -> Columns:
    """The columns of a bar file, all or only those named (absent ones are left out). Raises ``DataError`` when it is damaged.

    ``FileNotFoundError`` passes through: only the caller knows what a missing file means.
    """
    from financial_model.kernels import bar_text

    raw = path.read_bytes()
    end = raw.find(b"\n") if b"\n" in raw else len(raw)
    header = raw[:end].decode("utf-8", "replace").strip().lstrip("\ufeff").split(",")
    wanted = [name for name in header if columns is None or name in columns]
    if len(set(header)) == len(header) and "date" in wanted and end + 1 < len(raw):
        asked = np.array([name in wanted for name in header])
        found = bar_text.read(raw[end + 1 :], len(header), dates=header.index("date"), wanted=asked)
        if found is not None:
            return {name: found[0] if name == "date" else found[1][header.index(name)] for name in wanted}
    return _by_pyarrow(path, raw, header, wanted)


def _by_pyarrow(path: Path, raw: bytes, header: list[str], wanted: list[str]) -> Columns:
    """:func:`decode` of a file that somebody else may have written: quotes, other line ends, exponents."""
    types = {name: pa.timestamp("s") if name == "date" else pa.float64() for name in wanted}
    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(raw), pyarrow.csv.ReadOptions(use_threads=False, block_size=max(len(raw), 1024), column_names=header, skip_rows=1),
            convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=wanted, null_values=[""]))
        if "date" not in table.column_names or table["date"].null_count:
            raise DataError("bars.damaged", name=path.name, reason="date")
        return {name: table[name].combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64, copy=False) if name != "date"
                else table[name].cast(pa.int64()).to_numpy() for name in table.column_names}
    except pa.ArrowException as error:
        raise DataError("bars.damaged", name=path.name, reason=str(error).splitlines()[0][:120]) from None


def digest(content: bytes | memoryview) -> str:
    """Checksum of a file's bytes, 16 hexadecimal digits."""
    from financial_model.kernels import bar_rows

    return bar_rows.checksum(content)


def to_frame(columns: Columns) -> pd.DataFrame:
    """A table with ``date`` as datetime64[s]."""
    return pd.DataFrame({name: values.astype("datetime64[s]") if name == "date" else values for name, values in columns.items()})
