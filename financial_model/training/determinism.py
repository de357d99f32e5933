"""The same bits twice on a CPU, whatever else the process has set.

In: a device. Out: a context. It knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic as filling


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On a CPU, only algorithms that give the same bits twice; the process's setting is put back afterwards."""
    if device.type != "cpu":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill = filling.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    filling.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        filling.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
