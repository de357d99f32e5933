"""What the fake TDX server knows: listings with bars, ex-rights events, share counts, industry codes. The truth that tests compare with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

SZ, SH, BJ = 0, 1, 2

INDUSTRY_CODES = ("X5010", "X2102", "X4001", "X2701", "X3001", "X1301", "X1001", "X6201", "X5301", "X4301", "X9901")
"""Research-industry codes, one for each of the eleven industries in the order of config.INDUSTRIES."""


MINUTES = {8: 1, 0: 5, 1: 15, 2: 30, 3: 60}
"""Category of a bar request -> length of its bars."""
INTRADAY_SESSIONS = 40
"""Only so many sessions are kept in minutes, as a real host keeps recent months alone."""


@dataclass(frozen=True)
class Event:
    """One row of the ex-rights reply. Category 1 is per ten shares; the share-count categories are in units of 10,000 shares."""

    date: int
    category: int
    values: tuple[float, float, float, float]


@dataclass
class Listing:
    market: int
    code: str
    name: str
    date: np.ndarray
    """int yyyymmdd, ascending."""
    prices: np.ndarray
    """int [n, 4] open, close, high, low in 1/1000 yuan, raw."""
    volume: np.ndarray
    """float32 [n], lots of 100 shares; 0 where suspended."""
    amount: np.ndarray
    """float32 [n], yuan."""
    events: list[Event] = field(default_factory=list)
    total_shares: float = 1e9
    float_shares: float = 8e8
    book_per_share: float = 5.0
    industry: str = "X9901"
    is_index: bool = False

    @property
    def key(self) -> tuple[int, str]:
        return self.market, self.code


@dataclass
class TdxMarket:
    listings: dict[tuple[int, str], Listing]
    files: dict[str, bytes] = field(default_factory=dict)

    def of(self, market: int) -> list[Listing]:
        """The security list of a market in code order, as the server numbers it; Beijing's list is never served."""
        return sorted((entry for entry in self.listings.values() if entry.market == market), key=lambda entry: entry.code)


@dataclass(frozen=True)
class Bars:
    """Bars of one length, ascending; ``minute``: minutes since midnight at the END of each bar, None for days. Volume in the unit that is sent."""

    date: np.ndarray
    minute: np.ndarray | None
    prices: np.ndarray
    volume: np.ndarray
    amount: np.ndarray


def intraday(entry: Listing, minutes: int) -> Bars:
    """The last sessions of a listing in bars of ``minutes``: a straight line from open to close, volume in shares; zeros where it was halted."""
    ends = np.concatenate((np.arange(570 + minutes, 691, minutes), np.arange(780 + minutes, 901, minutes)))
    days = np.arange(max(0, len(entry.date) - INTRADAY_SESSIONS), len(entry.date))
    traded = np.repeat(entry.volume[days] > 0, len(ends))
    opened, close = entry.prices[days, 0, None], entry.prices[days, 1, None]
    path = np.rint(opened + (close - opened) * np.arange(len(ends) + 1) / len(ends)).astype(np.int64)
    first, last = path[:, :-1].ravel(), path[:, 1:].ravel()
    prices = np.stack([first, last, np.maximum(first, last), np.minimum(first, last)], axis=1) * traded[:, None]
    volume = np.repeat(np.ceil(entry.volume[days] * 100 / len(ends)), len(ends)).astype(np.float32)
    amount = (volume.astype(np.float64) * (first + last) / 2000).astype(np.float32)
    return Bars(np.repeat(entry.date[days], len(ends)), np.tile(ends, len(days)), prices, volume, amount)


def sessions(count: int, last: str | None = None) -> np.ndarray:
    """The last ``count`` Shanghai sessions up to ``last`` (today if not given) as yyyymmdd."""
    import exchange_calendars
    import pandas as pd

    end = pd.Timestamp(last) if last else pd.Timestamp.now().normalize()
    days = exchange_calendars.get_calendar("XSHG").sessions
    days = days[days <= end][-count:]
    return (days.year * 10000 + days.month * 100 + days.day).to_numpy(dtype=np.int64)


def make_market(count: int = 30, days: int = 1000, *, seed: int = 7, last: str | None = None, noise: int = 5) -> TdxMarket:
    """``count`` A-shares over both exchanges with dividends, bonus and rights issues, suspensions and a young listing,
    the two indices, one Beijing share, and ``noise`` bonds and funds that must not be taken for shares."""
    rng = np.random.default_rng(seed)
    dates = sessions(days, last)
    prefixes = (("600", SH), ("601", SH), ("603", SH), ("688", SH), ("000", SZ), ("002", SZ), ("300", SZ))
    codes = {("600519", SH), ("000001", SZ)}
    number = 2
    while len(codes) < max(count, 2):
        prefix, market = prefixes[len(codes) % len(prefixes)]
        codes.add((f"{prefix}{number % 1000:03d}", market))  # no code twice below 7,000: 1,000 is no multiple of the seven prefixes
        number += 1
    listings = {}
    for position, (code, market) in enumerate(sorted(codes)):
        young = position % 11 == 5
        entry = _share(rng, market, code, dates[-60:] if young and code != "600519" else dates)
        entry.industry = INDUSTRY_CODES[position % len(INDUSTRY_CODES)]
        listings[entry.key] = entry
    listings[(BJ, "920002")] = _share(rng, BJ, "920002", dates[-500:])
    for market, code, name in ((SH, "000001", "上证指数"), (SH, "000300", "沪深300"), (SZ, "399001", "深证成指")):
        entry = _share(rng, market, code, dates, level=3_000_000, suspended=0.0)
        entry.name, entry.is_index, entry.events = name, True, []
        listings[entry.key] = entry
    for position in range(noise):
        for market, prefix, name in ((SH, "510", "基金"), (SH, "113", "转债"), (SH, "900", "Ｂ股"), (SZ, "200", "Ｂ股"), (SZ, "159", "基金")):
            entry = _share(rng, market, f"{prefix}{position:03d}", dates[-20:])
            entry.name = f"{name}{position}"
            listings[entry.key] = entry
    market_ = TdxMarket(listings=listings)
    market_.files["tdxhy.cfg"] = industry_file(market_)
    return market_


def _share(rng: np.random.Generator, market: int, code: str, dates: np.ndarray, *, level: int = 0, suspended: float = 0.01) -> Listing:
    count = len(dates)
    level = level or int(rng.integers(4_000, 90_000))
    true_return = rng.normal(0, 0.018, count)
    halted = rng.random(count) < suspended
    halted[[0, -1]] = False
    events = _events(rng, dates, halted) if count > 200 and level < 1_000_000 else []
    ex_ratio = np.ones(count)
    close = np.empty(count, dtype=np.int64)
    by_date = {event.date: event for event in events if event.category == 1}
    previous = level
    for day in range(count):
        event = by_date.get(int(dates[day]))
        if event is not None:
            cash, rights_price, bonus, rights = event.values
            reference = (10 * previous - 1000 * cash + rights * rights_price * 1000) / (10 + bonus + rights)
            ex_ratio[day] = reference / previous
            previous = reference
        close[day] = round(previous) if halted[day] else max(1000, round(previous * np.exp(true_return[day])))
        close[day] = close[day] // 10 * 10
        previous = close[day]
    opens = np.where(halted, close, np.maximum(1000, (close * np.exp(rng.normal(0, 0.006, count))).astype(np.int64) // 10 * 10))
    high = np.maximum(opens, close) + np.where(halted, 0, rng.integers(0, 20, count) * 10)
    low = np.maximum(10, np.minimum(opens, close) - np.where(halted, 0, rng.integers(0, 20, count) * 10))
    volume = np.where(halted, 0, np.exp(rng.normal(9, 1, count)).round()).astype(np.float32)
    volume[count // 2] = 0 if halted[count // 2] else 1  # a thin day: one lot, where a hand-made float decoder fails
    amount = (volume.astype(np.float64) * 100 * (opens + close) / 2000).astype(np.float32)
    return Listing(market=market, code=code, name=f"样本{code[-4:]}", date=dates, prices=np.stack([opens, close, high, low], axis=1),
                   volume=volume, amount=amount, events=events)


def _events(rng: np.random.Generator, dates: np.ndarray, halted: np.ndarray) -> list[Event]:
    """A cash dividend each year, one bonus issue, one rights issue, a share-count step, and one announced but not yet effective."""
    found = [Event(int(dates[position]), 1, (float(rng.uniform(0.5, 6)), 0.0, 0.0, 0.0)) for position in range(120, len(dates) - 5, 240)]
    if len(dates) > 500:
        found.append(Event(int(dates[300]), 1, (1.0, 0.0, 5.0, 0.0)))
        found.append(Event(int(dates[420]), 1, (0.0, 2.5, 0.0, 3.0)))
        halted[425:440] = True  # two events inside one suspension must compound by date
        found.append(Event(int(dates[428]), 1, (2.0, 0.0, 0.0, 0.0)))
        found.append(Event(int(dates[433]), 1, (0.0, 0.0, 3.0, 0.0)))
    found.append(Event(int(dates[150]), 5, (60_000.0, 80_000.0, 80_000.0, 100_000.0)))
    found.append(Event(20990101, 1, (3.0, 0.0, 0.0, 0.0)))
    seen: dict[int, Event] = {}
    for event in found:
        seen.setdefault(event.date, event)
    return sorted(seen.values(), key=lambda event: event.date)


def industry_file(market: TdxMarket) -> bytes:
    """``tdxhy.cfg``: market|code|T-code|||X-code, one line a share."""
    lines = [f"{entry.market}|{entry.code}|T0101|||{entry.industry}" for entry in market.listings.values() if not entry.is_index]
    return "\r\n".join(lines).encode("gbk")
