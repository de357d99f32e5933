"""``compare``: several models on one split and one panel, in one queue and one table.

In: parsed arguments. Out: an :class:`Answer`, and CSV or HTML where asked. Training and the table are ``serving.compare``'s.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from financial_model import config as settings
from financial_model.cli.arguments import settings_of, workspace_of
from financial_model.cli.output import Answer, Output, ProgressBar, table
from financial_model.cli.training import stopping
from financial_model.errors import ConfigError, Stopped
from financial_model.paths import Workspace

OWN_FOLDER = Path("compare_output")


def compare(arguments: argparse.Namespace, output: Output) -> Answer:
    """Train the named models (or take runs that exist), rank them beside the baselines; ``--resume`` goes on with one that was stopped."""
    from financial_model.serving import bringing
    from financial_model.serving import compare as comparing

    workspace = workspace_of(arguments, bringing.folder_of(arguments.source, OWN_FOLDER) if arguments.source else None)
    models, runs = _parts(arguments.models), _parts(arguments.runs)
    given = settings_of(arguments)
    if arguments.resume and (models or runs or given):
        raise ConfigError("cli.compare.resume_takes_nothing", comparison=arguments.resume)
    comparing.check_metric(arguments.rank_by)
    with stopping(output) as stop, ProgressBar(output) as progress:
        if arguments.source:
            bringing.bring(workspace, arguments.source, count=arguments.count, progress=progress, stop=stop)
        if arguments.resume:
            comparison = comparing.find(workspace, arguments.resume)
        else:
            config = settings.build({"name": "compare", **given}, preset=arguments.preset) if models else None
            comparison = comparing.begin(workspace, config, models, runs=runs, rank_by=arguments.rank_by)
        try:
            found = comparing.work(workspace, comparison.id, rank_by="" if arguments.resume else arguments.rank_by, progress=progress, stop=stop)
        except Stopped:
            output.note(output.word("cli.compare.go_on", command=_resume_command(comparison.id, workspace, arguments)))
            raise
    return Answer(_data(found), [*comparison_lines(found, output), *_written(found, arguments, output)])


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _resume_command(name: str, workspace: Workspace, arguments: argparse.Namespace) -> str:
    own = arguments.source or arguments.data_dir or arguments.checkpoint_dir
    folders = f" --data-dir {workspace.data_dir} --checkpoint-dir {workspace.checkpoint_dir}" if own else ""
    return f"compare --resume {name}{folders}"


def _data(found: Mapping[str, Any]) -> dict[str, Any]:
    """The table for a program; sentences beside their keys."""
    from financial_model.evaluation.comparison_report import sentences

    return {**found, "comparison": found["id"], "verdict": sentences(found, "en")}


def comparison_lines(found: Mapping[str, Any], output: Output) -> list[str]:
    """The table for a reader, the returns below it, then what it says and on what it rests."""
    from financial_model.evaluation import comparison_report as report

    language = output.language
    rows = [[str(row["place"] or "–"), report.row_name(row, language), *report.text_cells(row, found, language)] for row in found["rows"]]
    lines = [output.word("cli.compare.title", name=found["id"]), "", *table(["#", *report.headings(found, language)], rows), ""]
    earned = [[report.row_name(row, language), *report.returns_cells(row)] for row in found["rows"] if row.get("returns")]
    if earned:
        head = ["", *(output.word(f"compare.returns.{name}") for name in report.RETURNS)]
        lines += [*table(head, earned), report.returns_help(found, language), ""]
    lines += [f"{name}: {value}" for name, value in report.basis(found, language)]
    return [*lines, "", *report.sentences(found, language), *report.failures(found, language)]


def _written(found: Mapping[str, Any], arguments: argparse.Namespace, output: Output) -> list[str]:
    from financial_model.evaluation.comparison_report import write_comparison
    from financial_model.serving.compare import frame
    from financial_model.serving.export import write_csv

    written = []
    if arguments.csv:
        written.append(write_csv(frame(found), arguments.csv))
    if arguments.html:
        written.append(write_comparison(Path(arguments.html), found, output.language))
    return ["", *map(str, written)] if written else []
