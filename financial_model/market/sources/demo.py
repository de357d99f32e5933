"""The demo market as bars: prices with limits, dividends and splits, volume, shares, book value, names, an index and the truth.

In: a variant of ``synthetic``, sizes, a seed. Out: a complete store, marked synthetic everywhere, with ``truth.npz`` beside it.
Nothing written for a day depends on a later day, price levels and corporate actions included.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from financial_model.config import INDUSTRIES
from financial_model.errors import DataError, Stopped
from financial_model.market.adjustment import ExRights
from financial_model.market.calendar import sessions
from financial_model.market.sources.base import Capabilities
from financial_model.market.sources.synthetic import VARIANTS, Path, simulate
from financial_model.paths import atomic_write

if TYPE_CHECKING:
    from financial_model.market.store import Store

INDEX = "000300.SH"
LAST_DAY = "2025-12-31"
"""Fixed: the same seed is the same market in any year."""
SESSIONS_A_YEAR = 243
MARK = "模拟"
"""Every name begins with it: simulated."""
_WORDS = {
    "finance": ("银行", "证券", "保险", "信托"), "consumer": ("食品", "家电", "酒业", "服饰", "零售"), "technology": ("芯片", "软件", "电子", "光学"),
    "healthcare": ("制药", "医疗", "生物"), "industrial": ("机械", "重工", "电气", "建设", "物流"), "materials": ("化工", "钢铁", "水泥", "有色"),
    "energy": ("石油", "煤业"), "utilities": ("电力", "水务", "燃气"),
    "real_estate": ("地产", "置业"), "telecom": ("通信", "传媒"), "other": ("综合", "环境"),
}
_CODES = (("SH", range(600001, 601000)), ("SZ", range(1, 999)), ("SZ", range(300001, 301000)),
          ("SH", range(603000, 604000)), ("SZ", range(2001, 3000)))


def write_demo(store: Store, *, variant: str = "linear", stocks: int = 300, years: float = 10, seed: int = 42, kappa: float | None = None,
               start: str = "", progress: Callable[[str, float, float], None] | None = None, stop: threading.Event | None = None) -> dict[str, Any]:
    """Fill ``store`` with a synthetic market. Returns variant, kappa, stocks, days, first, last.

    ``kappa``: strength of the planted signal (None: the variant's own, one-day oracle IC about 0.06). ``start``: ISO day before which there are no
    bars, where ``years`` reach back further; a shorter market is another one, not the end of the longer. ``progress(stage, done, total)``.
    A demo market already there is replaced. Raises ``DataError`` for impossible sizes or when the store holds real data, ``Stopped`` on ``stop``:
    half a market has no truth, so nothing of it stays.
    """
    plan = VARIANTS.get(variant)
    if plan is None:
        raise DataError("demo.unknown_variant", variant=str(variant)[:40], known=", ".join(VARIANTS))
    limit = sum(len(codes) for _, codes in _CODES) - 1
    days = round(years * SESSIONS_A_YEAR)
    dates = sessions("XSHG", end=LAST_DAY)[-max(days, 1) :]
    if not 2 <= stocks <= limit or not 30 <= days <= len(dates):
        raise DataError("demo.size", stocks=stocks, most=limit, years=years, longest=len(sessions("XSHG", end=LAST_DAY)) // SESSIONS_A_YEAR)
    dates = dates[-_sessions_since(start) :]
    days = len(dates)
    store.check_source("demo")
    store.clear()
    strength = plan.kappa if kappa is None else float(kappa)
    path = simulate(plan, stocks=stocks, days=days, seed=seed, kappa=strength)
    symbols = _symbols(stocks, seed)
    book = emit(path, dates, seed)
    _write_truth(store, symbols, dates, path, book.listed, variant, strength)
    names = _names(path.industry)
    for i, symbol in enumerate(symbols):
        if stop is not None and stop.is_set():
            store.clear()
            raise Stopped()
        store.write_bars(symbol, book.frame(i), source="demo", name=names[i])
        if book.events[i]:
            rows = [(str(event.date), event.cash, event.bonus, event.rights, event.rights_price, event.scale) for event in book.events[i]]
            store.add_facts("events", symbol, rows, source="demo")
        if progress:
            progress("demo", i + 1, stocks)
    store.write_bars(INDEX, _index(path, dates, seed), source="demo", name=MARK + "沪深300")
    found = {symbol: INDUSTRIES[group] for symbol, group in zip(symbols, path.industry, strict=True)}
    store.set_industries(found, source="demo", as_of=str(dates[-1]))
    store.write_metadata()
    return {"variant": variant, "kappa": strength, "stocks": stocks, "days": days, "first": str(dates[0]), "last": str(dates[-1])}


def _sessions_since(start: str) -> int:
    """Days of a demo market that begins with ``start``; ``DataError`` where they are too few for one."""
    days = len(sessions("XSHG", start=start, end=LAST_DAY))
    if days < 30:
        raise DataError("demo.late_start", start=start, last=LAST_DAY)
    return days


class DemoSource:
    """The demo market in the register of sources: not fetched symbol by symbol, but written whole."""

    name = "demo"
    bar_seconds = 86_400
    capabilities = Capabilities(network=False, synthetic=True, whole=True, events=True, industries=True, shares=True, book=True,
                                seconds_per_symbol=0.015)

    def __init__(self, *, variant: str = "linear", years: float = 10, seed: int = 42, kappa: float | None = None):
        self.variant, self.years, self.seed, self.kappa = variant, years, seed, kappa

    def bars_of(self, stocks: int, start: str = "") -> int:
        """How many bars a market of so many stocks has, about."""
        return int(stocks * min(self.years * SESSIONS_A_YEAR, _sessions_since(start)))

    def write(self, store: Store, stocks: int, *, start: str = "", progress: Callable[[str, float, float], None] | None = None,
              stop: threading.Event | None = None) -> dict[str, Any]:
        """See :func:`write_demo`."""
        return write_demo(store, variant=self.variant, stocks=stocks, years=self.years, seed=self.seed, kappa=self.kappa, start=start,
                          progress=progress, stop=stop)


@dataclass(frozen=True, kw_only=True)
class Book:
    """Everything that is printed about the stocks of a market: arrays [days, stocks]."""

    dates: NDArray[np.datetime64]
    columns: dict[str, NDArray[np.float64]]
    listed: NDArray[np.int64]
    """[stocks] number of the first day with a bar."""
    events: list[list[ExRights]]

    def frame(self, i: int) -> pd.DataFrame:
        """The bar table of one stock."""
        rows = slice(int(self.listed[i]), None)
        return pd.DataFrame({"date": self.dates[rows].astype("datetime64[s]"), **{name: values[rows, i] for name, values in self.columns.items()}})


def emit(path: Path, dates: NDArray[np.datetime64], seed: int) -> Book:
    """Prices, volumes and fundamentals of a simulated path."""
    traits, shape, turnover = (np.random.default_rng(child) for child in np.random.SeedSequence((seed, 1)).spawn(3))
    days, stocks = path.returns.shape
    late = traits.random(stocks) < 0.15
    listed = np.where(late, traits.integers(days // 10, days // 2 + 1, stocks), 0)
    start = np.exp(traits.uniform(np.log(8), np.log(80), stocks))
    exact, previous, factor, ratio, events = _raw_prices(path, dates, start, listed, traits)
    close = np.round(exact, 2)
    columns = _shape(path, exact, previous, shape)
    shares = np.maximum(np.round(np.exp(np.log(1.2e10) + 1.1 * path.style[:, 0]) / start, -4), 1e7) * np.cumprod(ratio, 0)
    free = traits.uniform(0.3, 1.0, stocks) * shares
    columns["close"] = close
    columns["volume"], columns["amount"] = _volumes(path, columns, free, turnover)
    columns["factor"] = factor
    columns["total_shares"], columns["float_shares"] = np.round(shares), np.round(free)
    columns["book_per_share"] = _book_values(path, dates, start, ratio, traits)
    order = ("open", "high", "low", "close", "volume", "amount", "factor", "total_shares", "float_shares", "book_per_share")
    return Book(dates=dates, columns={name: columns[name] for name in order}, listed=listed, events=events)


def _raw_prices(path: Path, dates: NDArray, start: NDArray, listed: NDArray, random: np.random.Generator) -> tuple[
        NDArray, NDArray, NDArray, NDArray, list[list[ExRights]]]:
    """(unrounded raw close, ex-reference of the day before, factor, share ratio of the day: each [days, stocks]; ex-rights events).

    Once a year cash, above 120 yuan one bonus share for each held, below 5 yuan five shares become one: decided on the last close alone.
    """
    days, stocks = path.returns.shape
    each = (stocks,)
    payday, yields = random.integers(0, SESSIONS_A_YEAR, each), random.uniform(0.0, 0.03, each) * (random.random(each) < 0.8)
    exact, previous = np.empty((days, stocks)), np.empty((days, stocks))
    factor, ratio = np.ones((days, stocks)), np.ones((days, stocks))
    events: list[list[ExRights]] = [[] for _ in range(stocks)]
    price: NDArray[np.float64] = start.copy()
    level: NDArray[np.float64] = np.ones(stocks)
    for t in range(days):
        reference = price.copy()
        alive = (t > listed) & ~path.suspended[t]
        due = alive & (((payday + t) % SESSIONS_A_YEAR == 0) & (yields > 0.002) | (price > 120) | (price < 5))
        for i in np.flatnonzero(due):
            last = round(float(price[i]), 2)
            paid = (payday[i] + t) % SESSIONS_A_YEAR == 0
            event = ExRights(date=np.datetime64(dates[t], "D"), cash=round(last * float(yields[i]), 2) if paid else 0.0,
                             bonus=1.0 if price[i] > 120 else 0.0, scale=0.2 if price[i] < 5 else 1.0)
            change = event.reference(last) / last
            reference[i] *= change
            level[i] /= change
            ratio[t, i] = (1 + event.bonus) * event.scale
            events[i].append(event)
        price = np.where(t > listed, reference * np.exp(path.returns[t]), start)
        exact[t], previous[t], factor[t] = price, reference, level
    return exact, previous, factor, ratio, events


def _shape(path: Path, exact: NDArray, previous: NDArray, random: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Open, high and low around the day's close, inside the price limit, flat while suspended."""
    size = exact.shape
    gap = 0.3 * path.returns + 0.35 * path.volatility * random.standard_normal(size)
    above, below = (0.45 * path.volatility * np.abs(random.standard_normal(size)) for _ in range(2))
    floor, ceiling = previous * 0.905, previous * 1.095
    opening = np.clip(previous * np.exp(gap), floor, ceiling)
    high = np.clip(np.maximum(opening, exact) * np.exp(above), None, ceiling)
    low = np.clip(np.minimum(opening, exact) * np.exp(-below), floor, None)
    high, low = np.maximum(high, np.maximum(opening, exact)), np.minimum(low, np.minimum(opening, exact))

    def printed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(path.suspended, exact, values).round(2)

    return {"open": printed(opening), "high": printed(high), "low": printed(low)}


def _volumes(path: Path, columns: dict[str, NDArray], free: NDArray, random: np.random.Generator) -> tuple[NDArray, NDArray]:
    """(shares, yuan). Abnormal activity shows in the volume, with the day's own move and the whole market's mood on top."""
    days, stocks = path.returns.shape
    usual = np.exp(random.normal(np.log(0.012), 0.5, stocks))
    mood = np.zeros(days)
    for t in range(1, days):
        mood[t] = 0.95 * mood[t - 1] + 0.08 * random.standard_normal()
    move = np.minimum(np.abs(path.returns) / path.volatility, 4)
    volume = free * usual * np.exp(0.5 * path.activity + 0.25 * (move - 0.7) + mood[:, None] - 0.15)
    volume = np.where(path.suspended, 0.0, np.maximum(np.round(np.minimum(volume, 0.6 * free), -2), 100.0))
    typical = (columns["open"] + columns["high"] + columns["low"] + columns["close"]) / 4
    return volume, np.round(volume * typical)


def _book_values(path: Path, dates: NDArray, start: NDArray, ratio: NDArray, random: np.random.Generator) -> NDArray[np.float64]:
    """[days, stocks] book value per share as last announced; it changes on the first sessions of May, September and November."""
    days, stocks = path.returns.shape
    first = start / np.exp(random.normal(0.7, 0.5, stocks) - 0.35 * path.style[:, 1])
    months = dates.astype("datetime64[M]").astype(np.int64)
    announced = np.flatnonzero((np.diff(months, prepend=months[0]) != 0) & np.isin(months % 12, (4, 8, 10)))
    growth = np.ones((days, stocks))
    growth[announced] = np.exp(random.normal(0.015, 0.04, (len(announced), stocks)))
    return np.round(first * np.cumprod(growth / ratio, 0), 4)


def _index(path: Path, dates: NDArray, seed: int) -> pd.DataFrame:
    """The market factor itself as an index."""
    random = np.random.default_rng(np.random.SeedSequence((seed, 2)))
    close = 3000 * np.exp(np.cumsum(path.market))
    before = np.concatenate(([3000.0], close[:-1]))
    opening = before * np.exp(0.3 * path.market + 0.002 * random.standard_normal(len(close)))
    high = np.maximum(opening, close) * np.exp(0.003 * np.abs(random.standard_normal(len(close))))
    low = np.minimum(opening, close) * np.exp(-0.003 * np.abs(random.standard_normal(len(close))))
    volume = np.round(1e10 * np.exp(0.2 * random.standard_normal(len(close)) + 8 * np.abs(path.market)), -2)
    prices = pd.DataFrame({"open": opening, "high": high, "low": low, "close": close}).round(2)
    return pd.DataFrame({"date": dates.astype("datetime64[s]"), **prices, "volume": volume, "amount": np.round(volume * 12.0), "factor": 1.0})


def _symbols(stocks: int, seed: int) -> list[str]:
    """Codes that look like A-shares, half Shanghai: ascending within each block, none the digits of the index."""
    random = np.random.default_rng(np.random.SeedSequence((seed, 3)))
    pool = [f"{number:06d}.{market}" for market, numbers in _CODES[:3] for number in numbers if f"{number:06d}" != INDEX[:6]]
    if stocks > len(pool):
        pool += [f"{number:06d}.{market}" for market, numbers in _CODES[3:] for number in numbers]
    return sorted(str(symbol) for symbol in random.choice(pool, stocks, replace=False))


def _names(industry: Sequence[int] | NDArray[np.int64]) -> list[str]:
    names, seen = [], dict.fromkeys(INDUSTRIES, 0)
    for group in industry:
        words = _WORDS[INDUSTRIES[group]]
        count = seen[INDUSTRIES[group]]
        seen[INDUSTRIES[group]] += 1
        names.append(f"{MARK}{words[count % len(words)]}{count // len(words) + 1:02d}")
    return names


def _write_truth(store: Store, symbols: list[str], dates: NDArray, path: Path, listed: NDArray, variant: str, kappa: float) -> None:
    expected = path.expected.copy()
    expected[np.arange(len(dates))[:, None] < listed[None, :]] = np.nan  # no bar, no expectation
    time = dates.astype("datetime64[s]").astype(np.int64)

    def write(stream: BinaryIO) -> None:
        np.savez(stream, symbols=np.array(symbols), time=time, expected=expected, regime=path.regime,
                 variant=np.array(variant), kappa=np.array(kappa))

    atomic_write(store.data_dir / "truth.npz", write)
