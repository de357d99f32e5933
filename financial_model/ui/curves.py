"""The live loss curve as rows: what ``gr.LinePlot`` draws every two seconds while a training runs.

In: the thinned series of :meth:`RunStore.curves` and the visitor's view. Out: a DataFrame ``epoch, loss, series`` and a colour per series.
Baselines are level lines on the same chart, so that nobody needs a second look to see whether the model beats them.

``gr.LinePlot`` takes new rows in place, but whatever else of it changes (a range, a colour) makes it build a new chart beside the old one, which the
browser keeps: 1.5 MB every time. So ranges move in steps, and the colours change only when a series comes in.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from financial_model.ui.charts import ACCENT, GOLD, GREY
from financial_model.ui.text import View, known

if TYPE_CHECKING:
    import pandas as pd

TEAL = "#1795a8"
BASELINE_COLOURS = (GOLD, GREY, "#b8527f", "#5b8c3e")
EARLIER, TOGETHER = "#d9a99f", "#6b4fa3"
"""Colours of an ensemble: members that are trained already, and what they give together."""
COLUMNS = ("epoch", "loss", "series")
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


def loss_rows(curves: Mapping[str, Any], view: View, *, smoothing: float = 0.0, logarithmic: bool = False, end: float | None = None) -> pd.DataFrame:
    """Rows of the loss chart: train, validation, one level line per baseline, and an upright line at the best epoch; of an ensemble also the
    validation of every earlier member, and a level line for what they give together.

    ``smoothing`` (0..0.99) is the weight of the past in an exponential mean of the training loss; ``logarithmic`` gives log10 of each value;
    ``end`` is the epoch the axis reaches while a run is still going (see :func:`axis_end`).
    """
    import numpy as np
    import pandas as pd

    rows: list[tuple[float, float, str]] = []
    series = curves.get("series", {})
    for split, name in (("train", view.word("ui.curve.train")), ("validation", view.word("ui.curve.validation"))):
        points = series.get(f"{split}/loss")
        if points:
            values = smoothed(points["value"], smoothing) if split == "train" else points["value"]
            rows += [(float(x), float(y), name) for x, y in zip(points["epoch"], values, strict=True)]
    for number, points in _earlier(curves).items():
        rows += [(float(x), float(y), _member(view, number)) for x, y in zip(points["epoch"], points["value"], strict=True)]
    reached = [x for x, _, _ in rows]
    best = curves.get("best")
    if best and len(rows) > 1:
        low, high = min(y for _, y, _ in rows), max(y for _, y, _ in rows)
        rows += [(best["epoch"], y, view.word("ui.curve.best")) for y in (low, high)]
    if reached:
        ends = (0.0, end) if end else (min(reached), max(reached))
        for name, metrics in curves.get("baselines", {}).items():
            if known(metrics.get("loss")):
                rows += [(x, metrics["loss"], view.term("baseline", name)) for x in ends]
        together = (curves.get("members") or {}).get("together")
        if together:
            rows += [(x, together[-1][1], view.word("ui.curve.together")) for x in ends]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"epoch": float, "loss": float, "series": str})
    if logarithmic and not frame.empty:
        frame = frame[frame["loss"] > 0].assign(loss=lambda rest: np.log10(rest["loss"]))
    return frame


def detail_rows(curves: Mapping[str, Any], view: View, which: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Rows ``epoch, value, series`` of the second chart, and a colour per series."""
    import pandas as pd

    rows, colours = [], {}
    for name, colour in zip(DETAILS[which], (TEAL, ACCENT), strict=False):
        metric = name.partition("/")[2]
        label = view.term("metric", metric) if which == "skill" else view.word(f"ui.curve.{which}")
        points = curves.get("series", {}).get(name, {"epoch": (), "value": ()})
        rows += [(float(x), float(y), label) for x, y in zip(points["epoch"], points["value"], strict=True)]
        colours[label] = colour
    return pd.DataFrame(rows, columns=["epoch", "value", "series"]).astype({"epoch": float, "value": float, "series": str}), colours


def series_colours(curves: Mapping[str, Any], view: View, shown: Collection[str] | None = None) -> dict[str, str]:
    """A colour per series: of those in ``shown``, without it of all that can be."""
    colours = {view.word("ui.curve.train"): TEAL, view.word("ui.curve.validation"): ACCENT, view.word("ui.curve.best"): "#a9b0bd"}
    for place, name in enumerate(curves.get("baselines", {})):
        colours[view.term("baseline", name)] = BASELINE_COLOURS[place % len(BASELINE_COLOURS)]
    colours |= {_member(view, number): EARLIER for number in _earlier(curves)} | {view.word("ui.curve.together"): TOGETHER}
    return {name: colour for name, colour in colours.items() if shown is None or name in shown}


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


def limits(rows: pd.DataFrame) -> list[float] | None:
    """The range of the loss axis: everything but the wild first steps, with a little air, out to the next eighth or so of it."""
    import numpy as np

    if rows.empty:
        return None
    values = rows["loss"].to_numpy()
    low, high = float(values.min()), float(np.quantile(values, 0.98))
    air = 0.06 * (high - low) or 0.05
    step = 2.0 ** math.floor(math.log2((high - low + 2 * air) / 4))
    return [math.floor((low - air) / step) * step, math.ceil((high + air) / step) * step]


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
