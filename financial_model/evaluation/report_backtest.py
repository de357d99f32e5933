"""The report's part about the portfolio: curves, figures side by side, months, what was blocked.

In: plain data of ``performance.summarize``, the report's words. Out: texts and SVG for the template. It computes no figure but a year of its months.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from financial_model.evaluation.report_words import Words
from financial_model.evaluation.svg import Line, chart, date, percent

ROWS = ("total_return", "annual_return", "annual_volatility", "sharpe", "max_drawdown", "calmar", "win_rate")
FACTS = ("excess_equal_weight", "excess_index", "information_ratio_index", "information_ratio_equal_weight", "turnover", "cost_per_year",
         "break_even_cost_equal_weight", "invested", "trades", "blocked", "deflated_sharpe")


def backtest_section(data: Mapping[str, Any] | None, words: Words) -> dict[str, Any] | None:
    if not data:
        return None
    series, time = data["series"], data["series"]["time"]
    sides = [("net", data["metrics"]), ("gross", data["gross"]), *((name, data[name]) for name in ("equal_weight", "index") if name in data)]
    labels = {name: words(f"side_{name}") for name, _ in sides}
    if "index" in labels and data["index_name"]:
        labels["index"] = data["index_name"]
    lines = [Line(labels[name], time, series[name], style) for style, (name, _) in enumerate(sides)]
    return {
        "verdict": words.sentences(data["verdict"]),
        "equity": chart(lines, x_format=date, label=words("equity")),
        "drawdown": chart([Line("", time, series["drawdown"], 3)], height=150, x_format=date, y_format=percent, label=words("drawdown")),
        "columns": list(labels.values()),
        "rows": [{"name": words(f"figure_{name}"), "cells": [_money(name, entry, words) for _, entry in sides]} for name in ROWS],
        "facts": [{"name": words(f"figure_{name}"), **_money(name, data["metrics"], words)} for name in FACTS
                  if name in data["metrics"]],
        "months": [{"year": year, "cells": [_month(months.get(str(month))) for month in range(1, 13)],
                    "total": f"{100 * (math.prod(1 + value for value in months.values()) - 1):+.1f} %"} for year, months in data["monthly"].items()],
        "blocked": [{"side": words(side), "reason": words(f"blocked_{reason}"), "count": count}
                    for side, reasons in data["blocked"].items() for reason, count in reasons.items()],
    }


def _money(name: str, entry: Mapping[str, Any], words: Words) -> dict[str, str]:
    """A figure of the backtest and its interval: ratios and counts as they are, everything else in percent."""
    plain = name in ("sharpe", "calmar", "trades", "blocked") or name.startswith("information_ratio")

    def shown(value: Any) -> str:
        return words.figure(name, value) if plain or value is None else f"{100 * value:.2f} %"

    ends = entry.get(f"{name}_interval")
    return {"value": shown(entry.get(name)), "interval": "" if ends is None else f"{shown(ends[0]).removesuffix(' %')} … {shown(ends[1])}"}


def _month(value: float | None) -> dict[str, Any]:
    """Text and colour class of a month; depth by size, full at 8 %."""
    if value is None:
        return {"text": "", "tone": ""}
    depth = min(4, 1 + int(abs(value) / 0.02))
    return {"text": f"{100 * value:+.1f}", "tone": f"{'rise' if value >= 0 else 'fall'}{depth}"}
