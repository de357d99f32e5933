"""A whole optimiser step as one CUDA graph: gather, forward, loss, backward, clipping, AdamW and the sums of the curve are one launch.

In: the end rows of a batch, on the device. Out: the weights that ``TrainingStep`` would reach, to rounding. The first steps run as they are, on
the stream that records later; then the step is recorded once and only replayed. What cannot be replayed, a shorter last batch or a halved one,
goes the plain way; what cannot be recorded is said once, the recorder gives everything back, and all goes the plain way from then on. Host and
device never wait for each other here, but after a recording that failed. It knows no loader, no epoch and no file.
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
    """What CUDA does with a piece of work. ``record`` must not run it; after one that failed, ``reset`` makes the device as it was before."""

    def warm(self, work: Callable[[], None]) -> None: ...

    def record(self, work: Callable[[], None]) -> None: ...

    def replay(self) -> None: ...

    def reset(self) -> None: ...


class CudaRecorder:
    """torch.cuda.CUDAGraph on a stream of its own; other threads may go on using the device while it records."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, torch.cuda.Stream(device)
        self._graph: torch.cuda.CUDAGraph | None = torch.cuda.CUDAGraph()

    def warm(self, work: Callable[[], None]) -> None:
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> None:
        # the outer block: torch.cuda.graph leaves its stream the current one where ending the capture raises
        with torch.cuda.stream(torch.cuda.current_stream(self._device)):
            with torch.cuda.graph(self._held(), stream=self._stream, capture_error_mode="thread_local"):
                work()

    def replay(self) -> None:
        self._held().replay()

    def reset(self) -> None:
        """Wait for the stream, let go of the graph with its memory, and give the generator a fresh state.

        A capture that could not be ended leaves the old state marked as capturing, and every later draw would raise. The fresh one has its own
        seed; each batch sets the seed before it draws.
        """
        graph, self._graph = self._held(), None
        self._stream.synchronize()
        graph.reset()
        del graph
        generator = torch.cuda.default_generators[self._device.index or 0]
        generator.graphsafe_set_state(torch.Generator(self._device).graphsafe_get_state())

    def _held(self) -> torch.cuda.CUDAGraph:
        if self._graph is None:
            raise ValueError("the graph was let go of")
        return self._graph


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
            reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
        else:
            self._recorded = True
            return True
        # the error is gone here, and with it what its frames held; gradients lie in the graph's memory
        self.step.optimizer.zero_grad(set_to_none=True)
        self._recorder.reset()
        self._notice("training.graph_failed", reason=reason)
        return False

    def _whole(self) -> None:
        """What is recorded: nothing here may look at a value on the device."""
        loss, norm = self.step.whole(self.gather(self._ends))
        self.meter.sum_loss(loss, len(self._ends))
        self.meter.sum_norm(norm)

    def _plain(self, ends: Tensor, learning_rate: float, number: int) -> None:
        loss = self.step.backward(self.gather(ends), 1.0, number)
        self.meter.add_batch(loss, len(ends))
        self.meter.add_step(self.step.update(learning_rate))
