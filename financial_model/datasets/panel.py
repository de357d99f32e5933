"""The packed panel: every chosen stock end to end in a few flat arrays, opened as memory maps.

In: the folder of a finished panel. Out: ``Panel``. Opening reads a few hundred bytes of JSON and the headers of the arrays, so it costs the
same for ten stocks and for ten thousand. How a panel comes to be is ``build.py``'s business.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from financial_model.config import CONDITIONS, RANKS, RunConfig
from financial_model.errors import DataError
from financial_model.paths import Workspace

if TYPE_CHECKING:
    from financial_model.datasets.child import Progress, Stop

FORMAT = 2
"""Raised when the meaning or the layout of a file changes; older panels are then built again."""
HEADER, SYMBOLS = "panel.json", "symbols.json"
PRICES = ("log_close", "log_open", "raw_close", "raw_open")
"""Columns of ``prices``: the first two adjusted (backward) and in natural logarithms, the last two as traded."""
LOG_CLOSE, LOG_OPEN, RAW_CLOSE, RAW_OPEN = range(4)
ORACLE_HORIZONS = 10

ARRAYS: dict[str, tuple[str, int]] = {
    "values": ("float32", -1), "time": ("int64", 0), "conditions": ("int8", len(CONDITIONS)), "ranks": ("float32", len(RANKS)),
    "prices": ("float64", len(PRICES)), "volatility": ("float32", 0), "amount": ("float32", 0), "valid": ("uint8", 0), "tradable": ("uint8", 0),
}
"""Arrays with one entry per row: dtype and columns (0: a vector, -1: one per feature)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Memory maps over all rows; stock ``i`` has the rows ``offsets[i] : offsets[i + 1]``, oldest first."""

    path: Path
    feature_names: tuple[str, ...]
    fingerprint: str
    """Changes whenever a bar, a feature, an industry or the choice of stocks does."""
    market: str
    """What the market columns follow: the code of an index, or equal_weight."""
    synthetic: bool
    facts: Mapping[str, Any]
    """All of panel.json."""
    values: NDArray[np.float32]
    """[rows, features]; finite, 0 where a feature has no history yet (``valid`` is 0 there)."""
    time: NDArray[np.int64]
    """[rows] seconds since 1970 UTC."""
    conditions: NDArray[np.int8]
    """[rows, 6], index into CONDITIONS; the index after the last name means unknown."""
    ranks: NDArray[np.float32]
    """[rows, 4] in -0.5..0.5."""
    prices: NDArray[np.float64]
    """[rows, 4], columns PRICES."""
    volatility: NDArray[np.float32]
    """[rows] standard deviation of the last 21 daily log returns, at least 0.002."""
    amount: NDArray[np.float32]
    """[rows] money traded a bar, mean of the last 20; NaN where it is not known."""
    valid: NDArray[np.uint8]
    """[rows] 1 where every feature is finite."""
    tradable: NDArray[np.uint8]
    """[rows] bits TRADES, OPENS_AT_LIMIT_UP, OPENS_AT_LIMIT_DOWN of ``features.labels``; without TRADES: suspended or no volume."""
    offsets: NDArray[np.int64]
    """[symbols + 1]"""
    oracle: NDArray[np.float32] | None
    """[rows, 10] expected log return over 1..10 days given the past; the demo market alone knows it."""
    market_time: NDArray[np.int64]
    market_close: NDArray[np.float64]
    """[days] level of the index named in ``market``."""

    @property
    def rows(self) -> int:
        return len(self.time)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Read when first asked for: this is the only part that grows with the number of stocks."""
        return tuple(json.loads((self.path / SYMBOLS).read_text("utf-8")))

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self.symbols)}

    def rows_of(self, symbol: str) -> slice:
        """The rows of one stock. ``DataError`` when the panel does not hold it."""
        if symbol not in self._positions:
            raise DataError("panel.symbol_absent", symbol=symbol)
        position = self._positions[symbol]
        return slice(int(self.offsets[position]), int(self.offsets[position + 1]))

    def symbol_index(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which stock each row belongs to (index into ``symbols``)."""
        return np.searchsorted(self.offsets, rows, side="right") - 1


def build_panel(workspace: Workspace, config: RunConfig, *, progress: Progress | None = None, stop: Stop | None = None) -> Path:
    """The panel of ``config``, made in a child process unless the one on disk is still true. Returns its folder.

    ``progress(stage, done, total)`` is called with stage "panel" and percent. ``stop`` (an event) raises ``Stopped`` and leaves nothing behind.
    Raises the ``KairosError`` that says why there can be no such panel.
    """
    from financial_model.datasets.build import build  # it opens panels itself

    return build(workspace, config, progress=progress, stop=stop)


def open_panel(path: Path) -> Panel:
    """Map the panel in ``path``. ``DataError`` when it is absent, cut short or of another version; delete it or build it again then."""
    path = Path(path)
    try:
        header = json.loads((path / HEADER).read_text("utf-8"))
        if header["format"] != FORMAT:
            raise DataError("panel.other_version", path=str(path))
        arrays = {name: _array(path, name, dtype, _shape(columns, header)) for name, (dtype, columns) in ARRAYS.items()}
        oracle = _array(path, "oracle", "float32", (header["rows"], ORACLE_HORIZONS)) if header["oracle"] else None
        return Panel(
            path=path, feature_names=tuple(header["features"]), fingerprint=header["fingerprint"], market=header["market"],
            synthetic=header["synthetic"], facts=header, oracle=oracle, **arrays,
            offsets=_array(path, "offsets", "int64", (header["stocks"] + 1,)), market_time=_array(path, "market_time", "int64", (header["days"],)),
            market_close=_array(path, "market_close", "float64", (header["days"],)))
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:  # absent, cut short, not JSON, fields missing
        raise DataError("panel.damaged", path=str(path), reason=f"{type(error).__name__}: {error}"[:200]) from error


def _shape(columns: int, header: Mapping[str, Any]) -> tuple[int, ...]:
    if columns == 0:
        return (header["rows"],)
    return (header["rows"], len(header["features"]) if columns < 0 else columns)


def _array(path: Path, name: str, dtype: str, shape: tuple[int, ...]) -> Any:
    """A read-only map of one .npy file. ``ValueError`` when it is cut short or is not the array that panel.json announces.

    Three times as fast as ``numpy.load``, which counts: a panel is a dozen files and is opened often.
    """
    with (path / f"{name}.npy").open("rb") as stream:
        np.lib.format.read_magic(stream)
        found, columns_first, kind = np.lib.format.read_array_header_1_0(stream)
        if kind != np.dtype(dtype) or found != shape or columns_first:
            raise ValueError(f"{name} is {kind}{found}, expected {dtype}{shape}")
        memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(memory, kind, math.prod(shape), stream.tell()).reshape(shape)
