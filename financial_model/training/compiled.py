"""What a compiler left on disk and what its errors mean: damaged files of an earlier compilation are told from a machine that cannot compile.

In: the error of a compiled step. Out: whether it lies at those files, and a new folder to compile in. It knows no model and no step.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import torch

_FOLDER, _TRITON = "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"


class CompiledFiles:
    """The folder torch's compiler works in, as it was found before this process compiled."""

    def __init__(self) -> None:
        from torch._inductor.runtime.cache_dir_utils import cache_dir

        self.folder = Path(cache_dir())
        self._used = any(self.folder.iterdir())

    def are_damaged(self, error: BaseException) -> bool:
        """Whether a compiled step failed at a file of an earlier compilation: of another machine or torch, half written, overwritten, missing.

        A file that cannot be loaded says so by its kind of error. The rest is known by the folder's name in the message of what broke first (a module
        that is no Python, a C++ compiler that stumbles over what it finds, or over what a damaged probe made of the program), provided the folder was
        in use before. What cannot compile at all, such as a missing compiler, names no file in it.
        """
        root = innermost(error)
        if isinstance(root, (ImportError, OSError, EOFError, SyntaxError)) or type(root).__name__ == "UnpicklingError":
            return not isinstance(root, FileNotFoundError) or self._names(root)
        return self._used and is_compiler_error(error) and self._names(root)

    def leave(self) -> Path:
        """Let this process compile in a new folder from now on, which goes when the process ends; the one left stays as it is. The new one."""
        from torch._inductor import cpu_vec_isa
        from torch._inductor.utils import clear_caches

        fresh = Path(tempfile.mkdtemp(prefix="torchinductor_fresh_"))
        atexit.register(shutil.rmtree, fresh, ignore_errors=True)
        os.environ[_FOLDER], os.environ[_TRITON] = str(fresh), str(fresh / "triton")
        torch.compiler.reset()
        clear_caches()  # modules that were loaded from the other folder
        for owner in (cpu_vec_isa, *(kind for kind in vars(cpu_vec_isa).values() if isinstance(kind, type))):
            for probe in vars(owner).values():  # what the processor can do was tried with files of that folder, too
                if callable(clear := getattr(probe, "cache_clear", None)):
                    clear()
        return fresh

    def _names(self, error: BaseException) -> bool:
        return any(folder and folder in str(error) for folder in (str(self.folder), os.environ.get(_TRITON, "")))


def innermost(error: BaseException) -> BaseException:
    """What went wrong in the first place: a compiler hands it on inside errors of its own."""
    while isinstance(inner := getattr(error, "inner_exception", None), BaseException):
        error = inner
    return error


def is_compiler_error(error: BaseException) -> bool:
    """Whether the compiler raised it, not the model it compiled."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "torch._functorch", "triton"))


def reason(error: BaseException) -> str:
    """Kind and first line of what went wrong in the first place."""
    root = innermost(error)
    return f"{type(root).__name__}: {(str(root).strip().splitlines() or [''])[0][:200]}"
