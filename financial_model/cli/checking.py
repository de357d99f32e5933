"""``integrity``: what is doubtful in the stored bars, in total and per symbol.

In: parsed arguments. Out: an :class:`Answer`. The findings come from ``market.integrity``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from financial_model.cli.arguments import workspace_of
from financial_model.cli.output import Answer, Output, ProgressBar, table
from financial_model.cli.training import stopping
from financial_model.paths import atomic_write

SHOWN = 20
"""Symbols with most findings that are spelled out; ``--csv`` and ``--json`` have all."""
COUNTED = ("missing_sessions", "longest_gap", "suspended", "zero_volume", "limit", "repeated", "unit", "behind")


def integrity(arguments: argparse.Namespace, output: Output) -> Answer:
    """Gaps, suspensions, empty days, impossible moves, repeated days, units, symbols left behind."""
    from financial_model.serving.market import check_integrity

    with stopping(output) as stop, ProgressBar(output) as progress:
        found = check_integrity(workspace_of(arguments), arguments.symbols, progress=progress, stop=stop)
    text = found.pop("csv")
    lines = _lines(found, output)
    if arguments.csv:
        atomic_write(Path(arguments.csv), text.encode("utf-8-sig"))
        found["csv"] = arguments.csv
        lines.append(output.word("cli.integrity.written", path=arguments.csv))
    return Answer(found, lines)


def _lines(found: dict[str, Any], output: Output) -> list[str]:
    totals = found["totals"]
    title = output.word("cli.integrity.title", symbols=f"{totals['symbols']:,}", rows=f"{totals['rows']:,}", doubtful=f"{totals['doubtful']:,}")
    sums = [f"  {output.word(f'cli.integrity.{name}')}: {totals[name]:,}" for name in COUNTED if name in totals]
    counts: dict[str, int] = {}
    for entry in found["findings"]:
        counts[entry["symbol"]] = counts.get(entry["symbol"], 0) + 1
    worst = sorted((entry for entry in found["symbols"] if entry["symbol"] in counts), key=lambda entry: -counts[entry["symbol"]])[:SHOWN]
    rows = [[entry["symbol"], entry["first"], entry["last"], *(f"{entry[name]:,}" for name in COUNTED)] for entry in worst]
    head = [output.word(f"cli.integrity.{name}") for name in ("symbol", "first", "last", *COUNTED)]
    return [title, *sums, *(["", *table(head, rows)] if rows else [])]
