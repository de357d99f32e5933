"""The orders of one session: what a portfolio sells and buys, decided by the very rules of the backtest.

In: `MarketDays` whose last day is the session to trade on, scores of the day before, what is held and the cash. Out: `OrderPlan`.
It knows no model, no file and no later day; what the prices of a session that has not come yet are taken to be is the caller's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from financial_model.evaluation.backtest import BacktestSettings, Blocked, Book, Position, Trade
from financial_model.evaluation.costs import CHINESE, SELL
from financial_model.evaluation.market_days import MarketDays
from financial_model.evaluation.portfolio import exchange

Array = np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Shares of one stock as the session begins."""

    shares: float
    bought: int
    """Day of the last purchase, as a number on the grid; days before the grid are negative."""
    value: float
    """Shares at their last known price, in currency."""


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """What one session brings."""

    trades: list[Trade]
    """Sales first, in the order in which they are to be placed."""
    blocked: list[Blocked]
    cash_before: float
    cash_after: float
    worth: float
    """Cash and positions before the first order."""

    @property
    def costs(self) -> float:
        return sum(trade.charge.total for trade in self.trades)


def plan_orders(market: MarketDays, score: Array, held: Mapping[int, Held], cash: float, settings: BacktestSettings, *, day: int = -1) -> OrderPlan:
    """The orders of ``day`` for ``score`` [stocks] of the day before (NaN: no forecast), with ``held`` by stock number.

    A stock that would be sold but may not be yet is among ``blocked`` as ``t_plus_1`` or ``minimum_holding``.
    """
    day = day % len(market.time)
    book = Book(market, settings)
    book.cash = cash
    for stock, position in held.items():
        factor = market.factor[:day, stock]
        known = factor[np.isfinite(factor)]
        book.held[stock] = Position(shares=position.shares, bought=position.bought, factor=float(known[-1]) if len(known) else 1.0,
                                    value=position.value)
    book.open(day)
    worth = book.worth(day)
    wished, _ = exchange(score, book.held, settings.top, settings.drop, (), book.groups, book.most)
    locked = [stock for stock in wished if day - book.held[stock].bought < settings.minimum_holding]
    kept = [Blocked(day, stock, SELL, "t_plus_1" if book.held[stock].bought >= day and book.boards[stock] in CHINESE else "minimum_holding")
            for stock in locked]
    book.follow(score, day)
    return OrderPlan(trades=book.trades, blocked=[*kept, *book.blocked], cash_before=cash, cash_after=book.cash, worth=worth)
