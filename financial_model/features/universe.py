"""The universe as a whole: the three dimensions of every row, and the summary that the page and the command line show.

In: packed bars, industries, a store. Out: condition arrays for the panel, or ``UniverseSummary``. It draws nothing and trains nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import CONDITIONS
from financial_model.errors import DataError
from financial_model.features import overview
from financial_model.features.industry import industry_codes
from financial_model.features.regime import UNKNOWN as UNKNOWN_REGIME
from financial_model.features.regime import regime
from financial_model.features.series import last_at_or_before
from financial_model.features.style import MINIMUM_NAMES, style

if TYPE_CHECKING:
    from financial_model.market.store import Store

THIN_STOCKS = 30
"""A label that fewer stocks carry is hardly learnt from."""
OTHER_SHARE = 0.05
"""More stocks than this in ``other`` or without an industry: the classification does not fit these stocks."""


LEAVING = 0.005
"""Share of companies that leave the exchange in a year, at the very least; fewer stopped stocks than that are suspended or not updated."""


def conditions(bars: Any, industries: Mapping[str, str], progress: Callable[[int, int], object] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """``(int8 [rows, 6], float32 [rows, 4])``: industry, size, value, volatility, momentum, regime as indices into ``CONDITIONS``, and style ranks.

    The index after the last name means unknown. Style and regime are those of the row's own date, known at its close.
    """
    codes = np.empty((len(bars.time), len(CONDITIONS)), dtype=np.int8)
    codes[:, 0] = np.repeat(industry_codes(bars.symbols, industries), np.diff(bars.offsets))
    codes[:, 1:5], ranks = style(bars, progress)
    day = last_at_or_before(bars.time, bars.offsets, bars.market_time)
    daily = np.append(regime(bars.market_close), np.int8(UNKNOWN_REGIME))
    codes[:, 5] = daily[day]  # day -1, before the market's first bar, is the unknown at the end
    return codes, ranks


@dataclass(frozen=True, kw_only=True)
class UniverseSummary:
    """What there is, in plain JSON data. Returns are simple returns, shares are of 1, dates are ISO texts."""

    stocks: int
    rows: int
    first: str
    last: str
    sessions: int
    market: str
    """Index the regime is read from, or equal_weight."""
    synthetic: bool
    weight: str
    """What ``weight`` in the tables means: market_value, or traded (money a day) where market values are not known."""
    table: list[dict[str, Any]]
    """One entry per stock: symbol, name, industry, size, value, volatility, momentum, weight, change, change_month, annual_return,
    annual_volatility, close, rows, first, last, missing, trading."""
    industries: list[dict[str, Any]]
    """industry, stocks, share, change, change_month, annual_volatility; the largest first."""
    counts: dict[str, dict[str, int]]
    """Condition -> label -> trading stocks that carry it on the last date (``unknown`` included)."""
    coverage: dict[str, list]
    """dates, stocks."""
    regimes: dict[str, list]
    """dates, close, regime (index into names, beyond it unknown), names."""
    correlation: dict[str, dict[str, list]]
    """industries and stocks, each with names and matrix."""
    missing: dict[str, list]
    """symbols, months, share [symbols][months], all [months]."""
    thin: list[dict[str, Any]]
    """condition, label, stocks: too few to learn from."""
    other_share: float
    """Share of stocks in ``other`` or without an industry."""
    survivors_only: bool
    """No stock stops trading before the end: delisted ones are missing, and results are too good."""
    stopped: int
    """Stocks whose last bar lies well before the end."""
    warnings: list[dict[str, Any]]
    """key and fields of sentences in the catalogue."""

    def to_dict(self) -> dict[str, Any]:
        """Plain nested data for JSON."""
        return dataclasses.asdict(self)


def analyze(store: Store, *, symbols: Sequence[str] | None = None, start: str = "", end: str = "",
            progress: Callable[[int, int], object] | None = None) -> UniverseSummary:
    """Look at ``symbols`` (all stocks of the store by default) from ``start`` to ``end``, ISO dates.

    Style and regime use the bars before ``start`` too. ``DataError`` when nothing is there.
    """
    from financial_model.market.bars import pack

    chosen = list(symbols) if symbols else store.symbols("stock")["symbol"].tolist()
    if not chosen:
        raise DataError("universe.no_stocks")
    bars = pack(store, chosen, end=end)
    codes, _ = conditions(bars, store.industries(), progress)
    stretch = overview.Stretch(bars=bars, codes=codes, start=_seconds(start))
    if not stretch.inside.any():
        raise DataError("bars.nothing_in_range", start=start, end=end or "-", count=len(chosen))
    return summarize(stretch, store.names(), synthetic=store.synthetic)


def summarize(stretch: overview.Stretch, names: Mapping[str, str], *, synthetic: bool) -> UniverseSummary:
    """:func:`analyze` of bars already packed."""
    bars = stretch.bars
    weight, measure = overview.weights(stretch)
    table = overview.stock_table(stretch, weight, names)
    counts = overview.style_counts(stretch)
    outside = sum(stock["industry"] in ("other", "unknown") for stock in table) / len(table)
    survivors_only = bool(stretch.fresh.all()) and not synthetic
    stopped = int((~stretch.fresh).sum())
    thin = _thin_cells(counts)
    return UniverseSummary(
        stocks=len(bars.symbols), rows=int(stretch.inside.sum()), first=overview.day(stretch.dates[0]), last=overview.day(stretch.dates[-1]),
        sessions=len(stretch.dates), market=bars.market_name, synthetic=synthetic, weight=measure, table=table,
        industries=overview.industry_table(table), counts=counts, coverage=overview.coverage(stretch),
        regimes=overview.regime_ribbon(stretch, regime(bars.market_close)), correlation=overview.correlations(stretch, weight),
        missing=overview.missing_by_month(stretch), thin=thin, other_share=round(outside, 4), survivors_only=survivors_only,
        stopped=stopped, warnings=_survival(stopped, len(table), stretch.years, synthetic) + _warnings(counts, thin, outside, synthetic))


def _thin_cells(counts: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    return [{"condition": condition, "label": label, "stocks": count} for condition, labels in counts.items() for label, count in labels.items()
            if label != "unknown" and 0 < count < THIN_STOCKS]


def _survival(stopped: int, stocks: int, years: float, synthetic: bool) -> list[dict[str, Any]]:
    """What to say of delisted companies: that none is here, or that there are fewer than leave an exchange in such a span."""
    if synthetic or stopped >= max(LEAVING * years * stocks, 1):
        return []
    if stopped:
        return [{"key": "universe.few_stopped", "fields": {"stopped": stopped, "stocks": stocks}}]
    return [{"key": "universe.survivors_only", "fields": {}}]


def _warnings(counts: Mapping[str, Mapping[str, int]], thin: Sequence[Mapping[str, Any]], outside: float, synthetic: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def warn(key: str, **fields: Any) -> None:
        found.append({"key": key, "fields": fields})

    trading = sum(counts["industry"].values())
    if synthetic:
        warn("universe.synthetic")
    if trading < MINIMUM_NAMES:
        warn("universe.few_stocks", stocks=trading, least=MINIMUM_NAMES)
    if trading and outside > OTHER_SHARE:
        warn("universe.other_share", share=outside, limit=OTHER_SHARE)
    for condition in ("size", "value"):
        if trading >= MINIMUM_NAMES and counts[condition]["unknown"] > 0.5 * trading:
            warn(f"universe.unknown_{condition}", share=counts[condition]["unknown"] / trading)
    if thin:
        warn("universe.thin_cells", cells=len(thin), least=THIN_STOCKS, smallest=min(cell["stocks"] for cell in thin))
    return found


def _seconds(date: str) -> int:
    try:
        return int(np.datetime64(date, "D").astype("datetime64[s]").astype(np.int64)) if date else int(np.iinfo(np.int64).min)
    except ValueError:
        raise DataError("bars.bad_range", value=date[:40]) from None
