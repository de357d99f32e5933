"""What a portfolio earned: figures, curves, months and trades as plain data, beside the index and the equal-weight universe.

In: a `Backtest` and the `MarketDays` it ran on. Out: JSON data without NaN. Returns are simple returns per session; years are calendar years of
the sessions themselves. It knows no forecast and no rule of trading.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from financial_model.datasets.splits import iso
from financial_model.evaluation import significance
from financial_model.evaluation.backtest import Backtest
from financial_model.evaluation.costs import BUY, CHINESE, SELL
from financial_model.evaluation.market_days import MarketDays
from financial_model.evaluation.metrics import DateStatistic, series_ratio
from financial_model.training.plain import plain

Array = np.ndarray
YEAR = 365.25 * 86_400


def summarize(result: Backtest, market: MarketDays, *, trials: int = 1, trial_variance: float = 0.0, horizon: int = 5,
              draws: int = significance.DRAWS) -> dict[str, Any]:
    """Everything a page or a report shows of a backtest.

    ``trials`` and the variance of their daily Sharpe ratios deflate the Sharpe ratio; where that variance is not known (0), trials count as
    worthless and independent, whose ratios vary by one over the sessions. ``horizon`` sets the block of its interval.
    """
    days = slice(result.first, len(market.time))
    time, net, gross = market.time[days], result.returns(), result.gross_returns()
    index, equal = market.index_returns(), market.equal_weight()[days]
    benchmarks = {"equal_weight": equal, **({} if index is None else {"index": index[days]})}
    year = sessions_per_year(time)
    before = np.concatenate([[result.settings.capital], result.equity[:-1]])
    turnover = result.traded / before
    plan = significance.DateBootstrap.plan(len(net), 2 * horizon, draws=draws)
    metrics = {
        **figures(net, year), "sharpe_interval": _sharpe_interval(net, year, plan),
        "turnover": float(turnover.mean() / 2), "cost_per_year": float((result.costs / before).mean() * year),
        "invested": float(result.invested.mean()), "days": len(net), "trades": len(result.trades), "blocked": len(result.blocked),
        "deflated_sharpe": significance.deflated_sharpe(net, trials, trial_variance or 1 / len(net)), "trials": trials,
    }
    for name, returns in benchmarks.items():
        metrics |= _against(net, gross, returns, turnover, year, name, plan)
    data = {
        "metrics": metrics, "gross": figures(gross, year), **{name: figures(returns, year) for name, returns in benchmarks.items()},
        "series": {"time": time.tolist(), "net": _growth(net), "gross": _growth(gross), "drawdown": drawdown(net).tolist(),
                   **{name: _growth(returns) for name, returns in benchmarks.items()}},
        "monthly": monthly(net, time), "trades": trade_rows(result, market), "blocked": _blocked(result), "settings": asdict(result.settings),
        "index_name": market.index_name,
    }
    data["verdict"] = _verdict(data, market)
    return plain(data)


def sessions_per_year(time: Array) -> float:
    """Sessions a year, measured on the sessions themselves; 252 where there are too few to measure."""
    span = (int(time[-1]) - int(time[0])) / YEAR
    return (len(time) - 1) / span if len(time) > 20 else 252.0


def figures(returns: Array, year: float) -> dict[str, float]:
    """Return, risk and their ratios of one series of simple returns per session; ``year`` sessions make a year."""
    total = float(np.prod(1 + returns) - 1)
    annual = (1 + total) ** (year / len(returns)) - 1 if total > -1 else -1.0
    deviation = float(returns.std(ddof=1)) if len(returns) > 1 else math.nan
    deepest = float(drawdown(returns).min())
    return {
        "total_return": total, "annual_return": annual, "annual_volatility": deviation * math.sqrt(year),
        "sharpe": float(returns.mean()) / deviation * math.sqrt(year) if deviation > 1e-12 else math.nan,
        "max_drawdown": deepest, "calmar": annual / -deepest if deepest < 0 else math.nan, "win_rate": float((returns > 0).mean()),
    }


def drawdown(returns: Array) -> Array:
    """Distance from the highest value so far (start included), 0 or negative, float64 [days]."""
    value = np.cumprod(1 + returns)
    return value / np.maximum(np.maximum.accumulate(value), 1.0) - 1


def monthly(returns: Array, time: Array) -> dict[str, dict[str, float]]:
    """Year -> month (1..12) -> return."""
    table: dict[str, dict[str, float]] = {}
    for moment, value in zip(time, returns, strict=True):
        date = datetime.fromtimestamp(int(moment), UTC)
        months = table.setdefault(str(date.year), {})
        months[str(date.month)] = (1 + months.get(str(date.month), 0.0)) * (1 + float(value)) - 1
    return table


def break_even_cost(gross: Array, benchmark: Array, turnover: Array) -> float:
    """Cost per amount traded (buying and selling each count) at which the mean return over the benchmark would be gone; NaN without a trade.

    Negative: the portfolio trails the benchmark even when trading is free.
    """
    traded = float(turnover.sum())
    return float((gross - benchmark).sum()) / traded if traded > 0 else math.nan


def _against(net: Array, gross: Array, benchmark: Array, turnover: Array, year: float, name: str, plan: significance.DateBootstrap | None
             ) -> dict[str, Any]:
    excess = net - benchmark
    deviation = float(excess.std(ddof=1)) if len(excess) > 1 else math.nan
    ratio = float(excess.mean()) / deviation * math.sqrt(year) if deviation > 1e-12 else math.nan
    mean = DateStatistic(np.stack([excess, np.ones(len(excess))], axis=1), lambda s: s[..., 0] / s[..., 1] * year)
    return {f"excess_{name}": mean.value(), f"excess_{name}_interval": None if plan is None else plan.interval(mean),
            f"information_ratio_{name}": ratio, f"break_even_cost_{name}": break_even_cost(gross, benchmark, turnover)}


def _sharpe_interval(net: Array, year: float, plan: significance.DateBootstrap | None) -> list[float] | None:
    found = None if plan is None else plan.interval(series_ratio(net))
    return None if found is None else [end * math.sqrt(year) for end in found]


def _growth(returns: Array) -> list[float]:
    return np.cumprod(1 + returns).tolist()


def trade_rows(result: Backtest, market: MarketDays) -> list[dict[str, Any]]:
    """One row per executed order, in order of execution."""
    return [{"date": iso(market.time[trade.day]), "symbol": market.symbols[trade.stock], "side": trade.side, "shares": round(trade.shares, 4),
             "price": trade.price, "amount": trade.amount, "commission": trade.charge.commission, "stamp": trade.charge.stamp,
             "transfer": trade.charge.transfer, "slippage": trade.charge.slippage, "partial": trade.partial} for trade in result.trades]


def trades_csv(data: dict[str, Any]) -> str:
    """The trade list of :func:`summarize` as CSV text; write it as UTF-8 with a byte-order mark for Excel."""
    columns = ("date", "symbol", "side", "shares", "price", "amount", "commission", "stamp", "transfer", "slippage", "partial")
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(data["trades"])
    return stream.getvalue()


def _blocked(result: Backtest) -> dict[str, dict[str, int]]:
    """Side -> reason -> count."""
    return {side: dict(Counter(order.reason for order in result.blocked if order.side == side)) for side in (BUY, SELL)}


def _verdict(data: dict[str, Any], market: MarketDays) -> list[dict[str, Any]]:
    """Plain sentences about the excess over the equal-weight universe, the harder and fairer of the two benchmarks, and what flatters."""
    metrics = data["metrics"]
    interval, value = metrics["excess_equal_weight_interval"], metrics["excess_equal_weight"]
    found = []
    if interval is None:
        found.append(("few_days", "warning", {"days": metrics["days"]}))
    else:
        side, level = ("above", "good") if interval[0] > 0 else ("below", "bad") if interval[1] < 0 else ("around", "none")
        found.append((f"excess_{side}", level, {"value": value, "low": interval[0], "high": interval[1]}))
    if math.isfinite(metrics["break_even_cost_equal_weight"]):
        free = metrics["break_even_cost_equal_weight"] <= 0
        found.append(("trails_free" if free else "break_even", "bad" if free else "note", {"value": metrics["break_even_cost_equal_weight"]}))
    if metrics["trials"] > 1 and metrics["deflated_sharpe"] is not None:
        found.append(("deflated", "warning", {"trials": metrics["trials"], "value": metrics["deflated_sharpe"]}))
    if not market.st_known and set(market.boards()) & set(CHINESE):
        found.append(("st_unknown", "note", {}))
    found.append(("dividends", "note", {}))
    if "index" in data and market.index_name:
        found.append(("price_index", "note", {"name": market.index_name}))
    return [{"key": f"evaluation.backtest.{name}", "level": level, "fields": fields} for name, level, fields in found]
