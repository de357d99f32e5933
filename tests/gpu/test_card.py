"""What only a GPU can show: the recorded step, no waiting between points of the curve, copies behind a step, each precision, flash-attn.

``./start.sh gpu`` runs these, the kernels natively, and the benchmarks of a GPU.
"""

import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from financial_model import runtime
from financial_model.datasets import batches
from financial_model.datasets.loader import WindowLoader
from financial_model.datasets.windows import window_ends
from financial_model.errors import KairosError
from financial_model.kernels import attention, reference, windows
from financial_model.models.forecaster import build_forecaster
from financial_model.models.linear_start import LinearStart
from financial_model.objectives import objective
from financial_model.text import translate
from financial_model.training.graph import WARM, CudaRecorder, GraphedStep
from financial_model.training.progress import Meter
from financial_model.training.step import NotFiniteError, TrainingStep
from tests.kernels import PLACE
from tests.training.builders import events_of, make_config, make_panel, run

lstm_gpu = pytest.importorskip("financial_model.kernels.lstm_gpu")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available() or PLACE.type != "cuda", reason="no NVIDIA GPU with a torch for it")
CARD = torch.device("cuda", 0)
ROWS = 64


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    return make_panel(tmp_path_factory.mktemp("panel"), stocks=12, days=200)


def device_loader(panel, config, **options):
    ends = window_ends(panel, int(panel.time.min()), int(panel.time.max()), 6, 2)
    table = np.zeros(3, np.float32), np.ones(3, np.float32)
    return WindowLoader(panel, ends, config, table, **{"batch_size": ROWS, "shuffle": True, "seed": 1, "device": CARD, **options})


def card_step(config, *, precision="fp32", compiled=True):
    torch.manual_seed(0)
    model = build_forecaster(config.model, head="point", inputs=3, context_length=6, horizon=2).to(CARD)
    return TrainingStep(model, objective("mse", config), config.training, device=CARD, precision=precision, compiled=compiled, notice=refuse,
                        recordable=True)


def refuse(key, **fields):
    pytest.fail(f"{key}: {fields}")


@contextmanager
def no_waiting():
    """Any operation that waits for the device raises."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ---------------------------------------------------------------- where a forecast begins
def test_a_line_and_its_products_are_fitted_and_said_as_on_a_cpu(panel):
    """Also while matrix products are TF32: what was fitted exactly is said exactly."""
    config, lines = make_config(), []
    ends, table = window_ends(panel, int(panel.time.min()), int(panel.time.max()), 6, 2), (np.zeros(3, np.float32), np.ones(3, np.float32))
    for place in (torch.device("cpu"), CARD):
        start = LinearStart(3, 2).to(place)
        with runtime.float32_products("tf32", place):
            start.fit(panel, ends, config, table)
            start.products.weight += 0.1  # whether any was found or not
            lines.append(start.line(panel, ends, config, table))
    np.testing.assert_allclose(lines[1], lines[0], rtol=1e-4, atol=1e-5)
    assert np.abs(lines[0]).max() > 0.1


def test_a_training_as_it_comes_runs_to_its_end_and_its_checkpoint_forecasts_as_on_a_cpu(panel, tmp_path):
    result = run(make_config(device="cuda", batch_size=ROWS, epochs=2), panel, tmp_path)
    assert result.best_loss is not None and events_of(tmp_path, "warning") == []
    weights = load_file(tmp_path / "best.safetensors")
    assert any(name.startswith("start.") for name in weights) and all(part.isfinite().all() for part in weights.values())


# ---------------------------------------------------------------- the recorded step
@pytest.mark.parametrize("shape", [
    {"backbone": "gru"}, {"backbone": "lstm"}, {"backbone": "cnn_lstm", "condition": "concat"}, {"backbone": "mlp", "condition": "film"},
    {"backbone": "transformer", "heads": 2, "layers": 2}, {"backbone": "multiscale", "heads": 2}], ids=lambda shape: shape["backbone"])
def test_a_recorded_training_reaches_what_a_plain_one_reaches(panel, tmp_path, shape):
    losses = {}
    for compile in ("on", "off"):
        fresh = {"dropout": 0.0, "linear_start": False, **shape}  # a fitted line would hide what the steps do
        run(make_config(device="cuda", compile=compile, precision="fp32", batch_size=ROWS, epochs=2, model=fresh), panel, tmp_path / compile)
        losses[compile] = [event["metrics"][kind] for event in events_of(tmp_path / compile, "epoch") for kind in ("loss", "train_loss")]
    (facts,) = events_of(tmp_path / "on", "run")
    assert translate("training.graph_on") in facts["compile"]
    assert events_of(tmp_path / "on", "warning") == [], "it was really recorded"
    assert losses["on"] == pytest.approx(losses["off"], rel=2e-3)


@pytest.mark.parametrize("backbone", ["lstm", "cnn_lstm"])
def test_layers_of_an_lstm_in_one_launch_learn_what_the_librarys_learn(panel, tmp_path, monkeypatch, backbone):
    if "bf16" not in runtime.candidates("cuda:0"):
        pytest.skip("no bf16 on this GPU")
    launches, launch = [], lstm_gpu._run
    monkeypatch.setattr(lstm_gpu, "_run", lambda kernel, *given, **more: (launches.append(kernel), launch(kernel, *given, **more)))
    curves = {}
    for compile in ("on", "off"):
        shape = {"backbone": backbone, "hidden": 32, "layers": 2, "dropout": 0.0, "linear_start": False, "skip": False}
        run(make_config(device="cuda", compile=compile, precision="bf16", batch_size=ROWS, epochs=4, model=shape), panel, tmp_path / compile)
        curves[compile] = [event["metrics"][kind] for event in events_of(tmp_path / compile, "epoch") for kind in ("loss", "train_loss")]
        assert bool(launches) == (compile == "on")
        launches.clear()
    assert curves["on"] == pytest.approx(curves["off"], rel=0.01)


@pytest.mark.parametrize("mixup", [0, 0.2])
def test_replays_with_dropout_are_the_plain_steps(panel, mixup):
    """A replay draws from the seed that stands before it: the same masks as a plain step with that seed, where nothing else draws."""
    config = make_config(device="cuda", batch_size=ROWS, mixup=mixup, model={"backbone": "mlp", "dropout": 0.3})
    loader = device_loader(panel, config, label_scale=np.ones(2, np.float32))
    rows = [part.clone() for part, _ in zip(loader.rows(), range(12), strict=False)]
    weights = []
    for recorded in (True, False):
        step, meter = card_step(config, compiled=False), Meter(CARD)
        graphed = GraphedStep(step, loader.source.gather, meter, ROWS, CudaRecorder(CARD), refuse)
        for number, ends in enumerate(rows):
            (graphed if recorded else graphed._plain)(ends, 1e-2, number)
        weights.append((torch.cat([parameter.detach().flatten() for parameter in step.model.parameters()]), meter.point()["loss"]))
    torch.testing.assert_close(weights[0][0], weights[1][0], rtol=1e-3, atol=1e-4)
    assert weights[0][1] == pytest.approx(weights[1][1], rel=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nothing_waits_between_two_points_of_the_curve(panel, precision):
    if precision == "bf16" and precision not in runtime.candidates("cuda:0"):
        pytest.skip("no bf16 on this GPU")
    config = make_config(device="cuda", batch_size=ROWS, mixup=0.2, model={"backbone": "cnn_lstm", "condition": "concat", "hidden": 32})
    loader = device_loader(panel, config, label_scale=np.ones(2, np.float32))
    step, meter = card_step(config, precision=precision), Meter(CARD)
    graphed = GraphedStep(step, loader.source.gather, meter, ROWS, CudaRecorder(CARD), refuse)
    rows = [part.clone() for part, _ in zip(loader.rows(), range(WARM + 12), strict=False)]
    for number, ends in enumerate(rows[:WARM + 1]):
        graphed(ends, 1e-3, number)
    assert graphed._recorded
    with no_waiting():
        for number, ends in enumerate(rows[WARM + 1:], WARM + 1):
            graphed(ends, 1e-3, number)  # replayed
        graphed(rows[0][:ROWS // 2], 1e-3, 99)  # a shorter batch goes the plain way
        loader.set_epoch(1)
        next(loader.rows())  # the next epoch is shuffled on the card
    assert math.isfinite(meter.point()["loss"])


def test_nothing_waits_where_the_panel_is_streamed(panel, monkeypatch):
    monkeypatch.setattr("financial_model.datasets.loader.fits", lambda panel, device: False)
    config = make_config(device="cuda", batch_size=ROWS)
    loader = device_loader(panel, config, label_scale=np.ones(2, np.float32))
    assert isinstance(loader.source, batches.HostBatches)
    step, meter = card_step(config, compiled=False), Meter(CARD)

    def learn():
        for number, batch in zip(range(8), loader, strict=False):
            meter.add_batch(step.backward(batch, 1.0, number), len(batch))
            meter.add_step(step.update(1e-3))

    learn()  # kernels are chosen, the optimiser gets its state
    with no_waiting():
        learn()
    assert math.isfinite(meter.point()["loss"])


def test_a_gradient_that_is_not_a_number_moves_nothing_from_then_on(panel):
    config = make_config(device="cuda", batch_size=ROWS, model={"backbone": "mlp"})
    loader = device_loader(panel, config, label_scale=np.ones(2, np.float32))
    step, poison = card_step(config, compiled=False), torch.ones((), device=CARD)

    def gather(ends):
        batch = loader.source.gather(ends)
        batch.z = batch.z * poison
        return batch

    graphed = GraphedStep(step, gather, Meter(CARD), ROWS, CudaRecorder(CARD), refuse)
    rows = [part.clone() for part, _ in zip(loader.rows(), range(WARM + 6), strict=False)]
    for number, ends in enumerate(rows):
        if number == WARM + 3:
            before = [tensor.clone() for tensor in step.model.state_dict().values()]
            poison.fill_(math.nan)
        graphed(ends, 1e-2, number)
    assert all(torch.equal(old, new) for old, new in zip(before, step.model.state_dict().values(), strict=True))
    with pytest.raises(NotFiniteError):
        step.refuse_lost()


def test_a_run_that_meets_such_a_gradient_stops_and_keeps_the_weights(tmp_path):
    config = make_config(device="cuda", batch_size=ROWS, learning_rate=1e-2, model={"backbone": "mlp"}, clip_norm=0.0)
    spoiled = WindowLoader.__init__

    def with_nan(self, *arguments, **options):
        spoiled(self, *arguments, **options)
        if options.get("shuffle") and isinstance(self.source, batches.DeviceBatches):
            self.source._held.arrays["prices"] = self.source._held.arrays["prices"] * math.nan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WindowLoader, "__init__", with_nan)
        with pytest.raises(KairosError) as caught:
            run(config, make_panel(tmp_path / "panel"), tmp_path)
    assert caught.value.key == "training.not_finite"
    assert all(torch.isfinite(tensor).all() for tensor in load_file(tmp_path / "last.safetensors").values())


def test_after_a_capture_that_failed_the_plain_way_goes_on(panel):
    config = make_config(device="cuda", batch_size=ROWS, model={"backbone": "mlp", "dropout": 0.3})
    loader = device_loader(panel, config, label_scale=np.ones(2, np.float32))
    said, looked = [], []

    def gather(ends):
        batch = loader.source.gather(ends)
        looked.append(float(batch.z.sum()))  # waits for the device, which a capture forbids
        return batch

    step, meter = card_step(config, compiled=False), Meter(CARD)
    graphed = GraphedStep(step, gather, meter, ROWS, CudaRecorder(CARD), lambda key, **fields: said.append(key))
    for number, ends in zip(range(WARM + 4), loader.rows(), strict=False):
        graphed(ends, 1e-3, number)
    assert said == ["training.graph_failed"] and math.isfinite(meter.point()["loss"])


# ---------------------------------------------------------------- data
def test_a_batch_gathered_on_the_card_is_the_one_copied_to_it(panel, monkeypatch):
    config = make_config(device="cuda")
    there = device_loader(panel, config, shuffle=False, label_scale=np.ones(2, np.float32))
    monkeypatch.setattr("financial_model.datasets.loader.fits", lambda panel, device: False)
    copied = device_loader(panel, config, shuffle=False, label_scale=np.ones(2, np.float32))
    for one, two in zip(there, copied, strict=True):
        for name in ("x", "condition", "ranks", "y", "z", "label", "unit", "end", "date"):
            torch.testing.assert_close(getattr(one, name), getattr(two, name), rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU only")
def test_a_gpu_that_is_not_the_current_one_is_used_by_name(panel, tmp_path):
    result = run(make_config(device="cuda:1", compile="on", batch_size=ROWS, model={"backbone": "transformer", "heads": 2}), panel, tmp_path)
    assert result.state == "finished" and events_of(tmp_path, "warning") == []


@pytest.mark.parametrize("shape", [(1024, 500, 12), (4096, 60, 6), (256, 60, 91)])
@pytest.mark.parametrize("mode", reference.MODES)
def test_the_gather_at_full_size(shape, mode):
    count, length, columns = shape
    values = torch.randn(200_000, columns, device=CARD).cumsum(0)
    ends = torch.randint(length, len(values), (count,), device=CARD)
    options = {"close": -1, "clip": 5.0, **({"center": values.mean(0), "scale": 1 / values.std(0)} if mode == "table" else {})}
    got = windows.gather_windows(values, ends, length, mode, **options)[0]
    wide = {name: value.double() if isinstance(value, torch.Tensor) else value for name, value in options.items()}
    exact = reference.gather_windows(values.double(), ends, length, mode, **wide)[0]
    torch.testing.assert_close(got.double(), exact, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- precision and attention
@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_curves_of_lower_precisions_lie_at_that_of_fp32(panel, tmp_path, precision):
    if not runtime.try_precision("cuda:0", precision)["works"]:
        pytest.skip(f"no {precision} on this GPU")
    curves = []
    for name in ("fp32", precision):
        shape = {"backbone": "lstm", "dropout": 0.0, "linear_start": False, "skip": False}
        run(make_config(device="cuda", precision=name, compile="off", batch_size=ROWS, epochs=4, model=shape), panel, tmp_path / name)
        curves.append([event["metrics"][kind] for event in events_of(tmp_path / name, "epoch") for kind in ("loss", "train_loss")])
    assert curves[1] == pytest.approx(curves[0], rel=0.01)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", [32, 64, 80, 128])
def test_attention_of_every_backend_is_the_specification(size, causal):
    torch.manual_seed(0)
    parts = [torch.randn(2, 4, 60, size, device=CARD, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    uses = ["torch", *(["flash"] if attention.backend(parts[0], causal=causal) == "flash" else [])]
    exact = attention.attention(*(part.float() for part in parts), causal=causal, use="math")
    for use in uses:
        found = attention.attention(*parts, causal=causal, use=use)
        torch.testing.assert_close(found.float(), exact, rtol=0, atol=attention.TOLERANCE[torch.bfloat16])
        assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(found.square().sum(), parts))
