"""``train``, ``evaluate``, ``runs``, ``export``: making models and looking at them.

In: parsed arguments. Out: an :class:`Answer`. What is done is done by ``serving``; here it is only asked for and told.
"""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from financial_model.cli import standing
from financial_model.cli.arguments import settings_of, workspace_of
from financial_model.cli.output import Answer, Output, ProgressBar, figure, percent, table
from financial_model.errors import ConfigError
from financial_model.serving.runs import RunInfo, RunStore
from financial_model.training.processes import ALONE, Processes

PERCENTAGES = frozenset({"direction", "direction_base_rate", "balanced_accuracy", "coverage_80", "recovery"})
SHOWN = ("ic", "rank_ic", "direction", "direction_base_rate", "balanced_accuracy", "mae_percent", "mae", "rmse", "coverage_80", "pinball")
"""Figures of the short table, in order."""


def train(arguments: argparse.Namespace, output: Output) -> Answer | None:
    """A new run from presets and flags, or an old one resumed; Ctrl-C stops it so that it can be resumed. Under torchrun one of several."""
    return _train(arguments, output, settings_of(arguments))


def pretrain(arguments: argparse.Namespace, output: Output) -> Answer | None:
    """A new run that learns without labels, on a model that reads patches unless another is named."""
    return _train(arguments, output, {"name": "pretrain", "backbone": "transformer", "patches": True, **settings_of(arguments), "method": "pretrain"})


def _train(arguments: argparse.Namespace, output: Output, given: dict[str, Any]) -> Answer | None:
    from financial_model.training.launcher import launch

    with launch() as mine:
        if mine is None:
            return _lead(arguments, output, given, ALONE, "")
        processes = mine.join()
        if processes.leads:
            return _lead(arguments, output, given, processes, mine.remembered())
        from financial_model.serving.together import follow

        logging.getLogger("financial_model").setLevel(logging.ERROR)  # its warnings reach the events of the first process
        with stopping(None) as stop:
            follow(workspace_of(arguments), processes, stop)
    return None


def _lead(arguments: argparse.Namespace, output: Output, given: dict[str, Any], processes: Processes, begun: str) -> Answer:
    """``begun``: the run that this very command had begun before it was started once more."""
    from financial_model.serving import bases, together
    from financial_model.serving.experiment import run_training

    workspace, file = workspace_of(arguments), None
    runs = RunStore(workspace.checkpoint_dir)
    if arguments.resume and (given or arguments.preset != "standard"):
        raise ConfigError("cli.resume_takes_no_settings", run=arguments.resume)
    run = together.unfinished(runs, begun) or (runs.get(arguments.resume) if arguments.resume else None)
    if run is not None:
        config = run.run_config()
    else:
        file = bases.find_typed(runs, given["init_from"]) if given.get("init_from") else None
        config = bases.begin_with(given, runs, preset=arguments.preset, file=file)
        bases.check(config, runs, file)
        for problem in bases.problems(config, runs, file):
            output.note(output.word("cli.warning", sentence=output.word(problem.key, **problem.values)))
    with stopping(output) as stop, ProgressBar(output) as progress:
        done = run if begun and run is not None and run.state == "finished" else run_training(
            workspace, config, run=run, stop=stop, progress=progress, resume=run is not None, base=file, processes=processes)
        together.dismiss(processes, done)
    return describe(done, output)


def describe(run: RunInfo, output: Output) -> Answer:
    """A run that has just ended."""
    from financial_model.evaluation import memory, verdict
    from financial_model.serving.deciding import context_of
    from financial_model.serving.judging import stored

    lines = [output.word(f"cli.train.{run.state}", run=run.id)]
    if run.metrics:
        lines += ["", *metric_table(run.metrics, output)]
    said = stored(run)
    if said:
        lines += ["", *verdict.sentences(said["result"]["verdict"], output.language)]
    context = context_of(run)
    lines += ["", *(memory.sentences(context, output.language) if context else ()),
              *(str(run.path / f"{kind}.safetensors") for kind in run.checkpoints[:1])]
    data = {"run": run.id, "state": run.state, "folder": str(run.path), "checkpoints": list(run.checkpoints), "metrics": run.metrics,
            **({"verdict": verdict.sentences(said["result"]["verdict"], "en")} if said else {}), **({"context": context} if context else {})}
    return Answer(data, lines)


def evaluate(arguments: argparse.Namespace, output: Output) -> Answer:
    """The test result beside the baselines; ``--html`` also writes the report there."""
    from financial_model.evaluation.verdict import sentences
    from financial_model.serving.deciding import context_of
    from financial_model.serving.experiment import evaluate_run
    from financial_model.serving.importance import importance_run
    from financial_model.serving.judging import report

    workspace = workspace_of(arguments)
    with stopping(output) as stop, ProgressBar(output) as progress:
        found = evaluate_run(workspace, arguments.run, progress=progress, stop=stop)
        importance = importance_run(workspace, arguments.run, progress=progress, stop=stop) if arguments.importance else None
    store = RunStore(workspace.checkpoint_dir)
    run = store.get(arguments.run)
    html = report(run, store, found, Path(arguments.html), language=output.language) if arguments.html else None
    split, notes = found["split"], [output.word(note["key"], **note["fields"]) for note in (*found["notes"], *found.get("missing", ()))]
    tasks = found["result"].get("tasks")
    data = {"run": run.id, "checkpoint": found["checkpoint"], "test": split["test"], "split": split, "test_opened": found["test_opened"],
            "synthetic": found["synthetic"], **found["metrics"], "verdict": sentences(found["result"]["verdict"], "en"), "notes": notes,
            **({"tear_sheet": found["result"]["tear_sheet"]} if "tear_sheet" in found["result"] else {}), **({"tasks": tasks} if tasks else {}),
            **({"folds": found["folds"]} if "folds" in found else {}),
            **({"members": found["members"]} if "members" in found else {}), **({"importance": importance} if importance else {}),
            **({"html": str(html)} if html else {}), **({"context": context} if (context := context_of(run)) else {})}
    folds = [output.word("cli.evaluate.fold", number=number, first=fold["split"]["test"]["first"], last=fold["split"]["test"]["last"],
                         trained=fold["split"]["train"]["last"], rank_ic=rank_ic, best=best)
             for number, fold in enumerate(found.get("folds", ()), start=1) for rank_ic, best, *_ in [standing.cells(_fold_figures(fold))]]
    lines = [output.word("cli.evaluate.title", run=run.id, first=split["test"]["first"], last=split["test"]["last"], rows=found["metrics"]["rows"],
                         dates=found["metrics"]["dates"]), "", *metric_table(found["metrics"], output), "", *_tasks(tasks, output), *folds,
             *_members(found.get("members"), output), *sentences(found["result"]["verdict"], output.language), *notes,
             *(_importance(importance, output) if importance else ())]
    return Answer(data, [*lines, *([str(html)] if html else [])])


def _fold_figures(fold: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of a fold, its baselines as they stand in a header."""
    return {**fold["metrics"], "baselines": {name: {"rank_ic": value} for name, value in fold["metrics"].get("baselines", {}).items()}}


def _tasks(found: Mapping[str, Any] | None, output: Output) -> list[str]:
    """What the head multi says besides, beside naive forecasts."""
    from financial_model.evaluation.report_tasks import task_tables
    from financial_model.evaluation.report_words import Words

    lines = []
    for entry in task_tables(found, Words(output.language)):
        rows = [[row["name"], *(f"{cell['value']} ({cell['interval']})" if cell["interval"] else cell["value"] for cell in row["cells"])]
                for row in entry["rows"]]
        lines += [entry["title"], "", *table(["", *entry["columns"]], rows), ""]
    return lines


def _members(found: Mapping[str, Any] | None, output: Output) -> list[str]:
    """What the members of an ensemble scored alone and together, on the validation part."""
    if not found:
        return []
    columns = {"loss": output.word("evaluation.report.metric.loss"), "rank_ic": output.word("cli.metric.rank_ic")}
    names = [output.word("evaluation.report.member", number=number, seed=entry["seed"]) for number, entry in enumerate(found["alone"], start=1)]
    rows = [[name, *(figure(entry.get(column)) for column in columns)] for name, entry in zip(
        [*names, output.word("evaluation.report.together", count=len(names))], [*found["alone"], found["together"]], strict=True)]
    return [output.word("evaluation.report.members"), "", *table(["", *columns.values()], rows), ""]


def _importance(found: Mapping[str, Any], output: Output) -> list[str]:
    """What each group of inputs is worth, and what chance would take."""
    rows = [[output.word(f"ui.term.groups.{row['name']}"), *(figure(row[name], signed=True) for name in ("drop", "chance"))] for row in found["rows"]]
    head = [output.word(f"cli.evaluate.{name}") for name in ("group", "drop", "chance")]
    return ["", output.word("cli.evaluate.importance", dates=found["dates"]), *table(head, rows)]


def metric_table(metrics: Mapping[str, Any], output: Output) -> list[str]:
    """The model, its intervals below it, and every baseline."""
    names = [name for name in SHOWN if metrics.get(name) is not None or any(entry.get(name) is not None for entry in metrics["baselines"].values())]

    def cells(entry: Mapping[str, Any]) -> list[str]:
        return [(percent if name in PERCENTAGES else figure)(entry.get(name)) for name in names]

    def bounds(name: str) -> str:
        pair = metrics.get(f"{name}_interval")
        write = percent if name in PERCENTAGES else figure
        return f"{write(pair[0])} … {write(pair[1])}".replace(" %", "") if pair and None not in pair else ""

    rows = [[output.word("cli.model"), *cells(metrics)], [output.word("cli.interval"), *(bounds(name) for name in names)]]
    rows += [[name, *cells(entry)] for name, entry in metrics["baselines"].items()]
    if metrics.get("oracle_ic") is not None:
        rows.append([output.word("cli.oracle"), *(figure(metrics["oracle_ic"]) if name == "ic" else "" for name in names)])
    lines = table(["", *(output.word(f"cli.metric.{name}") for name in names)], rows)
    if metrics.get("recovery") is not None:
        lines.append(output.word("cli.recovery", share=percent(metrics["recovery"], 0)))
    return lines


def runs(arguments: argparse.Namespace, output: Output) -> Answer:
    """Every run, newest first; or the deleted ones go for good."""
    store = RunStore(workspace_of(arguments).checkpoint_dir)
    if arguments.empty_trash:
        _, size = store.trash.held()
        count = store.trash.empty()
        return Answer({"emptied": count, "bytes": size}, [output.word("cli.runs.emptied", count=count, megabytes=size / 1e6)])
    found = store.list()
    data = [run.to_json("en") for run in found]
    if not found:
        return Answer({"runs": []}, [output.word("cli.runs.none")])
    rows = [[run.id, output.word(f"cli.state.{run.state}"), entry["config"]["model"], entry["config"]["condition"], entry["config"]["objective"],
             *standing.cells(run.metrics), ", ".join(run.checkpoints)] for run, entry in zip(found, data, strict=True)]
    columns = ("run", "state", "model", "condition", "objective", "rank_ic", "best", "direction", "base_rate", "checkpoints")
    return Answer({"runs": data}, table([output.word(f"cli.runs.{name}") for name in columns], rows))


def export(arguments: argparse.Namespace, output: Output) -> Answer:
    """One checkpoint as a file elsewhere: as it is, or as a graph for other programs."""
    from financial_model.serving.portable import export_run

    found = export_run(workspace_of(arguments), arguments.run, arguments.file, form=arguments.format, checkpoint=arguments.checkpoint)
    size = f"{found['bytes'] / 1e6:.1f}"
    if found["format"] == "safetensors":
        return Answer(found, [output.word("cli.export.done", file=found["file"], size=size, checkpoint=found["checkpoint"])])
    ran = "difference" in found
    checked = output.word("cli.export.checked", difference=f"{found['difference']:.1g}") if ran else output.word("cli.export.unchecked")
    return Answer(found, [output.word("cli.export.graph", file=found["file"], size=size, description=found["description"]), checked])


@contextmanager
def stopping(output: Output | None) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets: the work stops in good order. The second one aborts at once. Without ``output`` nothing is said."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield stop
        return

    def interrupt(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        if output is not None:
            output.note(output.word("cli.stopping"))

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
