"""The main job: prepare the panel, train, open the test once, say what it was worth.

In: a workspace and a configuration (or a run to go on with). Out: a run folder with checkpoints, ``evaluation.json`` and ``report.html``, and
a state on disk that is true at every moment. It knows no queue and no page: jobs and the command line both call it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.config import RunConfig, check
from financial_model.errors import DataError, JobError, KairosError, Stopped
from financial_model.paths import Workspace, atomic_write
from financial_model.serving import bases, together
from financial_model.serving.deciding import decide
from financial_model.serving.failures import error_id, memory_failure
from financial_model.serving.runs import RunInfo, RunStore, state_word
from financial_model.training.events import EventLog, read_events
from financial_model.training.processes import ALONE, Processes, refuse

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.rules import Baseline

logger = logging.getLogger(__name__)

REFERENCE_STOCKS = 100
"""Stocks whose training rows say what is high and what is low, for a stock that is forecast alone."""
ProgressCallback = Callable[..., None]
"""``progress(stage, done=0, total=0)``; stages: panel, train, evaluate, baselines, report (texts: ``stage.<name>``)."""


def run_training(workspace: Workspace, config: RunConfig, *, run: RunInfo | None = None, stop: threading.Event | None = None,
                 progress: ProgressCallback | None = None, resume: bool = False, base: Path | None = None,
                 processes: Processes = ALONE, test: bool = True) -> RunInfo:
    """Train from beginning to end and return the run as it then stands: finished, or stopped when ``stop`` was set.

    ``run``: a run that was created or is to be resumed (``resume``); without it a new one is made, once the store is known to hold data.
    ``base``: the file of the checkpoint to start from, where ``config.transfer.init_from`` names no run of the store.
    ``test``: open the test at the end; without, the run is one of many among which the validation part is to choose.
    ``processes``: this one leads others, which are in ``together.follow`` meanwhile.
    Raises the ``KairosError`` that is also written into the run's state; a run that someone else works on is refused.
    """
    check(config)
    check_features(config)
    if processes.several:
        refuse(config)
    runs = RunStore(workspace.checkpoint_dir)
    if run is None:
        bases.check(config, runs, base)
        require_data(workspace)
        run = runs.create(config)
    processes.remember(run.id)
    runs.claim(run.id, "preparing")
    progress = progress or _silent
    with _log_file(run.path / "log.txt"), _outcome(runs, run.id), WatchedEvents(run.path / "events.jsonl", progress) as events:
        Experiment(workspace, runs, run, config, events, stop or threading.Event(), progress, base, processes, test=test).perform(resume)
    return runs.info(run.id)


def check_features(config: RunConfig) -> None:
    """``ConfigError`` for a formula that cannot be read or is unfit to be an input, before a run is made for it."""
    from financial_model.features import registry

    registry.names(config.features.groups, config.features.formulas)


def require_data(workspace: Workspace) -> None:
    """``DataError`` when there is nothing to learn from."""
    from financial_model.market.store import Store

    if not (workspace.data_dir / "market.sqlite").is_file() or not Store(workspace.data_dir).summary()["stocks"]:
        raise DataError("serving.no_data", folder=str(workspace.data_dir))


class WatchedEvents(EventLog):
    """The event log of a run, which also tells a training's steps as progress."""

    def __init__(self, path: Path, progress: ProgressCallback) -> None:
        super().__init__(path)
        self._progress = progress
        begun = [event["steps"] for event in read_events(path)[0] if event.get("kind") == "run"]
        self._steps = begun[-1] if begun else 0

    def append(self, kind: str, **fields: Any) -> None:
        super().append(kind, **fields)
        if kind == "run":
            self._steps = fields["steps"]
        if kind in ("step", "epoch", "resume"):
            self._progress("train", max(0, fields["step"]), self._steps)


class Experiment:
    """One pass through the stages of a run."""

    def __init__(self, workspace: Workspace, runs: RunStore, run: RunInfo, config: RunConfig, events: EventLog, stop: threading.Event,
                 progress: ProgressCallback, base: Path | None = None, processes: Processes = ALONE, *, test: bool = True) -> None:
        self.given_base, self.processes, self.test = base, processes, test
        self.workspace, self.runs, self.run, self.config = workspace, runs, run, config
        self.events, self.stop, self.progress = events, stop, progress

    def perform(self, resume: bool) -> None:
        base = bases.adopt(self.config, self.runs, self.run, self.given_base)
        self._stage("panel")
        panel = self._panel(resume)
        self.config = decide(self.config, panel, self.run.path)
        self.run = self.runs.set_config(self.run.id, self.config)
        self.runs.set_state(self.run.id, "running")
        self._stage("train")
        checkpoint = self._train(panel, resume, base)
        if self.config.transfer.method == "pretrain":  # an encoder forecasts nothing, so there is nothing to test
            return
        self._remember_ranks(panel, checkpoint)
        self._remember_inputs(panel, checkpoint)
        if self.test:
            self._judge(panel, checkpoint)

    def _train(self, panel: Panel, resume: bool, base: Path | None) -> Path:
        """The checkpoint that forecasts; of a walk-forward run, the last fold's. ``Stopped`` when it was stopped."""
        from financial_model.serving.walkforward import train_folds, wanted
        from financial_model.training.trainer import train

        if wanted(self.config):
            return train_folds(self.config, panel, self.run.path, stop=self.stop, events=self.events, score=self._score, resume=resume, base=base)
        together.call(self.processes, self.config, panel, self.run.path, resume=resume, base=base)
        result = train(self.config, panel, self.run.path, stop=self.stop, events=self.events, score=self._score, resume=resume, base=base,
                       processes=self.processes)
        if result.state == "stopped":
            raise Stopped
        return result.checkpoint

    def _panel(self, resume: bool) -> Panel:
        """The panel of the run. A resumed run goes on with the data it began with, as long as that panel is still there."""
        from financial_model.datasets.panel import HEADER, build_panel, open_panel

        require_data(self.workspace)
        note = self.run.path / "data.json"
        if resume and note.is_file():
            known = self.workspace.panels / str(json.loads(note.read_text("utf-8"))["fingerprint"])
            if known.is_dir():
                return open_panel(known)
        began = time.time()
        panel = open_panel(build_panel(self.workspace, self.config, progress=self.progress, stop=self.stop))
        made = (panel.path / HEADER).stat().st_mtime >= began
        way = f"computed in {time.time() - began:.0f} s" if made else "computed before and found again"
        logger.info("data: %s stocks, %s bars, %s inputs, %s", len(panel.offsets) - 1, panel.rows, len(panel.feature_names), way)
        atomic_write(note, json.dumps({"fingerprint": panel.fingerprint, "rows": panel.rows, "stocks": len(panel.offsets) - 1,
                                       "market": panel.market, "synthetic": panel.synthetic}))
        return panel

    def _score(self, prediction: Any, panel: Panel) -> dict[str, Any]:
        from financial_model.evaluation.evaluate import quick_score

        return quick_score(prediction, panel, self.config.label)

    def _remember_ranks(self, panel: Panel, checkpoint: Path) -> None:
        """Put into the checkpoint what a stock that comes alone will be compared with, where the model reads ranks among stocks."""
        from financial_model.datasets.splits import seconds
        from financial_model.features import registry
        from financial_model.market.packing import pack
        from financial_model.market.store import Store
        from financial_model.serving.forecaster import rank_reference
        from financial_model.training.checkpoint import read_header, update_header

        if not any(registry.get(name).cross_section for name in panel.feature_names):
            return
        store, header = Store(self.workspace.data_dir), read_header(checkpoint)
        every = -(-len(panel.symbols) // REFERENCE_STOCKS)
        bars = pack(store, [symbol for symbol in panel.symbols[::every] if store.has(symbol)])
        reference = rank_reference(bars, panel.feature_names, bars.time <= seconds(header["split"]["train"]["last"]))
        update_header(checkpoint, {"extras": {**header["extras"], "rank_reference": reference}})

    def _remember_inputs(self, panel: Panel, checkpoint: Path) -> None:
        """Put into the checkpoint what its training inputs looked like, so that a forecast knows when it is asked about something else."""
        from financial_model.datasets.splits import seconds
        from financial_model.serving.plausibility import describe_inputs
        from financial_model.training.checkpoint import read_header, update_header

        header = read_header(checkpoint)
        inputs = describe_inputs(panel, seconds(header["split"]["train"]["last"]))
        update_header(checkpoint, {"extras": {**header["extras"], "inputs": inputs}})

    def _judge(self, panel: Panel, checkpoint: Path) -> None:
        """Open the test part, once, and put what it said into every place that shows it. Who looked before the end is counted."""
        from financial_model.market.store import Store
        from financial_model.serving import trials
        from financial_model.serving.judging import judge, publish, stored

        before = stored(self.run)
        self._stage("evaluate")
        result = judge(checkpoint, panel, store=Store(self.workspace.data_dir), trials=trials.count(self.runs, self.run),
                       progress=self.progress, stop=self.stop, seen=lambda name, baseline: self._draw(name, baseline, panel))
        self._stage("report")
        publish(self.run, self.runs, {**result, "test_opened": 1 if before is None else int(before["test_opened"]) + 1})
        known = {name: result["metrics"].get(name) for name in ("ic", "rank_ic", "direction", "mae_percent", "mae")}
        logger.info("test: %s", ", ".join(f"{name} {value:.4f}" for name, value in known.items() if value is not None))

    def _draw(self, name: str, baseline: Baseline, panel: Panel) -> None:
        """LightGBM becomes a line on the loss chart once it is fitted for the test; not of a walk-forward or a fine-tune, whose chart has
        other windows or units."""
        from financial_model.serving.walkforward import wanted
        from financial_model.training.rivals import validation_loss

        comparable = not self.config.label.own and not self.config.transfer.init_from
        if name == "lightgbm" and comparable and not wanted(self.config):
            self.events.append("baseline", step=0, epoch=0, split="validation", name=name,
                               metrics={"loss": validation_loss(baseline, panel, self.config)})

    def _stage(self, name: str) -> None:
        if self.stop.is_set():
            raise Stopped
        self.events.append("stage", stage=name)
        self.progress(name)


def evaluate_run(workspace: Workspace, run_id: str, *, progress: ProgressCallback | None = None,
                 stop: threading.Event | None = None) -> dict[str, Any]:
    """The test result of a run: the stored one as long as the data is what it was, else a new one on the data of today.

    Keys: ``metrics`` (``evaluate.HEADLINE`` and the baselines), ``result`` (every figure), ``split``, ``fingerprint``, ``test_opened`` (times the
    test was looked at), ``notes`` (``[{"key", "fields"}]``). A new evaluation keeps the training dates and lets the test run on to the newest day.
    """
    from financial_model.market.store import Store
    from financial_model.serving import trials
    from financial_model.serving.judging import judge, publish, stored

    runs, progress = RunStore(workspace.checkpoint_dir), progress or _silent
    run = runs.get(run_id)
    checkpoint = runs.checkpoint(run.id)
    before = stored(run)
    if run.active:
        raise JobError("runs.busy", run=run.id, state=state_word(run.state))
    try:
        panel = current_panel(workspace, run, progress=progress, stop=stop)
    except DataError as error:
        if before is None or error.key != "serving.no_data":
            raise
        return {**before, "notes": [{"key": "serving.note_no_data", "fields": {}}]}
    if before is not None and before["fingerprint"] == panel.fingerprint and before["checkpoint"] == checkpoint.name:
        return {**before, "notes": []}
    count = 1 if before is None else int(before["test_opened"]) + 1
    result = {**judge(checkpoint, panel, store=Store(workspace.data_dir), trials=trials.count(runs, run), progress=progress, stop=stop),
              "test_opened": count}
    notes = [] if before is None else [{"key": "serving.note_data_changed", "fields": {"count": count}}]
    publish(run, runs, {**result, "notes": notes})
    return {name: value for name, value in result.items() if name != "backtest"} | {"notes": notes}


def current_panel(workspace: Workspace, run: RunInfo, *, progress: ProgressCallback | None = None, stop: threading.Event | None = None) -> Panel:
    """The panel of a run's settings on the data of today. ``DataError`` when there are none."""
    from financial_model.datasets.panel import build_panel, open_panel

    require_data(workspace)
    return open_panel(build_panel(workspace, run.run_config(), progress=progress, stop=stop))


# ---------------------------------------------------------------- the state on disk, whatever happens
@contextmanager
def _outcome(runs: RunStore, run_id: str) -> Iterator[None]:
    """Write how a run ended. Every way out of the block leaves a true state behind; only a kill leaves it to the reader."""
    try:
        yield
    except Stopped:
        runs.set_state(run_id, "stopped", "runs.stopped")
    except KairosError as error:
        logger.warning("%s", error)
        runs.set_state(run_id, "failed", error.key, error.fields)
        raise
    except KeyboardInterrupt:
        runs.set_state(run_id, "interrupted", "runs.interrupted")
        raise
    except Exception as error:
        failure = memory_failure(error)
        if failure is not None:
            runs.set_state(run_id, "failed", failure.key, failure.fields)
            raise failure from error
        logger.exception("the run %s failed unexpectedly (error %s)", run_id, error_id(error))
        runs.set_state(run_id, "failed", "runs.failed_unexpectedly", {"id": error_id(error)})
        raise
    else:
        runs.set_state(run_id, "finished")


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """The run's own log: what the package says in this thread while the run works."""
    package = logging.getLogger("financial_model")
    if package.getEffectiveLevel() > logging.INFO:
        package.setLevel(logging.INFO)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
    own = threading.get_ident()
    handler.addFilter(lambda record: record.thread == own)
    package.addHandler(handler)
    try:
        yield
    finally:
        package.removeHandler(handler)
        handler.close()


def _silent(stage: str, done: float = 0, total: float = 0) -> None:
    """Nobody is watching."""
