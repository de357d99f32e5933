"""What all reports share: the reader's words, how a figure is written, and the folder of the pages.

In: keys of the catalogue and figures. Out: text. It computes no figure and knows no report.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from financial_model.evaluation.verdict import RIVALS, sentences
from financial_model.text import has, translate

Item = Mapping[str, Any]
SHARES = ("direction", "direction_base_rate", "direction_demeaned", "balanced_accuracy", "macro_f1", "coverage_50", "coverage_80", "coverage_95",
          "up_recall", "false_rise_rate", "class_accuracy", "best_capture", "recovery")
"""Figures shown in percent."""


def known(value: Any) -> bool:
    """Whether a figure is a number."""
    return isinstance(value, int | float) and math.isfinite(value)


def best_baselines(result: Mapping[str, Any], most: int = RIVALS) -> list[str]:
    """Names of the baselines whose RankIC over all rows is highest, best first: of an evaluation's result or of the figures in a header."""
    ranked = sorted(((entry["rank_ic"], name) for name, entry in result.get("baselines", {}).items() if known(entry.get("rank_ic"))), reverse=True)
    return [name for _, name in ranked[:most]]


def template(name: str) -> Any:
    """One of the pages of this folder; all share one style."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).get_template(name)


class Words:
    """Texts and figures in the reader's language."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, key: str, **fields: Any) -> str:
        return translate(f"evaluation.report.{key}", self.language, **fields)

    def term(self, kind: str, name: str) -> str:
        """The reader's word for a name of the field; the name itself where there is none."""
        for key in (f"evaluation.report.{kind}.{name}", f"ui.term.{kind}.{name}"):
            if has(key):
                return translate(key, self.language)
        return name

    @staticmethod
    def figure(name: str, value: Any) -> str:
        """A figure as text: shares in percent, correlations with three digits, an unknown one as a dash."""
        if value is None or isinstance(value, float) and not math.isfinite(value):
            return "–"
        if name in SHARES:
            return f"{100 * value:.1f} %"
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    def interval(self, name: str, ends: Sequence[float] | None) -> str:
        return "" if ends is None else f"{self.figure(name, ends[0]).removesuffix(' %')} … {self.figure(name, ends[1])}"

    def cells(self, names: Iterable[str], entry: Mapping[str, Any]) -> list[dict[str, str]]:
        """Value and interval of each name, for one row of a table."""
        return [{"value": self.figure(name, entry.get(name)), "interval": self.interval(name, entry.get(f"{name}_interval"))} for name in names]

    def rivals(self, names: Iterable[str]) -> list[str]:
        """Headings of the columns that :meth:`beside` fills."""
        return [self("rival", name=self.term("baseline", name)) for name in names]

    def beside(self, names: Iterable[str], entry: Mapping[str, Any]) -> list[dict[str, str]]:
        """RankIC of baselines on the rows of ``entry``."""
        return [{"value": self.figure("rank_ic", entry.get("baselines", {}).get(name)), "interval": ""} for name in names]

    def sentences(self, items: Iterable[Item]) -> list[dict[str, str]]:
        """Level and text of verdicts and notes."""
        items = list(items)
        return [{"level": item.get("level", "warning"), "text": text} for item, text in zip(items, sentences(items, self.language), strict=True)]
