"""From a ranking and what is held to the orders for the next session: what to sell, what to buy, what cannot be done and why.

In: a workspace, a run, holdings, money. Out: plain data, and the same as CSV. The rules (top-k with drop, lots, costs, T+1) are the backtest's own
code; only the prices of a session that has not come yet are taken to be the last closes. It places no order anywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.errors import ConfigError, DataError
from financial_model.paths import Workspace
from financial_model.serving.days import following
from financial_model.serving.holdings import Holding
from financial_model.serving.plausibility import is_st

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.evaluation.backtest import BacktestSettings, Trade
    from financial_model.evaluation.market_days import MarketDays
    from financial_model.evaluation.ordering import OrderPlan
    from financial_model.market.store import Store
    from financial_model.serving.predictor import Predictor

DAYS_BEFORE = 60
"""Calendar days of bars read before the session: what a stock usually trades."""
USUAL_SESSIONS = 20
CSV_COLUMNS = ("place", "side", "symbol", "name", "shares", "price", "amount", "limit_low", "limit_high", "costs", "expected_return", "state", "why")


def orders(workspace: Workspace, run: str, holdings: Sequence[Holding] = (), *, capital: float | None = None, cash: float | None = None,
           settings: BacktestSettings | None = None, as_of: str | None = None, predictor: Predictor | None = None, today: str | None = None,
           progress: Callable[..., None] | None = None, stop: threading.Event | None = None) -> dict[str, Any]:
    """The orders for the session after ``as_of`` (default: the newest session with data).

    ``capital``: holdings and cash together, or ``cash`` alone; one of them. ``settings``: ``BacktestSettings`` (its ``capital`` is not read).
    Keys: run, as_of, trade_date, orders, blocked, kept, outside, cash_before, cash_after, worth, costs, settings, notes. An order has side, symbol,
    name, shares, price (the last close), amount, costs, charge, limit_low, limit_high, rank, expected_return, partial, why, warnings; sentences are
    ``{"key", "fields"}``. Raises ``ConfigError`` for impossible money, ``DataError`` where nothing can be ranked or valued.
    """
    from financial_model.evaluation.backtest import BacktestSettings
    from financial_model.evaluation.ordering import plan_orders
    from financial_model.market.store import Store
    from financial_model.serving.predictor import Predictor

    settings, predictor, store = settings or BacktestSettings(), predictor or Predictor(workspace), Store(workspace.data_dir)
    _check_money(capital, cash)
    ranking = predictor.rank(run, 0, as_of, progress=progress, stop=stop)
    known = set(ranking["symbol"]) | set(predictor.forecaster(run).symbols)
    inside = [holding for holding in holdings if holding.symbol in known and store.has(holding.symbol)]
    outside = [holding for holding in holdings if holding not in inside]
    desk = _Desk(store, ranking, inside, today)
    money = _cash(capital, cash, inside, outside, desk)
    plan = plan_orders(desk.market, desk.score, desk.held(inside), money, settings)
    return _told(predictor.runs.get(run).id, ranking, desk, plan, settings, inside, outside)


def _check_money(capital: float | None, cash: float | None) -> None:
    if (capital is None) == (cash is None):
        raise ConfigError("orders.which_money")
    value = capital if cash is None else cash
    if value is None or not np.isfinite(value) or value < 0 or (cash is None and value == 0):
        raise ConfigError("orders.bad_money", value=value)


def _cash(capital: float | None, cash: float | None, inside: Sequence[Holding], outside: Sequence[Holding], desk: _Desk) -> float:
    if cash is not None:
        return float(cash)
    value = sum(desk.value(holding) for holding in inside)
    if float(capital or 0) < value:
        raise ConfigError("orders.capital_below_holdings", capital=f"{capital:,.2f}", value=f"{value:,.2f}")
    if outside:
        raise ConfigError("orders.cannot_value", symbols=", ".join(holding.symbol for holding in outside[:5]))
    return float(capital or 0) - value


class _Desk:
    """The two days a decision needs: the session of the ranking, and the one to trade on, at the last closes."""

    def __init__(self, store: Store, ranking: pd.DataFrame, inside: Sequence[Holding], today: str | None) -> None:
        from financial_model.evaluation.market_days import market_days
        from financial_model.market.packing import DAILY_FLAGS, pack

        self.as_of = np.datetime64(ranking.attrs["as_of"], "D")
        self.names = store.names()
        symbols = list(dict.fromkeys([*ranking["symbol"], *(holding.symbol for holding in inside)]))
        bars = pack(store, symbols, start=str(self.as_of - DAYS_BEFORE), end=str(self.as_of), columns=DAILY_FLAGS)
        if (bars.time % 86_400).any():
            raise DataError("orders.intraday")
        self.days = market_days(bars, industries=store.industries())
        self.trade_date = following(self.days.symbols[0], self.as_of, 1)[0]
        self.today = np.datetime64(today, "D") if today else np.datetime64("today", "D")
        self.place = {symbol: number for number, symbol in enumerate(self.days.symbols)}
        table = ranking.set_index("symbol")
        self.expected = {symbol: float(value) for symbol, value in table["expected_return"].items()}
        self.rank = {symbol: place for place, symbol in enumerate(ranking["symbol"], start=1)}
        self.at_limit = {name: set(table.index[table[name]]) for name in ("limit_up", "limit_down")}
        self.score = np.array([self.expected.get(symbol, np.nan) for symbol in self.days.symbols])
        self.price = _last_known(self.days.close)
        self.market = self._two_days()

    def _two_days(self) -> MarketDays:
        """The session of the ranking and the next one, in which every stock that trades opens at its last close."""
        from financial_model.evaluation.market_days import MarketDays
        from financial_model.features.labels import TRADES

        last, days = int(np.searchsorted(self.days.time, _seconds(self.as_of))), self.days
        flags = days.flags[last] & TRADES
        usual = np.full(days.amount.shape[1], np.inf)
        recent = days.amount[-USUAL_SESSIONS:]
        known = np.isfinite(recent).any(axis=0)
        usual[known] = np.nanmedian(np.where(np.isfinite(recent[:, known]), recent[:, known], np.nan), axis=0)
        trades = np.where(flags, self.price, np.nan)
        factor = _last_known(days.factor)
        prices = np.stack([self.price, trades])
        return MarketDays(
            time=np.array([_seconds(self.as_of), _seconds(self.trade_date)]), symbols=days.symbols, industries=days.industries, open=prices,
            close=prices, factor=np.stack([factor, factor]), amount=np.stack([usual, usual]), flags=np.stack([flags, flags]))

    def value(self, holding: Holding) -> float:
        return holding.shares * float(self.price[self._number(holding)])

    def _number(self, holding: Holding) -> int:
        """The place of a held stock on the grid. ``DataError`` for one that has not traded for weeks: it has no price to go by."""
        if holding.symbol not in self.place:
            raise DataError("orders.no_recent_price", symbol=holding.symbol, days=DAYS_BEFORE, as_of=str(self.as_of))
        return self.place[holding.symbol]

    def held(self, inside: Sequence[Holding]) -> dict[int, Any]:
        """What is held by number on the grid, each with the sessions since its purchase. ``DataError`` for a purchase after the session."""
        from financial_model.evaluation.ordering import Held

        found = {}
        for holding in inside:
            if holding.bought is not None and holding.bought > self.trade_date:
                raise DataError("orders.bought_later", symbol=holding.symbol, bought=str(holding.bought), trade_date=str(self.trade_date))
            found[self._number(holding)] = Held(shares=holding.shares, value=self.value(holding), bought=1 - self._sessions_since(holding))
        return found

    def _sessions_since(self, holding: Holding) -> int:
        """Sessions from the purchase to the session to trade on: 0 on the same day."""
        from financial_model.market.calendar import exchange, sessions

        if holding.bought is None:
            return 10_000
        return len(sessions(exchange(holding.symbol), start=str(holding.bought + 1), end=str(self.trade_date)))

    def limits(self, symbol: str) -> tuple[float | None, float | None]:
        """Lowest and highest price of the session to trade on; None where there is no limit."""
        from financial_model.market.rules import limit_prices

        low, high = limit_prices(symbol, str(self.trade_date), float(self.price[self.place[symbol]]), st=is_st(self.names.get(symbol, "")))
        return (low or None), (high if np.isfinite(high) else None)


# ---------------------------------------------------------------- telling
def _told(run: str, ranking: pd.DataFrame, desk: _Desk, plan: OrderPlan, settings: BacktestSettings, inside: Sequence[Holding],
          outside: Sequence[Holding]) -> dict[str, Any]:
    touched = {desk.days.symbols[stock] for stock, side in [(item.stock, item.side) for item in plan.trades] +
               [(item.stock, item.side) for item in plan.blocked] if side == "sell"}
    kept = [{"symbol": holding.symbol, "name": desk.names.get(holding.symbol, ""), "shares": holding.shares, "rank": desk.rank.get(holding.symbol),
             "expected_return": desk.expected.get(holding.symbol), "value": desk.value(holding)}
            for holding in inside if holding.symbol not in touched]
    return {
        "run": run, "as_of": str(desk.as_of), "trade_date": str(desk.trade_date), "considered": ranking.attrs["considered"],
        "orders": [_order(trade, desk, settings) for trade in plan.trades], "blocked": [_blocked(item, desk) for item in plan.blocked], "kept": kept,
        "outside": [{"symbol": holding.symbol, "shares": holding.shares} for holding in outside],
        "cash_before": plan.cash_before, "cash_after": plan.cash_after, "worth": plan.worth, "costs": plan.costs,
        "sold": sum(trade.amount for trade in plan.trades if trade.side == "sell"),
        "bought": sum(trade.amount for trade in plan.trades if trade.side == "buy"),
        "settings": {name: value for name, value in asdict(settings).items() if name not in ("capital", "every")},
        "notes": [*ranking.attrs["notes"], *_notes(desk, plan, outside)],
    }


def _order(trade: Trade, desk: _Desk, settings: BacktestSettings) -> dict[str, Any]:
    symbol = desk.days.symbols[trade.stock]
    low, high = desk.limits(symbol)
    place = desk.rank.get(symbol)
    if trade.side == "buy":
        why = {"key": "orders.why_buy", "fields": {"rank": place, "count": len(desk.rank)}}
    elif place is None:
        why = {"key": "orders.why_no_forecast", "fields": {}}
    else:
        why = {"key": "orders.why_sell", "fields": {"rank": place, "count": len(desk.rank), "top": settings.top}}
    at_limit = "limit_up" if trade.side == "buy" else "limit_down"
    warnings = [*([{"key": f"orders.warn_{at_limit}", "fields": {}}] if symbol in desk.at_limit[at_limit] else []),
                *([{"key": "orders.warn_partial", "fields": {"share": f"{100 * settings.volume_share:g}"}}] if trade.partial else [])]
    return {"side": trade.side, "symbol": symbol, "name": desk.names.get(symbol, ""), "shares": _whole(trade.shares), "price": trade.price,
            "amount": trade.amount, "costs": trade.charge.total, "charge": asdict(trade.charge), "limit_low": low, "limit_high": high, "rank": place,
            "expected_return": desk.expected.get(symbol), "partial": trade.partial, "why": why, "warnings": warnings}


def _blocked(item: Any, desk: _Desk) -> dict[str, Any]:
    symbol = desk.days.symbols[item.stock]
    return {"side": item.side, "symbol": symbol, "name": desk.names.get(symbol, ""), "rank": desk.rank.get(symbol), "reason": item.reason,
            "expected_return": desk.expected.get(symbol), "price": float(desk.price[item.stock]),
            "why": {"key": f"orders.blocked_{item.reason}", "fields": {"trade_date": str(desk.trade_date)}}}


def _notes(desk: _Desk, plan: OrderPlan, outside: Sequence[Holding]) -> list[dict[str, Any]]:
    notes: list[dict[str, Any]] = [{"key": "orders.note_prices", "fields": {"as_of": str(desk.as_of), "trade_date": str(desk.trade_date)}}]
    if desk.trade_date < desk.today:
        notes.insert(0, {"key": "orders.note_past", "fields": {"trade_date": str(desk.trade_date), "today": str(desk.today)}})
    if not plan.trades and not plan.blocked:
        notes.append({"key": "orders.note_nothing", "fields": {}})
    if outside:
        symbols = ", ".join(holding.symbol for holding in outside[:10])
        notes.append({"key": "orders.note_outside", "fields": {"symbols": symbols, "count": len(outside)}})
    return notes


def order_table(found: dict[str, Any], language: str = "en") -> pd.DataFrame:
    """Orders and what is blocked as one table, for :func:`serving.export.write_csv`; sentences in ``language``."""
    import pandas as pd

    from financial_model.text import translate

    def said(items: Sequence[dict[str, Any]]) -> str:
        return " ".join(translate(item["key"], language, **item["fields"]) for item in items)

    rows = [{**{name: order.get(name) for name in CSV_COLUMNS}, "place": place, "state": "order", "why": said([order["why"], *order["warnings"]])}
            for place, order in enumerate(found["orders"], start=1)]
    rows += [{**{name: item.get(name) for name in CSV_COLUMNS}, "state": "blocked", "why": said([item["why"]])} for item in found["blocked"]]
    return pd.DataFrame(rows, columns=list(CSV_COLUMNS))


def _whole(shares: float) -> float | int:
    return int(shares) if shares == int(shares) else shares


def _last_known(grid: np.ndarray) -> np.ndarray:
    """[stocks] the last finite value of each column of [days, stocks]."""
    rows = np.arange(len(grid))[:, None]
    last = np.where(np.isfinite(grid), rows, -1).max(axis=0)
    return np.where(last >= 0, grid[np.maximum(last, 0), np.arange(grid.shape[1])], np.nan)


def _seconds(day: np.datetime64) -> int:
    return int(day.astype("datetime64[s]").astype(np.int64))
