"""What each kind of job does: the bridge from a queue to the layers that know how.

In: a :class:`JobContext` and the job's parameters. Out: plain data for the page. Every task loads what it needs when it runs,
so that a server which only shows pages carries neither torch nor pandas.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from financial_model.paths import Workspace

if TYPE_CHECKING:
    from financial_model.config import RunConfig
    from financial_model.serving.answers import Answering
    from financial_model.serving.runs import RunInfo, RunStore


@dataclass(frozen=True)
class JobContext:
    """What a task is given: where things are, how to report, when to stop."""

    workspace: Workspace
    runs: RunStore
    run_id: str
    stop: threading.Event
    progress: Callable[..., None]
    """``progress(stage, done=0, total=0)``."""
    ask: Callable[..., Any]
    """``ask(kind, **parameters)``: the result of another job, queued for this one and stopped with it. ``JobError`` when it failed or was stopped."""
    tell: Callable[..., None]
    """``tell(key, **fields)``: what happened last, while the job goes on."""
    rest: Callable[[str], None]
    """``rest(until)``: nothing to do before this time (ISO)."""


Task = Callable[..., Any]
QUESTIONS = ("rank", "forecast", "custom", "orders", "publish", "score")


def train(context: JobContext, config: RunConfig) -> RunInfo:
    """A new run; its folder was made when the job was queued."""
    from financial_model.serving.experiment import run_training

    return run_training(context.workspace, config, run=context.runs.info(context.run_id), stop=context.stop, progress=context.progress)


def resume(context: JobContext, run: str) -> RunInfo:
    """Go on with a run that was stopped, interrupted or failed."""
    from financial_model.serving.experiment import run_training

    info = context.runs.info(context.run_id)
    return run_training(context.workspace, info.run_config(), run=info, stop=context.stop, progress=context.progress, resume=True)


def evaluate(context: JobContext, run: str) -> dict[str, Any]:
    """The test result of a run."""
    from financial_model.serving.experiment import evaluate_run

    return evaluate_run(context.workspace, context.run_id, progress=context.progress, stop=context.stop)


def compare(context: JobContext, comparison: str) -> dict[str, Any]:
    """The members of a comparison that are not finished, then its table; going on with a stopped one is the same call."""
    from financial_model.serving.compare import work

    return work(context.workspace, comparison, progress=context.progress, stop=context.stop)


def sweep(context: JobContext, sweep: str) -> dict[str, Any]:
    """The trials of a sweep that are missing, then the test of the best; going on with a stopped one is the same call."""
    from financial_model.serving.sweep import work

    return work(context.workspace, sweep, progress=context.progress, stop=context.stop)


def export(context: JobContext, run: str, form: str, checkpoint: str = "") -> dict[str, Any]:
    """A run's checkpoint as a graph for other programs, with its description, in one archive in the run's folder."""
    from financial_model.serving.portable import export_archive

    context.progress("export")
    return export_archive(context.workspace, context.run_id, form, checkpoint=checkpoint)


def backtest(context: JobContext, run: str, **settings: Any) -> dict[str, Any]:
    """A portfolio that follows a run on its test dates; the run keeps the result."""
    from financial_model.serving.backtesting import backtest_run, settings_from

    chosen = settings_from(settings)
    return backtest_run(context.workspace, context.run_id, settings=chosen, progress=context.progress, stop=context.stop)["metrics"]


def watch(context: JobContext, run: str, **how: Any) -> None:
    """The ranking of a run, kept current after every close until it is stopped."""
    from financial_model.serving.watch import keep_ranked

    keep_ranked(context, **how)


def download(context: JobContext, source: str, *, symbols: Sequence[str] = (), count: int | None = None, stocks: int | None = None, start: str = "",
             boards: Sequence[str] = (), exclude_st: bool = False, retry: bool = False, **options: Any) -> dict[str, Any]:
    """Bars from a source; ``stocks`` is another word for ``count``, ``options`` are the source's own."""
    from financial_model.serving.market import download as fetch

    return fetch(context.workspace, source, symbols=symbols, count=stocks if count is None else count, start=start, boards=boards,
                 exclude_st=exclude_st, options=options, retry=retry, progress=context.progress, stop=context.stop)


def import_files(context: JobContext, paths: Sequence[str], **options: Any) -> dict[str, Any]:
    """A user's own files; ``options`` as in ``serving.market.import_files``."""
    from financial_model.serving.market import import_files as read

    return read(context.workspace, paths, **options, progress=context.progress, stop=context.stop)


def analyze(context: JobContext) -> dict[str, Any]:
    """The universe as plain data."""
    from financial_model.serving.market import analyze as look

    return look(context.workspace, progress=context.progress, stop=context.stop)


def integrity(context: JobContext, symbols: Sequence[str] = ()) -> dict[str, Any]:
    """What is doubtful in the stored bars, as plain data."""
    from financial_model.serving.market import check_integrity

    return check_integrity(context.workspace, symbols, progress=context.progress, stop=context.stop)


def question(kind: str, answering: Answering | None = None) -> Task:
    """A kind of ``answers.py`` as a job: put to ``answering``, or to a model that is loaded for this one."""

    def perform(context: JobContext, **particulars: Any) -> Any:
        from financial_model.serving.answers import Answers

        if "run" in particulars:
            particulars["run"] = context.run_id
        return (answering or Answers(context.workspace)).ask(kind, progress=context.progress, stop=context.stop, **particulars)

    return perform


def questions(answering: Answering | None = None) -> Mapping[str, Task]:
    """All of them that are jobs."""
    return {kind: question(kind, answering) for kind in QUESTIONS}


TASKS: Mapping[str, Task] = {
    "train": train, "resume": resume, "compare": compare, "sweep": sweep, "evaluate": evaluate, "backtest": backtest, "watch": watch,
    "export": export, "download": download, "import": import_files, "analyze": analyze, "integrity": integrity, **questions(),
}
