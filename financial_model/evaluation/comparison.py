"""Several forecasters on the same rows in one ranked table: models, baselines and constant answers, each model paired with the best baseline.

In: the evaluations of models that were judged on the same dates. Out: plain data: rows in order, sentences. It opens no file, trains nothing
and decides no comparability: that is ``serving/compare.py``'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

RANKABLE = {"rank_ic": 1, "ic": 1, "icir": 1, "time_rank_ic": 1, "time_ic": 1, "direction": 1, "balanced_accuracy": 1, "macro_f1": 1,
            "mae_percent": -1, "rmse_percent": -1, "pinball": -1}
"""Figures a table can be ranked by; 1: the higher the better."""
ALONG_TIME = {"rank_ic": "time_rank_ic", "ic": "time_ic", "icir": "time_ic"}
"""What stands for a correlation across stocks where a date holds too few of them."""
FIGURES = ("ic", "rank_ic", "icir", "time_ic", "time_rank_ic", "direction", "direction_base_rate", "balanced_accuracy", "macro_f1", "mae_percent",
           "rmse_percent", "coverage_80", "pinball")
"""Figures of every row, in order; an interval stands beside each that has one."""
NORMAL = 1.959964

Row = dict[str, Any]
Item = dict[str, Any]


def compare(members: Sequence[Mapping[str, Any]], rank_by: str = "rank_ic", trials: int = 1) -> dict[str, Any]:
    """The table of ``members``: ``name model run parameters seconds result returns`` each, ``result`` of ``evaluate`` on the same rows.

    Keys: ``rows`` (best first; ``kind`` model, baseline or constant, ``place`` 1.. where the figure is defined, ``metrics``, and of models
    ``difference``: figure -> value and interval against the best baseline), ``rank_by`` (as used), ``asked``, ``best_baseline``, ``luck``,
    ``trials``, ``sample``, ``verdict``.
    """
    first = members[0]["result"]
    metric = usable_metric(rank_by, [member["result"] for member in members])
    sign = RANKABLE[metric]
    baselines = [_row("baseline", name, entry) for name, entry in first["baselines"].items()]
    best = max((row for row in baselines if _known(row["metrics"].get(metric))), key=lambda row: sign * row["metrics"][metric], default=None)
    models = [_model(member, best) for member in members]
    constants = [_row("constant", name, entry) for name, entry in first["constant_classes"].items()]
    rows = sorted([*models, *baselines, *constants], key=lambda row: _order(row, metric, sign))
    for place, row in enumerate(rows, start=1):
        row["place"] = place if _known(row["metrics"].get(metric)) else None
    table = {"rows": rows, "rank_by": metric, "asked": rank_by, "best_baseline": None if best is None else best["name"], "trials": trials,
             "horizon": first["horizon"], "class_horizon": first["class_horizon"], "sample": first["sample"],
             "oracle_ic": first.get("oracle_ic"), "luck": None}
    table["luck"] = _luck(table, trials)
    return {**table, "verdict": _verdict(table)}


def usable_metric(asked: str, results: Sequence[Mapping[str, Any]]) -> str:
    """``asked``, or its counterpart along time where it is undefined for every model."""
    other = ALONG_TIME.get(asked)
    defined = any(_known(result.get(asked)) for result in results)
    return other if other and not defined and any(_known(result.get(other)) for result in results) else asked


def _row(kind: str, name: str, entry: Mapping[str, Any]) -> Row:
    found = {key: entry[key] for figure in FIGURES for key in (figure, f"{figure}_interval") if key in entry}
    return {"kind": kind, "name": name, "metrics": found}


def _model(member: Mapping[str, Any], best: Row | None) -> Row:
    result = member["result"]
    paired = {} if best is None else result["baselines"][best["name"]]["difference"]
    shown = {key: member.get(key) for key in ("model", "run", "parameters", "seconds", "returns", "context_length")}
    return {**_row("model", member["name"], result), **shown, "recovery": result.get("recovery"), "difference": dict(paired),
            "effective": result["sample"]["effective_dates"], "constant": result["sample"]["constant"]}


def _order(row: Row, metric: str, sign: int) -> tuple[bool, float]:
    value = row["metrics"].get(metric)
    return (False, -sign * value) if _known(value) else (True, 0.0)


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _luck(table: Mapping[str, Any], trials: int) -> dict[str, Any] | None:
    """How far the best of ``trials`` worthless models would be expected to lie above the best baseline by chance, beside the lead that was measured.

    The spread of a lead is read off its paired interval; the formula is that of the deflated Sharpe ratio, which asks nothing but a spread.
    """
    from financial_model.evaluation.significance import expected_best_sharpe  # brings scipy: the page lists figures to rank by without it

    leader = next((row for row in table["rows"] if row["kind"] == "model" and row["place"]), None)
    paired = leader["difference"].get(table["rank_by"]) if leader else None
    if not leader or not paired or paired["interval"] is None or not _known(paired["value"]):
        return None
    error = (paired["interval"][1] - paired["interval"][0]) / (2 * NORMAL)
    sign = RANKABLE[table["rank_by"]]
    return {"model": leader["name"], "lead": sign * paired["value"], "by_luck": expected_best_sharpe(trials, error**2), "error": error}


# ---------------------------------------------------------------- what it says
def _verdict(table: Mapping[str, Any]) -> list[Item]:
    found: list[Item] = []
    metric, models = table["rank_by"], [row for row in table["rows"] if row["kind"] == "model"]
    if metric != table["asked"]:
        found.append(_item("other_metric", "note", asked=table["asked"], metric=metric, names=table["sample"]["names_per_date"]))
    leader = next((row for row in models if row["place"]), None)
    if leader is None or table["best_baseline"] is None:
        found.append(_item("undefined", "warning", metric=metric))
    else:
        found += _leader(table, leader, metric)
    if table["luck"] and table["trials"] > 1:
        luck = table["luck"]
        level = "good" if luck["lead"] > luck["by_luck"] + luck["error"] * NORMAL else "warning"
        found.append(_item("luck", level, trials=table["trials"], by_luck=luck["by_luck"], lead=luck["lead"], metric=metric))
    for row in models:
        found += _ahead_of_constant(row, table)
    if table["sample"]["synthetic"]:
        found.append(_item("synthetic", "note"))
    return found


def _leader(table: Mapping[str, Any], leader: Row, metric: str) -> list[Item]:
    """Whether the best model is ahead of the best baseline, beyond chance."""
    paired = leader["difference"].get(metric)
    if not paired or not _known(paired["value"]) or paired["interval"] is None:
        return [_item("no_interval", "warning", model=leader["name"], dates=table["sample"]["dates"], needed=table["sample"]["dates_needed"])]
    low, high = sorted(RANKABLE[metric] * end for end in paired["interval"])
    side, level = ("ahead", "good") if low > 0 else ("behind", "bad") if high < 0 else ("level", "none")
    return [_item(side, level, model=leader["name"], baseline=table["best_baseline"], metric=metric, value=paired["value"],
                  low=paired["interval"][0], high=paired["interval"][1])]


def _ahead_of_constant(row: Row, table: Mapping[str, Any]) -> list[Item]:
    """A model that says the same of every row, or whose direction is no better than a constant answer although it looks high."""
    if row["constant"]:
        return [_item("constant", "bad", model=row["name"])]
    value, base = row["metrics"].get("direction"), row["metrics"].get("direction_base_rate")
    if _known(value) and _known(base) and 0.53 < value <= base:
        return [_item("below_base", "warning", model=row["name"], value=value, base=base)]
    return []


def _item(name: str, level: str, /, **fields: Any) -> Item:
    return {"key": f"compare.verdict.{name}", "level": level, "fields": fields}
