"""A whole optimiser step as one CUDA graph: gather, forward, loss, backward, clipping, AdamW and the sums of the curve are one launch.

In: the end rows of a batch, on the device. Out: the weights that ``TrainingStep`` would reach, to rounding. The first steps run as they are, on
the stream that records later; then the step is recorded once and only replayed. What cannot be replayed, a shorter last batch or a halved one,
goes the plain way; what cannot be recorded is said once, and everything goes the plain way from then on. Host and device never wait for
each other here. It knows no loader, no epoch and no file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from financial_model.training.progress import Meter
from financial_model.training.step import TrainingStep

if TYPE_CHECKING:
    from financial_model.datasets.batches import Batch

WARM = 4
"""Steps before the recording: the compiler has compiled, kernels are chosen, the optimiser has its state."""


class Recorder(Protocol):
    """What CUDA does with a piece of work. ``record`` must not run it."""

    def warm(self, work: Callable[[], None]) -> None: ...

    def record(self, work: Callable[[], None]) -> None: ...

    def replay(self) -> None: ...


class CudaRecorder:
    """torch.cuda.CUDAGraph on a stream of its own; other threads may go on using the device while it records."""

    def __init__(self, device: torch.device) -> None:
        self._graph, self._stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)

    def warm(self, work: Callable[[], None]) -> None:
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> None:
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            work()

    def replay(self) -> None:
        self._graph.replay()


def why_not(device: torch.device, *, compiled: bool, precision: str, accumulation: int, panel_on_device: bool) -> str:
    """Key of the reason why a step cannot be one graph; empty where it can."""
    if device.type != "cuda" or not compiled:
        return "training.graph_off"
    if precision == "fp16":
        return "training.graph_fp16"  # the scaler decides on the host whether a step is left out
    if accumulation > 1:
        return "training.graph_accumulation"
    return "" if panel_on_device else "training.graph_panel"


class GraphedStep:
    """One optimiser step per call. ``step`` must have been made ``recordable``."""

    def __init__(self, step: TrainingStep, gather: Callable[[Tensor], Batch], meter: Meter, rows: int, recorder: Recorder,
                 notice: Callable[..., None]) -> None:
        """``gather`` makes the batch of ``rows`` end rows in buffers that stay where they are."""
        self.step, self.gather, self.meter = step, gather, meter
        self._ends = torch.zeros(rows, dtype=torch.int64, device=step.device)
        self._recorder, self._notice = recorder, notice
        self._warm, self._recorded, self._given_up = 0, False, False

    def __call__(self, ends: Tensor, learning_rate: float, number: int) -> None:
        """Learn the windows that end on the rows ``ends`` [B]; ``number`` counts the batches of the run."""
        if self._given_up or len(ends) != len(self._ends) or self.step.rows:
            self._plain(ends, learning_rate, number)
        elif self._warm < WARM:
            self._warm += 1
            self._recorder.warm(lambda: self._plain(ends, learning_rate, number))
        elif self._recorded or self._record():
            self._ends.copy_(ends)
            self.step.set_rate(learning_rate)
            self.step.begin(number)  # a replay draws from the seed that stands now
            self._recorder.replay()
            self.meter.count(len(ends), steps=1)
        else:
            self._plain(ends, learning_rate, number)

    def _record(self) -> bool:
        try:
            self._recorder.record(self._whole)
        except RuntimeError as error:  # an operation that waits for the device, or memory that does not suffice for the graph
            self._given_up = True
            self.step.optimizer.zero_grad(set_to_none=True)
            self._notice("training.graph_failed", reason=f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}")
            return False
        self._recorded = True
        return True

    def _whole(self) -> None:
        """What is recorded: nothing here may look at a value on the device."""
        loss, norm = self.step.whole(self.gather(self._ends))
        self.meter.sum_loss(loss, len(self._ends))
        self.meter.sum_norm(norm)

    def _plain(self, ends: Tensor, learning_rate: float, number: int) -> None:
        loss = self.step.backward(self.gather(ends), 1.0, number)
        self.meter.add_batch(loss, len(ends))
        self.meter.add_step(self.step.update(learning_rate))
