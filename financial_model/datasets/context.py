"""How many bars a window should hold: the lengths a random context is drawn from, and an estimate from how long returns remember.

In: settings; for the estimate the log returns of some stocks on training dates. Out: lengths; autocorrelations with the band of chance, and the last
lag outside it. It knows no model and no file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from financial_model.config import FeatureConfig, RunConfig
from financial_model.datasets.splits import Span, date_split

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel

LENGTHS = 5
"""Different lengths of a random context: enough to regularise, few enough for a compiler, which compiles each of them once."""
STOCKS = 30
"""Stocks an estimate looks at, evenly chosen: more would add little, because the stocks of a market move together."""
Z_95 = 1.96


def random_lengths(features: FeatureConfig) -> tuple[int, ...]:
    """What the windows of a training batch may hold under ``context`` random, evenly spaced up to the whole window; ascending."""
    longest = features.context_length
    return tuple(int(length) for length in np.unique(np.linspace(min(features.context_low, longest), longest, LENGTHS).round()))


@dataclass(frozen=True, kw_only=True)
class ContextEstimate:
    """The autocorrelation of returns and of absolute returns, and the length that follows."""

    context_length: int
    """``last`` within the bounds that were asked for."""
    last: int
    """Last lag at which one of the two leaves the band; 0: none does."""
    band: float
    """1.96 / sqrt(bars): of noise, 95 of 100 lags lie within plus or minus this."""
    bars: int
    """Returns a stock has, in the middle of the stocks."""
    stocks: int
    returns: tuple[float, ...]
    """Lag 1, 2, ..: the mean over stocks."""
    absolute: tuple[float, ...]
    outside: int
    """Lags outside the band, of both together; of the noise of one stock, 5 of 100 lie there."""
    low: int
    high: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def estimate(returns: Iterable[NDArray], low: int, high: int) -> ContextEstimate:
    """From log returns, one series a stock. Lags 1 .. ``high`` are looked at, fewer where histories are shorter than twice that.

    The band is that of one series, whatever the number of stocks: they move together, so many of them are not many independent series.
    """
    series = [part[np.isfinite(part)] for part in returns]
    series = [part for part in series if len(part) > 3 and part.std() > 0]
    bars = int(np.median([len(part) for part in series])) if series else 0
    lags = min(high, bars // 2)
    series = [part for part in series if len(part) > lags]
    plain, absolute = (np.mean([_autocorrelation(change(part), lags) for part in series], axis=0) if lags else np.zeros(0)
                       for change in (np.asarray, np.abs))
    band = Z_95 / math.sqrt(bars) if bars else math.inf
    out = (np.abs(plain) > band, np.abs(absolute) > band)
    last = int(np.flatnonzero(out[0] | out[1]).max(initial=-1)) + 1
    return ContextEstimate(
        context_length=min(max(last, low), high), last=last, band=band if bars else 0.0, bars=bars, stocks=len(series),
        returns=tuple(np.round(plain, 6).tolist()), absolute=tuple(np.round(absolute, 6).tolist()),
        outside=int(out[0].sum() + out[1].sum()), low=low, high=high)


def of_panel(panel: Panel, config: RunConfig) -> ContextEstimate:
    """The estimate for a run: on its training dates alone, so that no later bar has a say in what a window is."""
    span = date_split(panel.time, config.split, config.label.horizon, config.label.entry).train
    edges = np.asarray(panel.offsets)
    closes = (_inside(panel.time[edges[place]:edges[place + 1]], panel.prices[edges[place]:edges[place + 1], 0], span)
              for place in chosen(len(edges) - 1))
    return estimate((np.diff(part) for part in closes), config.features.context_low, config.features.context_high)


def chosen(count: int) -> range:
    """Places of at most ``STOCKS`` of so many stocks, evenly spaced."""
    return range(0, count, max(1, -(-count // STOCKS)))


def _inside(time: NDArray, values: NDArray, span: Span) -> NDArray:
    return np.asarray(values[(time >= span[0]) & (time <= span[1])], float)


def _autocorrelation(values: NDArray, lags: int) -> NDArray:
    """Correlation of a series with itself 1 .. ``lags`` bars before, each around the mean of the whole (the usual, slightly shrunken form)."""
    centred = values - values.mean()
    size = 1 << (len(centred) + lags).bit_length()
    products = np.fft.irfft(np.abs(np.fft.rfft(centred, size)) ** 2, size)
    return products[1:lags + 1] / max(products[0], 1e-300)
