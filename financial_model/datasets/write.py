"""Writing a panel: arrays in, a finished folder out, or nothing at all.

In: packed bars, computed features and conditions. Out: the folder that ``panel.open_panel`` maps. It knows no store, no settings and no
feature by name. The folder is filled under another name and renamed at the end: a kill at any moment leaves no half panel behind.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numpy.typing import NDArray

from financial_model.datasets.panel import FORMAT, HEADER, ORACLE_HORIZONS, SYMBOLS
from financial_model.datasets.splits import iso
from financial_model.errors import DataError
from financial_model.features.labels import OPENS_AT_LIMIT_DOWN, OPENS_AT_LIMIT_UP, TRADES
from financial_model.market.rules import price_limit, round_half_up
from financial_model.market.symbols import board
from financial_model.paths import storage_error

if TYPE_CHECKING:
    from financial_model.market.bars import PackedBars

SOURCES = "sources.json"
VOLATILITY_BARS, VOLATILITY_FLOOR = 21, 0.002
_FIRST_RETURNS, _TYPICAL_VOLATILITY = 5, 0.02


def write_panel(folder: Path, bars: PackedBars, feature_names: Sequence[str], values: NDArray[np.float32], conditions: NDArray[np.int8],
                ranks: NDArray[np.float32], *, fingerprint: str, synthetic: bool = False, truth: Path | None = None,
                keep: NDArray[np.bool_] | None = None, sources: Mapping[str, Any] | None = None, facts: Mapping[str, Any] | None = None,
                progress: Callable[[int, int], object] | None = None) -> Path:
    """Write the panel ``folder``, atomically; an unfinished or damaged one of that name is replaced.

    ``values [rows, features]`` may hold NaN (no history yet). ``keep [rows]``: the rows the panel shall hold, all computed with the history
    before them; stocks without a row are dropped. ``truth``: truth.npz of the demo market. ``sources`` and ``facts`` are stored as they are.
    ``StorageError`` when the disk is full, ``DataError`` for a price that is not positive.
    """
    keep = np.ones(len(bars.time), bool) if keep is None else keep
    symbols, offsets = _kept(bars, keep)
    arrays: list[tuple[str, Callable[[], NDArray]]] = [
        ("time", lambda: bars.time), ("prices", lambda: price_columns(bars)), ("conditions", lambda: conditions), ("ranks", lambda: ranks),
        ("volatility", lambda: trailing_volatility(np.log(bars.close * bars.factor), bars.offsets)), ("tradable", lambda: tradable_flags(bars)),
        ("valid", lambda: _finite_rows(values)),
    ]
    if truth is not None:
        arrays.append(("oracle", lambda: oracle_rows(bars, truth)))
    discard(folder, os.getpid())
    temporary = _unfinished(folder, os.getpid())
    try:
        temporary.mkdir(parents=True)
        for step, (name, compute) in enumerate(arrays):
            _save(temporary / f"{name}.npy", compute()[keep])
            if progress is not None:
                progress(step + 1, len(arrays) + 1)
        _save_values(temporary / "values.npy", values, keep)
        days = _days(bars, keep)
        _save(temporary / "market_time.npy", bars.market_time[days])
        _save(temporary / "market_close.npy", bars.market_close[days])
        _save(temporary / "offsets.npy", offsets)
        (temporary / SYMBOLS).write_text(json.dumps(symbols), "utf-8")
        (temporary / SOURCES).write_text(json.dumps(sources or {}), "utf-8")
        times = bars.time[keep]
        header = {
            "format": FORMAT, "fingerprint": fingerprint, "rows": int(keep.sum()), "stocks": len(symbols), "features": list(feature_names),
            "days": int(days.sum()), "market": bars.market_name, "synthetic": synthetic, "oracle": truth is not None,
            "first": iso(times.min()), "last": iso(times.max()), **(facts or {}),
        }
        (temporary / HEADER).write_text(json.dumps(header, indent=1), "utf-8")
        _publish(temporary, folder)
    except OSError as error:
        raise storage_error(error, folder) from error
    finally:
        discard(folder, os.getpid())
    if progress is not None:
        progress(len(arrays) + 1, len(arrays) + 1)
    return folder


def _unfinished(folder: Path, pid: int) -> Path:
    return folder.with_name(f".{folder.name}.{pid}.tmp")


def discard(folder: Path, pid: int) -> None:
    """Remove what process ``pid`` had written towards ``folder`` when it ended."""
    shutil.rmtree(_unfinished(folder, pid), ignore_errors=True)


def _kept(bars: PackedBars, keep: NDArray[np.bool_]) -> tuple[list[str], NDArray[np.int64]]:
    """Symbols that still have rows, and their offsets."""
    before = np.concatenate([[0], np.cumsum(keep)])[bars.offsets]
    counts = np.diff(before)
    return [s for s, n in zip(bars.symbols, counts, strict=True) if n], np.concatenate([[0], np.cumsum(counts[counts > 0])]).astype(np.int64)


def _days(bars: PackedBars, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    times = bars.time[keep]
    return (bars.market_time >= times.min()) & (bars.market_time <= times.max())


def _save(path: Path, array: NDArray) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())


def _save_values(path: Path, values: NDArray[np.float32], keep: NDArray[np.bool_], chunk: int = 1 << 18) -> None:
    """The feature rows with 0 for NaN, a piece at a time: the largest array is never copied whole."""
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (int(keep.sum()), values.shape[1])})
        for start in range(0, len(values), chunk):
            piece = values[start:start + chunk][keep[start:start + chunk]]
            stream.write(np.nan_to_num(piece, nan=0.0, posinf=0.0, neginf=0.0).astype("<f4", copy=False).tobytes())
        stream.flush()
        os.fsync(stream.fileno())


def _finite_rows(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.isfinite(values).all(axis=1), np.uint8)


def _publish(temporary: Path, folder: Path) -> None:
    """Rename into place; what stood there is moved aside first (a folder cannot be replaced in one step)."""
    if folder.exists():
        aside = folder.with_name(f".{folder.name}.{os.getpid()}.old.tmp")
        os.rename(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)
    os.rename(temporary, folder)


def price_columns(bars: PackedBars) -> NDArray[np.float64]:
    """[rows, 4] log adjusted close, log adjusted open, raw close, raw open. ``DataError`` for a price that is not positive and finite."""
    adjusted = np.stack([bars.close * bars.factor, bars.open * bars.factor], 1)
    wrong = ~(np.isfinite(adjusted) & (adjusted > 0)).all(1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        stock = int(np.searchsorted(bars.offsets, row, side="right")) - 1
        raise DataError("panel.bad_price", symbol=bars.symbols[stock], date=iso(bars.time[row]), open=float(bars.open[row]),
                        close=float(bars.close[row]), factor=float(bars.factor[row]))
    return np.column_stack([np.log(adjusted), bars.close, bars.open])


@numba.njit(cache=True, nogil=True)
def trailing_volatility(log_close, offsets):
    """[rows] float32 standard deviation of the last 21 log returns (of those there are; 0.02 before the fifth), at least 0.002.

    Each row is summed on its own: later bars cannot change it, not even in the last bit.
    """
    result = np.empty(log_close.shape[0], np.float32)
    for stock in range(offsets.shape[0] - 1):
        first = offsets[stock]
        for row in range(first, offsets[stock + 1]):
            count = min(row - first, VOLATILITY_BARS)
            if count < _FIRST_RETURNS:
                result[row] = _TYPICAL_VOLATILITY
                continue
            mean = (log_close[row] - log_close[row - count]) / count
            total = 0.0
            for k in range(row - count + 1, row + 1):
                distance = log_close[k] - log_close[k - 1] - mean
                total += distance * distance
            result[row] = max(np.sqrt(total / (count - 1)), VOLATILITY_FLOOR)
    return result


def tradable_flags(bars: PackedBars) -> NDArray[np.uint8]:
    """[rows] TRADES where there was volume and no suspension, and whether the bar opened at its upper or lower price limit."""
    trades = bars.volume > 0
    if "tradable" in bars.extra:
        trades &= ~(bars.extra["tradable"] == 0)
    flags = np.zeros(len(trades), np.uint8)
    flags[trades] = TRADES
    for stock, symbol in enumerate(bars.symbols):
        rows = slice(int(bars.offsets[stock]), int(bars.offsets[stock + 1]))
        np.bitwise_or(flags[rows], _limit_flags(symbol, bars.time[rows], bars.open[rows], bars.close[rows], bars.factor[rows]), out=flags[rows])
    return flags


def _limit_flags(symbol: str, time: NDArray, opened: NDArray, close: NDArray, factor: NDArray) -> NDArray[np.uint8]:
    flags = np.zeros(len(time), np.uint8)
    if len(time) < 2:
        return flags
    reference = round_half_up(close[:-1] * factor[:-1] / factor[1:])  # on an ex-day the ex-reference price
    kind, age = board(symbol), np.arange(2, len(time) + 1)
    up = price_limit(kind, time[1:], listed_days=age, side="up")
    if not np.isfinite(up).any():
        return flags
    down = price_limit(kind, time[1:], listed_days=age, side="down")
    with np.errstate(invalid="ignore"):
        flags[1:][np.isfinite(up) & (opened[1:] >= round_half_up(reference * (1 + up)) - 1e-6)] |= OPENS_AT_LIMIT_UP
        flags[1:][np.isfinite(down) & (opened[1:] <= round_half_up(reference * (1 - down)) + 1e-6)] |= OPENS_AT_LIMIT_DOWN
    return flags


def oracle_rows(bars: PackedBars, truth: Path) -> NDArray[np.float32]:
    """[rows, 10] the demo market's true expectations by symbol and date, NaN where it has none. ``DataError`` when the file cannot be read."""
    try:
        with np.load(truth, allow_pickle=False) as archive:
            symbols, time, expected = archive["symbols"].astype(str), archive["time"].astype(np.int64), archive["expected"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError("panel.bad_truth", path=str(truth), reason=str(error)[:200]) from error
    column = {symbol: i for i, symbol in enumerate(symbols)}
    result = np.full((len(bars.time), ORACLE_HORIZONS), np.nan, np.float32)
    for stock, symbol in enumerate(bars.symbols):
        if symbol not in column:
            continue
        rows = np.arange(bars.offsets[stock], bars.offsets[stock + 1])
        day = np.minimum(np.searchsorted(time, bars.time[rows]), len(time) - 1)
        known = time[day] == bars.time[rows]
        result[rows[known]] = expected[day[known], column[symbol], :ORACLE_HORIZONS]
    return result
