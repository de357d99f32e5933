"""A portfolio that follows a forecast under the rules of the market, day by day.

In: `MarketDays`, scores on the same grid, settings. Out: `Backtest`: equity with and without costs, what was traded and what was blocked.
A score stands after the close of its day and is traded at the next open. It knows no model; costs, selection and figures are in their own files.

Every simplification is on the careful side or stated: no substitute is bought for a blocked stock, the cash of a sale buys on the same day
(as the exchange allows), dividends are reinvested at the ex-date's reference price without tax, orders move no price beyond the slippage.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from financial_model.errors import DataError
from financial_model.evaluation.costs import BUY, CHINESE, SELL, Charge, Costs, affordable, charge, whole_lots
from financial_model.evaluation.market_days import MarketDays
from financial_model.evaluation.portfolio import exchange

Array = np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class BacktestSettings:
    """How the portfolio is run."""

    top: int = 30
    """Stocks held."""
    drop: int = 5
    """Stocks exchanged at most per decision; 0: no limit."""
    every: int = 1
    """Sessions between decisions."""
    minimum_holding: int = 1
    """Sessions a stock is kept at least."""
    industry_cap: float = 0.0
    """Largest share of the places that one industry may take, at least one place; 0: no limit. Industries are those of today."""
    capital: float = 1_000_000.0
    volume_share: float = 0.05
    """Largest share of a day's traded amount that one order may be; 0: no limit."""
    costs: Costs = field(default_factory=Costs)


@dataclass(frozen=True, slots=True)
class Trade:
    """One executed order."""

    day: int
    stock: int
    side: str
    shares: float
    price: float
    charge: Charge
    partial: bool
    """The day's volume allowed no more."""

    @property
    def amount(self) -> float:
        return self.shares * self.price


@dataclass(frozen=True, slots=True)
class Blocked:
    """An order that could not be executed: suspended, limit, t_plus_1, lot or cash."""

    day: int
    stock: int
    side: str
    reason: str


@dataclass(frozen=True, slots=True)
class Backtest:
    """The days from the first possible trade on."""

    first: int
    """Position in ``MarketDays.time`` of the first day"""
    equity: Array
    """float64 [days] value at the close, after costs"""
    costs: Array
    """float64 [days] paid"""
    traded: Array
    """float64 [days] amount bought plus sold"""
    invested: Array
    """float64 [days] share of the equity in stocks at the close"""
    trades: list[Trade]
    blocked: list[Blocked]
    settings: BacktestSettings

    def returns(self) -> Array:
        """Net return per day, float64 [days]."""
        return self.equity / np.concatenate([[self.settings.capital], self.equity[:-1]]) - 1

    def gross_returns(self) -> Array:
        """Return per day with the day's costs given back."""
        before = np.concatenate([[self.settings.capital], self.equity[:-1]])
        return (self.equity + self.costs) / before - 1


@dataclass(slots=True)
class Position:
    """Shares of one stock."""

    shares: float
    bought: int
    """Day of the last purchase"""
    factor: float
    value: float = 0.0


def run_backtest(market: MarketDays, score: Array, settings: BacktestSettings | None = None) -> Backtest:
    """Follow ``score`` [days, stocks] (NaN: no forecast).

    ``DataError`` when no day has a forecast and a day after it, or when industries are to be limited and none is known.
    """
    settings = settings or BacktestSettings()
    if settings.industry_cap and len(set(market.industries)) < 2:
        raise DataError("evaluation.no_industries")
    signals = np.flatnonzero(np.isfinite(score).any(axis=1))
    signals = signals[signals < len(market.time) - 1]
    if not len(signals):
        raise DataError("evaluation.no_signal")
    book = Book(market, settings)
    first = int(signals[0]) + 1
    decisions = set(signals[:: settings.every].tolist()) if settings.every > 1 else set(signals.tolist())
    for day in range(first, len(market.time)):
        book.open(day)
        if day - 1 in decisions:
            book.follow(score[day - 1], day)
        book.close(day)
    return Backtest(first=first, equity=np.array(book.equity), costs=np.array(book.costs), traded=np.array(book.traded),
                    invested=np.array(book.invested), trades=book.trades, blocked=book.blocked, settings=settings)


class Book:
    """Cash and positions while the days pass: the rules by which a backtest and the orders for tomorrow both decide."""

    def __init__(self, market: MarketDays, settings: BacktestSettings) -> None:
        self.market, self.settings, self.boards = market, settings, market.boards()
        self.groups = market.industries
        self.most = max(1, int(settings.industry_cap * settings.top + 1e-9)) if settings.industry_cap else 0
        self.cash = settings.capital
        self.held: dict[int, Position] = {}
        self.trades: list[Trade] = []
        self.blocked: list[Blocked] = []
        self.equity: list[float] = []
        self.costs: list[float] = []
        self.traded: list[float] = []
        self.invested: list[float] = []

    def open(self, day: int) -> None:
        """A new day: shares grow with bonus issues and reinvested dividends."""
        self.costs.append(0.0)
        self.traded.append(0.0)
        for stock, position in self.held.items():
            factor = self.market.factor[day, stock]
            if np.isfinite(factor):
                position.shares *= factor / position.factor
                position.factor = float(factor)

    def follow(self, score: Array, day: int) -> None:
        """Sell first, then buy with what is there."""
        locked = [stock for stock, position in self.held.items() if day - position.bought < self.settings.minimum_holding]
        sell, buy = exchange(score, self.held, self.settings.top, self.settings.drop, locked, self.groups, self.most)
        for stock in sell:
            self._sell(stock, day)
        buy = buy[: max(self.settings.top - len(self.held), 0)]  # a blocked or partial sale leaves no place
        target = self.worth(day) / self.settings.top
        for done, stock in enumerate(buy):
            self._buy(stock, day, min(target, self.cash / (len(buy) - done)))

    def close(self, day: int) -> None:
        """Value at the close; a stock without a bar keeps its last price."""
        stocks = 0.0
        for stock, position in self.held.items():
            price = self.market.close[day, stock]
            if np.isfinite(price):
                position.value = position.shares * float(price)
            stocks += position.value
        self.equity.append(self.cash + stocks)
        self.invested.append(stocks / (self.cash + stocks))

    def worth(self, day: int) -> float:
        """Cash and positions at the open."""
        total = self.cash
        for stock, position in self.held.items():
            price = self.market.open[day, stock]
            total += position.shares * float(price) if np.isfinite(price) else position.value
        return total

    def _obstacle(self, stock: int, day: int, side: str) -> str | None:
        if not self.market.trades(day, stock):
            return "suspended"
        return "limit" if self.market.opens_at_limit(day, stock, side) else None

    def _volume_cap(self, stock: int, day: int) -> float:
        """Shares that one order may be at most."""
        share = self.settings.volume_share
        amount = self.market.amount[day, stock]
        return share * float(amount) / float(self.market.open[day, stock]) if share and np.isfinite(amount) else np.inf

    def _sell(self, stock: int, day: int) -> None:
        position = self.held[stock]
        reason = self._obstacle(stock, day, SELL)
        if reason is None and self.boards[stock] in CHINESE and position.bought >= day:
            reason = "t_plus_1"
        cap = 0.0 if reason else self._volume_cap(stock, day)
        shares = position.shares if position.shares <= cap else float(whole_lots(cap, self.boards[stock]))
        if reason or not shares:
            self.blocked.append(Blocked(day, stock, SELL, reason or "lot"))
            return
        self._book(stock, day, SELL, shares, partial=shares < position.shares)
        if shares == position.shares:
            del self.held[stock]
        else:
            position.shares -= shares

    def _buy(self, stock: int, day: int, cash: float) -> None:
        reason = self._obstacle(stock, day, BUY)
        if reason:
            self.blocked.append(Blocked(day, stock, BUY, reason))
            return
        wanted = affordable(cash, float(self.market.open[day, stock]), int(self.market.time[day]), self.boards[stock], self.settings.costs)
        shares = min(wanted, whole_lots(min(self._volume_cap(stock, day), wanted), self.boards[stock]))
        if not shares:
            self.blocked.append(Blocked(day, stock, BUY, "lot" if wanted else "cash"))
            return
        self._book(stock, day, BUY, float(shares), partial=shares < wanted)
        self.held[stock] = Position(shares=float(shares), bought=day, factor=float(self.market.factor[day, stock]))

    def _book(self, stock: int, day: int, side: str, shares: float, *, partial: bool) -> None:
        price = float(self.market.open[day, stock])
        fee = charge(side, shares * price, int(self.market.time[day]), self.boards[stock], self.settings.costs)
        self.cash += (shares * price if side == SELL else -shares * price) - fee.total
        self.costs[-1] += fee.total
        self.traded[-1] += shares * price
        self.trades.append(Trade(day, stock, side, shares, price, fee, partial))
