"""The live loss curve as lines: what a training tab draws every two seconds.

In: the thinned series of :meth:`RunStore.curves` and the visitor's view. Out: points by series and a colour per series, for ``line_chart.py``.
Baselines are level lines on the same chart, so that nobody needs a second look to see whether the model beats them. The axes move in steps, so that
the curve grows on a chart that stands still.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from financial_model.ui.charts import ACCENT, GOLD, GREY
from financial_model.ui.line_chart import Points
from financial_model.ui.text import View, known

if TYPE_CHECKING:
    import pandas as pd

TEAL = "#1795a8"
BASELINE_COLOURS = (GOLD, GREY, "#b8527f", "#5b8c3e", "#8a6fc9", "#c96a3d", "#4a90c2", "#7d8b3a")
EARLIER, TOGETHER = "#d9a99f", "#6b4fa3"
"""Colours of an ensemble: members that are trained already, and what they give together."""
DETAILS = {
    "learning_rate": ("train/learning_rate",),
    "grad_norm": ("train/grad_norm",),
    "speed": ("train/windows_per_second",),
    "skill": ("validation/ic", "validation/rank_ic"),
}
"""What the second, smaller chart can show -> the series it takes."""


ALL = 10**9
"""Points of a series where none is to be left out."""


def table(curves: Mapping[str, Any]) -> pd.DataFrame:
    """Every series of a run one below the other: series, step, epoch, value."""
    import pandas as pd

    parts = [pd.DataFrame({"series": name, **{column: points[column] for column in ("step", "epoch", "value")}})
             for name, points in curves.get("series", {}).items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["series", "step", "epoch", "value"])


def loss_lines(curves: Mapping[str, Any], view: View, *, smoothing: float = 0.0, logarithmic: bool = False,
               end: float | None = None) -> dict[str, Points]:
    """The lines of the loss chart by their names: train, validation, one level line per baseline, and an upright line at the best epoch; of an
    ensemble also the validation of every earlier member, and a level line for what they give together.

    ``smoothing`` (0..0.99) is the weight of the past in an exponential mean of the training loss; ``logarithmic`` gives log10 of each value;
    ``end`` is the epoch the axis reaches while a run is still going (see :func:`axis_end`).
    """
    found: dict[str, Points] = {}
    series = curves.get("series", {})
    for split, name in (("train", view.word("ui.curve.train")), ("validation", view.word("ui.curve.validation"))):
        points = series.get(f"{split}/loss")
        if points:
            found[name] = points["epoch"], smoothed(points["value"], smoothing) if split == "train" and smoothing else points["value"]
    found |= {_member(view, number): (points["epoch"], points["value"]) for number, points in _earlier(curves).items()}
    reached = [x for xs, _ in found.values() for x in xs]
    best = curves.get("best")
    if best and len(reached) > 1:
        values = [y for _, ys in found.values() for y in ys]
        found[view.word("ui.curve.best")] = (best["epoch"],) * 2, (min(values), max(values))
    if reached:
        ends = (0.0, end) if end else (min(reached), max(reached))
        for name, metrics in curves.get("baselines", {}).items():
            if known(metrics.get("loss")):
                found[view.term("baseline", name)] = ends, (metrics["loss"],) * 2
        together = (curves.get("members") or {}).get("together")
        if together:
            found[view.word("ui.curve.together")] = ends, (together[-1][1],) * 2
    return _logarithms(found) if logarithmic else found


def _logarithms(lines: Mapping[str, Points]) -> dict[str, Points]:
    """log10 of every value that has one."""
    kept = {name: [(x, math.log10(y)) for x, y in zip(*points, strict=True) if y > 0] for name, points in lines.items()}
    return {name: ([x for x, _ in pairs], [y for _, y in pairs]) for name, pairs in kept.items() if pairs}


def detail_lines(curves: Mapping[str, Any], view: View, which: str) -> tuple[dict[str, Points], dict[str, str]]:
    """The lines of the second chart, and a colour per series."""
    found, colours = {}, {}
    for name, colour in zip(DETAILS[which], (TEAL, ACCENT), strict=False):
        metric = name.partition("/")[2]
        label = view.term("metric", metric) if which == "skill" else view.word(f"ui.curve.{which}")
        points = curves.get("series", {}).get(name)
        if points:
            found[label] = points["epoch"], points["value"]
        colours[label] = colour
    return found, colours


def series_colours(curves: Mapping[str, Any], view: View) -> dict[str, str]:
    """A colour per series that can be on the chart."""
    colours = {view.word("ui.curve.train"): TEAL, view.word("ui.curve.validation"): ACCENT, view.word("ui.curve.best"): "#a9b0bd"}
    for place, name in enumerate(curves.get("baselines", {})):
        colours[view.term("baseline", name)] = BASELINE_COLOURS[place % len(BASELINE_COLOURS)]
    return colours | {_member(view, number): EARLIER for number in _earlier(curves)} | {view.word("ui.curve.together"): TOGETHER}


def _earlier(curves: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Validation points of the members of an ensemble that are trained already."""
    members = curves.get("members") or {"validation": {}, "number": 0}
    return {number: points for number, points in members["validation"].items() if number != members["number"]}


def _member(view: View, number: int) -> str:
    return view.word("ui.curve.member_validation", number=number)


def smoothed(values: list[float], weight: float) -> list[float]:
    """Exponential mean with the start bias removed, so that the first point stays where it is."""
    mean, share, result = 0.0, 0.0, []
    for value in values:
        mean, share = weight * mean + (1 - weight) * value, weight * share + (1 - weight)
        result.append(mean / share)
    return result


def limits(lines: Mapping[str, Points], share: float = 0.98) -> tuple[float, float] | None:
    """The range of the upright axis: the lowest ``share`` of the values, so without the wild first steps, with a little air, out to the next eighth
    or so of it."""
    import numpy as np

    values = np.concatenate([np.asarray(ys, float) for _, ys in lines.values()]) if lines else np.empty(0)
    if not len(values):
        return None
    low, high = float(values.min()), float(np.quantile(values, share))
    air = 0.06 * (high - low) or 0.05
    step = 2.0 ** math.floor(math.log2((high - low + 2 * air) / 4))
    return math.floor((low - air) / step) * step, math.ceil((high + air) / step) * step


def near(lines: Mapping[str, Points], view: View) -> dict[str, Points]:
    """The lines of a look from close up: validation and what it has to beat, without the noise of single training steps. All of them, as long as
    nothing was validated."""
    if view.word("ui.curve.validation") not in lines:
        return dict(lines)
    train, best = view.word("ui.curve.train"), view.word("ui.curve.best")
    kept = {name: points for name, points in lines.items() if name not in (train, best)}
    values = [y for _, ys in kept.values() for y in ys]
    return kept | ({best: (lines[best][0], (min(values), max(values)))} if best in lines else {})


def span(lines: Mapping[str, Points]) -> tuple[float, float]:
    """From the first to the last epoch there is."""
    ends = [x for xs, _ in lines.values() for x in xs]
    return (min(ends), max(ends)) if ends else (0.0, 1.0)


def epoch_reached(curves: Mapping[str, Any]) -> float | None:
    ends = [points["epoch"][-1] for points in curves.get("series", {}).values() if points["epoch"]]
    return max(ends) if ends else None


def axis_end(curves: Mapping[str, Any], epochs: int) -> float:
    """How far the axis reaches while a run goes on: to the next power of two, but not beyond the last epoch planned."""
    return float(min(epochs, 2 ** math.ceil(math.log2(max(1.0, epoch_reached(curves) or 0.0)))))


def latest(curves: Mapping[str, Any], name: str) -> float | None:
    """The last value of a series such as ``train/learning_rate``, if there is one."""
    points = curves.get("series", {}).get(name)
    return points["value"][-1] if points and points["value"] else None
