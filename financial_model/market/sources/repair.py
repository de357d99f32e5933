"""From somebody's columns to our bars: units, adjustment, empty rows; what cannot be repaired is refused with its line.

In: one symbol's columns as numbers, with the line of each row. Out: a validated bar table in shares and currency units with an exact factor
where the source allows one, and what was decided on the way. It knows no files and no store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from financial_model.errors import DataError
from financial_model.market.barfile import Origin
from financial_model.market.bars import PRICES, check, complete, faultless
from financial_model.market.rules import LIMITS, price_limit
from financial_model.market.symbols import board

VOLUME_UNITS = ("auto", "shares", "lots")
PRICE_KINDS = ("auto", "raw", "adjusted")
Bars = dict[str, np.ndarray]
_HELPERS = ("preclose", "adj_close", "adjust_flag")
_UNITS = {"shares": (1.0, 1.0, 1.0), "lots": (100.0, 100.0, 1.0), "lots_thousands": (0.1, 100.0, 1000.0)}
"""amount / volume / close -> what volume and amount are multiplied by. The last is tushare's: lots and thousands of yuan."""
_ENDS = 60
_ROUNDING = 0.006
"""What a limit price rounded to a cent may add to the limit."""
_A_SHARE_STEP, _A_SHARE_AFTER_HALT, _FREE_STEP = (0.2, 3.0), (0.1, 10.0), (0.05, 20.0)
"""Close-to-close ratios beyond which two neighbouring rows cannot be on one scale: any A-share day (a free first day and a 4-for-1 split included),
after a halt of more than ten days, and where no price limit exists."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user declares; ``auto`` is detected."""

    volume_unit: str = "auto"
    prices: str = "auto"


@dataclass(kw_only=True)
class Repaired:
    """Bars of one symbol and what was decided about them."""

    columns: Bars
    """Checked: ``date`` datetime64[s], everything else float64."""
    prices: str
    unit: str
    """shares, lots, lots_thousands or unknown (taken as shares)."""
    notes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    origin: Origin | None = None
    """The text they come from, if it is one of plain decimals."""

    @property
    def rows(self) -> int:
        return len(self.columns["date"])

    @property
    def bars(self) -> pd.DataFrame:
        """The columns as a table."""
        return pd.DataFrame(self.columns)


def repair(symbol: str, time: NDArray[np.datetime64], columns: Mapping[str, NDArray[np.float64]], lines: NDArray[np.int64], *,
           options: Options, scales: Mapping[str, float], tushare: bool = False) -> Repaired:
    """Bars of ``symbol`` from its columns (our field names; ``preclose`` and ``adj_close`` become the factor and go).

    Raises ``DataError`` with the first line that cannot be what it claims.
    """
    from financial_model.kernels import bar_rows

    table = dict(columns)
    name = board(symbol)
    if name == "index":
        table.setdefault("volume", np.zeros(len(time)))
    notes: list[tuple[str, dict[str, Any]]] = []
    whole = table.keys() >= {*PRICES, "volume"}
    if whole and faultless(time, table):
        bars = complete(time, table)
    else:
        kept = _without_empty_rows(table, notes) if whole else np.ones(len(time), bool)
        if not kept.any() and len(time):
            raise DataError("import.only_empty_rows", name=symbol, rows=len(time))
        time, lines = time[kept], lines[kept]
        table = {column: values[kept] for column, values in table.items()}
        _refuse_negative(symbol, table, time, lines)
        bars = check(time, table, symbol, lines)
    unit = _scale_volume(symbol, name, bars, options.volume_unit, scales, tushare, notes)
    exact = _factor(bars, notes)
    kind = _kind_of_prices(name, bars, options.prices, exact, notes)
    least, most = bar_rows.extreme_ratios(bars["close"], bars["factor"])
    _refuse_mixture(symbol, name, bars, least, most, time, lines)
    _note_moves(name, bars, max(1 - least, most - 1), notes)
    if len(bars["date"]) == 1:
        notes.append(("import.note_one_row", {}))
    kept_columns = {column: values for column, values in bars.items() if column not in _HELPERS}
    return Repaired(columns=kept_columns, prices=kind, unit=unit, notes=notes)


def _without_empty_rows(table: dict[str, NDArray], notes: list) -> NDArray[np.bool_]:
    """Rows worth keeping. Rows without any price and volume are no bars; a halt given as close alone becomes a flat bar."""
    idle = ~(table["volume"] > 0)
    blank = {price: ~(table[price] != 0) | np.isnan(table[price]) for price in PRICES}
    empty = idle & blank["open"] & blank["high"] & blank["low"] & blank["close"]
    halted = idle & blank["open"] & blank["high"] & blank["low"] & ~blank["close"]
    for price in ("open", "high", "low"):
        table[price] = np.where(halted, table["close"], table[price])
    if empty.any():
        notes.append(("import.note_empty_rows", {"rows": int(empty.sum())}))
    return ~empty


def _refuse_negative(symbol: str, table: Mapping[str, NDArray], time: NDArray, lines: NDArray) -> None:
    for price in PRICES:
        bad = table.get(price, np.empty(0)) < 0
        if bad.any():
            row = int(bad.argmax())
            raise DataError("import.negative_prices", name=symbol, line=int(lines[row]), date=str(time[row])[:10],
                            value=f"{table[price][row]:g}", rows=int(bad.sum()))


# ---------------------------------------------------------------- volume
def _scale_volume(symbol: str, name: str, bars: Bars, declared: str, scales: Mapping[str, float], tushare: bool, notes: list) -> str:
    """Volume to shares and amount to currency; returns the unit found. What is declared holds where the data itself does not tell."""
    if "amount" in scales:
        bars["amount"] = bars["amount"] * scales["amount"]
    if "volume" in scales:
        bars["volume"] = bars["volume"] * scales["volume"]
        return "lots" if scales["volume"] == 100 else "shares"
    unit = _detect_unit(symbol, name, bars, tushare, declared)
    if unit == "unknown":
        if name in LIMITS and (bars["volume"] > 0).any():  # only Chinese shares are counted in lots
            notes.append(("import.note_unit_unknown", {}))
        return unit
    _, volume_scale, amount_scale = _UNITS[unit]
    for column, scale in (("volume", volume_scale), ("amount", amount_scale)):
        if scale != 1:
            bars[column] = bars[column] * scale
    if declared not in ("auto", unit):
        notes.append(("import.note_unit_differs", {}))
    elif unit != "shares":
        notes.append(("import.note_lots", {}))
    return unit


def _detect_unit(symbol: str, name: str, bars: Bars, tushare: bool, declared: str) -> str:
    """By amount / volume / close: near 1 shares, near 100 lots. Adjusted closes bend the ratio over time, so an exact end decides.

    Where that says nothing, the unit declared.
    """
    traded = (bars["volume"] > 0) & (bars["amount"] > 0)
    if not traded.any():
        return "unknown" if declared == "auto" else declared
    average = bars["amount"][traded] / bars["volume"][traded]
    if name == "index":  # index points are no price: an average share costs about 12 yuan, a lot 1,200
        return "lots" if np.median(average) > 120 else "shares"
    ratio = average / bars["close"][traded]
    units = {unit: expected for unit, (expected, *_) in _UNITS.items() if unit != "lots_thousands" or tushare}

    def near(value: float, factor: float) -> set[str]:
        return {unit for unit, expected in units.items() if abs(np.log(value / expected)) < np.log(factor)}

    exact = near(float(np.median(ratio[:_ENDS])), 1.05) | near(float(np.median(ratio[-_ENDS:])), 1.05)
    found = exact or ({declared} if declared != "auto" else near(float(np.median(ratio)), 2.0))
    if len(found) != 1:
        raise DataError("import.volume_unit", name=symbol, ratio=f"{np.median(ratio):.3g}")
    return found.pop()


# ---------------------------------------------------------------- adjustment
def _factor(bars: Bars, notes: list) -> bool:
    """Backward factor in place, from what the source says about it; True when it says anything."""
    if (bars["factor"] != 1).any():
        return True
    close = bars["close"]
    if "adj_close" in bars:
        ratio = bars["adj_close"] / close
        if np.isfinite(ratio).all() and (ratio > 0).all():
            bars["factor"] = ratio / ratio[0]
            return True
        notes.append(("import.note_column_ignored", {"column": "adj_close"}))
    if "preclose" in bars:
        reference = bars["preclose"][1:]
        known = np.isfinite(reference) & (reference > 0)
        step = np.where(known, close[:-1] / np.where(known, reference, 1.0), 1.0)
        same = np.abs(step - 1) < 1e-6
        plausible = ((step > 0.05) & (step < 20)).all()
        if len(step) == 0 or (same.mean() > 0.8 and plausible):
            bars["factor"] = np.concatenate(([1.0], np.cumprod(np.where(same, 1.0, step))))
            return bool(known.any())
        notes.append(("import.note_column_ignored", {"column": "preclose"}))
    return False


def _kind_of_prices(name: str, bars: Bars, declared: str, exact: bool, notes: list) -> str:
    """raw, adjusted or unknown. A-shares trade in whole cents, so other prices are adjusted ones, whatever was declared."""
    from financial_model.kernels import bar_rows

    flag: set[float] = set(bars["adjust_flag"][np.isfinite(bars["adjust_flag"])]) if "adjust_flag" in bars else set()
    close = bars["close"]
    if len(flag) == 1:  # baostock: 1 backward, 2 forward, 3 none
        found = "raw" if flag == {3.0} else "adjusted"
    elif name in ("main", "chinext", "star", "bse") and bar_rows.whole_cents(close) < 0.8 * len(close):
        found = "adjusted"
    else:
        return declared if declared != "auto" else "raw" if exact or name == "index" else "unknown"
    if declared not in ("auto", found):
        notes.append(("import.note_prices_differ", {"found": found}))
    return found


def _ratios(bars: Bars) -> NDArray[np.float64]:
    """[rows - 1] adjusted close over the one before."""
    adjusted = bars["close"] * bars["factor"]
    return adjusted[1:] / adjusted[:-1]


def _refuse_mixture(symbol: str, name: str, bars: Bars, least: float, most: float, time: NDArray[np.datetime64], lines: NDArray[np.int64]) -> None:
    """Two neighbouring rows that cannot be on one scale: adjusted and unadjusted, or differently adjusted, in one file.

    ``least`` and ``most`` of all ratios: where they are usual, no row is looked at.
    """
    limited = name not in ("us", "other")
    usual = _A_SHARE_STEP if limited else _FREE_STEP
    if least >= usual[0] and most <= usual[1]:
        return
    days, ratio = bars["date"], _ratios(bars)
    halted = np.diff(days) > np.timedelta64(10, "D")
    low, high = (np.where(halted & limited, _A_SHARE_AFTER_HALT[end], usual[end]) for end in (0, 1))
    bad = (ratio < low) | (ratio > high)
    if bad.any():
        row = int(bad.argmax()) + 1
        raise DataError("import.mixed_adjustment", name=symbol, line=int(lines[(time == days[row]).argmax()]), date=str(days[row])[:10],
                        before=f"{bars['close'][row - 1]:g}", after=f"{bars['close'][row]:g}")


def _note_moves(name: str, bars: Bars, largest: float, notes: list) -> None:
    """Count moves beyond the price limit of the day: raw prices without a factor, or an adjustment by subtraction, show here.

    ``largest``: of all moves; where it is within any limit, no row is looked at.
    """
    days = bars["date"]
    if name not in LIMITS or len(days) < 7 or largest <= min(limit for _, limit in LIMITS[name]) + _ROUNDING:
        return
    if np.diff(days).min() < np.timedelta64(86_400, "s"):
        return
    beyond = np.abs(_ratios(bars) - 1) > price_limit(name, days[1:]) + _ROUNDING
    beyond[:5] = False  # first days after listing may have no limit, and a file may begin there
    if beyond.any():
        notes.append(("import.note_moves", {"rows": int(beyond.sum())}))
