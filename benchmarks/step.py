"""The training step: with real input against a batch that lies ready, compiled against eager, and on a GPU against the usual loop."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmarks.input_pipeline import PerItem
from benchmarks.synthetic import make_panel
from benchmarks.table import Row, median_ratio, side_by_side
from financial_model import config as settings
from financial_model import runtime
from financial_model.datasets.batches import DeviceBatches
from financial_model.datasets.loader import WindowLoader
from financial_model.datasets.windows import window_ends
from financial_model.models.forecaster import build_forecaster
from financial_model.objectives import objective
from financial_model.training.graph import CudaRecorder, GraphedStep
from financial_model.training.progress import Meter
from financial_model.training.step import TrainingStep

FEATURES = 60
STEPS_A_SECOND, USUAL_LOOP, REAL_INPUT = 2_000, 15, 1.03
OTHERS = ("mlp", "gru", "lstm", "transformer")


class Work:
    """A model, its loader and its step on one device."""

    def __init__(self, folder: Path, place: torch.device, backbone: str, batch: int, *, precision: str = "fp32", **model: Any) -> None:
        self.config = settings.build({"backbone": backbone, "condition": "concat", "batch_size": batch, "objective": "mse", **model})
        length, horizon = self.config.features.context_length, self.config.label.horizon
        self.panel = make_panel(folder, stocks=60, days=1000, features=FEATURES)
        self.place, self.batch, self.precision = place, batch, precision
        self.ends = window_ends(self.panel, 0, int(self.panel.time.max()), length, horizon)
        table = (np.zeros(FEATURES, np.float32), np.ones(FEATURES, np.float32))
        self.loader = WindowLoader(self.panel, self.ends, self.config, table, batch_size=batch, shuffle=True, seed=0, device=place, drop_last=True)

    def step(self, *, compiled: bool, recordable: bool = False) -> TrainingStep:
        torch.manual_seed(0)
        model = build_forecaster(self.config.model, head=self.config.head(), inputs=FEATURES, context_length=self.config.features.context_length,
                                 horizon=self.config.label.horizon).to(self.place)
        return TrainingStep(model, objective(self.config.objective(), self.config), self.config.training, device=self.place, precision=self.precision,
                            compiled=compiled, notice=_say, recordable=recordable)


def _say(key: str, **fields: object) -> None:
    raise RuntimeError(f"{key}: {fields}")  # a step that had to change its ways is not what was to be measured


def run(quick: bool) -> list[Row]:
    place = runtime.device()
    with tempfile.TemporaryDirectory() as name:
        return (_gpu if place.type == "cuda" else _cpu)(Path(name), place, quick)


def _cpu(folder: Path, place: torch.device, quick: bool) -> list[Row]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work = Work(folder, place, "cnn_lstm", 64 if quick else 256)
        step = work.step(compiled=False)
        batches = iter(work.loader)
        fixed = next(batches).map(torch.clone)

        def learn(batch: Any) -> None:
            step.backward(batch, 1.0, 0)
            step.update(1e-4)

        real, ready = side_by_side(lambda: learn(next(batches)), lambda: learn(fixed), rounds=5 if quick else 15, budget=60,
                                   clock=time.process_time)
        rows = [_row(f"cnn_lstm, {work.batch} x 60 x {FEATURES}, real input", real, ready, "the same batch again", "times its time",
                     median_ratio(ready, real), target=f"<= {REAL_INPUT:g}", met=median_ratio(ready, real) <= REAL_INPUT)]
        return [*rows, *_compiled(work, quick),
                Row(benchmark="step", case="CUDA graph of the whole step, and the usual loop on a card: no GPU here",
                    target=f">= {STEPS_A_SECOND:,} steps/s, >= {USUAL_LOOP} times the loop")]
    finally:
        torch.set_num_threads(threads)


def _compiled(work: Work, quick: bool) -> list[Row]:
    if not runtime.can_compile(work.place):
        return [Row(benchmark="step", case="compiled against eager: no C++ compiler here")]
    eager, compiled = work.step(compiled=False), work.step(compiled=True)
    batch = next(iter(work.loader)).map(torch.clone)

    def learn(step: TrainingStep) -> None:
        step.backward(batch, 1.0, 0)
        step.update(1e-4)

    began = time.perf_counter()
    learn(compiled)
    seconds = time.perf_counter() - began
    slow, fast = side_by_side(lambda: learn(eager), lambda: learn(compiled), rounds=4 if quick else 8, budget=60,
                              clock=time.process_time)
    case = f"cnn_lstm, {work.batch} x 60 x {FEATURES}, compiled on a CPU after {seconds:.0f} s of compiling"
    return [_row(case, fast, slow, "eager", "times faster", median_ratio(fast, slow))]


def _row(case: str, ours: list[float], peer: list[float], against: str, ratio_of: str, ratio: float, target: str = "",
         met: bool | None = None) -> Row:
    method = "forward, objective, backward, clipping, AdamW; fp32, one thread and CPU time on a CPU, the precision of the probe on a GPU; in turns"
    return Row(benchmark="step", case=case, ours=1e3 * float(np.median(ours)), unit="ms", peer=1e3 * float(np.median(peer)), against=against,
               ratio=ratio, ratio_of=ratio_of, target=target, met=met, method=method)


# ---------------------------------------------------------------- on a card
def _gpu(folder: Path, place: torch.device, quick: bool) -> list[Row]:
    precision = runtime.best_precision(str(place))
    with runtime.float32_products(precision, place):  # as in a training
        return [*_conditional(folder / "first", place, precision, quick),
                *(row for backbone in OTHERS for row in _alone(folder / backbone, place, backbone, precision, quick))]


def _alone(folder: Path, place: torch.device, backbone: str, precision: str, quick: bool) -> list[Row]:
    """Steps a second of another conditional model."""
    work, steps = Work(folder, place, backbone, 64, precision=precision), 100 if quick else 500
    rows = [part.clone() for part, _ in zip(work.loader.rows(), range(steps), strict=False)]
    whole = GraphedStep(work.step(compiled=True, recordable=True), work.loader.source.gather, Meter(place), work.batch, CudaRecorder(place), _say)

    def epoch() -> None:
        for number, ends in enumerate(rows):
            whole(ends, 1e-4, number)
        torch.cuda.synchronize(place)

    (seconds,) = side_by_side(epoch, rounds=5, budget=30)
    per_second = steps / float(np.median(seconds))
    return [Row(benchmark="step", case=f"{backbone} with concat, 64 x 60 x {FEATURES}, one CUDA graph, {precision}", ours=per_second, unit="steps/s",
                against="-", target=f">= {STEPS_A_SECOND:,}", met=per_second >= STEPS_A_SECOND)]


def _conditional(folder: Path, place: torch.device, precision: str, quick: bool) -> list[Row]:
    work = Work(folder, place, "cnn_lstm", 64, precision=precision)
    source, steps = work.loader.source, 100 if quick else 500
    if not isinstance(source, DeviceBatches):
        return [Row(benchmark="step", case="the panel does not fit on this card")]
    rows = [part.clone() for part, _ in zip(work.loader.rows(), range(steps), strict=False)]

    def graphed(*, fixed: bool) -> Callable[[], None]:
        step = work.step(compiled=True, recordable=True)
        same = source.gather(rows[0]).map(torch.clone)
        whole = GraphedStep(step, (lambda ends: same) if fixed else source.gather, Meter(place), work.batch, CudaRecorder(place), _say)

        def epoch() -> None:
            for number, ends in enumerate(rows):
                whole(ends, 1e-4, number)
            torch.cuda.synchronize(place)

        return epoch

    def by_hand(compiled: bool) -> Callable[[], None]:
        step = work.step(compiled=compiled)

        def epoch() -> None:
            for number, ends in enumerate(rows):
                step.backward(source.gather(ends), 1.0, number)
                step.update(1e-4)
            torch.cuda.synchronize(place)

        return epoch

    few = max(10, steps // 10)
    usual = _usual_loop(work, few)
    ways = graphed(fixed=False), graphed(fixed=True), by_hand(False), by_hand(True), usual
    ours, fixed, eager, compiled, loop = side_by_side(*ways, rounds=5, budget=120)
    case, per_second = f"cnn_lstm with concat, 64 x 60 x {FEATURES}, one CUDA graph, {precision}", steps / float(np.median(ours))
    against_loop = median_ratio(ours, loop) * steps / few
    return [
        Row(benchmark="step", case=case, ours=per_second, unit="steps/s", against="-", target=f">= {STEPS_A_SECOND:,}",
            met=per_second >= STEPS_A_SECOND),
        _row(f"{case}, real input", ours, fixed, "the same batch again", "times its time", median_ratio(fixed, ours), f"<= {REAL_INPUT:g}",
             median_ratio(fixed, ours) <= REAL_INPUT),
        _row(case, ours, compiled, "compiled, launch by launch", "times faster", median_ratio(ours, compiled)),
        _row(case, ours, eager, "eager", "times faster", median_ratio(ours, eager)),
        _row(case, ours, loop, "eager loop with a DataLoader, extrapolated", "times faster", against_loop, f">= {USUAL_LOOP}",
             against_loop >= USUAL_LOOP),
    ]


def _usual_loop(work: Work, steps: int) -> Callable[[], None]:
    """A Dataset of single windows, four workers, pinned memory, fp32, ``loss.item()`` in every step: what a tutorial shows."""
    step = work.step(compiled=False)
    data = PerItem(work.panel, work.ends[:steps * work.batch], work.config.features.context_length)
    loader = DataLoader(data, batch_size=work.batch, shuffle=True, num_workers=4, pin_memory=True, persistent_workers=True)
    condition = torch.ones(work.batch, 6, dtype=torch.int64, device=work.place)
    ranks = torch.zeros(work.batch, 4, device=work.place)
    optimizer = torch.optim.AdamW(step.model.parameters(), lr=1e-4)

    def epoch() -> None:
        for x, y in loader:
            optimizer.zero_grad()
            found = step.model(x.to(work.place).float(), condition[:len(x)], ranks[:len(x)])
            (output,) = (value for name, value in found.items() if name != "auxiliary")
            loss = torch.nn.functional.mse_loss(output.float(), y.to(work.place).float())
            loss.backward()
            optimizer.step()
            loss.item()

    return epoch
