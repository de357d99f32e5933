"""Drawings that all visitors share: who would be shown the same is given the same, drawn once.

In: what decides about a drawing, and how it is made. Out: the drawing. Only the last few are kept; it knows nothing of what is drawn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

Drawing = TypeVar("Drawing")
KEPT = 16


class Drawn:
    """Safe to ask from several threads; those that ask for the same at once wait for one drawing."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._known: dict[Hashable, object] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, draw: Callable[[], Drawing]) -> Drawing:
        with self._lock:
            if key not in self._known:
                while len(self._known) >= self._kept:
                    del self._known[next(iter(self._known))]
                self._known[key] = draw()
            return self._known[key]  # type: ignore[return-value]
