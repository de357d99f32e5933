"""``quickstart``: from tickers to a table in one go.

In: parsed arguments. Out: an :class:`Answer`. The steps are ``serving.quickstart``'s.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from financial_model import config as settings
from financial_model.cli.arguments import settings_of, workspace_of
from financial_model.cli.output import Answer, Output, ProgressBar, table
from financial_model.cli.training import stopping

OWN_FOLDER = Path("quickstart_output")


def quickstart(arguments: argparse.Namespace, output: Output) -> Answer:
    """Bars, features, training, test, plots; the usual table per stock beside base rates, intervals and baselines."""
    from financial_model.evaluation import per_stock_report as report
    from financial_model.evaluation.verdict import sentences
    from financial_model.serving import bringing
    from financial_model.serving import quickstart as quick

    config = settings.build({**quick.SETTINGS, **settings_of(arguments)}, preset=arguments.preset)
    settings.check(config)
    tickers = [part.strip() for part in arguments.tickers.split(",") if part.strip()]
    workspace = workspace_of(arguments, bringing.folder_of(arguments.source, OWN_FOLDER))
    with stopping(output) as stop, ProgressBar(output) as progress:
        found = quick.quickstart(workspace, arguments.source, tickers, config, progress=progress, stop=stop)
    page = quick.write_page(Path(arguments.html or found["page"]), found, output.language)
    split = found["split"]
    lines = [output.word("cli.quickstart.title", run=found["run"], model=found["model"], trained=split["train"]["last"],
                         first=split["test"]["first"], last=split["test"]["last"]), "",
             *table(report.headings(output.language), [report.cells(row, output.language) for row in found["rows"]]), "",
             *report.remarks(found, output.language), "", output.word("cli.quickstart.written", page=page),
             output.word("cli.quickstart.open", data=workspace.data_dir, checkpoints=workspace.checkpoint_dir)]
    rows = [{name: value for name, value in row.items() if name != "series"} for row in found["rows"]]
    return Answer({**found, "rows": rows, "page": str(page), "verdict": sentences(found["verdict"], "en")}, lines)
