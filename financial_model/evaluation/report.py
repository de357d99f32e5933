"""One HTML file that tells a stranger what was tried, on which data, and what it is worth.

In: the result of an evaluation and, where they exist, configuration, split, curves, data facts, a backtest, a null-market result.
Out: a file that opens without a network: style and figures are inside, there is no script, every text is escaped.
It computes no figure; the words stand in the catalogue, the layout in ``report.html``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from financial_model.config import CLASSES, FieldSpec, RunConfig, fields, flatten
from financial_model.datasets.splits import PARTS, iso, seconds
from financial_model.evaluation.evaluate import HEADLINE
from financial_model.evaluation.memory import memory_section
from financial_model.evaluation.report_backtest import backtest_section
from financial_model.evaluation.report_factor import importance_section, tear_section
from financial_model.evaluation.report_tasks import task_tables
from financial_model.evaluation.report_words import Words, best_baselines, template
from financial_model.evaluation.svg import Level, Line, chart, date, percent, timeline, whiskers
from financial_model.paths import atomic_write
from financial_model.text import has, translate

IN_ITS_UNIT = ("mae", "rmse")
"""Figures of a forecast that is no return, in the unit of its label."""
DETAILS = ("rank_icir", "ic_t", "rank_ic_t", "time_ic", "time_rank_ic", "direction_demeaned", "best_capture", "macro_f1", "up_recall",
           "false_rise_rate", "mark_score", "brier", "brier_skill", "log_loss", "coverage_50", "coverage_95", "width_80_percent")
CLASS_COLUMNS = ("class_accuracy", "balanced_accuracy", "macro_f1", "up_recall", "false_rise_rate", "mark_score")
GROUP_COLUMNS = ("rank_ic", "direction", "direction_base_rate", "mae_percent", "coverage_80")
MEMBER_COLUMNS = ("loss", "ic", "rank_ic", "icir", "time_ic", "mae_percent")
"""Figures a training measures on the validation part."""
FOLD_COLUMNS = ("rank_ic", "ic", "icir", "direction", "direction_base_rate", "mae_percent")


def write_report(path: Path, result: Mapping[str, Any], *, name: str, **parts: Any) -> Path:
    """Write :func:`render_report` to ``path``, atomically. ``StorageError`` when the disk is full."""
    atomic_write(path, render_report(result, name=name, **parts))
    return path


def render_report(result: Mapping[str, Any], *, name: str, language: str = "en", config: RunConfig | None = None,
                  split: Mapping[str, Any] | None = None, curves: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None,
                  backtest: Mapping[str, Any] | None = None, null: Mapping[str, Any] | None = None,
                  recalibration: Mapping[str, Any] | None = None, folds: Sequence[Mapping[str, Any]] = (),
                  members: Mapping[str, Any] | None = None, importance: Mapping[str, Any] | None = None, context: Mapping[str, Any] | None = None,
                  notes: Iterable[Mapping[str, Any]] = (), created: str = "") -> str:
    """The page as text.

    ``result``: of ``evaluate``. ``split``: ``Split.describe()``. ``curves``: ``{"series": {"train/loss": {"step", "value"}}, "baselines"}``.
    ``data``: facts of the panel (stocks, rows, first, last, fingerprint, market). ``backtest``: of ``performance.summarize``. ``null``: the
    ``evaluate`` result of the same configuration on the null market. ``recalibration``: of ``calibration.compare``.
    ``folds``: of a walk-forward run, ``{"split": Split.describe(), "metrics": figures of quick_score}`` each; ``result`` is then of all together.
    ``members``: of an ensemble, ``{"alone": [seed and validation figures], "together": validation figures}``.
    ``importance``: of ``importance.group_importance``. ``context``: the estimate behind an automatic context length.
    """
    words = Words(language)
    said = words.sentences([*walked(folds), *result["verdict"], *notes])
    sections: dict[str, Any] = {
        "summary": said, "folds": fold_table(folds, words, best_baselines(result)), "members": _members(members, words),
        "comparison": _comparison(result, words), "tasks": [],
        "series": None, "horizons": None, "groups": [], "calibration": None, "classes": None, "backtest": None, "curves": _curves(curves, words),
        "tear": None, "importance": importance_section(importance, words), "null": None, "data": _data(result, split, data, words),
        "memory": memory_section(context, language), "settings": _settings(config, words)}
    if "own_label" not in result:
        sections |= _about_returns(result, backtest, null, recalibration, words)
    return template("report.html").render(name=name, language=language, created=created, synthetic=result["sample"]["synthetic"], t=words, **sections)


def _about_returns(result: Mapping[str, Any], backtest: Mapping[str, Any] | None, null: Mapping[str, Any] | None,
                   recalibration: Mapping[str, Any] | None, words: Words) -> dict[str, Any]:
    """What is said of returns alone."""
    return {
        "tasks": task_tables(result.get("tasks"), words), "series": _series(result, words), "horizons": _horizons(result, words),
        "groups": _groups(result, words), "calibration": _calibration(result, recalibration, words), "classes": _classes(result, words),
        "backtest": backtest_section(backtest, words), "tear": tear_section(result.get("tear_sheet"), words), "null": _null(null, words)}


# ---------------------------------------------------------------- sections: plain data and SVG for the template
def walked(folds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The sentence a walk-forward report begins with."""
    if not folds:
        return []
    fields = {"folds": len(folds), "first": folds[0]["split"]["test"]["first"], "last": folds[-1]["split"]["test"]["last"]}
    return [{"key": "evaluation.report.walked", "level": "note", "fields": fields}]


def fold_table(folds: Sequence[Mapping[str, Any]], words: Words, rivals: Sequence[str]) -> dict[str, Any]:
    """Dates and figures of each fold, the RankIC of the best baselines on the same rows, and the fold's parts on one scale."""
    spans = [[(words(f"part_{name}"), _moment(fold["split"][name]["first"]), _moment(fold["split"][name]["last"]), style)
              for style, name in enumerate(PARTS)] for fold in folds]
    whole = (min(part[1] for parts in spans for part in parts), max(part[2] for parts in spans for part in parts)) if spans else None
    names = [name for name in FOLD_COLUMNS if any(fold["metrics"].get(name) is not None for fold in folds)]
    rows = [{"name": number, "dates": [f"{fold['split'][part]['first']} … {fold['split'][part]['last']}" for part in PARTS],
             "cells": [*words.cells(names[:1], fold["metrics"]), *words.beside(rivals, fold["metrics"]), *words.cells(names[1:], fold["metrics"])]}
            for number, fold in enumerate(folds, start=1)]
    columns = [words.term("metric", name) for name in names]
    return {"columns": [*(words(f"part_{name}") for name in PARTS), *columns[:1], *words.rivals(rivals), *columns[1:]], "rows": rows,
            "timelines": [timeline(parts, words("timeline"), whole) for parts in spans]}


def _members(found: Mapping[str, Any] | None, words: Words) -> dict[str, Any] | None:
    """Validation figures of each member of an ensemble and of their average."""
    if not found:
        return None
    names = [name for name in MEMBER_COLUMNS if found["together"].get(name) is not None]
    rows = [{"name": words("member", number=number, seed=entry["seed"]), "cells": words.cells(names, entry)}
            for number, entry in enumerate(found["alone"], start=1)]
    return {"columns": [words.term("metric", name) for name in names], "rows": rows,
            "together": {"name": words("together", count=len(rows)), "cells": words.cells(names, found["together"])}}


def _moment(date: str) -> float:
    return float(seconds(date[:10]))


def _comparison(result: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Model and baselines in one table, and the paired differences as whiskers."""
    rows = [(words("model"), result, True), *((words.term("baseline", name), entry, False) for name, entry in result["baselines"].items())]
    names = [name for name in (*HEADLINE, *IN_ITS_UNIT) if any(entry.get(name) is not None for _, entry, _ in rows)]
    table = [{"name": label, "model": model, "cells": words.cells(names, entry)} for label, entry, model in rows]
    charts = []
    for metric in ("rank_ic", "mae_percent", "mae"):
        whisker = [(words.term("baseline", name), paired["value"], paired["interval"], _side(paired, 1 if metric == "rank_ic" else -1))
                   for name, entry in result["baselines"].items() if (paired := entry["difference"].get(metric)) and paired["value"] is not None]
        charts.append({"title": words(f"difference_{metric}"), "svg": whiskers(whisker, label=words(f"difference_{metric}"), value_format=_signed)})
    oracle = None
    if result.get("oracle_ic") is not None:
        oracle = words("oracle", value=result["oracle_ic"], recovery=words.figure("recovery", result["recovery"]))
    sides = [(words("model"), result), *((words.term("baseline", name), result["baselines"][name]) for name in best_baselines(result))]
    details = {"columns": [name for name, _ in sides], "rows": [{"name": words.term("metric", name), "cells": [
        cell for _, entry in sides for cell in words.cells([name], entry)]} for name in DETAILS if result.get(name) is not None]}
    return {"columns": [words.term("metric", name) for name in names], "rows": table, "charts": [entry for entry in charts if entry["svg"]],
            "oracle": oracle, "details": details}


def _side(paired: Mapping[str, Any], sign: int) -> int:
    """Colour: 2 better, 3 worse, 5 not shown."""
    if paired["interval"] is None:
        return 5
    low, high = sorted(sign * end for end in paired["interval"])
    return 2 if low > 0 else 3 if high < 0 else 5


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _series(result: Mapping[str, Any], words: Words) -> dict[str, str]:
    series = result["series"]
    daily = [Line("RankIC", series["time"], series["rank_ic"], 0, "bars")]
    total, running = 0.0, []
    for value in series["rank_ic"]:
        total += value or 0.0
        running.append(total)
    known = [value for value in series["rank_ic"] if value is not None]
    return {
        "daily": chart(daily, levels=[Level(words("mean"), sum(known) / len(known), 1)] if known else [], x_format=date, label=words("daily_ic")),
        "running": chart([Line(words("running_ic"), series["time"], running, 1)], x_format=date, label=words("running_ic")) if known else "",
    }


def _horizons(result: Mapping[str, Any], words: Words) -> dict[str, Any]:
    names = [name for name in (*GROUP_COLUMNS, "ic", "icir", "pinball") if any(entry.get(name) is not None for entry in result["horizons"].values())]
    rivals = best_baselines(result)
    rows = [{"name": horizon, "cells": [*words.cells(names, entry), *words.beside(rivals, entry)]} for horizon, entry in result["horizons"].items()]
    return {"columns": [*(words.term("metric", name) for name in names), *words.rivals(rivals)], "rows": rows if len(rows) > 1 else []}


def _groups(result: Mapping[str, Any], words: Words) -> list[dict[str, Any]]:
    tables, rivals = [], best_baselines(result)
    for condition, entries in result["groups"].items():
        if len(entries) < 2:
            continue
        rows = [{"name": words.term(condition, name), "counts": [entry["rows"], entry["dates"], entry["names"]],
                 "cells": [*words.cells(GROUP_COLUMNS, entry), *words.beside(rivals, entry)]} for name, entry in entries.items()]
        tables.append({"title": words.term("dimension", condition), "rows": rows})
    columns = [words("rows"), words("dates"), words("names"), *(words.term("metric", name) for name in GROUP_COLUMNS), *words.rivals(rivals)]
    return [{**table, "columns": columns} for table in tables]


def _calibration(result: Mapping[str, Any], recalibration: Mapping[str, Any] | None, words: Words) -> dict[str, Any]:
    calibration = result["calibration"]
    lines = [Line(words.term("class", name), [row["predicted"] for row in table], [row["observed"] for row in table], style, "dots")
             for style, (name, table) in enumerate(calibration["reliability"].items(), start=2) if table]
    quantiles = calibration["quantiles"]
    below = [Line(words("observed"), quantiles["level"], quantiles["below"], 0, "dots")] if quantiles else []
    diagonal = Line("", [0.0, 1.0], [0.0, 1.0], 5)
    coverage = [{"level": f"{100 * row['level']:.0f} %", "covered": words.figure("coverage_80", row["covered"]),
                 "interval": words.interval("coverage_80", row["interval"])} for row in calibration["coverage"]]
    regime = [{"name": words.term("regime", name), "value": words.figure("coverage_80", entry.get("coverage_80")), "rows": entry["rows"],
               "interval": words.interval("coverage_80", entry.get("coverage_80_interval"))}
              for name, entry in result["groups"]["regime"].items() if entry.get("coverage_80") is not None]
    return {
        "reliability": chart([diagonal, *lines], square=True, x_format=percent, y_format=percent, label=words("reliability")) if lines else "",
        "quantiles": chart([diagonal, *below], square=True, x_format=percent, y_format=percent, label=words("quantiles")) if below else "",
        "coverage": coverage, "regime": regime, "ece": words.figure("ece", calibration["ece"]) if calibration["ece"] is not None else "",
        "recalibration": [{"name": words.term("metric", row["name"]), "before": words.figure(row["name"], row["before"]),
                           "after": words.figure(row["name"], row["after"])} for row in (recalibration or {}).get("rows", [])],
    }


def _classes(result: Mapping[str, Any], words: Words) -> dict[str, Any]:
    names = [words.term("class", name) for name in CLASSES]
    others = [*((words.term("baseline", name), result["baselines"][name]) for name in best_baselines(result)),
              *((words("always", name=words.term("class", name)), entry) for name, entry in result["constant_classes"].items())]
    rows = [{"name": name, "cells": words.cells(CLASS_COLUMNS, entry)} for name, entry in ((words("model"), result), *others)]
    return {"names": names, "confusion": [{"name": name, "cells": row} for name, row in zip(names, result["confusion"], strict=True)],
            "columns": [words.term("metric", name) for name in CLASS_COLUMNS], "rows": rows, "days": result["class_horizon"]}


def _curves(curves: Mapping[str, Any] | None, words: Words) -> str:
    series = (curves or {}).get("series", {})
    lines = [Line(words(f"loss_{part}"), series[f"{part}/loss"]["step"], series[f"{part}/loss"]["value"], style)
             for style, part in enumerate(("train", "validation")) if f"{part}/loss" in series]
    baselines = (curves or {}).get("baselines", {})
    levels = [Level(words.term("baseline", name), entry["loss"], 2 + i % 4) for i, (name, entry) in enumerate(baselines.items())
              if entry.get("loss") is not None]
    return chart(lines, levels=levels, x_format="{:.0f}".format, label=words("curves"))


def _null(null: Mapping[str, Any] | None, words: Words) -> str:
    """What the same configuration reports where nothing can be known."""
    if null is None:
        return words("null_absent")
    return words("null_found", interval=words.interval("rank_ic", null["rank_ic_interval"]) or "–", **{
        field: words.figure(name, null[name]) for field, name in (("value", "rank_ic"), ("direction", "direction"), ("base", "direction_base_rate"))})


def _data(result: Mapping[str, Any], split: Mapping[str, Any] | None, data: Mapping[str, Any] | None, words: Words) -> dict[str, Any]:
    sample, facts = result["sample"], data or {}
    pairs = [
        ("fingerprint", facts.get("fingerprint", sample["fingerprint"])), ("market", facts.get("market")), ("stocks", facts.get("stocks")),
        ("bars", facts.get("rows")), ("first", facts.get("first")), ("last", facts.get("last")),
        ("judged", words("judged_value", rows=sample["rows"], symbols=sample["symbols"], dates=sample["dates"], first=iso(sample["first"]),
                         last=iso(sample["last"]))),
        ("block", words("block_value", block=sample["block"], overlap=sample["signal_overlap"])),
        ("effective", None if sample["effective_dates"] is None else f"{sample['effective_dates']:.0f}"), ("opened", facts.get("opened")),
        ("trials", result["trials"]),
    ]
    parts = [(words(f"part_{name}"), _moment(split[name]["first"]), _moment(split[name]["last"]), style)
             for style, name in enumerate(PARTS) if split and name in split]
    rows = [{"name": words(f"part_{name}"), "first": split[name]["first"], "last": split[name]["last"], "sessions": split[name].get("sessions", "")}
            for name in PARTS if split and name in split]
    return {"facts": [{"name": words(f"fact_{name}"), "value": value} for name, value in pairs if value not in (None, "")],
            "timeline": timeline(parts, words("timeline")), "parts": rows, "purge": words("purge", sessions=split["purge"]) if split else ""}


def _settings(config: RunConfig | None, words: Words) -> list[dict[str, str]]:
    if config is None:
        return []
    values = flatten(config)

    def label(spec: FieldSpec) -> str:
        key = f"form.{spec.name}.label"
        return translate(key, words.language) if has(key) else spec.name

    return [{"name": label(spec), "flag": spec.name, "value": _plain_setting(values[spec.name]), "changed": values[spec.name] != spec.default}
            for spec in fields()]


def _plain_setting(value: Any) -> str:
    return ", ".join(map(str, value)) or "–" if isinstance(value, tuple) else str(value) if value != "" else "–"
