"""Stored bars against what the fake TDX server knows: bar by bar, factor by factor."""

import numpy as np

from financial_model.market.adjustment import ExRights, backward_factors
from financial_model.market.sources.session_end import last_complete_day
from tests.fakes.tdx_market import SH, Listing, TdxMarket


def symbol_of(listing: Listing) -> str:
    return f"{listing.code}.{'SH' if listing.market == SH else 'SZ'}"


def shares_of(market: TdxMarket) -> list[Listing]:
    """The listings that are A-shares of Shanghai and Shenzhen, as a download without wishes finds them."""
    prefixes = ("600", "601", "603", "605", "688", "000", "001", "002", "003", "300", "301")
    return [entry for entry in market.listings.values() if entry.code.startswith(prefixes) and not entry.is_index and entry.market in (0, 1)]


def days_of(listing: Listing) -> np.ndarray:
    return np.array([f"{day // 10000}-{day // 100 % 100:02d}-{day % 100:02d}" for day in listing.date.tolist()], dtype="datetime64[D]")


def difference(store, listing: Listing, *, events: bool = True) -> str:
    """Empty where the stored bars are exactly the listing's, else what differs. Sessions still running are not bars."""
    days = days_of(listing)
    rows = days <= last_complete_day("CN")
    days, prices = days[rows], listing.prices[rows]
    bars = store.read_bars(symbol_of(listing))
    if not np.array_equal(bars["date"].to_numpy().astype("datetime64[D]"), days):
        return f"{len(bars)} bars instead of {len(days)}, or other days"
    if not np.array_equal(np.rint(bars[["open", "close", "high", "low"]].to_numpy() * 1000).astype(np.int64), prices):
        return "prices"
    unit = 10_000.0 if listing.is_index else 100.0
    if not np.array_equal(bars["volume"], listing.volume[rows].astype(np.float64) * unit):
        return "volume"
    if not np.array_equal(bars["amount"], listing.amount[rows].astype(np.float64)):
        return "amount"
    if listing.is_index or not events:
        return ""
    known = [ExRights(date=np.datetime64(f"{event.date // 10000}-{event.date // 100 % 100:02d}-{event.date % 100:02d}"),
                      cash=event.values[0] / 10, rights_price=event.values[1], bonus=event.values[2] / 10, rights=event.values[3] / 10)
             for event in listing.events if event.category == 1]
    factor = backward_factors(days, prices[:, 1] / 1000.0, listing.volume[rows] > 0, known)
    return "" if np.allclose(bars["factor"], factor, rtol=1e-6) else "factor"
