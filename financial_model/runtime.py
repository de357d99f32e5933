"""What this machine can do: device, precision, compiler, Triton, flash-attn, threads, memory.

In: what a user asked for ("auto" or a name). Out: what will be used, or a sentence on why it cannot be. Speed is tried, never inferred from a
function that happens to exist. torch is imported inside functions only, so that a page can ask for the cheap facts without it.
"""

from __future__ import annotations

import importlib.util
import math
import os
import platform
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.errors import ConfigError

if TYPE_CHECKING:
    import torch

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
_WORTH_IT = 1.2  # a lower precision must be this much faster than fp32 to be chosen
_ROUNDS = 4, 16  # of a trial: at least, at most; a busy machine needs more until both had an undisturbed turn
_AGREES = 0.05  # and its gradient this close to the one of fp32
_LITTLE_DISK = 2 << 30


# ---------------------------------------------------------------- choices
def device(name: str = "auto") -> torch.device:
    """The device to compute on. auto: the first CUDA GPU, else the CPU (other accelerators only by name). ``ConfigError`` when it is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch raises all three for an absent device
        raise ConfigError("runtime.no_device", device=name[:40], available=", ".join(devices()), reason=str(error).splitlines()[0][:120]) from None
    return chosen


def devices() -> list[str]:
    """Names a user can choose."""
    import torch

    found = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return [*found, "mps"] if torch.backends.mps.is_available() else found


def precision(choice: str, place: torch.device) -> str:
    """fp32, tf32, bf16 or fp16. auto: the fastest that was tried here and agreed with fp32. ``ConfigError`` when the chosen one fails here."""
    if choice == "auto":
        return best_precision(str(place))
    if choice not in PRECISIONS:
        raise ConfigError("runtime.no_precision", precision=choice, choices=", ".join(("auto", *PRECISIONS)))
    if choice != "fp32" and not try_precision(str(place), choice)["works"]:
        raise ConfigError("runtime.precision_fails", precision=choice, device=str(place))
    return choice


@cache
def best_precision(place: str) -> str:
    """What auto means on ``place``; the same answer for the life of the process."""
    for name in candidates(place):
        trial = try_precision(place, name)
        if trial["works"] and trial["speedup"] >= _WORTH_IT:
            return name
    return "fp32"


def candidates(place: str) -> tuple[str, ...]:
    """Precisions the hardware has arithmetic for, the fastest first; where it merely emulates them they are not even timed."""
    import torch

    if place.startswith("cuda"):
        major = torch.cuda.get_device_capability(torch.device(place))[0]
        return ("bf16", "tf32") if major >= 8 else ("fp16",) if major == 7 else ()
    if place.startswith("cpu"):
        abilities = torch.cpu.get_capabilities()
        return ("bf16",) if abilities.get("amx_bf16") or abilities.get("avx512_bf16") else ()
    return ()


@cache
def try_precision(place: str, name: str) -> dict[str, Any]:
    """One training step of a small LSTM and a matrix product, really run in ``name`` and in fp32, taking turns.

    Returns works (ran, finite, gradient close to fp32), error (of the gradient, relative), speedup (ratio of the best times), seconds of each. On a
    CPU the processor time of one thread is compared: what else the machine is doing must not decide the numbers of a run.
    """
    import torch

    if name == "tf32" and name not in candidates(place):  # elsewhere it would silently be fp32
        return {"works": False, "error": math.nan, "speedup": 0.0, "seconds": math.nan, "fp32_seconds": math.nan}
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name)
    target = torch.device(place)
    batch, steps, inputs, hidden = (1024, 32, 128, 512) if target.type == "cuda" else (64, 16, 64, 128)
    with torch.random.fork_rng(devices=[target] if target.type == "cuda" else []):
        torch.manual_seed(0)
        lstm = torch.nn.LSTM(inputs, hidden, batch_first=True).to(target)
        linear = torch.nn.Linear(hidden, hidden).to(target)
        x = torch.randn(batch, steps, inputs).to(target)
    weights = [*lstm.parameters(), *linear.parameters()]

    clock = time.perf_counter if target.type == "cuda" else time.thread_time

    def step(low: bool) -> tuple[float, torch.Tensor]:
        _wait(target)
        began = clock()
        with float32_products(name if low else "fp32", target):
            with torch.autocast(target.type, dtype=dtype, enabled=low and dtype is not None):
                out = linear(lstm(x)[0][:, -1])
            gradients = torch.autograd.grad(out.float().square().sum(), weights)  # a mean would be too small for fp16, which a scaler sees to
        _wait(target)
        return clock() - began, torch.cat([part.float().flatten() for part in gradients])

    slow = fast = math.inf
    threads = torch.get_num_threads()
    try:
        if target.type == "cpu":
            torch.set_num_threads(1)
        step(True)
        for turn in range(_ROUNDS[1]):
            seconds, full = step(False)
            slow = min(slow, seconds)
            seconds, low = step(True)
            fast = min(fast, seconds)
            if turn + 1 >= _ROUNDS[0] and slow / fast >= _WORTH_IT:
                break
    except (RuntimeError, NotImplementedError):  # no kernel in this precision
        return {"works": False, "error": math.nan, "speedup": 0.0, "seconds": math.nan, "fp32_seconds": math.nan}
    finally:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
    error = float((low - full).norm() / full.norm())
    return {"works": error < _AGREES, "error": error, "speedup": slow / fast, "seconds": fast, "fp32_seconds": slow}


@contextmanager
def float32_products(precision: str, place: torch.device) -> Iterator[None]:
    """What a GPU makes of float32: matrix products in TF32 (10 bits of mantissa, on tensor cores) for tf32 alone, convolutions and recurrent layers
    for all but fp32, which is exact everywhere. The process's setting is put back afterwards."""
    import torch

    if place.type != "cuda":
        yield
        return
    products, layers = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, layers.allow_tf32
    products.allow_tf32, layers.allow_tf32 = precision == "tf32", precision != "fp32"
    try:
        yield
    finally:
        products.allow_tf32, layers.allow_tf32 = before


def _wait(place: torch.device) -> None:
    import torch

    if place.type == "cuda":
        torch.cuda.synchronize(place)


def can_compile(place: torch.device) -> bool:
    """Whether ``torch.compile`` has what it needs: a C++ compiler, and Triton on a GPU. Whether it pays is the trainer's question."""
    if place.type == "cuda":
        return has_triton() and _compiler() is not None
    return place.type == "cpu" and _compiler() is not None


def _compiler() -> str | None:
    return next((found for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++", "cl") if name and (found := shutil.which(name))), None)


@cache
def has_triton() -> bool:
    """Whether Triton kernels can run on a device here; the package alone is not enough: on Linux it builds its way to the GPU with a C compiler
    and Python's headers, and a small server or a slim container may have neither."""
    from torch.utils._triton import has_triton as usable

    return usable() and (sys.platform != "linux" or _triton_builds())


def _triton_builds() -> bool:
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    return bool(compiler) and Path(sysconfig.get_path("include", "posix_prefix"), "Python.h").is_file()


def flash_attention(architecture: int = 0) -> str:
    """Generation of flash-attn ("2", "3", "4") that is installed, or empty. Only looks, imports nothing of it.

    ``architecture``: major compute capability of the GPU; then only what runs there, the best first (3 is for 9, 4 for 9 and later).
    """
    found = _flash_installed()
    wanted = {0: "432", 8: "2", 9: "342"}.get(architecture, "42" if architecture > 9 else "")
    return next((generation for generation in wanted if generation in found), "")


def attention(place: torch.device) -> str:
    """The attention kernel that runs on ``place`` for bf16 and fp16 without a mask, in words for a programmer: "flash-attn 3", "torch flash" ..."""
    import torch

    if place.type != "cuda":
        return "torch flash" if place.type == "cpu" else "torch"
    major = torch.cuda.get_device_capability(place)[0]
    generation = flash_attention(major)
    if generation:
        return f"flash-attn {generation}"
    if major >= 8 and torch.backends.cuda.flash_sdp_enabled() and torch.backends.cuda.is_flash_attention_available():
        return "torch flash"
    return "torch efficient" if torch.backends.cuda.mem_efficient_sdp_enabled() else "torch math"


def _flash_installed() -> set[str]:
    found = {"3"} if importlib.util.find_spec("flash_attn_interface") else set()
    package = importlib.util.find_spec("flash_attn")
    if package is not None:
        if package.origin:  # generation 4 alone makes it a folder without contents of its own
            found.add("2")
        if any((Path(folder) / "cute").is_dir() for folder in package.submodule_search_locations or ()):
            found.add("4")
    return found


# ---------------------------------------------------------------- facts
def describe(folder: Path | str = ".", *, torch_too: bool = True) -> dict[str, Any]:
    """Plain JSON data for ``doctor`` and the status bar; bytes, not gigabytes.

    ``folder``: whose disk is looked at. ``torch_too=False`` costs a millisecond and leaves out what only torch knows.
    ``notes``: text key and fields of everything that is missing or could be better, each with what to do.
    """
    total, available = memory()
    facts: dict[str, Any] = {
        "python": platform.python_version(), "system": platform.platform(), "processor": _processor(), "cores": os.cpu_count() or 1,
        "memory_total": total, "memory_available": available, "disk_free": disk_free(folder), "torch": _version("torch"), "numba": _version("numba"),
        "flash_attention": flash_attention(), "device": "cuda" if _nvidia() else "cpu",
    }
    if torch_too:
        facts.update(_torch_facts())
    facts["notes"] = _notes(facts, torch_too)
    return facts


def _torch_facts() -> dict[str, Any]:
    import torch

    place = device()
    facts: dict[str, Any] = {
        "torch": torch.__version__, "cuda": torch.version.cuda or "", "device": str(place), "device_name": _processor(), "devices": devices(),
        "threads": torch.get_num_threads(), "precision": precision("auto", place), "compile": can_compile(place), "triton": has_triton(),
        "attention": attention(place),
    }
    if place.type == "cuda":
        free, total = torch.cuda.mem_get_info(place)
        facts.update(device_name=torch.cuda.get_device_name(place), device_memory_total=total, device_memory_free=free)
    return facts


def _notes(facts: dict[str, Any], torch_too: bool) -> list[dict[str, Any]]:
    notes: list[dict[str, Any]] = []

    def note(key: str, **fields: Any) -> None:
        notes.append({"key": key, "fields": fields})

    if facts["disk_free"] < _LITTLE_DISK:
        note("runtime.note_disk", free=f"{facts['disk_free'] / 2**30:.1f}")
    if torch_too and not facts["device"].startswith("cuda"):
        if _nvidia():
            note("runtime.note_cpu_build", torch=facts["torch"])
        else:
            note("runtime.note_no_gpu", cores=facts["cores"])
    elif torch_too:
        if not facts["triton"]:
            note("runtime.note_no_triton")
        if not facts["flash_attention"]:
            note("runtime.note_no_flash")
    if torch_too and not facts["compile"]:
        note("runtime.note_no_compiler")
    return notes


def memory() -> tuple[int, int]:
    """(total, available) bytes of main memory; 0 where the system does not say."""
    if sys.platform == "win32":
        return _windows_memory()
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):  # macOS does not know the second
        return 0, 0
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():  # free pages alone leave out the file cache, which is given back when needed
        lines = dict(line.split(":", 1) for line in meminfo.read_text("utf-8").splitlines() if ":" in line)
        free = int(lines.get("MemAvailable", "0 kB").split()[0]) * 1024 or free
    return total, free


def _windows_memory() -> tuple[int, int]:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong), *((f"field{i}", ctypes.c_ulonglong) for i in range(7))]

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return status.field0, status.field1  # type: ignore[attr-defined]


GIVING_WAY = 3
"""How much lower the priority of a process is that computes for hours beside one that people wait for (POSIX niceness): it has half the share of
another one, and is not starved on a machine that many use."""
_BELOW_NORMAL = 0x4000


def give_way() -> None:
    """Let other processes have the processor first; what nobody else wants is still ours. Threads of this process begun later do the same."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        kernel.SetPriorityClass(ctypes.c_void_p(kernel.GetCurrentProcess()), _BELOW_NORMAL)
    else:
        os.nice(GIVING_WAY)


def disk_free(folder: Path | str) -> int:
    """Free bytes of the disk that ``folder`` is, or will be, on."""
    path = Path(folder).resolve()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _nvidia() -> bool:
    """Whether an NVIDIA driver is loaded, without asking torch."""
    return Path("/proc/driver/nvidia/version").exists() or (sys.platform == "win32" and shutil.which("nvidia-smi") is not None)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
