"""What the test of a model said, in a line: for commands that list models or ask one.

In: figures by their names in a checkpoint's header. Out: text and cells; no figure without its interval and the best baseline beside it.
It computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from financial_model.cli.output import Output, figure, percent
from financial_model.evaluation.report_words import best_baselines


def spanned(value: Any, ends: Sequence[float] | None, *, share: bool = False) -> str:
    """A figure and its interval: ``0.051 [0.030, 0.072]``; ``share`` in percent. A dash where it is unknown."""
    def written(number: Any) -> str:
        return percent(number, 1) if share else figure(number, 3)

    if value is None or ends is None:
        return written(value)
    low, high = (written(end).removesuffix(" %") for end in ends)
    return f"{written(value)} [{low}, {high}]"


def cells(metrics: Mapping[str, Any]) -> list[str]:
    """RankIC, the baseline of highest RankIC and that RankIC, direction and its base rate; a dash for each where nothing was tested."""
    best = best_baselines(metrics, 1)
    return [spanned(metrics.get("rank_ic"), metrics.get("rank_ic_interval")),
            f"{best[0]} {figure(metrics['baselines'][best[0]]['rank_ic'], 3)}" if best else "–",
            spanned(metrics.get("direction"), metrics.get("direction_interval"), share=True), percent(metrics.get("direction_base_rate"), 1)]


def tested(header: Mapping[str, Any], output: Output) -> str:
    """One sentence about the model of a checkpoint's header: its test dates and :func:`cells`, or that it has not been tested."""
    metrics, split = header.get("metrics") or {}, header.get("split") or {}
    if not metrics or "test" not in split:
        return output.word("cli.standing.untested")
    rank_ic, best, direction, base = cells(metrics)
    return output.word("cli.standing.tested", first=split["test"]["first"], last=split["test"]["last"], rank_ic=rank_ic, best=best,
                       direction=direction, base=base)


def facts(header: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a program: ``test`` (its dates) and ``metrics``; None for each that is not known."""
    return {"test": (header.get("split") or {}).get("test"), "metrics": header.get("metrics")}
