"""What has to be known before the first step, all of it from training rows: dates, windows, tables, units.

In: a configuration and a panel. Out: ``Preparation``. The test part is named here, by its dates, and its rows are never read.
It knows no model and no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from financial_model.config import DATE_OBJECTIVES, RunConfig
from financial_model.datasets.splits import Span, Split, date_split, iso
from financial_model.datasets.targets import check_label, fit_label_scale, label_classes, label_figures, label_places, label_returns, label_unit
from financial_model.datasets.windows import window_ends
from financial_model.errors import DataError, Phrase
from financial_model.features.scaling import fit_table

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel

Table = tuple[NDArray[np.float32], NDArray[np.float32]]
LEAST_COMPARED = 3
"""Stocks a usual date needs where stocks of a date are compared."""
CONSTANT_SAMPLE = 200_000
"""Training windows, evenly spaced, on which constant forecasts are measured."""
LEAST_VALIDATION = 10_000
"""Windows an evaluation keeps at least when ``windows_per_epoch`` limits the training."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The parts of a run and what was measured on the training part."""

    split: Split
    train: NDArray[np.int64]
    """[n] end rows."""
    validation: NDArray[np.int64]
    validation_limit: int
    """Windows drawn for each evaluation, always the same; 0: all."""
    table: Table | None
    """center and scale [F]; None where each window is normalised by itself."""
    label_scale: NDArray[np.float32]
    """[H] spread of the training labels in log return."""

    def sample(self) -> NDArray[np.int64]:
        """At most ``CONSTANT_SAMPLE`` training windows, evenly spaced."""
        return self.train[np.linspace(0, len(self.train) - 1, min(len(self.train), CONSTANT_SAMPLE)).astype(np.int64)]


def prepare(config: RunConfig, panel: Panel) -> Preparation:
    """Cut the panel by date and fit the tables. ``DataError`` when a part has no session or no window."""
    label = config.label
    split = date_split(panel.time, config.split, label.horizon, label.entry)
    train, validation = (_ends(config, panel, name, split.part(name)) for name in ("train", "validation"))
    check_label(panel, train, label)
    drawn = config.training.windows_per_epoch
    if config.by_date():
        _check_comparable(panel, train)
    return Preparation(
        split=split, train=train, validation=validation, validation_limit=max(drawn // 2, LEAST_VALIDATION) if drawn else 0,
        table=_table(config, panel, split.train), label_scale=fit_label_scale(panel, train, config))


def targets(config: RunConfig, panel: Panel, ends: NDArray[np.int64], label_scale: NDArray[np.float32]) -> tuple[NDArray, NDArray]:
    """What an objective compares with: z [n, H] in units (for the head multi two columns more, as in ``Batch.z``) and the class [n] of the windows
    ending at ``ends``."""
    returns = label_returns(panel, ends, config.label)
    ranked = config.label.unit == "rank"
    z = label_places(panel, ends, config.label)[ends] if ranked else returns / label_unit(panel, ends, config.label, label_scale)
    if config.head() == "multi":
        z = np.concatenate((z, label_figures(panel, ends, config.label)), axis=1)
    return z, label_classes(returns, config.label)


def compared_dates(config: RunConfig, panel: Panel, ends: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The dates [n] of windows for an objective that compares the stocks of a date; None for any other."""
    return np.asarray(panel.time)[ends] if config.objective() in DATE_OBJECTIVES else None


def _check_comparable(panel: Panel, ends: NDArray[np.int64]) -> None:
    names = float(np.median(np.unique(np.asarray(panel.time)[ends], return_counts=True)[1]))
    if names < LEAST_COMPARED:
        raise DataError("training.too_few_per_date", names=f"{names:g}", needed=LEAST_COMPARED)


def _ends(config: RunConfig, panel: Panel, part: str, span: Span) -> NDArray[np.int64]:
    context = config.features.context_length
    found = window_ends(panel, *span, context, config.label.horizon, entry=config.label.entry)
    if not len(found):
        raise DataError("training.no_windows", part=Phrase(f"split.part.{part}"), first=iso(span[0]), last=iso(span[1]), context_length=context,
                        horizon=config.label.horizon)
    return found


def _table(config: RunConfig, panel: Panel, span: Span) -> Table | None:
    """zscore needs none; last_close takes the centre from each window and only the scale from here."""
    kind = config.features.normalisation
    if kind == "zscore":
        return None
    rows = np.flatnonzero((panel.time >= span[0]) & (panel.time <= span[1]) & (panel.valid > 0))
    return fit_table(panel.values, rows, "robust" if kind == "last_close" else kind)
