"""The file of one symbol: UTF-8 CSV with ISO dates, oldest first, that people can open, copy and diff.

In: checked bars, or a path. Out: bytes, or columns as arrays. Numbers are written with the fewest digits that read back the same.
It knows no database and no vendor.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from financial_model.errors import DataError

Columns = dict[str, NDArray]
"""``date`` int64 seconds, everything else float64, all of one length."""


def encode(columns: Mapping[str, NDArray]) -> bytes:
    """The CSV of checked columns (``date`` datetime64[s], the others float64); daily dates without a time."""
    dates = columns["date"]
    days = dates.astype("datetime64[D]")
    arrays = [pa.array(days if (dates == days).all() else dates)]
    arrays += [_array(values) for name, values in columns.items() if name != "date"]
    table = pa.table(arrays, names=["date", *(name for name in columns if name != "date")])
    stream = io.BytesIO()
    stream.write((",".join(table.column_names) + "\n").encode())
    pyarrow.csv.write_csv(table, stream, pyarrow.csv.WriteOptions(include_header=False, quoting_style="none", batch_size=16_384))
    return stream.getvalue()


def _array(values: NDArray[np.float64]) -> pa.Array:
    """Whole numbers as integers: written the same, without the search for the shortest decimal."""
    missing = np.isnan(values)
    if not missing.any() and (np.abs(values) < 2**53).all():
        whole = values.astype(np.int64)
        if (whole == values).all():
            return pa.array(whole)
    return pa.array(values, mask=missing)


def decode(path: Path, columns: Collection[str] | None = None) -> Columns:
    """The columns of a bar file, all or only those named (absent ones are left out). Raises ``DataError`` when it is damaged.

    ``FileNotFoundError`` passes through: only the caller knows what a missing file means.
    """
    raw = path.read_bytes()
    header = raw[: raw.find(b"\n") if b"\n" in raw else len(raw)].decode("utf-8", "replace").strip().lstrip("\ufeff").split(",")
    wanted = [name for name in header if columns is None or name in columns]
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


def digest(content: bytes) -> str:
    """Hash of a file's bytes, 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def to_frame(columns: Columns) -> pd.DataFrame:
    """A table with ``date`` as datetime64[s]."""
    return pd.DataFrame({name: values.astype("datetime64[s]") if name == "date" else values for name, values in columns.items()})
