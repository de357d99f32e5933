"""Writing a panel: arrays in, a finished folder out, or nothing at all.

In: packed bars, computed features and conditions. Out: the folder that ``panel.open_panel`` maps. It knows no store, no settings and no
feature by name. The folder is filled under another name and renamed at the end: a kill at any moment leaves no half panel behind.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from financial_model.datasets.panel import FORMAT, HEADER, SYMBOLS
from financial_model.datasets.row_facts import (
    fill_gaps,
    finite_rows,
    oracle_rows,
    price_columns,
    tradable_flags,
    trailing_amount,
    trailing_volatility,
    volatility_scale,
)
from financial_model.datasets.splits import iso
from financial_model.paths import storage_error

if TYPE_CHECKING:
    from financial_model.market.bars import PackedBars

SOURCES = "sources.json"


def write_panel(folder: Path, bars: PackedBars, feature_names: Sequence[str], values: NDArray[np.float32], conditions: NDArray[np.int8],
                ranks: NDArray[np.float32], *, fingerprint: str, synthetic: bool = False, truth: Path | None = None,
                keep: NDArray[np.bool_] | None = None, file: Callable[[], Path] | None = None, sources: Mapping[str, Any] | None = None,
                facts: Mapping[str, Any] | None = None, progress: Callable[[int, int], object] | None = None) -> Path:
    """Write the panel ``folder``, atomically; an unfinished or damaged one of that name is replaced.

    ``values [rows, features]`` may hold NaN (no history yet). ``keep [rows]``: the rows the panel shall hold, all computed with the history
    before them; stocks without a row are dropped. ``file()``: the .npy file in which ``values`` lie, given away; where all rows are kept it is moved
    and not copied. ``truth``: truth.npz of the demo market. ``sources`` and ``facts`` are stored as they are.
    ``StorageError`` when the disk is full, ``DataError`` for a price that is not positive.
    """
    keep = np.ones(len(bars.time), bool) if keep is None else keep
    symbols, offsets = _kept(bars, keep)
    arrays: list[tuple[str, Callable[[], NDArray]]] = [
        ("time", lambda: bars.time), ("prices", lambda: price_columns(bars)), ("conditions", lambda: conditions), ("ranks", lambda: ranks),
        ("volatility", lambda: trailing_volatility(np.log(bars.close * bars.factor), bars.offsets, volatility_scale(bars.time, bars.offsets))),
        ("amount", lambda: trailing_amount(bars.amount, bars.close, bars.volume, bars.offsets)),
        ("tradable", lambda: tradable_flags(bars)),
        ("valid", lambda: finite_rows(values)),
    ]
    if truth is not None:
        arrays.append(("oracle", lambda: oracle_rows(bars, truth)))
    temporary = _unfinished(folder, os.getpid())
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        for step, (name, compute) in enumerate(arrays):
            _save(temporary / f"{name}.npy", compute()[keep])
            if progress is not None:
                progress(step + 1, len(arrays) + 1)
        if file is not None and keep.all():
            _move_values(file(), temporary / "values.npy", values)
        else:
            _save_values(temporary / "values.npy", values, keep)
        days = _days(bars, keep)
        _save(temporary / "market_time.npy", bars.market_time[days])
        _save(temporary / "market_close.npy", bars.market_close[days])
        _save(temporary / "offsets.npy", offsets)
        (temporary / SYMBOLS).write_text(json.dumps(symbols), "utf-8")
        (temporary / SOURCES).write_text(json.dumps(sources or {}), "utf-8")
        header = {
            "format": FORMAT, "fingerprint": fingerprint, "rows": int(keep.sum()), "stocks": len(symbols), "features": list(feature_names),
            "days": int(days.sum()), "market": bars.market_name, "synthetic": synthetic, "oracle": truth is not None,
            "first": iso(bars.time[keep].min()), "last": iso(bars.time[keep].max()), **(facts or {}),
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


def _move_values(file: Path, path: Path, values: NDArray[np.float32]) -> None:
    """The feature rows with 0 for NaN, where they lie already."""
    fill_gaps(values)
    if isinstance(values, np.memmap):
        values.flush()
    try:
        os.replace(file, path)
    except PermissionError:  # Windows moves no file that is mapped
        shutil.copyfile(file, path)


def _save_values(path: Path, values: NDArray[np.float32], keep: NDArray[np.bool_], chunk: int = 1 << 13) -> None:
    """The feature rows with 0 for NaN, a piece at a time: the largest array is never copied whole."""
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (int(keep.sum()), values.shape[1])})
        for start in range(0, len(values), chunk):
            piece = values[start:start + chunk][keep[start:start + chunk]]
            fill_gaps(piece)
            stream.write(piece.astype("<f4", copy=False).data)
        stream.flush()
        os.fsync(stream.fileno())


def _publish(temporary: Path, folder: Path) -> None:
    """Rename into place; what stood there is moved aside first (a folder cannot be replaced in one step)."""
    if folder.exists():
        aside = folder.with_name(f".{folder.name}.{os.getpid()}.old.tmp")
        os.rename(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)
    os.rename(temporary, folder)
