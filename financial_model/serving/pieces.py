"""A run's out-of-sample forecasts: each model of it with the dates it may be tested on.

In: a run's checkpoint and a panel. Out: `Piece` (one, or one per walk-forward fold) and from them stitched forecasts of the model, of the baselines,
and of the model recalibrated on validation dates. Dates come from the checkpoints, so that new data cannot move a training day into the test.
It knows no figure and no file but checkpoints.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import RunConfig
from financial_model.datasets.splits import iso, seconds
from financial_model.errors import DataError, Stopped

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.prediction import Prediction
    from financial_model.models.rules import Baseline
    from financial_model.serving.forecaster import LoadedForecaster

Progress = Callable[..., None]


@dataclass(frozen=True)
class Piece:
    """One model, and the rows of a panel that it learned from, chose by, and is tested on."""

    model: LoadedForecaster
    split: Mapping[str, Any]
    """``Split.describe()``; the last piece's test runs on to the newest day of the panel."""
    train: np.ndarray
    validation: np.ndarray
    """int64 [n] end rows of labelled windows"""
    test: np.ndarray
    """int64 [n] end rows of all windows: what follows the last ones is in the next piece, or not known yet"""

    @property
    def config(self) -> RunConfig:
        return self.model.config


def pieces(checkpoint: Path, panel: Panel) -> list[Piece]:
    """The pieces of the run ``checkpoint`` belongs to, in order of time. ``DataError`` when none of them has a window to test."""
    from financial_model.serving.forecaster import load
    from financial_model.serving.walkforward import fold_checkpoints

    models = [load(path) for path in fold_checkpoints(checkpoint) or (checkpoint,)]
    splits = [dict(model.header["split"]) for model in models]
    newest = iso(int(panel.time.max()))
    if seconds(newest) > seconds(splits[-1]["test"]["last"]):
        splits[-1]["test"] = {**splits[-1]["test"], "last": newest}
    found = [Piece(model, split, *(_rows(model, panel, split[part], labelled) for part, labelled in _PARTS))
             for model, split in zip(models, splits, strict=True)]
    found = [piece for piece in found if len(piece.test)]
    if not found:
        raise DataError("serving.no_test_windows", first=splits[0]["test"]["first"], last=splits[-1]["test"]["last"])
    return found


_PARTS = (("train", True), ("validation", True), ("test", False))


def _rows(model: LoadedForecaster, panel: Panel, part: Mapping[str, Any], labelled: bool) -> np.ndarray:
    from financial_model.datasets.windows import window_ends

    return window_ends(panel, seconds(part["first"]), seconds(part["last"]), model.context_length, model.horizon,
                       entry=model.config.label.entry, labelled=labelled)


def whole_split(found: Sequence[Piece]) -> dict[str, Any]:
    """The dates of all pieces as one split: training and validation of the first, the tests together."""
    first, last = found[0].split, found[-1].split
    sessions = sum(piece.split["test"].get("sessions") or 0 for piece in found)
    return {**first, "test": {"first": first["test"]["first"], "last": last["test"]["last"], "sessions": sessions}}


# ---------------------------------------------------------------- forecasts
def predict(found: Sequence[Piece], panel: Panel, part: str, *, stage: str, progress: Progress, stop: threading.Event | None) -> list[Prediction]:
    """Each model's forecasts of its own ``part`` (test or validation)."""
    return [piece.model.predict_panel(panel, getattr(piece, part), stop=stop, progress=_within(progress, stage, place, len(found)))
            for place, piece in enumerate(found)]


def rivals(found: Sequence[Piece], panel: Panel, names: Sequence[str], *, progress: Progress, stop: threading.Event | None,
           seen: Callable[[str, Baseline], object] | None = None) -> dict[str, Prediction]:
    """The baselines on the same rows, each fitted on the training rows of the piece it forecasts and its fan measured on the validation rows, as the
    model's is; ``seen`` gets each one."""
    parts = [fitted(panel, piece.config, piece.train, piece.test, names, validation=piece.validation, stop=stop,
                    progress=_within(progress, "baselines", place, len(found)), seen=seen) for place, piece in enumerate(found)]
    return {name: joined([part[name] for part in parts]) for name in names}


def fitted(panel: Panel, config: RunConfig, train: np.ndarray, test: np.ndarray, names: Sequence[str], *, validation: np.ndarray,
           progress: Callable[[float, float], None], stop: threading.Event | None,
           seen: Callable[[str, Baseline], object] | None = None) -> dict[str, Prediction]:
    """Baselines by name, fitted on the windows ``train``, their fans measured on ``validation`` where there are any, asked for the windows
    ``test``. ``Stopped`` on ``stop``."""
    from financial_model.models.baselines import baseline_class

    found = {}
    for place, name in enumerate(names):
        if stop is not None and stop.is_set():
            raise Stopped
        progress(place, len(names))
        baseline = baseline_class(name)().fit(panel, train, config, stop=stop)
        if len(validation):
            baseline.measure(panel, validation)
        found[name] = baseline.predict(panel, test)
        if seen is not None:
            seen(name, baseline)
    progress(len(names), len(names))
    return found


def joined(parts: Sequence[Prediction]) -> Prediction:
    """Forecasts of different rows as one."""
    from financial_model.models.prediction import Prediction

    arrays = [part.arrays() for part in parts]
    common = [name for name in arrays[0] if all(name in other for other in arrays)]
    return Prediction(levels=parts[0].levels, **{name: np.concatenate([other[name] for other in arrays]) for name in common})


def _within(progress: Progress, stage: str, place: int, count: int) -> Callable[[float, float], None]:
    """Progress within one piece as progress of the whole stage."""
    return lambda done, total: progress(stage, place + (done / total if total else 0.0), count)


# ---------------------------------------------------------------- recalibration
def recalibrate(validation: Prediction, test: Prediction, panel: Panel, config: RunConfig) -> tuple[Prediction, dict[str, Any]]:
    """``test`` with quantiles (or, of a classes head, probabilities) adjusted on validation dates alone; and the adjustments as plain data.

    ``gate``: the confidence gate chosen on the same dates. ``DataError`` when there are too few of them.
    """
    from financial_model.evaluation import calibration

    label, adjusted, facts = config.label, test, {}
    if validation.quantiles is not None:
        stretch = calibration.fit_quantiles(validation, panel, label)
        adjusted, validation = stretch.apply(adjusted), stretch.apply(validation)
        facts["quantiles"] = calibration.to_json(stretch)
    if validation.probabilities is not None and test.probabilities is not None:
        softening = calibration.fit_classes(*calibration.class_rows(validation, panel, label)[:2])
        adjusted = replace(adjusted, probabilities=softening.apply(test.probabilities).astype(np.float32))
        validation = replace(validation, probabilities=softening.apply(validation.probabilities).astype(np.float32))
        facts["classes"] = calibration.to_json(softening)
    gate = calibration.choose_gate(*calibration.class_rows(validation, panel, label))
    return adjusted, {**facts, "gate": calibration.to_json(gate)}
