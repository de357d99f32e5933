"""What the status bar says about the machine: device, memory, free disk. Cheap enough for every tick, and without importing torch.

In: the folder whose disk counts. Out: plain numbers in bytes. It knows no jobs; the facts come from ``runtime.py``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from financial_model import runtime


def describe(folder: Path) -> dict[str, Any]:
    """``device`` (words), ``memory_used``, ``memory_total``, ``disk_free`` (bytes; 0 where unknown)."""
    total, available = runtime.memory()
    return {"device": device(), "memory_total": total, "memory_used": total - available, "disk_free": runtime.disk_free(folder)}


def device() -> str:
    """The GPU and its memory once a job has loaded torch; before that, whether a driver is there."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return f"{torch.cuda.get_device_name()} · {(total - free) / 1e9:.1f} / {total / 1e9:.0f} GB"
    if torch is None and Path("/proc/driver/nvidia/version").exists():
        return "GPU"
    return f"CPU × {os.cpu_count() or 1}"
