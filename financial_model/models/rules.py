"""The interface of every baseline, and the rules of thumb among them.

In: a panel, end rows of windows and a configuration. Out: :class:`Prediction` in log return. A rule sees prices up to the end row, and labels
of the windows it is fitted on; it knows no feature and no network.

Every baseline gives quantiles too: its expectation plus the quantiles of its residuals, in spreads (so the interval of a quiet stock is narrower).
They are those of training windows until :meth:`Baseline.measure` is given others: beside a model whose fan was measured on validation windows,
a baseline's has to be as well. Beating the plain one of ``zero`` is the least a fan has to do.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from financial_model.config import RunConfig
from financial_model.datasets.panel import LOG_CLOSE, Panel
from financial_model.datasets.splits import label_bars
from financial_model.datasets.targets import fit_label_scale, label_returns, label_spread, label_unit
from financial_model.errors import ConfigError
from financial_model.models.prediction import Prediction

Ends = NDArray[np.int64]

SAMPLE = 500_000
"""Most windows a rule's size and the residual quantiles are measured on; evenly spaced ones where there are more."""
SMALLEST_SIZE = 1e-3
"""Least share of its signal a rule forecasts: its sign is the rule's, whatever the training years say, and its ranking stays visible."""


LEAST_DATES = 60
"""With fewer training dates on which a rule says something, a quarter, its size is not fitted: a few windows make it absurd, and easy to beat."""


def thin(ends: Ends, most: int = SAMPLE) -> Ends:
    """At most ``most`` of ``ends``, evenly spaced."""
    return ends[::-(-len(ends) // most)] if len(ends) > most else ends


class Baseline:
    """Fit, expectation and residual quantiles; a subclass says what it learns and what it expects."""

    def fit(self, panel: Panel, ends: Ends, config: RunConfig, *, stop: threading.Event | None = None) -> Self:
        """Learn from labelled training windows (``window_ends(labelled=True)``), n >= 1. ``Stopped`` on ``stop``, where learning takes long."""
        if not len(ends):
            raise ConfigError("models.baseline_without_windows")
        self.config, self.stop = config, stop
        self.label_scale = fit_label_scale(panel, thin(ends), config)
        self.learn(panel, ends)
        return self.measure(panel, ends)

    def measure(self, panel: Panel, ends: Ends) -> Self:
        """Take the fan's residuals from these labelled windows, n >= 1."""
        config, sample = self.config, thin(ends)
        residual = (label_returns(panel, sample, config.label) - self.expect(panel, sample)) / label_spread(panel, sample, config.label.horizon)
        self.residual_quantiles = np.quantile(residual, config.model.quantile_levels, axis=0).T.astype(np.float32)  # [H, Q]
        return self

    def predict(self, panel: Panel, ends: Ends) -> Prediction:
        """Forecasts for any windows, in the order of ``ends``."""
        ends = np.asarray(ends, np.int64)
        expected = self.expect(panel, ends).astype(np.float32)
        quantiles = expected[..., None] + self.residual_quantiles * label_spread(panel, ends, self.config.label.horizon)[..., None]
        return Prediction(end=ends, expected=expected, levels=self.config.model.quantile_levels, quantiles=quantiles)

    def unit(self, panel: Panel, ends: Ends) -> NDArray[np.float32]:
        """[n, H] what a label is divided by (``config.label.unit``)."""
        return label_unit(panel, ends, self.config.label, self.label_scale)

    def learn(self, panel: Panel, ends: Ends) -> None:
        """What the baseline takes from training windows; nothing, unless a subclass says otherwise."""

    def expect(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        """[n, H] expected cumulative log return."""
        raise NotImplementedError


class Zero(Baseline):
    """The price stays where it is."""

    def expect(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        return np.zeros((len(ends), self.config.label.horizon))


class TrainMean(Baseline):
    """Every stock moves as the average training window did."""

    def learn(self, panel: Panel, ends: Ends) -> None:
        self.mean = label_returns(panel, thin(ends), self.config.label).mean(0, dtype=np.float64)

    def expect(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        return np.tile(self.mean, (len(ends), 1))


class Persistence(Baseline):
    """The last h days repeat themselves over the next h: their return, or whatever the run is asked, as far as it is known by now."""

    def learn(self, panel: Panel, ends: Ends) -> None:
        if self.config.label.own:
            self.mean = label_returns(panel, thin(ends), self.config.label).mean(0, dtype=np.float64)

    def expect(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        if self.config.label.own:
            return self._last_known(panel, np.asarray(ends, np.int64))
        return np.stack([past_return(panel, ends, days) for days in range(1, self.config.label.horizon + 1)], axis=1)

    def _last_known(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        """[n, H] the label of the window whose last label bar is this one's end; the training mean where a stock is too young."""
        label, found = self.config.label, np.tile(self.mean, (len(ends), 1))
        for days in range(1, label.horizon + 1):
            before = ends - label_bars(days, label.entry)
            known = before >= panel.offsets[panel.symbol_index(ends)]
            found[known, days - 1] = label_returns(panel, before[known], replace(label, horizon=days))[:, -1]
        return found


class Rule(Baseline):
    """A signal whose sign is given and whose size is fitted: expected = size per horizon x signal, size by least squares but never negative."""

    def learn(self, panel: Panel, ends: Ends) -> None:
        sample = thin(ends)
        signal = self.signal(panel, sample)
        if not tells_size(panel, sample, signal):
            self.size = np.full(self.config.label.horizon, SMALLEST_SIZE)
            return
        fitted = signal @ label_returns(panel, sample, self.config.label).astype(np.float64) / max(float(signal @ signal), 1e-12)
        self.size = np.maximum(fitted, SMALLEST_SIZE)

    def expect(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        return self.signal(panel, ends)[:, None] * self.size

    def signal(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        """[n] log return whose sign is the forecast's; 0 where history is too short to say."""
        raise NotImplementedError


class Reversal(Rule):
    """What fell over five days rises."""

    days: ClassVar[int] = 5

    def signal(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        return -past_return(panel, ends, self.days)


class Momentum(Rule):
    """What rose over the last year, without the last month, goes on rising."""

    year: ClassVar[int] = 252
    month: ClassVar[int] = 21

    def signal(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        whole = past_return(panel, ends, self.year)
        return np.where(has_history(panel, ends, self.year), whole - past_return(panel, ends, self.month), 0.0)


class MovingAverage(Rule):
    """A five-day average above the twenty-day average goes on rising."""

    short: ClassVar[int] = 5
    long: ClassVar[int] = 20

    def signal(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        known = has_history(panel, ends, self.long - 1)
        result = np.zeros(len(ends))
        for start in range(0, len(ends), 1 << 16):
            rows = ends[start:start + (1 << 16)]
            close = panel.prices[np.maximum(rows[:, None] - np.arange(self.long), 0), LOG_CLOSE]
            result[start:start + (1 << 16)] = close[:, :self.short].mean(1) - close.mean(1)
        return np.where(known, result, 0.0)


def tells_size(panel: Panel, ends: Ends, signal: NDArray) -> bool:
    """Whether a ``signal`` [n] of training windows is there (not 0) on dates enough to fit its size."""
    return len(np.unique(panel.time[ends[signal != 0]])) >= LEAST_DATES


def has_history(panel: Panel, ends: Ends, days: int) -> NDArray[np.bool_]:
    """[n] whether the stock has a row ``days`` before the end row."""
    first = panel.offsets[np.searchsorted(panel.offsets, ends, side="right") - 1]
    return ends - days >= first


def past_return(panel: Panel, ends: Ends, days: int) -> NDArray[np.float64]:
    """[n] log return of the adjusted close over the last ``days`` bars, 0 where the stock is younger."""
    before = np.maximum(ends - days, 0)
    return np.where(has_history(panel, ends, days), panel.prices[ends, LOG_CLOSE] - panel.prices[before, LOG_CLOSE], 0.0)
