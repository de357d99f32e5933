"""What is doubtful in stored bars: gaps, suspensions, empty days, impossible moves, repeated days, a wrong volume unit, bars left behind.

In: a store. Out: one row of counts per symbol, the dated findings behind them, and totals. It judges and repairs nothing; it knows no source.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from financial_model.market.bars import PackedBars, pack
from financial_model.market.calendar import exchange, sessions
from financial_model.market.rules import price_limit
from financial_model.market.symbols import board

if TYPE_CHECKING:
    import threading

    from financial_model.market.store import Store

KINDS = ("gap", "zero_volume", "limit", "repeated", "unit", "behind")
LIMIT_TOLERANCE = 0.006
"""Beyond the limit by this much of the reference price: rounding to 0.01 on a price of two yuan stays below."""
US_JUMP = 0.5
"""Move of a market without limits that is worth a look."""
LONG_GAP = 5
"""Sessions in a row without a bar that are named one by one."""
BEHIND = 5
"""Sessions a symbol may end before the newest bar of the store."""
ODD_RATIO, ODD_BARS = 5.0, 5
"""The mean price of a day is never so many times its close, or so small a part of it; one bar may be an error, so many are another unit."""
CHUNK = 500
NAMED = 20
"""Findings of one kind that are kept per symbol; all are counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SymbolIntegrity:
    """Counts of one symbol."""

    symbol: str
    rows: int
    first: str
    last: str
    missing_sessions: int
    """Sessions of the exchange between first and last bar without a bar: suspensions without rows, or gaps."""
    longest_gap: int
    suspended: int
    """Rows without volume at a flat price."""
    zero_volume: int
    """Rows without volume whose price moved."""
    limit: int
    """Closes beyond the price limit in force on the day (ex-rights reference price; historical ST is unknown)."""
    repeated: int
    """Traded days whose prices and volume are those of the day before."""
    unit: int
    """1 where amount / volume / close is not near 1, of all bars or of a stretch of them: the volume may be in lots."""
    behind: int
    """Sessions between the last bar and the newest bar of the store, if more than a few."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One doubtful place. ``value``: sessions of a gap, move of a limit break (0.12 is 12 %), ratio of a unit."""

    symbol: str
    kind: str
    date: str
    value: float


@dataclass(frozen=True, kw_only=True)
class IntegrityReport:
    symbols: list[SymbolIntegrity]
    findings: list[Finding] = field(default_factory=list)

    def totals(self) -> dict[str, int]:
        """Sums over all symbols, and how many symbols have any finding."""
        names = [entry.name for entry in fields(SymbolIntegrity) if entry.name not in ("symbol", "first", "last", "longest_gap")]
        sums = {name: sum(getattr(entry, name) for entry in self.symbols) for name in names}
        return {"symbols": len(self.symbols), "doubtful": len({entry.symbol for entry in self.findings}), **sums}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``--json`` and the page."""
        return {"totals": self.totals(), "symbols": [asdict(entry) for entry in self.symbols], "findings": [asdict(entry) for entry in self.findings]}

    def to_csv(self) -> bytes:
        """The per-symbol table, UTF-8 with byte-order mark so that spreadsheets read it."""
        stream = io.StringIO()
        writer = csv.DictWriter(stream, [entry.name for entry in fields(SymbolIntegrity)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(entry) for entry in self.symbols)
        return stream.getvalue().encode("utf-8-sig")


def check_integrity(store: Store, symbols: Sequence[str] | None = None, *, progress: Callable[[str, float, float], None] | None = None,
                    stop: threading.Event | None = None) -> IntegrityReport:
    """Look at every stored stock, or at ``symbols``. ``progress(stage, done, total)``. Raises ``Stopped``, and ``DataError`` for damaged files."""
    from financial_model.errors import Stopped

    listed = store.symbols()
    chosen = list(symbols) if symbols is not None else list(listed["symbol"])
    newest = np.datetime64(str(listed["last"].max())[:10], "D") if len(listed) else np.datetime64("NaT")
    rows: list[SymbolIntegrity] = []
    findings: list[Finding] = []
    for start in range(0, len(chosen), CHUNK):
        if stop is not None and stop.is_set():
            raise Stopped
        bars = pack(store, chosen[start : start + CHUNK], columns=())
        for index, symbol in enumerate(bars.symbols):
            entry, found = _check_symbol(bars, symbol, slice(int(bars.offsets[index]), int(bars.offsets[index + 1])), newest)
            rows.append(entry)
            findings.extend(found)
        if progress is not None:
            progress("integrity", min(start + CHUNK, len(chosen)), len(chosen))
    return IntegrityReport(symbols=rows, findings=findings)


def _check_symbol(bars: PackedBars, symbol: str, rows: slice, newest: np.datetime64) -> tuple[SymbolIntegrity, list[Finding]]:
    days = bars.time[rows].astype("datetime64[s]").astype("datetime64[D]")
    close, volume, amount = bars.close[rows], bars.volume[rows], bars.amount[rows]
    calendar = sessions(exchange(symbol), str(days[0]), str(max(days[-1], newest)))
    gaps = _gaps(calendar, days)
    flat = (bars.high[rows] == bars.low[rows]) & (volume == 0)
    empty = (volume == 0) & ~flat
    moves = _beyond_limit(symbol, days, close, bars.factor[rows], volume > 0)
    repeated = _repeated(bars, rows)
    unit = _unit(days, amount, volume, close)
    behind = int((calendar > days[-1]).sum())
    behind = behind if behind > BEHIND else 0
    long_gaps = [(first, length) for first, length in gaps if length >= LONG_GAP][:NAMED]
    found = [Finding(symbol=symbol, kind="gap", date=str(calendar[first]), value=float(length)) for first, length in long_gaps]
    found += _dated(symbol, "zero_volume", days, empty, np.zeros(len(days)))
    found += _dated(symbol, "limit", days, ~np.isnan(moves), moves)
    found += _dated(symbol, "repeated", days, repeated, np.zeros(len(days)))
    found += [Finding(symbol=symbol, kind="unit", date=date, value=ratio) for date, ratio in unit]
    found += [Finding(symbol=symbol, kind="behind", date=str(days[-1]), value=float(behind))] * bool(behind)
    entry = SymbolIntegrity(
        symbol=symbol, rows=len(days), first=str(days[0]), last=str(days[-1]), missing_sessions=sum(length for _, length in gaps),
        longest_gap=max((length for _, length in gaps), default=0), suspended=int(flat.sum()), zero_volume=int(empty.sum()),
        limit=int((~np.isnan(moves)).sum()), repeated=int(repeated.sum()), unit=len(unit), behind=behind)
    return entry, found


def _dated(symbol: str, kind: str, days: NDArray, mask: NDArray[np.bool_], values: NDArray[np.float64]) -> list[Finding]:
    return [Finding(symbol=symbol, kind=kind, date=str(days[row]), value=float(values[row])) for row in np.flatnonzero(mask)[:NAMED]]


def _gaps(calendar: NDArray, days: NDArray) -> list[tuple[int, int]]:
    """(position in the calendar, sessions) of every run of sessions without a bar between the first and last bar."""
    inside = calendar[calendar <= days[-1]]
    missing = np.flatnonzero(~np.isin(inside, days))
    if not len(missing):
        return []
    starts = np.flatnonzero(np.diff(missing, prepend=-2) > 1)
    lengths = np.diff(np.append(starts, len(missing)))
    return [(int(missing[start]), int(length)) for start, length in zip(starts, lengths, strict=True)]


def _beyond_limit(symbol: str, days: NDArray, close: NDArray, factor: NDArray, traded: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[n] the move against the reference price where it passes the limit in force, else NaN. The first five bars of a symbol are not judged."""
    moves = np.full(len(days), np.nan)
    if len(days) < 2:
        return moves
    move = (close[1:] * factor[1:]) / (close[:-1] * factor[:-1]) - 1.0
    limit = price_limit(board(symbol), days[1:])
    limit = np.where(np.isfinite(limit), limit + LIMIT_TOLERANCE, US_JUMP)
    daily = len(np.unique(days)) == len(days)
    beyond = (np.abs(move) > limit) & traded[1:] & daily
    beyond[:4] = False
    moves[1:][beyond] = move[beyond]
    return moves


def _repeated(bars: PackedBars, rows: slice) -> NDArray[np.bool_]:
    same = np.zeros(rows.stop - rows.start, bool)
    columns = [getattr(bars, name)[rows] for name in ("open", "high", "low", "close", "volume")]
    same[1:] = np.logical_and.reduce([column[1:] == column[:-1] for column in columns]) & (columns[-1][1:] > 0)
    return same


def _unit(days: NDArray, amount: NDArray, volume: NDArray, close: NDArray) -> list[tuple[str, float]]:
    """(first day, median of amount / volume / close from 1 for shares to 100 for lots) of the bars that doubt the unit: none or one such pair.

    Bars without an amount say nothing. A volume that changes its unit half-way leaves the median of all bars alone, so single bars are looked at too.
    """
    usable = np.flatnonzero((volume > 0) & (amount > 0))
    if not len(usable):
        return []
    ratio = amount[usable] / volume[usable] / close[usable]
    odd = (ratio > ODD_RATIO) | (ratio < 1 / ODD_RATIO)
    if odd.sum() >= ODD_BARS:
        return [(str(days[usable[odd.argmax()]]), float(np.median(ratio[odd])))]
    middle = float(np.median(ratio))
    return [] if 0.5 < middle < 2.0 else [(str(days[usable[0]]), middle)]
