"""``recover``: does the trainer find what was planted, and nothing where nothing is? On synthetic markets whose truth is known.

In: parsed arguments. Out: an :class:`Answer`. The markets, the training and the figures are ``serving.recovery``'s.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from financial_model.cli.arguments import settings_of, workspace_of
from financial_model.cli.output import Answer, Output, ProgressBar, figure, percent, table
from financial_model.cli.training import stopping
from financial_model.errors import ConfigError
from financial_model.serving.runs import RunStore


def recover(arguments: argparse.Namespace, output: Output) -> Answer:
    """Train on every planted variant and print what was recovered, beside ridge and LightGBM."""
    from financial_model.serving import recovery

    variants = tuple(part.strip() for part in arguments.variants.split(",") if part.strip()) or recovery.ORDER
    runs, typed = RunStore(workspace_of(arguments).checkpoint_dir), settings_of(arguments)
    if arguments.run and (typed or arguments.preset):
        raise ConfigError("cli.recover.run_takes_no_settings", run=arguments.run)
    run = runs.get(arguments.run) if arguments.run else None
    config = run.run_config() if run else recovery.settings(typed, preset=arguments.preset or ("quick" if arguments.quick else "standard"))
    given = {name: getattr(arguments, name) for name in ("stocks", "years") if getattr(arguments, name) is not None}
    size = replace(recovery.QUICK if arguments.quick else recovery.Size(), **given)
    with stopping(output) as stop, ProgressBar(output) as progress:
        found = recovery.recover(config, variants=variants, seeds=arguments.seeds, size=size, progress=progress, stop=stop)
    lines = recovery_lines(found, output)
    if run is not None and "null" in found["variants"]:
        recovery.keep_null(run, runs, found)
        lines.append(output.word("cli.recover.kept", run=run.id))
    return Answer({**found, **({"run": run.id} if run else {})}, lines)


def recovery_lines(found: Mapping[str, Any], output: Output) -> list[str]:
    """The table for a reader, and a sentence for each variant without a signal."""
    rivals = list(next(iter(found["variants"].values()))["rivals"])
    rows = []
    for name, row in found["variants"].items():
        cells = [name, figure(row.get("oracle_ic")), _with_interval(row["ic"], row["ic_interval"]), percent(row.get("recovery"), 0)]
        for rival in rivals:
            entry = row["rivals"][rival]
            cells += [figure(entry["ic"]), _with_interval(entry["difference"], entry["difference_interval"], signed=True)]
        rows.append([*cells, percent(row.get("coverage_80"), 1)])
    head = [output.word("cli.recover.variant"), output.word("cli.recover.oracle"), output.word("cli.recover.model"), output.word("cli.recover.share")]
    for rival in rivals:
        head += [output.word("cli.recover.rival", name=rival), output.word("cli.recover.difference", name=rival)]
    lines = [output.word("cli.recover.title", stocks=found["stocks"], years=f"{found['years']:g}", seeds=found["seeds"], days=found["horizon"]), "",
             *table([*head, output.word("cli.recover.coverage")], rows), ""]
    return [*lines, *(_nothing(name, row, output) for name, row in found["variants"].items() if row["nothing"]), output.word("cli.recover.note")]


def _nothing(name: str, row: Mapping[str, Any], output: Output) -> str:
    """Whether the figures of a market without a signal include chance."""
    interval = row["ic_interval"]
    key = "cli.recover.few_dates" if interval is None else "cli.recover.clean" if interval[0] <= 0 <= interval[1] else "cli.recover.found"
    return output.word(key, name=name, dates=row["dates"], outside=row["outside"], markets=row["markets"])


def _with_interval(value: float | None, interval: list[float] | None, *, signed: bool = False) -> str:
    ends = f" [{interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else ""
    return figure(value, signed=signed) + ends
