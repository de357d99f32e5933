"""What earlier compilations left on disk, damaged for real: training compiles anew; a machine that cannot compile is told from that."""

import os
from pathlib import Path

import pytest
import torch
from torch._dynamo.exc import BackendCompilerFailed
from torch._inductor import config as compiler
from torch._inductor import cpu_vec_isa
from torch._inductor.exc import CppCompileError, InductorError, InvalidCxxCompiler
from torch._inductor.utils import clear_caches

from financial_model import runtime
from financial_model.config import TrainConfig
from financial_model.models.forecaster import AUXILIARY
from financial_model.text import has
from financial_model.training.compiled import CompiledFiles, innermost, reason
from financial_model.training.step import TrainingStep
from tests.training.test_step import CPU, make_batch


def wrapped(error):
    return BackendCompilerFailed(print, BackendCompilerFailed(print, error, None), None)


@pytest.mark.parametrize("used", [True, False])
def test_damaged_files_are_told_from_a_machine_that_cannot_compile(folder_of_compiler, used):
    folder = folder_of_compiler
    if used:
        (folder / "ab").mkdir()
    files = CompiledFiles()
    half = [OSError("half a file"), EOFError(), ImportError("x.so: file too short"), FileNotFoundError(2, "No such file", str(folder / "x.so"))]
    assert all(files.are_damaged(error) and files.are_damaged(wrapped(error)) for error in half)
    stumbled = [CppCompileError(["g++", f"{folder}/ab/x.cpp"], "not declared"), RuntimeError(f"Failed to import {folder}/ab/x.py\nSyntaxError")]
    assert [files.are_damaged(wrapped(error)) for error in stumbled] == [used, used]
    unable = [InvalidCxxCompiler(), FileNotFoundError(2, "No such file", "g++"), RuntimeError("shapes cannot be multiplied")]
    assert not any(files.are_damaged(wrapped(error)) for error in unable)
    assert not files.are_damaged(RuntimeError(f"{folder} is no compiler's error"))
    assert reason(wrapped(stumbled[1])) == f"RuntimeError: Failed to import {folder}/ab/x.py"


class Tiny(torch.nn.Module):
    """A weight whose gradient needs no program of its own, so that the C++ compiler, a second each time, is called once for a step."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x, condition, ranks, date):
        return {"point": x[:, -1, :2], AUXILIARY: self.weight}


@pytest.mark.skipif(not runtime.can_compile(CPU), reason="no C++ compiler")
@compiler.patch(cpp_cache_precompile_headers=False)  # they speed up later compilations of a long program
def test_a_step_whose_compiled_files_are_damaged_is_compiled_anew(folder_of_compiler, monkeypatch):
    folder = folder_of_compiler
    monkeypatch.setattr(cpu_vec_isa, "valid_vec_isa_list", list)  # no trials of the processor, and loops that compile faster
    batch = make_batch(64)

    def begin(notices):
        """A step of a process that finds the files on disk."""
        torch.compiler.reset()
        clear_caches()
        return TrainingStep(Tiny(), lambda outputs, z, label, date: (outputs["point"] - z).square().mean(), TrainConfig(batch_size=64), device=CPU,
                            precision="fp32", compiled=True, notice=lambda key, **fields: notices.append((key, fields)))

    step = begin(notices := [])
    loss = step.backward(batch, 1.0, 0)
    assert step.compiled and not notices

    for path in folder.glob("??/*.py"):
        path.write_text("(((", "utf-8")
    again = begin(notices)
    assert again.backward(batch, 1.0, 0) == loss and again.compiled and torch.equal(again.model.weight.grad, step.model.weight.grad)
    (key, fields), = notices
    assert key == "training.compile_stale" and has(key) and fields["reason"].startswith(f"RuntimeError: Failed to import {folder}")
    assert fields["folder"] == str(folder) and fields["fresh"] == os.environ["TORCHINDUCTOR_CACHE_DIR"] and any(Path(fields["fresh"]).rglob("*.so"))

    # the other kind: the C++ compiler stumbles over what it finds
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.suffix == ".cpp":
            path.write_text("(((", "utf-8")
        else:
            path.unlink()
    step = begin(notices)
    with pytest.raises(InductorError) as caught:
        step._backward(batch, 1.0, 64)
    assert isinstance(innermost(caught.value), CppCompileError) and step._files.are_damaged(caught.value)
