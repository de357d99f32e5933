"""The GPU's name and memory, asked of NVIDIA's own library: without torch, and without a context of 500 MB on the GPU.

In: nothing. Out: plain facts of the first GPU this process may use, or None where there is none. It computes nothing.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

_NAME_LENGTH = 96


@dataclass(frozen=True)
class Gpu:
    """Bytes."""

    name: str
    memory_used: int
    memory_total: int


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


def first() -> Gpu | None:
    """The GPU that trainings use when nobody says otherwise, as it is now; takes well under a millisecond."""
    library = _library()
    if library is None:
        return None
    handle, name, memory = ctypes.c_void_p(), ctypes.create_string_buffer(_NAME_LENGTH), _Memory()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if visible.isdigit():
        failed = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(visible)), ctypes.byref(handle))
    else:
        failed = library.nvmlDeviceGetHandleByUUID(visible.encode(), ctypes.byref(handle))
    failed = failed or library.nvmlDeviceGetName(handle, name, ctypes.c_uint(_NAME_LENGTH)) or library.nvmlDeviceGetMemoryInfo(
        handle, ctypes.byref(memory))
    return None if failed else Gpu(name.value.decode("utf-8", errors="replace"), memory.used, memory.total)


def unreadable() -> bool:
    """Whether a driver is loaded whose library says nothing."""
    return Path("/proc/driver/nvidia/version").exists() and _library() is None


@cache
def _library() -> ctypes.CDLL | None:
    """NVIDIA's library, ready to be asked; None where it is not installed or finds no GPU."""
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return None
    code = library.nvmlInit_v2()
    if code:
        logger.info("NVIDIA's library does not answer (code %d)", code)
    return None if code else library
