"""``sweep``: many runs with other settings, chosen on the validation part; the test of the best is opened once.

In: parsed arguments. Out: an :class:`Answer`, and a CSV where asked. Searching, training and the table are ``serving.sweep``'s.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from financial_model import config as settings
from financial_model.cli.arguments import settings_of, workspace_of
from financial_model.cli.output import Answer, Output, ProgressBar, figure, table
from financial_model.cli.training import metric_table, stopping
from financial_model.errors import ConfigError, KairosError, Stopped
from financial_model.serving.search import DEFAULT_TRIALS

SHOWN = 15
"""Trials of the short table, best first."""


def sweep(arguments: argparse.Namespace, output: Output) -> Answer:
    """Begin a sweep, or with ``--resume`` go on with one or work on it beside another machine."""
    from financial_model.serving import sweep as sweeping

    workspace, given = workspace_of(arguments), settings_of(arguments)
    if arguments.resume and (given or arguments.search):
        raise ConfigError("cli.sweep.resume_takes_nothing", sweep=arguments.resume)
    if arguments.resume:
        asked = sweeping.find(workspace, arguments.resume)
    else:
        config = settings.build({"name": "sweep", **given}, preset=arguments.preset)
        asked = sweeping.begin(workspace, config, arguments.search, count=DEFAULT_TRIALS if arguments.trials is None else arguments.trials,
                               by=arguments.by, prune=arguments.prune)
    with stopping(output) as stop, ProgressBar(output) as progress:
        try:
            found = sweeping.work(workspace, asked.id, count=arguments.trials, progress=progress, stop=stop)
        except Stopped:
            output.note(output.word("cli.sweep.go_on", sweep=asked.id))
            raise
    written = []
    if arguments.csv:
        from financial_model.serving.export import write_csv

        written = ["", str(write_csv(sweeping.frame(found), arguments.csv))]
    return Answer({**found, "sweep": found["id"]}, [*lines(found, output), *written])


def lines(found: Mapping[str, Any], output: Output) -> list[str]:
    """The trials, best first, and what the test of the best one said."""
    from financial_model.serving.sweep import ranked

    names = [text.partition("=")[0] for text in found["space"]]
    rows = [[row["number"], *(_value(row["values"].get(name)) for name in names), figure(row["value"], 5), output.word(f"sweep.state.{row['state']}"),
             _reason(row, output) or row["run"]] for row in ranked(found)[:SHOWN]]
    head = [output.word("sweep.trial"), *names, output.word(f"sweep.by.{found['by']}"), "", output.word("sweep.run")]
    said = [output.word("cli.sweep.title", sweep=found["id"], count=len(found["trials"]), tried=found["tried"]), "", *table(head, rows), ""]
    if found["test"] is None:
        return [*said, output.word("sweep.test_closed", running=found["running"])]
    test = found["test"]
    return [*said, output.word("sweep.test_opened", run=test["run"], trials=test["trials"]), "", *metric_table(test["metrics"], output)]


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _reason(row: Mapping[str, Any], output: Output) -> str:
    return KairosError(row["reason"]["key"], **row["reason"]["fields"]).message(output.language) if row["reason"] else ""
