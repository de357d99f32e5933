"""What the status bar says about the machine: device, memory, free disk. Cheap enough for every tick, and without importing torch.

In: the folder whose disk counts. Out: plain numbers in bytes. It knows no jobs; the facts come from ``runtime.py`` and ``gpu.py``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from financial_model import gpu, runtime


def describe(folder: Path) -> dict[str, Any]:
    """``device`` (words), ``memory_used``, ``memory_total``, ``disk_free`` (bytes; 0 where unknown)."""
    total, available = runtime.memory()
    return {"device": device(), "memory_total": total, "memory_used": total - available, "disk_free": runtime.disk_free(folder)}


def device() -> str:
    """The GPU and its memory, whoever uses it; without one the number of processors."""
    found = gpu.first()
    if found is not None:
        return f"{found.name} · {found.memory_used / 1e9:.1f} / {found.memory_total / 1e9:.0f} GB"
    return "GPU" if gpu.unreadable() else f"CPU × {os.cpu_count() or 1}"
