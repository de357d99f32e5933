"""What a trade costs and in which quantities one may trade.

In: side, amount, date, board. Out: fees in currency, whole lots. Stamp duty and transfer fee come from the dated tables of the market layer;
commission and slippage are the user's. It knows no portfolio.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from financial_model.market.rules import Fees, fees

BUY, SELL = "buy", "sell"
CHINESE = ("main", "chinext", "star", "bse", "fund")
"""Boards with T+1, dated limits and fees, lots of a hundred; all others trade single shares on the same day with commission and slippage only."""
_LOTS = {"main": (100, 100), "chinext": (100, 100), "fund": (100, 100), "star": (200, 1), "bse": (100, 1)}
"""board -> (smallest order, step above it) when buying."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """The broker's and the market's share, as fractions of the amount."""

    commission: float = 0.00025
    commission_minimum: float = 5.0
    """Per order, in currency."""
    us_commission: float = 0.0
    us_commission_minimum: float = 0.0
    slippage: float = 0.0005
    """Distance from the open to the price paid, each side."""
    official: bool = True
    """Stamp duty and transfer fee of the day."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What one order costs, in currency."""

    commission: float
    stamp: float
    transfer: float
    slippage: float

    @property
    def total(self) -> float:
        return self.commission + self.stamp + self.transfer + self.slippage


def charge(side: str, amount: float, time: int, board: str, costs: Costs) -> Charge:
    """Costs of an order of ``amount`` (shares times open price) on the day of ``time`` (seconds)."""
    rate, minimum, stamp, transfer = _rates(side, time, board, costs)
    return Charge(commission=max(rate * amount, minimum) if amount > 0 else 0.0, stamp=amount * stamp, transfer=amount * transfer,
                  slippage=amount * costs.slippage)


def affordable(cash: float, price: float, time: int, board: str, costs: Costs) -> int:
    """The largest order in whole lots that ``cash`` pays for, costs included."""
    rate, minimum, stamp, transfer = _rates(BUY, time, board, costs)
    proportional = 1 + stamp + transfer + costs.slippage
    amount = min(cash / (proportional + rate), (cash - minimum) / proportional)  # whichever commission applies is the larger one
    return whole_lots(amount / price, board)


def _rates(side: str, time: int, board: str, costs: Costs) -> tuple[float, float, float, float]:
    """(commission, its minimum, stamp duty, transfer fee)"""
    if board not in CHINESE:
        return costs.us_commission, costs.us_commission_minimum, 0.0, 0.0
    official = _fees(int(time) // 86_400)
    stamp = 0.0 if board == "fund" else official.stamp_buy if side == BUY else official.stamp_sell
    keep = float(costs.official)
    return costs.commission, costs.commission_minimum, stamp * keep, official.transfer * keep


@lru_cache(maxsize=20_000)
def _fees(day: int) -> Fees:
    return fees(np.array([day * 86_400], np.int64))


def whole_lots(shares: float, board: str) -> int:
    """The largest number of shares not above ``shares`` that a buyer may order; 0 when it is below the smallest order."""
    smallest, step = _LOTS.get(board, (1, 1))
    whole = int(max(shares, 0.0) + 1e-9)
    return 0 if whole < smallest else smallest + (whole - smallest) // step * step
