"""The report's part about the forecast as a factor: tear sheet and importance of the inputs.

In: plain data of ``tearsheet`` and ``importance``, the report's words. Out: texts and SVG for the template. It computes no figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from financial_model.evaluation.report_words import Words
from financial_model.evaluation.svg import Line, chart, date, percent, whiskers
from financial_model.evaluation.verdict import sentences

STYLES = (3, 5, 4, 0, 2)
"""Colours of the five groups, worst to best."""


def tear_section(sheet: Mapping[str, Any] | None, words: Words) -> dict[str, Any]:
    """Curves, tables and facts; ``why`` alone where the forecast could not be cut into groups."""
    if not sheet or "why" in sheet:
        return {"why": sentences([sheet["why"]], words.language)[0] if sheet else ""}
    curves, days = sheet["curves"], sheet["horizon"]
    lines = [Line(words("tear_group", number=number), curves["time"], values, style)
             for number, (values, style) in enumerate(zip(curves["groups"], STYLES, strict=True), start=1)]
    return {
        "why": "", "days": days, "curves": chart(lines, x_format=date, y_format=percent, label=words("tear_curves")),
        "groups": [{"name": words("tear_group", number=number), **_earned(entry)} for number, entry in enumerate(sheet["groups"], start=1)],
        "long_short": _earned(sheet["long_short"]), "decay": _decay(sheet["decay"], words) if days > 1 else "", "facts": _facts(sheet, words),
        "neutral": [{"name": words(f"tear_neutral_{name}"), "value": words.figure("rank_ic", entry["value"]),
                     "interval": words.interval("rank_ic", entry["interval"])} for name, entry in sheet["neutral"].items()],
    }


def _decay(rows: Sequence[Mapping[str, Any]], words: Words) -> str:
    days = [row["day"] for row in rows]
    lines = [Line(words("tear_alone"), days, [row["value"] for row in rows], 0),
             Line(words("tear_upto"), days, [row["cumulative"]["value"] for row in rows], 1)]
    return chart(lines, height=180, x_format="{:.0f}".format, label=words("tear_decay"))


def _facts(sheet: Mapping[str, Any], words: Words) -> list[dict[str, str]]:
    shares = {"tear_right_days": sheet["right_days"], **{f"tear_turnover_{side}": value for side, value in sheet["turnover"].items()}}
    return [{"name": words("tear_monotonicity"), "value": words.figure("monotonicity", sheet["monotonicity"])},
            *({"name": words(name), "value": words.figure("direction", value)} for name, value in shares.items()),
            *({"name": words("tear_autocorrelation", days=lag), "value": words.figure("rank_ic", value)}
              for lag, value in sheet["autocorrelation"].items())]


def _earned(entry: Mapping[str, Any]) -> dict[str, str]:
    """A mean return in percent with its interval."""
    interval = entry["interval"]
    return {"value": "–" if entry["value"] is None else f"{100 * entry['value']:+.2f} %",
            "interval": "" if interval is None else f"{100 * interval[0]:+.2f} … {100 * interval[1]:+.2f} %"}


def importance_section(found: Mapping[str, Any] | None, words: Words) -> dict[str, Any] | None:
    """What each group of inputs is worth; in colour where it is more than chance takes."""
    if not found:
        return None
    rows = [(words.term("groups", row["name"]), row["drop"], row["interval"], 2 if row["drop"] > row["chance"] else 5)
            for row in found["rows"] if row["drop"] is not None]
    return {"svg": whiskers(rows, label=words("importance"), value_format="{:+.3f}".format),
            "help": words("importance_help", value=words.figure("rank_ic", found["rank_ic"]), dates=found["dates"])}
