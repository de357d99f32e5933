"""The recorded step: whatever is replayed reaches the weights of the plain steps. The recorder of a GPU is CUDA's own; here one that keeps the
work and does it again stands in for it, so that everything but the recording itself is run."""

import math
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from financial_model.datasets import batches
from financial_model.datasets.loader import WindowLoader
from financial_model.datasets.windows import window_ends
from financial_model.text import has
from financial_model.training import graph
from financial_model.training.graph import WARM, GraphedStep, why_not
from financial_model.training.progress import Meter
from financial_model.training.step import NotFiniteError
from tests.training.builders import make_config, make_panel
from tests.training.test_step import CPU, make_step

ROWS = 16


class Replayer:
    """Keeps the work it is given; ``refuses`` fails as CUDA does when the work looks at the device."""

    def __init__(self, refuses=False):
        self.refuses, self.work, self.calls = refuses, None, []

    def warm(self, work):
        self.calls.append("warm")
        work()

    def record(self, work):
        self.calls.append("record")
        if self.refuses:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        self.work = work

    def replay(self):
        self.calls.append("replay")
        self.work()

    def reset(self):
        self.calls.append("reset")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The panel as a device holds it, and end rows."""
    panel, config = make_panel(tmp_path_factory.mktemp("panel")), make_config()
    ends = window_ends(panel, int(panel.time.min()), int(panel.time.max()), 6, 2)
    spec = batches.recipe(panel, config, (np.zeros(3, np.float32), np.ones(3, np.float32)), np.ones(2, np.float32), True, ends)
    return batches.DeviceBatches(panel, spec, ROWS, CPU, ends), torch.tensor(ends)


def learn(source, recorder, steps=8, sizes=(), **options):
    """Weights, curve and notices after ``steps`` steps; without a recorder the plain way."""
    device_batches, ends = source
    notices = []
    step, meter = make_step(dropout=0.3, notices=notices, recordable=recorder is not None, **options), Meter(CPU)
    graphed = GraphedStep(step, device_batches.gather, meter, ROWS, recorder, lambda key, **fields: notices.append((key, fields)))
    for number in range(steps):
        rows, rate = ends[number * ROWS:][:dict(sizes).get(number, ROWS)], 1e-2 / (1 + number)
        if recorder is None:
            meter.add_batch(step.backward(device_batches.gather(rows), 1.0, number), len(rows))
            meter.add_step(step.update(rate))
        else:
            graphed(rows, rate, number)
    return [parameter.detach().clone() for parameter in step.model.parameters()], meter.point(), notices


def test_replays_reach_the_weights_and_the_curve_of_the_plain_steps(source):
    recorder = Replayer()
    plain, recorded = learn(source, None), learn(source, recorder)
    assert recorder.calls == ["warm"] * WARM + ["record"] + ["replay"] * (8 - WARM), "recording itself trains nothing"
    for one, two in zip(plain[0], recorded[0], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)
    assert recorded[1] == pytest.approx(plain[1], rel=1e-6) and recorded[2] == []


def test_a_shorter_batch_goes_the_plain_way_and_is_not_recorded_anew(source):
    recorder = Replayer()
    plain, recorded = learn(source, None, sizes={6: 5}.items()), learn(source, recorder, sizes={6: 5}.items())
    assert recorder.calls.count("record") == 1 and recorder.calls.count("replay") == 8 - WARM - 1
    for one, two in zip(plain[0], recorded[0], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)


def test_what_cannot_be_recorded_is_said_once_and_goes_on(source):
    recorder = Replayer(refuses=True)
    plain, recorded = learn(source, None), learn(source, recorder)
    assert recorder.calls == ["warm"] * WARM + ["record", "reset"]
    ((key, fields),) = recorded[2]
    assert key == "training.graph_failed" and fields["reason"].endswith("capturing") and has(key)
    for one, two in zip(plain[0], recorded[0], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)


class BrokenCuda:
    """What torch.cuda offers to a recording, as far as its order goes; ending the capture raises and leaves its stream the current one."""

    def __init__(self, calls):
        self.calls, self.current, self.default_generators = calls, "own", {1: self}

    def Stream(self, device):
        return self

    def CUDAGraph(self):
        return self

    def current_stream(self, device):
        return self.current

    @contextmanager
    def stream(self, stream):
        before = self.current
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def graph(self, graph, stream, capture_error_mode):
        self.current = "recording"
        yield
        raise RuntimeError("operation failed due to a previous error during capture")

    def synchronize(self):
        self.calls.append("synchronize")

    def reset(self):
        self.calls.append("let go")

    def graphsafe_set_state(self, state):
        self.calls.append(state)


def test_after_a_failed_capture_the_graph_goes_before_the_random_numbers_are_made_usable(monkeypatch):
    calls = []
    cuda = BrokenCuda(calls)
    monkeypatch.setattr(graph.torch, "cuda", cuda)
    monkeypatch.setattr(graph.torch, "Generator", lambda device: SimpleNamespace(graphsafe_get_state=lambda: f"fresh on {device}"))
    recorder = graph.CudaRecorder(torch.device("cuda:1"))
    with pytest.raises(RuntimeError, match="during capture"):
        recorder.record(lambda: calls.append("work"))
    assert cuda.current == "own", "what follows must not run on the recording stream"
    recorder.reset()
    assert calls == ["work", "synchronize", "let go", "fresh on cuda:1"]
    with pytest.raises(ValueError, match="let go"):
        recorder.replay()


def test_a_gradient_that_is_not_a_number_stops_the_replays_at_the_weights_of_before(source):
    """As on a GPU: the recorded step goes on, nobody looks, and nothing moves until somebody does."""
    device_batches, ends = source
    step, meter, recorder = make_step(recordable=True), Meter(CPU), Replayer()
    step.looks = False
    spoiled = [math.nan if number == WARM + 2 else 1.0 for number in range(WARM + 5)]

    def gather(rows):
        batch = device_batches.gather(rows)
        batch.z.mul_(spoiled.pop(0))
        return batch

    graphed = GraphedStep(step, gather, meter, ROWS, recorder, print)
    kept = []
    for number in range(WARM + 5):
        graphed(ends[number * ROWS:][:ROWS], 1e-2, number)
        kept.append([tensor.clone() for tensor in step.model.state_dict().values()]
                    + [value.clone() for state in step.optimizer.state.values() for value in state.values()])
    assert not all(torch.equal(one, two) for one, two in zip(kept[WARM], kept[WARM + 1], strict=True)), "moves while all is well"
    for later in kept[WARM + 2:]:
        assert all(torch.equal(one, two) for one, two in zip(kept[WARM + 1], later, strict=True))
    with pytest.raises(NotFiniteError, match="gradient"):
        step.refuse_lost()


def test_a_halved_batch_is_no_longer_recorded(source):
    device_batches, ends = source
    step = make_step(recordable=True)
    step.rows = 8
    recorder = Replayer()
    GraphedStep(step, device_batches.gather, Meter(CPU), ROWS, recorder, print)(ends[:ROWS], 1e-3, 0)
    assert recorder.calls == []


@pytest.mark.parametrize("device, compiled, precision, accumulation, there, expected", [
    ("cpu", True, "fp32", 1, True, "training.graph_off"), ("cuda", False, "fp32", 1, True, "training.graph_off"),
    ("cuda", True, "fp16", 1, True, "training.graph_fp16"), ("cuda", True, "bf16", 4, True, "training.graph_accumulation"),
    ("cuda", True, "bf16", 1, False, "training.graph_panel"), ("cuda", True, "bf16", 1, True, "")])
def test_when_a_step_is_one_graph(device, compiled, precision, accumulation, there, expected):
    found = why_not(torch.device(device), compiled=compiled, precision=precision, accumulation=accumulation, panel_on_device=there)
    assert found == expected and has(expected or "training.graph_on")


def test_the_device_shuffles_by_seed_and_epoch_alone(source):
    device_batches, ends = source
    first, again, other = (device_batches.shuffled(3, epoch, len(ends)) for epoch in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other) and sorted(other.tolist()) == sorted(ends.tolist())
    assert len(set(device_batches.shuffled(3, 0, 20).tolist())) == 20


def test_a_loader_whose_panel_is_on_the_device_hands_out_rows(tmp_path, monkeypatch):
    """The order a GPU draws: rows and batches tell the same windows, a resumed epoch goes on where it stood."""
    monkeypatch.setattr("financial_model.datasets.loader.fits", lambda panel, device: True)
    panel = make_panel(tmp_path / "panel")
    ends = window_ends(panel, int(panel.time.min()), int(panel.time.max()), 6, 2)
    table = np.zeros(3, np.float32), np.ones(3, np.float32)
    loader = WindowLoader(panel, ends, make_config(), table, batch_size=50, shuffle=True, seed=1, label_scale=np.ones(2, np.float32))
    loader.set_epoch(2)
    rows = [part.tolist() for part in loader.rows()]
    assert rows == [batch.end.tolist() for batch in loader] and sum(rows, []) == loader.order().tolist()
    assert sorted(sum(rows, [])) == ends.tolist() and [len(part) for part in rows] == [loader.count(i, i + 1) for i in range(len(loader))]
    loader.skip(3)
    assert [part.tolist() for part in loader.rows()] == rows[3:]
