"""What a checkpoint is worth on dates it never saw, and where that is written down.

In: a checkpoint and a panel. Out: the figures of the test part beside the baselines, as plain JSON; ``evaluation.json``, the checkpoint's
header and ``report.html`` of a run. The dates come from the checkpoint, so that new data cannot move a training day into the test.
It decides nothing about when a test may be opened: that is ``experiment.py``.
"""

from __future__ import annotations

import json
import logging
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from financial_model.errors import DataError
from financial_model.paths import atomic_write
from financial_model.serving import backtesting, pieces, plausibility
from financial_model.serving.runs import METRICS, RunInfo, RunStore
from financial_model.serving.trials import read_backtest
from financial_model.training.plain import plain

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.market.store import Store
    from financial_model.models.prediction import Prediction
    from financial_model.models.rules import Baseline
    from financial_model.serving.pieces import Piece

logger = logging.getLogger(__name__)

EVALUATION, REPORT, FORECASTS = "evaluation.json", "report.html", "out_of_sample.npz"
TRUTH = ("oracle_ic", "oracle_ic_interval", "recovery", "recovery_interval")
"""Only where the market's truth is known."""


def judge(checkpoint: Path, panel: Panel, *, store: Store | None = None, trials: int = 1, progress: Callable[..., None],
          stop: threading.Event | None = None, seen: Callable[[str, Baseline], object] | None = None) -> dict[str, Any]:
    """Every figure of the test part, of a walk-forward run of all its pieces together.

    Keys: metrics, result, split, data, fingerprint, checkpoint, synthetic, evaluated; folds of a walk-forward; members of an ensemble (of a
    walk-forward, the last one's); experts (of a model that has them: the share of the work by layer and expert); recalibration and, with ``store``
    (the bars), backtest: why one of these two could not be made stands in ``missing``. ``trials``: configurations tried on these data so far.
    ``seen`` gets each fitted baseline with its name.
    """
    from financial_model.config import BASELINES
    from financial_model.evaluation import own_label
    from financial_model.evaluation.evaluate import evaluate

    found = pieces.pieces(checkpoint, panel)
    config, split = found[-1].config, pieces.whole_split(found)
    own = config.label.own
    parts = pieces.predict(found, panel, "test", stage="evaluate", progress=progress, stop=stop)
    model, rivals = pieces.joined(parts), pieces.rivals(found, panel, own_label.BASELINES if own else BASELINES, progress=progress, stop=stop,
                                                          seen=seen)
    result = evaluate(model, panel, config, rivals, trials=trials)
    changed = [*_changed_universe(found, panel), *plausibility.market_notes(found[-1].model.header, panel)]
    result["verdict"] = [*result["verdict"][:1], *changed, *result["verdict"][1:]]
    save_forecasts(checkpoint.parent / FORECASTS, model, [len(part) for part in parts], panel)
    missing: list[dict[str, Any]] = [*found[-1].model.header.get("notes", ())]
    answer = {
        "metrics": headline(result), "result": result, "split": split, "fingerprint": panel.fingerprint, "checkpoint": checkpoint.name,
        "synthetic": panel.synthetic, "data": _facts(panel), "evaluated": datetime.now().isoformat(timespec="seconds"),
        "recalibration": None if own else _unless(missing, lambda: _recalibration(found, parts, panel, progress=progress, stop=stop)),
        "missing": missing}
    if store is not None and not own:
        progress("backtest")
        answer["backtest"] = _unless(missing, lambda: backtesting.backtest(model, panel, store, config, count=trials))
    if "members" in found[-1].model.header:
        answer["members"] = members(found[-1].model.header)
    load = _expert_load(found[-1], panel, stop)
    if load:
        answer["experts"] = load
    if len(found) > 1:
        answer["folds"] = [_fold(piece, part, panel, rivals) for piece, part in zip(found, parts, strict=True)]
    return answer


def _changed_universe(found: Sequence[Piece], panel: Panel) -> list[dict[str, Any]]:
    """A warning where many of the tested stocks are none that the model of their dates has learned from: new in the store, or listed since."""
    from financial_model.evaluation.detectors import universe_check

    worst = None
    for piece in found:
        known = set(piece.model.symbols) & {panel.symbols[stock] for stock in set(panel.symbol_index(piece.train).tolist())}
        finding = universe_check(known, {panel.symbols[stock] for stock in set(panel.symbol_index(piece.test).tolist())})
        if finding.fired and (worst is None or finding.fields["share"] > worst.fields["share"]):
            worst = finding
    return [] if worst is None else [{"key": worst.key, "level": "warning", "fields": worst.fields}]


LOOKED_AT = 2000
"""Windows of the test from which the load of the experts is counted."""


def _expert_load(piece: Piece, panel: Panel, stop: threading.Event | None) -> list[list[float]]:
    """Share of the work by layer and expert on windows spread over the test; nothing for a model without experts."""
    from financial_model.models.expert_load import expert_load, has_experts

    if not has_experts(piece.model.model):
        return []
    rows = piece.test[:: max(1, len(piece.test) // LOOKED_AT)]
    return expert_load(piece.model.model, lambda: piece.model.predict_panel(panel, rows, stop=stop))


def members(header: Mapping[str, Any]) -> dict[str, Any]:
    """What the members of an ensemble scored alone on the validation part, and what they score together: ``{"alone": [...], "together": {...}}``."""
    return {"alone": list(header["member_scores"]), "together": {name: value for name, value in header["validation"].items() if name != "baselines"}}


def _unless(missing: list[dict[str, Any]], make: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """What ``make`` gives, or None and the reason in ``missing``: too few dates must not cost a finished training its result."""
    try:
        return make()
    except DataError as error:
        missing.append({"key": error.key, "fields": error.fields, "level": "warning"})
        return None


def _recalibration(found: Sequence[Piece], parts: Sequence[Prediction], panel: Panel, *, progress: Callable[..., None],
                   stop: threading.Event | None) -> dict[str, Any]:
    """``rows`` (figure, before, after) on the test dates, and the adjustments of each piece, fitted on its validation dates."""
    from financial_model.evaluation import calibration

    label = found[-1].config.label
    validated = pieces.predict(found, panel, "validation", stage="recalibrate", progress=progress, stop=stop)
    adjusted = [pieces.recalibrate(validation, test, panel, piece.config)
                for piece, validation, test in zip(found, validated, parts, strict=True)]
    before, after = pieces.joined(parts), pieces.joined([part for part, _ in adjusted])
    gated = calibration.compare_gates([part for part, _ in adjusted], [facts["gate"] for _, facts in adjusted], panel, label)
    return {"rows": [*calibration.compare(before, after, panel, label)["rows"], gated], "adjustments": [facts for _, facts in adjusted]}


def _fold(piece: Piece, part: Prediction, panel: Panel, rivals: Mapping[str, Prediction]) -> dict[str, Any]:
    """Dates and figures of one fold, the RankIC with its interval and that of each baseline; no figures while none of its outcomes is known."""
    from financial_model.evaluation.evaluate import fold_scores, quick_score

    label = piece.config.label
    try:
        figures: dict[str, Any] = dict(quick_score(part, panel, label))
        if not label.own:
            figures |= fold_scores(part, rivals, panel, piece.config)
    except DataError as error:
        if error.key != "evaluation.no_rows":
            raise
        figures = {}
    return {"split": piece.split, "metrics": figures}


def _facts(panel: Panel) -> dict[str, Any]:
    from financial_model.datasets.splits import iso

    return {"stocks": len(panel.symbols), "rows": panel.rows, "first": iso(int(panel.time.min())), "last": iso(int(panel.time.max())),
            "fingerprint": panel.fingerprint, "market": panel.market}


def save_forecasts(path: Path, stitched: Prediction, counts: Sequence[int], panel: Panel) -> None:
    """The out-of-sample forecasts by symbol and time (float32 log return, [n, horizon]) and the number of the piece each belongs to.

    ``row``: the panel row, good for the panel of ``fingerprint`` alone.
    """
    import numpy as np

    def write(stream: BinaryIO) -> None:
        np.savez_compressed(
            stream, symbols=np.array(panel.symbols), symbol=panel.symbol_index(stitched.end).astype(np.int32), time=panel.time[stitched.end],
            fold=np.repeat(np.arange(1, len(counts) + 1, dtype=np.int16), counts), expected=stitched.expected, row=stitched.end,
            fingerprint=np.array(panel.fingerprint))

    atomic_write(path, write)


def stored_forecasts(run: RunInfo, panel: Panel) -> Prediction:
    """The expected returns of :func:`save_forecasts`. ``DataError`` when they belong to another panel: evaluate the run first."""
    import numpy as np

    from financial_model.models.prediction import Prediction

    try:
        with np.load(run.path / FORECASTS, allow_pickle=False) as known:
            if str(known["fingerprint"]) == panel.fingerprint:
                return Prediction(end=known["row"], expected=known["expected"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        logger.warning("%s is missing or damaged", run.path / FORECASTS)
    raise DataError("serving.no_forecasts", run=run.id)


def headline(result: Mapping[str, Any]) -> dict[str, Any]:
    """The figures every table shows, with their intervals; baselines likewise, the truth where it is known."""
    from financial_model.evaluation.evaluate import HEADLINE
    from financial_model.evaluation.report import IN_ITS_UNIT

    def figures(source: Mapping[str, Any]) -> dict[str, Any]:
        return {key: source[key] for name in (*HEADLINE, *IN_ITS_UNIT) for key in (name, f"{name}_interval") if key in source}

    return {**figures(result), **{name: result[name] for name in TRUTH if name in result},
            "baselines": {name: figures(entry) for name, entry in result["baselines"].items()},
            **({"label": result["own_label"]} if "own_label" in result else {}),
            "horizon": result["horizon"], "rows": result["sample"]["rows"], "dates": result["sample"]["dates"]}


def publish(run: RunInfo, runs: RunStore, result: Mapping[str, Any]) -> None:
    """Write a test result to every place that shows it: the header of the checkpoint it was measured on, the run, the report."""
    from financial_model.training.checkpoint import update_header

    result = dict(plain(result))
    made = result.pop("backtest", None)
    if made is not None:
        backtesting.save(run, backtesting.first_of(run, result["split"]["test"], made))
    adjustments = (result.get("recalibration") or {}).get("adjustments", [None])
    update_header(run.path / result["checkpoint"], {"metrics": result["metrics"], "test_opened": result["test_opened"],
                                                    "recalibration": adjustments[-1]})
    for name, content in ((EVALUATION, result), (METRICS, result["metrics"])):
        atomic_write(run.path / name, json.dumps(content, ensure_ascii=False, allow_nan=False))
    report(run, runs, result, run.path / REPORT)


def report(run: RunInfo, runs: RunStore, result: Mapping[str, Any], path: Path, *, language: str = "en") -> Path:
    """One self-contained HTML page about a run, with its backtest and the null market's result where they exist. ``StorageError`` on a full disk."""
    from financial_model.evaluation.report import write_report
    from financial_model.serving.deciding import context_of
    from financial_model.serving.importance import importance_of
    from financial_model.serving.recovery import null_of

    made = read_backtest(run)
    return write_report(
        path, result["result"], name=run.id, language=language, config=run.run_config(), split=result["split"], curves=runs.curves(run.id),
        data={**result["data"], "opened": result["test_opened"]}, folds=result.get("folds", ()), members=result.get("members"),
        recalibration=result.get("recalibration"), null=null_of(run),
        importance=importance_of(run), context=context_of(run),
        backtest=made if made is not None and made["test"] == result["split"]["test"] else None,
        notes=[*result.get("notes", ()), *result.get("missing", ())], created=result["evaluated"])


def refresh_report(run: RunInfo, runs: RunStore) -> None:
    """Write the report of a run anew, once something beside its evaluation was found out."""
    result = stored(run)
    if result is not None:
        report(run, runs, result, run.path / REPORT)


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
