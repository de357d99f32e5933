"""The bar schema: what one row of prices must satisfy, whoever delivered it.

In: a table of one symbol from any source. Out: the same table, checked, sorted, complete, or a ``DataError`` that names row and reason.
Prices are raw, in currency units; volume in shares; ``factor`` is the cumulative backward adjustment, so adjusted price = price x factor.
It knows neither files nor vendors; many symbols end to end are in ``packing``, re-exported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from financial_model.errors import DataError
from financial_model.market.packing import PackedBars, pack

__all__ = ["COLUMNS", "PRICES", "PackedBars", "adjusted", "check", "columns_of", "interval", "pack", "validate"]

COLUMNS = ("date", "open", "high", "low", "close", "volume", "amount", "factor")
"""In this order in every bar file; extra numeric columns follow."""
PRICES = ("open", "high", "low", "close")
REQUIRED = ("date", *PRICES, "volume")
TOLERANCE = 1e-3
"""Relative: an open or close this little outside high and low is the source's rounding, and high or low is widened."""
_EARLIEST, _LATEST = np.datetime64("1900-01-01", "s"), np.datetime64("2200-01-01", "s")
_FIRST_SECOND, _LAST_SECOND = int(_EARLIEST.astype(int)), int(_LATEST.astype(int))


def validate(frame: pd.DataFrame, name: str, *, lines: Sequence[int] | NDArray[np.int64] | None = None) -> pd.DataFrame:
    """``frame`` as a clean bar table: ``COLUMNS`` first, then its extra numeric columns; ``date`` datetime64[s] ascending and unique.

    ``name`` is the symbol or file named in errors. ``lines[i]``: line of the file that row ``i`` came from (default: row + 2, below a header).
    Missing ``amount`` becomes NaN, missing ``factor`` 1. A row with empty volume and one flat price is a suspended day: volume 0.
    Raises ``DataError`` (``bars.*``) with the first offending line.
    """
    return pd.DataFrame(columns_of(frame, name, lines=lines))


def columns_of(frame: pd.DataFrame, name: str, *, lines: Sequence[int] | NDArray[np.int64] | None = None) -> dict[str, NDArray]:
    """What :func:`validate` returns, as arrays by name: ``date`` datetime64[s], everything else float64."""
    _require(frame.columns, len(frame), name)
    at = np.arange(2, len(frame) + 2) if lines is None else np.asarray(lines)
    columns = {str(column): frame[column] for column in frame.columns}
    time = _dates(columns.pop("date"), name, at)
    return check(time, {column: _numbers(values, column, name, at) for column, values in columns.items()}, name, at)


def check(time: NDArray[np.datetime64], columns: Mapping[str, NDArray[np.float64]], name: str,
          lines: NDArray[np.int64] | None = None) -> dict[str, NDArray]:
    """:func:`columns_of` for columns that are arrays already, ``lines`` one per row (default: row + 2)."""
    _require(("date", *columns), len(time), name)
    if faultless(time, columns):
        return complete(time, columns)
    if lines is None:
        lines = np.arange(2, len(time) + 2)
    _check_dates(time, name, lines, time)
    checked = complete(time, columns)
    _check_prices(checked, name, lines)
    _check_volume(checked, name, lines)
    order = _ascending(time, checked, name, lines)
    return {column: values[order] for column, values in checked.items()}


def complete(time: NDArray[np.datetime64], columns: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray]:
    """All columns of a bar table in their order: what :func:`check` returns where :func:`faultless` says yes."""
    table = {"date": time, **{column: columns[column] for column in REQUIRED[1:]}}
    table["amount"] = columns["amount"] if "amount" in columns else np.full(len(time), np.nan)
    table["factor"] = columns["factor"] if "factor" in columns else np.ones(len(time))
    return table | {column: np.where(np.isinf(values), np.nan, values) for column, values in columns.items() if column not in COLUMNS}


def faultless(time: NDArray[np.datetime64], columns: Mapping[str, NDArray[np.float64]]) -> bool:
    """True when :func:`check` would find nothing to refuse, repair or sort: the usual case, in one pass."""
    from financial_model.kernels import bar_rows

    return bar_rows.faultless(time.astype("datetime64[s]", copy=False).view(np.int64), columns, _FIRST_SECOND, _LAST_SECOND)


def _require(found: Iterable[str], rows: int, name: str) -> None:
    missing = [column for column in REQUIRED if column not in found]
    if missing:
        raise DataError("bars.missing_columns", name=name, missing=", ".join(missing), found=", ".join(map(str, found))[:200])
    if not rows:
        raise DataError("bars.empty", name=name)


def adjusted(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy with open, high, low and close multiplied by ``factor``: returns across ex-days are then exact."""
    out = frame.copy()
    for column in PRICES:
        out[column] = frame[column] * frame["factor"]
    return out


def interval(time: NDArray[np.datetime64] | pd.Series) -> int:
    """Seconds between neighbouring bars (the step met most often), at most 86,400: the value of daily bars; 0 for a single row."""
    from financial_model.kernels import bar_rows

    seconds = np.asarray(time, "datetime64[s]").view(np.int64)
    if len(seconds) < 2:
        return 0
    if bar_rows.shortest_step(seconds) >= 86_400:
        return 86_400
    found, counts = np.unique(np.diff(seconds), return_counts=True)
    return min(int(found[counts.argmax()]), 86_400)


def _dates(column: pd.Series, name: str, at: NDArray) -> NDArray[np.datetime64]:
    if not pd.api.types.is_datetime64_any_dtype(column):
        parsed = pd.to_datetime(column.astype(str).str.strip(), errors="coerce", format="ISO8601")
    else:
        parsed = column.dt.tz_localize(None) if column.dt.tz is not None else column
    time = parsed.to_numpy().astype("datetime64[s]")
    _check_dates(time, name, at, column)
    return time


def _check_dates(time: NDArray[np.datetime64], name: str, at: NDArray, written: Sequence | pd.Series | NDArray) -> None:
    bad = np.isnat(time) | (time < _EARLIEST) | (time > _LATEST)
    if bad.any():
        row = int(bad.argmax())
        raise DataError("bars.bad_date", name=name, line=int(at[row]), value=str(np.asarray(written)[row])[:40])


def _numbers(column: pd.Series, label: str, name: str, at: NDArray) -> NDArray[np.float64]:
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(np.float64, na_value=np.nan, copy=True)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    bad = np.isnan(numbers) & column.notna().to_numpy() & (column.astype(str).str.strip() != "").to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise DataError("bars.not_a_number", name=name, line=int(at[row]), column=label, value=str(column.iloc[row])[:40])
    return numbers


def _check_prices(columns: dict[str, NDArray[np.float64]], name: str, at: NDArray) -> None:
    """Finite, positive, and inside high and low; rounding of the source is repaired in place."""
    for column in (*PRICES, "factor"):
        values = columns[column]
        bad = ~np.isfinite(values)
        if bad.any():
            row = int(bad.argmax())
            raise DataError("bars.not_finite", name=name, line=int(at[row]), column=column)
        bad = values <= 0
        if bad.any():
            row = int(bad.argmax())
            raise DataError("bars.not_positive", name=name, line=int(at[row]), column=column, value=f"{values[row]:g}")
    open_, high, low, close = (columns[column] for column in PRICES)
    bad = high < low * (1 - TOLERANCE)
    if bad.any():
        row = int(bad.argmax())
        raise DataError("bars.high_below_low", name=name, line=int(at[row]), high=f"{high[row]:g}", low=f"{low[row]:g}")
    top, bottom = np.maximum(open_, close), np.minimum(open_, close)
    bad = (top > high * (1 + TOLERANCE)) | (bottom < low * (1 - TOLERANCE))
    if bad.any():
        row = int(bad.argmax())
        raise DataError("bars.outside_range", name=name, line=int(at[row]), open=f"{open_[row]:g}", close=f"{close[row]:g}",
                        high=f"{high[row]:g}", low=f"{low[row]:g}")
    columns["high"], columns["low"] = np.maximum(np.maximum(high, low), top), np.minimum(np.minimum(high, low), bottom)


def _check_volume(columns: dict[str, NDArray[np.float64]], name: str, at: NDArray) -> None:
    volume = columns["volume"]
    flat = (columns["high"] == columns["low"]) & np.isnan(volume)
    columns["volume"] = volume = np.where(flat, 0.0, volume)
    bad = ~np.isfinite(volume)
    if bad.any():
        row = int(bad.argmax())
        raise DataError("bars.not_finite", name=name, line=int(at[row]), column="volume")
    amount = columns["amount"] = np.where(np.isinf(columns["amount"]), np.nan, columns["amount"])
    for column, values in (("volume", volume), ("amount", amount)):
        bad = values < 0
        if bad.any():
            row = int(bad.argmax())
            raise DataError("bars.negative_volume", name=name, line=int(at[row]), column=column, value=f"{values[row]:g}")


def _ascending(time: NDArray, columns: dict[str, NDArray], name: str, at: NDArray) -> NDArray[np.int64] | slice:
    """Row order by date without exact repetitions; the same date with two contents is an error."""
    if (time[1:] > time[:-1]).all():
        return slice(None)
    order = np.argsort(time, kind="stable")
    again = np.flatnonzero(time[order][1:] == time[order][:-1])
    for position in again:
        first, second = order[position], order[position + 1]
        if any(columns[column][first] != columns[column][second] for column in (*PRICES, "volume")):
            raise DataError("bars.duplicate_date", name=name, date=_day(time[first]), line=int(at[first]), other=int(at[second]))
    return np.delete(order, again + 1)


def _day(time: np.datetime64) -> str:
    text = str(time.astype("datetime64[s]"))
    return text[:10] if text.endswith("T00:00:00") else text.replace("T", " ")
