"""The orders of a session are what the backtest would have traded on it: one rule, two callers."""

import numpy as np
import pytest

from financial_model.datasets.splits import seconds
from financial_model.evaluation.backtest import BacktestSettings, Book, Position
from financial_model.evaluation.market_days import MarketDays
from financial_model.evaluation.ordering import Held, plan_orders
from financial_model.features.labels import OPENS_AT_LIMIT_DOWN, OPENS_AT_LIMIT_UP, TRADES

DAY = 86_400
MONDAY = seconds("2024-03-04")
SYMBOLS = ("600000.SH", "688001.SH", "300001.SZ", "830001.BJ", "600004.SH", "000002.SZ", "AAPL", "600007.SH")


def random_market(seed, days=30):
    """Prices, ex-days, suspensions, openings at the limit and thin days for every board."""
    random = np.random.default_rng(seed)
    shape = (days, len(SYMBOLS))
    close = 20 * np.exp(np.cumsum(random.normal(0, 0.02, shape), axis=0))
    opened = close * np.exp(random.normal(0, 0.01, shape))
    flags = np.where(random.random(shape) < 0.08, 0, TRADES).astype(np.uint8)
    flags[random.random(shape) < 0.05] |= OPENS_AT_LIMIT_UP
    flags[random.random(shape) < 0.05] |= OPENS_AT_LIMIT_DOWN
    factor = np.cumprod(np.where(random.random(shape) < 0.03, 1.1, 1.0), axis=0)
    missing = random.random(shape) < 0.04
    for grid in (opened, close, factor):
        grid[missing] = np.nan
    flags[missing] = 0
    return MarketDays(time=MONDAY + DAY * np.arange(days), symbols=SYMBOLS, open=opened, close=close, factor=factor,
                      amount=np.exp(random.normal(15, 2, shape)), flags=flags, industries=(0, 0, 1, 1, 2, 2, 3, 3)), random.normal(0, 1, shape)


def sliced(market, first, last):
    """The days first..last of a market, as somebody sees them who knows no later one."""
    part = slice(first, last + 1)
    return MarketDays(time=market.time[part], symbols=market.symbols, open=market.open[part], close=market.close[part], factor=market.factor[part],
                      amount=market.amount[part], flags=market.flags[part], industries=market.industries)


@pytest.mark.parametrize("seed", range(6))
def test_on_every_day_the_orders_are_the_backtests_trades(seed):
    market, score = random_market(seed)
    settings = BacktestSettings(top=3, drop=2, capital=200_000, minimum_holding=1 + seed % 3, industry_cap=0.4 if seed % 2 else 0.0)
    book, seen = Book(market, settings), 0
    for day in range(1, len(market.time)):
        held = {stock: Held(shares=position.shares, bought=position.bought, value=position.value) for stock, position in book.held.items()}
        planned = plan_orders(sliced(market, 0, day), score[day - 1], held, book.cash, settings)
        before = len(book.trades), len(book.blocked)
        book.open(day)
        book.follow(score[day - 1], day)
        book.close(day)
        assert planned.trades == book.trades[before[0]:]
        assert [item for item in planned.blocked if item.reason != "minimum_holding"] == book.blocked[before[1]:]
        assert planned.cash_after == book.cash and planned.costs == pytest.approx(book.costs[-1])
        seen += len(planned.trades)
    assert seen > 10


def test_what_was_bought_on_the_day_cannot_be_sold_and_it_is_said_why():
    ones = np.ones((2, 2))
    market = MarketDays(time=MONDAY + DAY * np.arange(2), symbols=("600000.SH", "600001.SH"), open=10 * ones, close=10 * ones, factor=ones,
                        amount=np.inf * ones, flags=np.full((2, 2), TRADES, np.uint8))
    held = {0: Held(shares=500, bought=1, value=5000.0)}
    plan = plan_orders(market, np.array([0.0, 1.0]), held, 0.0, BacktestSettings(top=1))
    assert [(item.stock, item.side, item.reason) for item in plan.blocked] == [(0, "sell", "t_plus_1")] and not plan.trades
    again = plan_orders(market, np.array([0.0, 1.0]), {0: Held(shares=500, bought=0, value=5000.0)}, 0.0, BacktestSettings(top=1, minimum_holding=5))
    assert [item.reason for item in again.blocked] == ["minimum_holding"]
    free = plan_orders(market, np.array([0.0, 1.0]), {0: Held(shares=500, bought=0, value=5000.0)}, 0.0, BacktestSettings(top=1))
    assert [(trade.stock, trade.side) for trade in free.trades] == [(0, "sell"), (1, "buy")] and not free.blocked


def test_a_position_without_a_bar_counts_at_its_last_value():
    market, score = random_market(0)
    market.open[-1, 0], market.close[-1, 0], market.flags[-1, 0] = np.nan, np.nan, 0
    plan = plan_orders(market, score[-2], {0: Held(shares=100, bought=-9, value=2345.0)}, 1000.0, BacktestSettings(top=3))
    assert plan.worth == 3345.0
    assert Position(shares=1, bought=0, factor=1.0).value == 0.0
