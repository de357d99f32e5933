"""Which process owns a run, and does it still live? A process id alone is reused; with its start time it is not.

In: nothing, or the identity another process wrote down. Out: yes or no, and a lock for short critical sections.
It knows nothing of runs or jobs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_WINDOWS = sys.platform == "win32"


@cache
def _own(pid: int) -> dict[str, Any]:  # by pid: a forked child must not inherit its parent's answer
    return {"pid": pid, "started": _started(pid)}


def identity() -> dict[str, Any]:
    """``{"pid": ..., "started": ...}`` of this process, plain JSON data."""
    return dict(_own(os.getpid()))


def alive(owner: Mapping[str, Any]) -> bool:
    """Whether the process that wrote ``owner`` (an :func:`identity`) still runs on this machine."""
    pid = owner.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    started = _started(pid)
    return started is not None and started == owner.get("started")


_principals: list[dict[str, Any]] = []


def act_for(owner: Mapping[str, Any]) -> None:
    """From now on what belongs to ``owner``, the process that started this one, counts as this one's too."""
    _principals.append(dict(owner))


def is_mine(owner: Mapping[str, Any]) -> bool:
    return dict(owner) in (identity(), *_principals)


def _started(pid: int) -> str | None:
    """A text that differs between two processes that bore the same id; ``None``: there is no such process."""
    if sys.platform == "linux":
        return _started_linux(pid)
    return _started_windows(pid) if _WINDOWS else _started_posix(pid)


def _started_linux(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except OSError:
        return None
    if fields[0] in "ZX":  # a zombie has no threads left to train with
        return None
    return f"{boot}:{fields[19]}"  # clock ticks from boot to the start of the process


def _started_posix(pid: int) -> str | None:
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _started_windows(pid: int) -> str | None:
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    kernel.OpenProcess.restype = wintypes.HANDLE
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return None
    try:
        code, times = wintypes.DWORD(), [wintypes.FILETIME() for _ in range(4)]
        if not kernel.GetExitCodeProcess(wintypes.HANDLE(handle), ctypes.byref(code)) or code.value != 259:  # STILL_ACTIVE
            return None
        if not kernel.GetProcessTimes(wintypes.HANDLE(handle), *(ctypes.byref(entry) for entry in times)):
            return None
        return f"{times[0].dwHighDateTime}:{times[0].dwLowDateTime}"
    finally:
        kernel.CloseHandle(wintypes.HANDLE(handle))


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` against other threads and processes; the system lets go of it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        if _WINDOWS:
            import msvcrt

            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
            try:
                yield
            finally:
                stream.seek(0)
                msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)  # closing the file releases it
            yield
