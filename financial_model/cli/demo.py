"""``demo``: the main job in about two minutes, offline: demo market, training, evaluation beside the baselines, one forecast, a report.

In: parsed arguments. Out: an :class:`Answer`. It keeps to a folder of its own, so that synthetic bars never meet real ones.
"""

from __future__ import annotations

import argparse

from financial_model import config
from financial_model.cli.arguments import DEMO_FOLDER, workspace_of
from financial_model.cli.forecasting import forecast_lines, pool_table
from financial_model.cli.market import make_demo_market
from financial_model.cli.output import Answer, Output, ProgressBar
from financial_model.cli.training import metric_table, stopping
from financial_model.errors import Stopped
from financial_model.paths import Workspace

STOCKS = 200
SETTINGS = {"name": "demo", "backbone": "cnn_lstm", "condition": "concat"}


def demo(arguments: argparse.Namespace, output: Output) -> Answer:
    """Everything once, on synthetic data that says so."""
    from financial_model.evaluation.verdict import sentences
    from financial_model.serving.experiment import evaluate_run, run_training
    from financial_model.serving.judging import REPORT
    from financial_model.serving.predictor import Predictor

    workspace = workspace_of(arguments, Workspace(data_dir=DEMO_FOLDER / "data", checkpoint_dir=DEMO_FOLDER / "checkpoints"))
    with stopping(output) as stop, ProgressBar(output) as progress:
        make_demo_market(workspace, count=STOCKS, seed=arguments.seed, progress=progress, stop=stop)
        run = run_training(workspace, config.build(SETTINGS, preset="quick"), stop=stop, progress=progress)
        if run.state == "stopped":
            raise Stopped
        found = evaluate_run(workspace, run.id, progress=progress, stop=stop)
        predictor = Predictor(workspace)
        pool = predictor.rank(run.id, 5, progress=progress, stop=stop)
        best = predictor.forecast(run.id, str(pool["symbol"].iloc[0]))
    report = run.path / REPORT
    data = {"run": run.id, "state": run.state, **found["metrics"], "verdict": sentences(found["result"]["verdict"], "en"),
            "report": str(report), "stocks": pool, "forecast": {name: best[name] for name in ("symbol", "as_of", "price", "table", "classes")},
            "synthetic": True}
    lines = [output.word("cli.demo.title"), "", *metric_table(found["metrics"], output), "",
             *sentences(found["result"]["verdict"], output.language), "", *pool_table(pool, output), "",
             *forecast_lines(best, output), "", output.word("cli.demo.report", path=str(report)), output.word("cli.demo.next")]
    return Answer(data, lines)
