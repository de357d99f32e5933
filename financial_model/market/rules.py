"""Exchange rules that change with the date: price limits and trading fees, as tables.

In: boards, dates, previous closes. Out: limit fractions, limit prices, fees. Sources: the trading rules of the exchanges, circulars of the
Ministry of Finance; the ST change of July 2026 is reported by two public threads and not checked further.
It knows no bars and no portfolio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from financial_model.market.symbols import Symbol, board

# first day in force -> fraction of the previous close, both ways; before the first day there is no limit
LIMITS: dict[str, tuple[tuple[str, float], ...]] = {
    "main": (("1996-12-16", 0.10),),
    "chinext": (("2009-10-30", 0.10), ("2020-08-24", 0.20)),
    "star": (("2019-07-22", 0.20),),
    "bse": (("2021-11-15", 0.30),),
    "fund": (("1998-04-07", 0.10),),
}
ST_LIMITS: dict[str, tuple[tuple[str, float], ...]] = {"main": (("1998-04-22", 0.05), ("2026-07-06", 0.10))}
"""Special treatment, where it has its own limit; ChiNext and STAR keep theirs (before 2020-08-24 ChiNext had no ST)."""

# first day in force -> (sessions after listing with their own rule, limit up, limit down); inf is none
FIRST_DAYS: dict[str, tuple[tuple[str, int, float, float], ...]] = {
    "main": (("1996-12-16", 1, np.inf, np.inf), ("2014-01-01", 1, 0.44, 0.36), ("2023-04-10", 5, np.inf, np.inf)),
    "chinext": (("2009-10-30", 1, np.inf, np.inf), ("2014-01-01", 1, 0.44, 0.36), ("2020-08-24", 5, np.inf, np.inf)),
    "star": (("2019-07-22", 5, np.inf, np.inf),),
    "bse": (("2021-11-15", 1, np.inf, np.inf),),
}

STAMP_DUTY: tuple[tuple[str, float, float], ...] = (
    # first day, rate paid by the buyer, by the seller
    ("1997-05-12", 0.005, 0.005), ("1998-06-12", 0.004, 0.004), ("2001-11-16", 0.002, 0.002), ("2005-01-24", 0.001, 0.001),
    ("2007-05-30", 0.003, 0.003), ("2008-04-24", 0.001, 0.001), ("2008-09-19", 0.0, 0.001), ("2023-08-28", 0.0, 0.0005),
)
TRANSFER_FEE: tuple[tuple[str, float], ...] = (("2015-08-01", 0.00002), ("2022-04-29", 0.00001))
"""Both sides, of the amount. The earlier one, of Shanghai alone, was a sum per share and is left out."""


ADJUSTED_SLACK = 0.0015
"""Half a cent of 3.33 yuan: what rounding moves the limit of a stock that trades above that."""
_NO_CENT = 0.02
"""Further than this (in cents) from a whole cent, a price is none that was traded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fees:
    """What the state and the exchange take, as fractions of the amount. Commission is the broker's and a user's setting."""

    stamp_buy: float
    stamp_sell: float
    transfer: float


def to_days(dates: ArrayLike) -> NDArray[np.datetime64]:
    """``datetime64[D]`` of dates, ISO texts or int64 seconds since 1970."""
    values = np.atleast_1d(np.asarray(dates))
    if np.issubdtype(values.dtype, np.integer):
        values = values.astype("datetime64[s]")
    return values.astype("datetime64[D]")


def _in_force(table: tuple[tuple, ...], days: NDArray[np.datetime64], column: int, before: float) -> NDArray[np.float64]:
    """[n] the value of ``column`` in the row in force on each day, ``before`` where the table had not begun."""
    starts = np.array([row[0] for row in table], "datetime64[D]")
    values = np.array([before, *(row[column] for row in table)], np.float64)
    return values[np.searchsorted(starts, days, side="right")]


def price_limit(board: str, dates: ArrayLike, *, st: ArrayLike = False, listed_days: ArrayLike | None = None,
                side: str = "up") -> NDArray[np.float64]:
    """[n] limit as a fraction of the previous close (0.1 is 10 %), ``inf`` where there is none.

    ``dates`` [n]: dates or int64 seconds. ``st``: special treatment on the day. ``listed_days``: 1 on the first session after listing;
    None: listed long ago. ``side``: up or down (they differ only on a first day under the rule of 2014).
    """
    days = to_days(dates)
    if board not in LIMITS:
        return np.full(len(days), np.inf)
    limit = _in_force(LIMITS[board], days, 1, np.inf)
    if board in ST_LIMITS:
        special = np.broadcast_to(np.asarray(st, bool), days.shape)
        limit = np.where(special, np.minimum(limit, _in_force(ST_LIMITS[board], days, 1, np.inf)), limit)
    if listed_days is not None and board in FIRST_DAYS:
        age = np.broadcast_to(np.asarray(listed_days), days.shape)
        young = age <= _in_force(FIRST_DAYS[board], days, 1, 0)
        limit = np.where(young, _in_force(FIRST_DAYS[board], days, 2 if side == "up" else 3, np.inf), limit)
    return limit


def round_half_up(price: ArrayLike) -> NDArray[np.float64]:
    """To 0.01 as the exchanges do; binary neighbours of a half (11.055 held as 11.0549999) count as the half."""
    return np.floor(np.asarray(price, np.float64) * 100 + 0.5 + 1e-6) / 100


def at_limit(price: ArrayLike, reference: ArrayLike, limit: ArrayLike, side: str = "up") -> NDArray[np.bool_]:
    """[n] whether ``price`` is ``limit`` (a fraction, ``inf`` for none) or more away from ``reference``, the close before or ex-reference price.

    A price in cents is compared with the limit price, which is rounded to one; a tenth of a cent is forgiven, it may have been a 32-bit float.
    An adjusted price has lost its cents, and the limit its rounding: there :data:`ADJUSTED_SLACK` is forgiven, or every other limit would be missed.
    """
    prices, references, sign = np.asarray(price, np.float64), np.asarray(reference, np.float64), 1 if side == "up" else -1
    share = 1 + sign * np.asarray(limit, np.float64)
    in_cents = np.abs(100 * prices - np.round(100 * prices)) < _NO_CENT
    level = np.where(in_cents, round_half_up(round_half_up(references) * share) - sign * 1e-3, references * share * (1 - sign * ADJUSTED_SLACK))
    return np.isfinite(limit) & (sign * prices >= sign * level)


def limit_prices(symbol: str | Symbol, date: ArrayLike, previous_close: float, st: bool = False,
                 listed_days: int | None = None) -> tuple[float, float]:
    """(lowest, highest) price allowed on ``date``; ``(0, inf)`` where there is no limit.

    ``previous_close`` is the raw close of the session before, on an ex-day the ex-reference price.
    """
    name = board(symbol)
    up, down = (float(price_limit(name, date, st=st, listed_days=listed_days, side=side)[0]) for side in ("up", "down"))
    lowest = float(round_half_up(previous_close * (1 - down))) if np.isfinite(down) else 0.0
    highest = float(round_half_up(previous_close * (1 + up))) if np.isfinite(up) else float("inf")
    return lowest, highest


def fees(date: ArrayLike) -> Fees:
    """Stamp duty and transfer fee of A-shares in force on ``date``."""
    day = to_days(date)[:1]
    return Fees(stamp_buy=float(_in_force(STAMP_DUTY, day, 1, 0.0)[0]), stamp_sell=float(_in_force(STAMP_DUTY, day, 2, 0.0)[0]),
                transfer=float(_in_force(TRANSFER_FEE, day, 1, 0.0)[0]))
