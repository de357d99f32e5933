"""One optimisation step: exact in its parts, and calm when memory or the compiler fails."""

import dataclasses
import math
import os

import pytest
import torch
from torch._dynamo.exc import BackendCompilerFailed

from financial_model import runtime
from financial_model.config import TrainConfig
from financial_model.datasets.batches import Batch
from financial_model.errors import KairosError
from financial_model.models.forecaster import build_forecaster
from financial_model.objectives import objective
from financial_model.text import has
from financial_model.training import step as step_module
from financial_model.training.step import NotFiniteError, TrainingStep, choose_compile, is_out_of_memory, seed_batch
from tests.training.builders import make_config

CPU = torch.device("cpu")


def make_batch(windows=32, seed=0):
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=random)

    return Batch(x=normal(windows, 6, 3), condition=torch.ones(windows, 6, dtype=torch.int64), ranks=torch.zeros(windows, 4), z=normal(windows, 2),
                 y=torch.zeros(windows, 2), spread=torch.ones(windows, 2), unit=torch.ones(windows, 2),
                 label=torch.zeros(windows, dtype=torch.int64), end=torch.arange(windows),
                 date=torch.zeros(windows, dtype=torch.int64))


def make_step(*, precision="fp32", compiled=False, notices=None, model=None, dropout=0.0, recordable=False, **training):
    config = make_config(model={"dropout": dropout}, **training)
    if model is None:
        torch.manual_seed(0)
        model = build_forecaster(config.model, head="point", inputs=3, context_length=6, horizon=2)

    def notice(key, **fields):
        (notices if notices is not None else []).append((key, fields))

    return TrainingStep(model, objective("mse", config), config.training, device=CPU, precision=precision, compiled=compiled, notice=notice,
                        recordable=recordable)


def gradient(step):
    return torch.cat([parameter.grad.flatten() for parameter in step.model.parameters()])


def piece(batch, start, stop):
    return batch.map(lambda tensor: tensor[start:stop])


# ---------------------------------------------------------------- what a step is
def test_the_loss_compares_with_what_the_batch_asks():
    step, batch = make_step(), make_batch()
    loss = step.backward(batch, 1.0, 0)
    with torch.no_grad():
        forecast = step.model(batch.x, batch.condition, batch.ranks)["point"]
    assert float(loss) == pytest.approx(float((forecast - batch.z).square().mean()))


def test_shares_add_up_to_the_gradient_of_the_whole():
    batch = make_batch(32)
    whole, parts = make_step(), make_step()
    whole.backward(batch, 1.0, 0)
    for start, stop in ((0, 20), (20, 32)):
        parts.backward(piece(batch, start, stop), (stop - start) / 32, 0)
    torch.testing.assert_close(gradient(parts), gradient(whole), atol=1e-7, rtol=1e-5)


def test_an_update_moves_the_weights_and_clears_the_gradient():
    step = make_step()
    before = step.model.head.readout.weight.detach().clone()
    step.backward(make_batch(), 1.0, 0)
    step.update(1e-2)
    assert not torch.equal(before, step.model.head.readout.weight)
    assert all(parameter.grad is None for parameter in step.model.parameters())
    assert {group["lr"] for group in step.optimizer.param_groups} == {1e-2}


@pytest.mark.parametrize("limit, expected", [(0.05, 0.05), (0.0, None), (1e6, None)])
def test_the_gradient_is_clipped_to_its_norm_and_the_norm_before_is_told(limit, expected):
    step = make_step(clip_norm=limit)
    step.backward(make_batch(), 1.0, 0)
    before = float(gradient(step).norm())
    seen = []
    step.optimizer.register_step_pre_hook(lambda *_: seen.append(float(gradient(step).norm())))
    assert float(step.update(1e-3)) == pytest.approx(before) and before > 0.05
    assert seen == [pytest.approx(expected or before, rel=1e-3)]


def test_frozen_weights_stay():
    step = make_step()
    frozen = build_forecaster(make_config().model, head="point", inputs=3, context_length=6, horizon=2)
    for parameter in frozen.backbone.parameters():
        parameter.requires_grad_(False)
    step = make_step(model=frozen)
    before = {name: tensor.clone() for name, tensor in frozen.backbone.state_dict().items()}
    step.backward(make_batch(), 1.0, 0)
    step.update(1e-1)
    assert all(torch.equal(before[name], tensor) for name, tensor in frozen.backbone.state_dict().items())


def test_dropout_depends_on_seed_and_batch_number_alone():
    step, batch = make_step(dropout=0.5), make_batch()
    step.model.train()

    def loss(number):
        torch.rand(3)  # somebody else draws
        return float(step.backward(batch, 1.0, number))

    assert loss(3) == loss(3) and len({loss(number) for number in range(5)}) == 5


def test_seeds_of_neighbours_are_far_apart():
    draws = set()
    for seed in range(5):
        for number in range(5):
            seed_batch(CPU, seed, number)
            draws.add(float(torch.rand(())))
    assert len(draws) == 25
    seed_batch(CPU, 2**31 - 1, 10**12)  # the largest seed a user can choose


# ---------------------------------------------------------------- precision
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_lower_precision_is_close_to_fp32(precision):
    full, low = make_step(), make_step(precision=precision)
    for number in range(20):
        losses = [float(step.backward(make_batch(seed=number), 1.0, number)) for step in (full, low)]
        assert losses[1] == pytest.approx(losses[0], rel=0.02)
        full.update(1e-3), low.update(1e-3)
    assert all(parameter.dtype == torch.float32 for parameter in low.model.parameters())


def test_fp16_leaves_out_a_step_whose_gradient_overflows():
    step = make_step(precision="fp16")
    before = [parameter.detach().clone() for parameter in step.model.parameters()]
    step.backward(make_batch(), 1e35, 0)  # scaled by 65536 on top
    scale = step.scaler.get_scale()
    step.update(1e-3)
    assert all(torch.equal(old, new) for old, new in zip(before, step.model.parameters(), strict=True))
    assert step.scaler.get_scale() < scale


# ---------------------------------------------------------------- not a number
def test_a_loss_that_is_not_a_number_leaves_the_weights_alone():
    step, batch = make_step(), make_batch()
    batch.z[3] = math.nan
    with pytest.raises(NotFiniteError, match="loss"):
        step.backward(batch, 1.0, 0)


def test_a_gradient_that_is_not_a_number_leaves_the_weights_alone():
    step = make_step()
    step.backward(make_batch(), 1.0, 0)
    before = [parameter.detach().clone() for parameter in step.model.parameters()]
    step.model.head.readout.bias.grad[0] = math.inf
    with pytest.raises(NotFiniteError, match="gradient"):
        step.update(1e-3)
    assert all(torch.equal(old, new) for old, new in zip(before, step.model.parameters(), strict=True))


# ---------------------------------------------------------------- out of memory
class Small(torch.nn.Module):
    """A machine that holds at most ``most`` windows: forward or backward fails beyond."""

    def __init__(self, most, where, error):
        super().__init__()
        torch.manual_seed(0)
        self.inner = build_forecaster(make_config(model={"dropout": 0.0}).model, head="point", inputs=3, context_length=6, horizon=2)
        self.most, self.where, self.error = most, where, error

    def forward(self, x, condition, ranks, date):
        outputs = self.inner(x, condition, ranks, date)
        if len(x) > self.most:
            if self.where == "forward":
                raise self.error
            outputs["point"].register_hook(self._fail)
        return outputs

    def _fail(self, gradient):
        raise self.error


ERRORS = [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(),
          RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")]


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_when_memory_runs_out_the_batch_is_halved_and_the_step_stays_the_same(where, error):
    notices, batch = [], make_batch(50)
    whole = make_step()
    step = make_step(model=Small(15, where, error), notices=notices)
    expected, found = whole.backward(batch, 1.0, 0), step.backward(batch, 1.0, 0)
    assert [fields for _, fields in notices] == [{"rows": 50, "half": 25}, {"rows": 25, "half": 13}]
    assert {key for key, _ in notices} == {"training.batch_halved"}
    assert float(found) == pytest.approx(float(expected), rel=1e-6)
    torch.testing.assert_close(gradient(step), gradient(whole), atol=1e-7, rtol=1e-5)
    step.update(1e-3)
    step.backward(batch, 1.0, 1)
    assert len(notices) == 2, "it is remembered, not tried again in every step"


def test_batches_of_the_same_step_that_fitted_are_not_lost():
    whole, small = make_step(), Small(64, "backward", torch.OutOfMemoryError("CUDA out of memory."))
    step = make_step(model=small)
    for number, most in enumerate((64, 15, 64)):
        small.most = most
        for each in (whole, step):
            each.backward(make_batch(50, seed=number), 1 / 3, number)
    torch.testing.assert_close(gradient(step), gradient(whole), atol=1e-7, rtol=1e-5)


def test_where_stocks_are_compared_a_halved_batch_says_what_that_means():
    notices = []
    config = make_config()
    step = TrainingStep(Small(15, "forward", MemoryError()), objective("mse", config), config.training, device=CPU, precision="fp32", compiled=False,
                        notice=lambda key, **fields: notices.append(key), compared=True)
    step.backward(make_batch(20), 1.0, 0)
    assert notices == ["training.batch_halved_compared"] and has(notices[0])


def test_not_even_one_window_fits():
    step = make_step(model=Small(0, "forward", torch.OutOfMemoryError("CUDA out of memory.")))
    with pytest.raises(KairosError) as caught:
        step.backward(make_batch(4), 1.0, 0)
    assert caught.value.key == "training.out_of_memory"


def test_any_other_error_goes_on_its_way():
    step = make_step(model=Small(0, "forward", RuntimeError("shapes cannot be multiplied")))
    with pytest.raises(RuntimeError, match="multiplied"):
        step.backward(make_batch(4), 1.0, 0)
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


# ---------------------------------------------------------------- compiling
class CompilerError(Exception):
    pass


CompilerError.__module__ = "torch._inductor.exc"


@pytest.fixture
def compiler(monkeypatch, folder_of_compiler):
    """``torch.compile`` that notes the batches it is given and fails when told to."""
    seen = {"rows": [], "folders": [], "fail": False, "stale": ""}

    def compile(model, dynamic=None):
        assert dynamic is False, "a program of its own for each of the few lengths of a random context"
        seen["folders"].append(os.environ["TORCHINDUCTOR_CACHE_DIR"])

        def run(x, *rest):
            seen["rows"].append(len(x))
            if seen["stale"] == "always" or seen["stale"] and len(seen["folders"]) == 1:
                raise BackendCompilerFailed(compile, ImportError("kernel.so: undefined symbol: old\nand more"), None)
            if seen["fail"]:
                raise CompilerError("C++ compile error\nwith a long story")
            return model(x, *rest)

        return run

    monkeypatch.setattr(step_module.torch, "compile", compile)
    return seen


def test_where_compiling_fails_the_step_goes_on_uncompiled_and_says_why(compiler):
    notices, batch = [], make_batch(64)
    plain, step = make_step(), make_step(compiled=True, notices=notices)
    compiler["fail"] = True
    assert float(step.backward(batch, 1.0, 0)) == float(plain.backward(batch, 1.0, 0))
    assert torch.equal(gradient(step), gradient(plain))
    assert notices == [("training.compile_failed", {"reason": "CompilerError: C++ compile error"})]
    step.backward(batch, 1.0, 1)
    assert len(notices) == 1 and compiler["rows"] == [64]


@pytest.mark.parametrize("stale, keys", [("once", ["training.compile_stale"]), ("always", ["training.compile_stale", "training.compile_failed"])])
def test_files_of_earlier_compilations_that_cannot_be_read_are_left_aside(compiler, stale, keys):
    notices, batch = [], make_batch(64)
    plain, step = make_step(), make_step(compiled=True, notices=notices)
    compiler["stale"] = stale
    assert float(step.backward(batch, 1.0, 0)) == float(plain.backward(batch, 1.0, 0))
    assert [key for key, _ in notices] == keys and all(has(key) for key in keys)
    left, fresh = compiler["folders"]
    assert notices[0][1] == {"reason": "ImportError: kernel.so: undefined symbol: old", "folder": left, "fresh": fresh}
    assert left != fresh and step.compiled == (stale == "once")


def test_a_shorter_last_batch_is_never_compiled_anew(compiler):
    step = make_step(compiled=True)
    for number, windows in enumerate((64, 64, 21)):
        step.backward(make_batch(windows), 1.0, number)
    assert compiler["rows"] == [64, 64]


@pytest.mark.parametrize("choice, device, able, expected", [
    ("auto", "cpu", True, (False, "training.compile_cpu")), ("off", "cuda", True, (False, "training.compile_off")),
    ("on", "cpu", True, (True, "training.compile_on")), ("auto", "cuda", True, (True, "training.compile_gpu")),
    ("auto", "cuda", False, (False, "training.compile_missing")), ("on", "cpu", False, (False, "training.compile_missing")),
])
def test_whether_to_compile(monkeypatch, choice, device, able, expected):
    monkeypatch.setattr(runtime, "can_compile", lambda place: able)
    assert choose_compile(choice, torch.device(device)) == expected and has(expected[1])


def test_every_setting_of_the_training_is_read():
    """A setting that nobody reads would be a promise that is not kept."""
    from pathlib import Path

    sources = "".join(path.read_text("utf-8") for layer in ("training", "objectives") for path in Path(runtime.__file__).parent.glob(f"{layer}/*.py"))
    unread = [field.name for field in dataclasses.fields(TrainConfig) if f".{field.name}" not in sources and field.name != "objective"]
    assert unread == []
