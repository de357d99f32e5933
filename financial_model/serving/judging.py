"""What a checkpoint is worth on dates it never saw, and where that is written down.

In: a checkpoint and a panel. Out: the figures of the test part beside the baselines, as plain JSON; ``evaluation.json``, the checkpoint's
header and ``report.html`` of a run. The dates come from the checkpoint, so that new data cannot move a training day into the test.
It decides nothing about when a test may be opened: that is ``experiment.py``.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.errors import DataError
from financial_model.paths import atomic_write
from financial_model.serving.runs import METRICS, RunInfo, RunStore
from financial_model.training.plain import plain

if TYPE_CHECKING:
    from financial_model.config import RunConfig
    from financial_model.datasets.panel import Panel
    from financial_model.models.prediction import Prediction

logger = logging.getLogger(__name__)

EVALUATION, REPORT = "evaluation.json", "report.html"
TRUTH = ("oracle_ic", "oracle_ic_interval", "recovery", "recovery_interval")
"""Only where the market's truth is known."""


def judge(checkpoint: Path, panel: Panel, *, progress: Callable[..., None], stop: threading.Event | None = None) -> dict[str, Any]:
    """Every figure of the test part. Keys: metrics, result, split, data, fingerprint, checkpoint, synthetic, evaluated; folds of a walk-forward."""
    from financial_model.config import BASELINES
    from financial_model.serving.forecaster import load
    from financial_model.serving.walkforward import has_folds, judge_folds

    if has_folds(checkpoint):
        return judge_folds(checkpoint, panel, progress=progress, stop=stop)
    forecaster = load(checkpoint)
    config, split = forecaster.config, test_split(forecaster.header, panel)
    train, test = (_ends(panel, config, split[part]) for part in ("train", "test"))
    if not len(test):
        raise DataError("serving.no_test_windows", first=split["test"]["first"], last=split["test"]["last"])
    prediction = forecaster.predict_panel(panel, test, stop=stop, progress=lambda done, total: progress("evaluate", done, total))
    rivals = baselines(panel, config, train, test, names=BASELINES, progress=progress, stop=stop)
    return judged(prediction, rivals, panel, config, split, checkpoint.name)


def judged(prediction: Prediction, rivals: Mapping[str, Prediction], panel: Panel, config: RunConfig, split: Mapping[str, Any],
           checkpoint: str) -> dict[str, Any]:
    """The figures of a forecast beside its rivals, and what they rest on."""
    from financial_model.datasets.splits import iso
    from financial_model.evaluation.evaluate import evaluate

    result = evaluate(prediction, panel, config, rivals)
    facts = {"stocks": len(panel.symbols), "rows": panel.rows, "first": iso(int(panel.time.min())), "last": iso(int(panel.time.max())),
             "fingerprint": panel.fingerprint, "market": panel.market}
    return {"metrics": headline(result), "result": result, "split": split, "fingerprint": panel.fingerprint, "checkpoint": checkpoint,
            "synthetic": panel.synthetic, "data": facts, "evaluated": datetime.now().isoformat(timespec="seconds")}


def test_split(header: Mapping[str, Any], panel: Panel) -> dict[str, Any]:
    """The dates of a checkpoint, its test running on to the newest day of ``panel``."""
    from financial_model.datasets.splits import iso, seconds

    split = {name: dict(entry) if isinstance(entry, Mapping) else entry for name, entry in header["split"].items()}
    newest = int(panel.time.max())
    if newest > seconds(split["test"]["last"]):
        split["test"]["last"] = iso(newest)
    return split


def _ends(panel: Panel, config: RunConfig, part: Mapping[str, Any]) -> Any:
    from financial_model.datasets.splits import seconds
    from financial_model.datasets.windows import window_ends

    return window_ends(panel, seconds(part["first"]), seconds(part["last"]), config.features.context_length, config.label.horizon,
                       entry=config.label.entry)


def baselines(panel: Panel, config: RunConfig, train: Any, test: Any, *, names: tuple[str, ...], progress: Callable[..., None],
              stop: threading.Event | None) -> dict[str, Prediction]:
    """The forecasts any model must beat, for the same windows."""
    from financial_model.errors import Stopped
    from financial_model.models.baselines import baseline_class

    found = {}
    for place, name in enumerate(names):
        if stop is not None and stop.is_set():
            raise Stopped
        progress("baselines", place, len(names))
        found[name] = baseline_class(name)().fit(panel, train, config).predict(panel, test)
    progress("baselines", len(names), len(names))
    return found


def headline(result: Mapping[str, Any]) -> dict[str, Any]:
    """The figures every table shows, with their intervals; baselines likewise, the truth where it is known."""
    from financial_model.evaluation.evaluate import HEADLINE

    def figures(source: Mapping[str, Any]) -> dict[str, Any]:
        return {key: source[key] for name in HEADLINE for key in (name, f"{name}_interval") if key in source}

    return {**figures(result), **{name: result[name] for name in TRUTH if name in result},
            "baselines": {name: figures(entry) for name, entry in result["baselines"].items()},
            "horizon": result["horizon"], "rows": result["sample"]["rows"], "dates": result["sample"]["dates"]}


def publish(run: RunInfo, runs: RunStore, result: Mapping[str, Any]) -> None:
    """Write a test result to every place that shows it: the header of the checkpoint it was measured on, the run, the report."""
    from financial_model.training.checkpoint import update_header

    update_header(run.path / result["checkpoint"], {"metrics": result["metrics"], "test_opened": result["test_opened"]})
    for name, content in ((EVALUATION, result), (METRICS, result["metrics"])):
        atomic_write(run.path / name, json.dumps(plain(content), ensure_ascii=False, allow_nan=False))
    report(run, runs, result, run.path / REPORT)


def report(run: RunInfo, runs: RunStore, result: Mapping[str, Any], path: Path, *, language: str = "en") -> Path:
    """One self-contained HTML page about a run. ``StorageError`` when it cannot be written."""
    from financial_model.evaluation.report import write_report

    return write_report(path, result["result"], name=run.id, language=language, config=run.run_config(), split=result["split"],
                        curves=runs.curves(run.id), data=result["data"], folds=result.get("folds", ()), notes=result.get("notes", ()),
                        created=result["evaluated"])


def stored(run: RunInfo) -> dict[str, Any] | None:
    """The last test result of a run, or ``None`` when its test was never opened."""
    path = run.path / EVALUATION
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError:
        logger.warning("%s is damaged and is made anew", path)
        return None
