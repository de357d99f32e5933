"""How an automatic context length was found, for a reader: the autocorrelations as a figure, the band of chance, and one sentence or two.

In: the estimate as ``ContextEstimate.to_dict`` gives it, a language. Out: texts and SVG, the same in the report and beside the form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from financial_model.evaluation.svg import Level, Line, chart
from financial_model.text import translate


def memory_section(found: Mapping[str, Any] | None, language: str) -> dict[str, Any]:
    """``{"title", "sentences", "svg"}``; empty without an estimate."""
    if not found:
        return {}

    def word(key: str, **fields: Any) -> str:
        return translate(f"evaluation.memory.{key}", language, **fields)

    lags = list(range(1, len(found["returns"]) + 1))
    lines = [Line(word("returns"), lags, found["returns"], 0, "bars"), Line(word("absolute"), lags, found["absolute"], 1)]
    band = [Level(word("band"), found["band"]), Level("", -found["band"])]
    return {"title": word("title"), "sentences": sentences(found, language),
            "svg": chart(lines, levels=band, height=190, x_format="{:.0f}".format, label=word("title"))}


def sentences(found: Mapping[str, Any], language: str) -> list[str]:
    """What was found; and of a single stock whose values leave the band no more often than noise does, that it may be noise. The mean of several
    stocks is steadier than the band, which is that of one."""
    count = len(found["returns"]) + len(found["absolute"])
    chance = 0.05 * count
    said = [translate(f"evaluation.memory.{'found' if found['last'] else 'none'}", language, **found, lags=len(found["returns"]))]
    if found["stocks"] == 1 and found["last"] and found["outside"] <= chance + 2 * math.sqrt(chance):
        said.append(translate("evaluation.memory.chance", language, outside=found["outside"], count=count, chance=chance))
    return said
