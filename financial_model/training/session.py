"""One session of a training: the model in motion, and what it leaves on disk.

In: configuration, panel, run folder, event log. Out: checkpoints and resume points. What happens when is decided by the loop in ``trainer.py``.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from financial_model import runtime
from financial_model.config import DATE_OBJECTIVES, RunConfig
from financial_model.datasets.batches import DeviceBatches
from financial_model.datasets.loader import WindowLoader
from financial_model.models.baselines import baseline_class
from financial_model.models.forecaster import Prediction, build_forecaster, parameters
from financial_model.models.heads import begin_at
from financial_model.models.linear_start import WINDOW_MODES, LinearStart
from financial_model.objectives import Objective, objective
from financial_model.text import translate
from financial_model.training import graph
from financial_model.training.checkpoint import save_checkpoint
from financial_model.training.constants import constant_forecasts, constant_losses, mean_loss, repeated
from financial_model.training.description import describe
from financial_model.training.events import EventLog, now
from financial_model.training.finetune import open_start, prepared_from, training_objective
from financial_model.training.plain import plain
from financial_model.training.preparation import compared_dates, targets
from financial_model.training.processes import ALONE, Processes, Whispered
from financial_model.training.progress import Meter, Progress
from financial_model.training.reporter import Reporter
from financial_model.training.resume import ResumePoint, identity, save_resume
from financial_model.training.rivals import loss_of, rules_of_thumb
from financial_model.training.schedule import Schedule
from financial_model.training.step import NotFiniteError, TrainingStep, choose_compile
from financial_model.training.validation import evaluate, validation_loader

if TYPE_CHECKING:
    from financial_model.datasets.batches import Batch, Table
    from financial_model.datasets.panel import Panel
    from financial_model.models.forecaster import Forecaster

Score = Callable[[Prediction, "Panel"], dict[str, Any]]


class Session:
    """Everything a run holds in memory while it trains."""

    def __init__(self, config: RunConfig, panel: Panel, run_dir: Path, *, stop: threading.Event | None, events: EventLog,
                 score: Score | None, point: ResumePoint | None = None, base: Path | None = None, processes: Processes = ALONE) -> None:
        """``point``: where the run goes on; :meth:`restore` goes there. ``base``: the checkpoint the run starts from. ``processes``: who
        trains along."""
        training = config.training
        self.config, self.panel, self.run_dir, self.stop, self.score, self.point = config, panel, run_dir, stop, score, point
        self.processes = processes
        self.device = runtime.device(processes.device(training.device))
        self.precision = processes.lead(self._precision)
        self.start = open_start(config, base)
        self.prepared = prepared_from(self.start, config, panel)
        self.loader = self._loader()
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        processes.check_alike(torch=torch.__version__, device=name, windows=type(self.loader.source).__name__)  # each kind shuffles its own way
        self.validation = validation_loader(config, panel, self.prepared, self.device)
        self.steps_per_epoch = math.ceil(len(self.loader) / training.accumulation)
        self.schedule = Schedule(training, self.steps_per_epoch * training.epochs)
        self.progress, self.meter = Progress(), Meter(self.device)
        self.reporter = Reporter(events, self.meter, steps_per_epoch=self.steps_per_epoch, total_steps=self.schedule.total_steps)
        torch.manual_seed(training.seed)
        self.model = self.build().to(self.device)
        self._line: np.ndarray | None = None
        start, table = self._start()
        learned = self.start is not None and self.start.gives_weights  # a line that came with the weights belongs to them
        if start is not None and table is not None and point is None and not learned and processes.leads:
            start.fit(panel, self.prepared.train, config, table)
        if config.label.own and point is None and not learned and (start is None or table is None):
            begin_at(cast("Forecaster", self.model).head, self._middle())  # type: ignore[arg-type]  # such a run has no other head
        processes.share_weights(self.model)
        self.objective = self.truth()
        compiled, self.compile_reason = choose_compile(training.compile, self.device)
        if compiled and not processes.several and self.loader.windows < training.batch_size:  # only full batches go through the compiler
            compiled, self.compile_reason = False, "training.compile_short"
        full = training.batch_size
        if processes.several:
            full = self.loader.own(0)
        elif config.by_date():
            full = self.loader.usual_size()
            if compiled and not full:
                compiled, self.compile_reason = False, "training.compile_dates"
        source = self.loader.source
        self.graph_reason = graph.why_not(self.device, compiled=compiled, precision=self.precision, accumulation=training.accumulation,
                                          panel_on_device=isinstance(source, DeviceBatches))
        if not self.graph_reason and (self.start is not None or config.transfer.method == "pretrain"):
            self.graph_reason = "training.graph_transfer"
        if not self.graph_reason and processes.several:
            self.graph_reason = "training.graph_processes"
        if not self.graph_reason and config.features.context == "random":
            self.graph_reason = "training.graph_context"
        recorded = not self.graph_reason
        self.step = TrainingStep(
            self.model, training_objective(config, self.objective), training, device=self.device, precision=self.precision, compiled=compiled,
            notice=self.reporter.warning, recordable=recorded, guide=None if self.start is None else self.start.guide(self.device),
            full=full, summed=processes.several, compared=config.by_date())
        self.graphed: graph.GraphedStep | None = None
        if recorded and isinstance(source, DeviceBatches):
            self.graphed = graph.GraphedStep(self.step, source.gather, self.meter, full,
                                             graph.CudaRecorder(self.device), self.reporter.warning)
        self._losses = torch.zeros((), device=self.device)
        """Sum of the losses of this process's windows in the present step, where there are several processes."""
        self._known = identity(config, panel.fingerprint)
        self._saved = self._counted = time.monotonic()

    def build(self) -> nn.Module:
        """The model as it is before the first step."""
        config = self.config
        model = build_forecaster(
            config.model, head=config.head(), inputs=len(self.panel.feature_names), context_length=config.features.context_length,
            horizon=config.label.horizon)
        if self.start is not None:
            self.start.equip(model)
        return model

    def truth(self) -> Objective:
        """What an evaluation scores with."""
        return objective(self.config.objective(), self.config)

    def _middle(self) -> torch.Tensor:
        """[H] the mean of the training targets, in units."""
        return torch.from_numpy(targets(self.config, self.panel, self.prepared.sample(), self.prepared.label_scale)[0].mean(0)).to(self.device)

    def _precision(self) -> str:
        """As chosen; ``auto`` is tried out once per run, because a second trial on a busy machine may end otherwise and change the weights."""
        chosen = self.config.training.precision
        before = self.point.facts if self.point is not None else {}
        same_kind = before.get("device") == self.device.type
        return runtime.precision(before["precision"] if chosen == "auto" and same_kind else chosen, self.device)

    def _start(self) -> tuple[LinearStart | None, Table | None]:
        """The line the model begins at, where the last row is normalised as in training and the size of a forecast counts, and its table."""
        usable = self.config.objective() not in DATE_OBJECTIVES and self.config.features.normalisation not in WINDOW_MODES
        return cast("Forecaster", self.model).start if usable else None, self.prepared.table

    def line(self) -> np.ndarray | None:
        """[n, H] what that line says of the validation windows, computed once; None without one."""
        start, table = self._start()
        if self._line is None and start is not None and table is not None:
            self._line = start.line(self.panel, self.validation.order(), self.config, table)
        return self._line

    def _loader(self) -> WindowLoader:
        """The training windows, in an order that depends on the seed."""
        training = self.config.training
        return WindowLoader(
            self.panel, self.prepared.train, self.config, self.prepared.table, batch_size=training.batch_size, shuffle=True, seed=training.seed,
            device=self.device, limit=training.windows_per_epoch, label_scale=self.prepared.label_scale, by_date=self.config.by_date(), vary=True,
            share=(self.processes.rank, self.processes.count))

    # ------------------------------------------------------------ before the first step
    def announce(self) -> None:
        """The facts of the run."""
        prepared = self.prepared
        self.reporter.events.append(
            "run", parameters=parameters(self.model), trainable=parameters(self.model, learning=True), device=str(self.device),
            precision=self.precision, compile_key=self.compile_reason, compile=self._how(),
            split_dates=prepared.split.describe(), steps=self.schedule.total_steps, steps_per_epoch=self.steps_per_epoch,
            products=self._products(), windows={"train": len(prepared.train), "validation": len(prepared.validation), "epoch": self.loader.windows,
                     "evaluation": self.validation.windows})

    def _how(self) -> str:
        """One line: how a step is computed, and why so."""
        keys = [self.compile_reason]
        if self.step.compiled and self.device.type == "cuda":
            keys.append(self.graph_reason or "training.graph_on")
        return " ".join(translate(key) for key in keys)

    def measure_constants(self) -> None:
        """What the constant forecasts, the ridge regression and the rules of thumb lose on the validation windows."""
        prepared, config = self.prepared, self.config
        sample, order = prepared.sample(), self.validation.order()
        known = targets(config, self.panel, sample, prepared.label_scale)
        asked = targets(config, self.panel, order, prepared.label_scale)
        forecasts = constant_forecasts(config.head(), *known, config.model.quantile_levels)
        dates = compared_dates(config, self.panel, order)
        self.progress.baselines = constant_losses(self.objective, forecasts, *asked, config.training.batch_size, date=dates)
        start, table = self._start()
        if start is not None and table is not None:
            line = start.line(self.panel, order, config, table, products=False)
            others = repeated(forecasts["train_mean"], len(line))
            self.progress.baselines["ridge"] = mean_loss(self.objective, others | {"point": line}, *asked, config.training.batch_size)
        if not config.label.own:
            if config.head() in ("quantile", "classes"):  # such a head begins at no line
                ridge = baseline_class("ridge")().fit(self.panel, sample, config, stop=self.stop)
                self.progress.baselines["ridge"] = loss_of(ridge, self.panel, config, prepared, order)
            self.progress.baselines |= {name: mean_loss(self.objective, said, *asked, config.training.batch_size, dates)
                                        for name, said in rules_of_thumb(self.panel, config, sample, known, order, prepared.label_scale).items()}
        base = None if self.start is None else self.start.forecaster(self.device)
        if base is not None:
            self.progress.baselines["base"] = evaluate(base, self.validation, self.objective, config, prepared.label_scale, self.stop).loss
        self.reporter.constants(self.progress.baselines)

    # ------------------------------------------------------------ one step
    def batches(self) -> Iterator[Batch | torch.Tensor]:
        """What ``learn`` takes, batch by batch: end rows alone where the recorded step gathers by itself."""
        return iter(self.loader) if self.graphed is None else self.loader.rows()

    def learn(self, batch: Batch | torch.Tensor) -> bool:
        """Take one batch in; whether it completed an optimiser step."""
        if isinstance(batch, torch.Tensor):
            return self._learn_recorded(batch)
        progress, accumulation = self.progress, self.config.training.accumulation
        first = progress.batch // accumulation * accumulation
        windows, own = self.loader.count(first, first + accumulation), self.loader.own(progress.batch)
        loss = self.step.backward(batch, own / windows, self._draw())
        if self.processes.several:
            self._losses += loss * own
        else:
            self.meter.add_batch(loss, own)
        progress.batch += 1
        if progress.batch % accumulation and progress.batch < len(self.loader):
            return False
        if self.processes.several:
            self.meter.add_batch(self.processes.sum_gradients(self.model.parameters(), self._losses) / windows, windows)
            self._losses.zero_()
        self.meter.add_step(self.step.update(self.schedule.learning_rate(progress.step)))
        progress.step += 1
        return True

    def _learn_recorded(self, ends: torch.Tensor) -> bool:
        """``learn`` where a batch is an optimiser step, done by one launch."""
        if self.graphed is None:
            raise ValueError("there is no recorded step")
        progress = self.progress
        self.graphed(ends, self.schedule.learning_rate(progress.step), self._draw())
        progress.batch += 1
        progress.step += 1
        return True

    def _draw(self) -> int:
        """Number of the present batch, from which its dropout is drawn: in each process another one."""
        number = self.progress.epoch * len(self.loader) + self.progress.batch
        return number * self.processes.count + self.processes.rank

    def due(self) -> tuple[bool, ...]:
        """(stop, point of the curve, resume point, warnings of other processes) that are due; the first process's clock counts for all."""
        first, whispered = self.processes.leads, self.reporter.events
        return self.processes.agree(
            self.stop is not None and self.stop.is_set(), first and self.point_due(),
            first and self.seconds_since_save() >= self.config.training.resume_every, isinstance(whispered, Whispered) and bool(whispered.waiting))

    def point_due(self) -> bool:
        self._count_time()
        return self.reporter.due(self.progress.seconds)

    def write_point(self) -> None:
        self.step.refuse_lost()
        self.reporter.point(self.progress.step, self.schedule.learning_rate(max(0, self.progress.step - 1)))

    # ------------------------------------------------------------ an evaluation
    def evaluation_due(self) -> bool:
        """Whether this step is one of the ``evaluations_per_epoch`` evenly spaced ones; the last step of an epoch always is."""
        count, progress = self.config.training.evaluations_per_epoch, self.progress
        done = math.ceil(progress.batch / self.config.training.accumulation)
        due = {math.ceil(self.steps_per_epoch * part / count) for part in range(1, count + 1)}
        return done in due and progress.evaluated != progress.step

    def evaluate(self) -> None:
        """Score the validation part, remember the best, write best and last. When it is stopped, nothing has changed yet."""
        self.write_point()
        loss, figures, extras = self.processes.lead(self.validate)
        if not math.isfinite(loss):
            raise NotFiniteError("validation")
        progress = self.progress
        metrics = plain({"loss": loss, "train_loss": self.meter.since_evaluation(), **figures})
        progress.validation, progress.extras = metrics, plain(extras)
        best = progress.record(loss, self.reporter.epoch(progress.step), self.config.training.patience)
        self.schedule.evaluated(loss)
        self.reporter.evaluated(progress.step, metrics, best)
        for name in ("best", "last") if best else ("last",):
            self.save(name)

    def validate(self) -> tuple[float, dict[str, Any], dict[str, Any]]:
        """(loss, metrics, extras of the checkpoint) on the validation part."""
        found = evaluate(cast("Forecaster", self.model), self.validation, self.objective, self.config, self.prepared.label_scale, self.stop,
                         self.line())
        figures = self.score(found.prediction, self.panel) if self.score is not None else {}
        return found.loss, {**({} if found.share is None else {"share": found.share}), **figures}, found.extras

    # ------------------------------------------------------------ files
    def save(self, name: str) -> Path:
        """Write ``<name>.safetensors`` with the present weights."""
        path = self.run_dir / f"{name}.safetensors"
        if not self.processes.leads:
            return path
        save_checkpoint(path, self.product(), self.header())
        self.reporter.checkpoint(self.progress.step, path.name)
        return path

    def product(self) -> nn.Module:
        """What a checkpoint holds."""
        return self.model

    def header(self) -> dict[str, Any]:
        return {**describe(self.config, self.panel, self.prepared, self.progress, start=self.start), "products": self._products()}

    def _products(self) -> list[tuple[str, str]]:
        """Pairs of inputs whose products the forecast begins with, besides the line."""
        start, _ = self._start()
        return [] if start is None else start.products.named(self.panel.feature_names)

    def seconds_since_save(self) -> float:
        """Since the last resume point, or the beginning of the session."""
        return time.monotonic() - self._saved

    def save_resume_point(self) -> None:
        """Of a finished run only that it is finished; the weights are in its checkpoints. Bad weights never replace good ones."""
        self.step.refuse_lost()  # on a GPU nobody looked at the last gradients yet
        if not self.weights_are_finite():
            raise NotFiniteError("weights")
        if not self.processes.leads:
            return
        self._count_time()
        self.progress.rows = self.step.rows
        facts = {"saved": now(), "progress": self.progress.state(), "meter": self.meter.state(), "schedule": self.schedule.state(),
                 "scaler": self.step.scaler.state_dict(), "device": self.device.type, "precision": self.precision}
        moving = () if self.progress.finished else (self.model, self.step.optimizer)
        save_resume(self.run_dir, self._known, facts, *moving)
        self._saved = time.monotonic()

    def restore(self) -> None:
        """Go to the resume point, and let the events say so."""
        if self.point is None:
            raise ValueError("there is no resume point")
        facts = self.point.facts
        self.progress = Progress.restore(facts["progress"])
        self.meter.restore(facts["meter"])
        self.schedule.restore(facts["schedule"])
        self.step.rows = self.progress.rows
        if not self.progress.finished:
            self.point.restore(self.model, self.step.optimizer)
        if self.step.scaler.is_enabled() and facts["scaler"]:
            self.step.scaler.load_state_dict(facts["scaler"])
        self.point = None  # its tensors need not stay in memory
        self.reporter.begin(self.progress.step)

    def weights_are_finite(self) -> bool:
        return all(bool(torch.isfinite(tensor).all()) for tensor in self.model.parameters())

    def _count_time(self) -> None:
        now = time.monotonic()
        self.progress.seconds, self._counted = self.progress.seconds + now - self._counted, now
