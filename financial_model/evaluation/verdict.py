"""What the figures say, in sentences a person can act on.

In: the result of an evaluation. Out: a list of ``{"key", "fields", "level"}``, in order of importance; the words stand in the catalogue.
Levels: good, none (no evidence), bad, warning, note. It computes no figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from financial_model.text import has, translate

SUSPICIOUS_IC = 0.25
SUSPICIOUS_DIRECTION = 0.60
"""A hit rate of 60 % would be an IC of 0.31 (1/2 + asin(IC) / pi); daily data of many stocks does not hold that much."""
RIVALS = 2
"""Baselines, the best of all by RankIC, that stand beside each part of a test."""

Item = dict[str, Any]


def verdict(result: Mapping[str, Any]) -> list[Item]:
    """The sentences for ``result`` (see evaluate.py). Lists never repeat a key with the same fields."""
    return [*_skill(result), *_direction(result), *_baselines(result), *_coverage(result), *_warnings(result), *_notes(result)]


def sentences(items: Iterable[Mapping[str, Any]], language: str = "en") -> list[str]:
    """The items as text, names of baselines in the reader's words."""
    return [translate(item["key"], language, **_named(item["fields"], language)) for item in items]


def _named(fields: Mapping[str, Any], language: str) -> dict[str, Any]:
    key = f"ui.term.baseline.{fields.get('name')}"
    return {**fields, "name": translate(key, language)} if has(key) else dict(fields)


def _item(name: str, level: str, /, **fields: Any) -> Item:
    return {"key": f"evaluation.verdict.{name}", "level": level, "fields": fields}


def _side(interval: Any, middle: float = 0.0) -> str:
    """above, below or around ``middle``; unknown without an interval."""
    if interval is None:
        return "unknown"
    return "above" if interval[0] > middle else "below" if interval[1] < middle else "around"


def _known(value: Any) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _skill(result: Mapping[str, Any]) -> list[Item]:
    """Whether the forecast orders stocks (or, for a few stocks, days) better than chance."""
    sample = result["sample"]
    if sample["constant"]:
        return [_item("constant", "bad")]
    name = "rank_ic" if _known(result["rank_ic"]) else "time_rank_ic"
    if not _known(result.get(name)):
        return [_item("undefined", "warning", names=sample["names_per_date"])]
    value, interval = result[name], result[f"{name}_interval"]
    if interval is None:
        key = "few_dates" if name == "rank_ic" else "few_dates_time"
        return [_item(key, "warning", value=value, dates=sample["dates"], needed=sample["dates_needed"])]
    level = {"above": "good", "below": "bad", "around": "none"}[_side(interval)]
    return [_item(f"{name}_{_side(interval)}", level, value=value, low=interval[0], high=interval[1], dates=sample["dates"])]


def _direction(result: Mapping[str, Any]) -> list[Item]:
    value, base, edge = result["direction"], result["direction_base_rate"], result["direction_edge_interval"]
    if not (_known(value) and _known(base)) or edge is None:
        return []
    level = {"above": "good", "below": "bad", "around": "none"}[_side(edge)]
    return [_item(f"direction_{_side(edge)}", level, value=value, base=base, low=edge[0], high=edge[1])]


def _baselines(result: Mapping[str, Any]) -> list[Item]:
    """One sentence per baseline: by RankIC, or by the size of the error where the baseline orders nothing."""
    found = []
    for name, entry in result["baselines"].items():
        paired = entry["difference"].get("rank_ic")
        metric, sign = ("rank_ic", 1) if paired and _known(paired["value"]) else ("mae_percent", -1)
        paired = entry["difference"].get(metric)
        if not paired or not _known(paired["value"]) or paired["interval"] is None:
            continue
        low, high = paired["interval"]
        side = _side((low, high) if sign > 0 else (-high, -low))
        level = {"above": "good", "below": "bad", "around": "none"}[side]
        found.append(_item(f"baseline_{metric}_{side}", level, name=name, value=paired["value"], low=low, high=high))
    return found


def _coverage(result: Mapping[str, Any]) -> list[Item]:
    value, interval = result["coverage_80"], result["coverage_80_interval"]
    side = _side(interval, 0.8)
    if not _known(value) or side in ("unknown", "around"):
        return []
    return [_item("coverage_low" if side == "below" else "coverage_high", "warning", value=value, low=interval[0], high=interval[1])]


def _warnings(result: Mapping[str, Any]) -> list[Item]:
    found, sample = [], result["sample"]
    oracle = result.get("oracle_ic")
    if _known(oracle) and _known(result["ic"]) and (result.get("recovery_interval") or [0])[0] > 1.0 and result["ic"] > oracle:
        found.append(_item("above_oracle", "warning", value=result["ic"], oracle=oracle))
    elif not _known(oracle):
        found += _too_good(result)
    if sample["dates_with_ic"] < sample["dates"] and sample["dates_with_ic"] and sample["names_per_date"] >= 5:
        found.append(_item("dates_skipped", "warning", skipped=sample["dates"] - sample["dates_with_ic"], dates=sample["dates"]))
    if result["trials"] > 1:
        found.append(_item("trials", "warning", trials=result["trials"]))
    if result["buyable"]["share"] < 0.97:
        share, value = 1 - result["buyable"]["share"], result["buyable"].get("rank_ic")
        found.append(_item("not_buyable", "warning", share=share, value=value) if _known(value) else _item("never_buyable", "warning", share=share))
    return found


def _too_good(result: Mapping[str, Any]) -> list[Item]:
    """A figure that neither an honest model nor luck brings: three deviations of chance, as labels overlap over ``horizon`` dates."""
    sample, across = result["sample"], _known(result["rank_ic"])
    value = result["rank_ic"] if across else result.get("time_rank_ic")
    direction = result.get("direction_demeaned") if across else result["direction"]
    if not (_known(value) and _known(direction)):
        return []
    names = sample["names_per_date"] - 1 if across else sample["names_per_date"]
    far = 3 / math.sqrt(max(names * sample["dates"] / result["horizon"], 1.0))
    if value > max(SUSPICIOUS_IC, far) or across and direction > max(SUSPICIOUS_DIRECTION, 0.5 + far / 2):
        return [_item("too_good", "warning", value=value, direction=direction)]
    return []


def _notes(result: Mapping[str, Any]) -> list[Item]:
    found = []
    if _known(result.get("recovery")):
        found.append(_item("recovery", "note", oracle=result["oracle_ic"], value=result["recovery"]))
    return [*found, _item("synthetic" if result["sample"]["synthetic"] else "survivors", "note")]
