"""Values as plain JSON: what an event line and a checkpoint header may hold.

In: nested dictionaries, lists, numbers of Python, numpy or torch. Out: the same made of JSON's own types.
A number that is not finite becomes ``null``, because ``NaN`` is not JSON and a browser refuses the whole line.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """``value`` out of dictionaries, lists, texts, finite numbers, booleans and None. ``TypeError`` for anything else."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy and torch, scalars and arrays alike, without importing either
        return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
