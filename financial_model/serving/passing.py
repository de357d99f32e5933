"""Answers on their way from one process to another: tables and numbers of numpy as plain JSON data, and tables again.

In: nested dictionaries, lists, tables, numbers. Out: the same; a table keeps its columns, their kinds and its ``attrs``. Never pickle. A number that
is not finite stays one: this JSON is read by Python alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model import errors
from financial_model.errors import KairosError, Phrase

if TYPE_CHECKING:
    import pandas as pd

_TABLE = "table of columns"


def packed(value: Any) -> Any:
    """``value`` out of JSON's own types. ``TypeError`` for what is none of the above."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(name): packed(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [packed(inner) for inner in value]
    if isinstance(value, Phrase | KairosError):  # a piece of a sentence
        return errors.packed(value)
    if isinstance(value, np.ndarray | np.generic):
        return packed(value.tolist())
    if hasattr(value, "columns"):
        return {_TABLE: {str(name): _column(column) for name, column in value.items()}, "attrs": packed(value.attrs)}
    raise TypeError(f"{type(value).__name__} cannot be passed on")


def _column(column: pd.Series) -> list[Any]:
    """Kind and values; of texts, no kind: they may be missing."""
    if column.dtype.kind == "M":
        return [str(column.dtype), column.astype("int64").tolist()]
    return [str(column.dtype) if column.dtype.kind in "biuf" else "", column.tolist()]


def unpacked(value: Any) -> Any:
    """What :func:`packed` was given, its tuples as lists."""
    if isinstance(value, list):
        return [unpacked(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if _TABLE not in value:
        return {name: unpacked(inner) for name, inner in value.items()}
    import pandas as pd

    table = pd.DataFrame({name: _values(*column) for name, column in value[_TABLE].items()})
    table.attrs.update(unpacked(value["attrs"]))
    return table


def _values(kind: str, values: list[Any]) -> Any:
    if not kind:
        return values
    return np.array(values, np.int64).view(kind) if kind.startswith("datetime64") else np.array(values, kind)
