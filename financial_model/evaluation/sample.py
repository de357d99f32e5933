"""The rows a forecast is judged on: what really happened after each of them, and which date, stock, industry and style they belong to.

In: a Prediction's end rows, a Panel, the label's definition. Out: `Sample`, sorted by date, and other forecasts aligned to it.
It knows no metric and no model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from financial_model.config import CONDITIONS, LabelConfig
from financial_model.datasets.targets import label_classes, label_returns
from financial_model.errors import DataError
from financial_model.features.labels import blocked_entries, last_bar

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.prediction import Prediction

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled rows in ascending order of date."""

    end: Array
    """int64 [rows]: row numbers of the panel"""
    day: Array
    """int64 [rows]: position in ``time``"""
    time: Array
    """int64 [dates]: seconds"""
    symbol: Array
    """int64 [rows]"""
    actual: Array
    """float64 [rows, horizon]: realised cumulative log return"""
    label: Array
    """int64 [rows]: realised class, index into CLASSES"""
    class_horizon: int
    """Days of ``label``"""
    conditions: dict[str, Array]
    """condition -> index [rows]; the last index is unknown"""
    buyable: Array
    """bool [rows]: the bar after the row trades and does not open at its upper limit"""
    oracle: Array | None
    """float64 [rows, up to 10]: expected log return given the past, where the market's truth is known"""

    @property
    def days(self) -> int:
        return len(self.time)

    @property
    def horizon(self) -> int:
        return self.actual.shape[1]

    def names_per_date(self) -> float:
        """Median number of rows on a date."""
        return float(np.median(np.bincount(self.day, minlength=self.days))) if len(self.end) else 0.0


def build_sample(ends: Array, panel: Panel, label: LabelConfig, horizon: int) -> Sample:
    """The rows among ``ends`` whose return over the full ``horizon`` is known. ``DataError`` when there are none."""
    ends = np.asarray(ends, np.int64)
    if len(ends) and (ends.min() < 0 or ends.max() >= len(panel.time)):
        raise DataError("evaluation.rows_outside", rows=len(panel.time))
    if len(np.unique(ends)) != len(ends):
        raise DataError("evaluation.rows_twice", rows=len(ends))
    label = replace(label, horizon=horizon)
    ends = ends[ends + last_bar(horizon, label.entry) <= _last_row(panel, ends)]
    if not len(ends):
        raise DataError("evaluation.no_rows", horizon=horizon)
    ends = ends[np.lexsort((ends, panel.time[ends]))]
    returns = label_returns(panel, ends, label)
    time, day = np.unique(panel.time[ends], return_inverse=True)
    conditions = panel.conditions[ends]
    return Sample(
        end=ends, day=day.astype(np.int64), time=time, symbol=panel.symbol_index(ends), actual=returns.astype(np.float64),
        label=label_classes(returns, label), class_horizon=min(label.class_horizon, horizon),
        conditions={name: conditions[:, column].astype(np.int64) for column, name in enumerate(CONDITIONS)},
        buyable=~blocked_entries(panel.tradable, ends, "next_open"), oracle=None if panel.oracle is None else panel.oracle[ends].astype(np.float64),
    )


def aligned(prediction: Prediction, sample: Sample, name: str) -> Array:
    """Positions in ``prediction`` of the sample's rows. ``DataError`` when some are missing, or days ahead: only like is compared with like."""
    if prediction.expected.shape[1] < sample.horizon:
        raise DataError("evaluation.baseline_horizon", name=name, days=prediction.expected.shape[1], horizon=sample.horizon)
    order = np.argsort(prediction.end, kind="stable")
    ordered = np.asarray(prediction.end)[order]
    position = np.minimum(np.searchsorted(ordered, sample.end), max(len(ordered) - 1, 0))
    missing = int((ordered[position] != sample.end).sum()) if len(ordered) else len(sample.end)
    if missing:
        raise DataError("evaluation.baseline_rows", name=name, missing=missing, rows=len(sample.end))
    return order[position]


def _last_row(panel: Panel, ends: Array) -> Array:
    """Last row of the stock each end belongs to."""
    return panel.offsets[1:][panel.symbol_index(ends)] - 1
