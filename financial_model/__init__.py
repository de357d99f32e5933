"""Kairos: a stock-forecasting workbench. The package behind the page, the command line and the Python API.

Importing it is cheap on purpose: torch, gradio and pandas are loaded by whoever needs them.
"""

import os

# Before torch loads: its OpenMP threads otherwise spin at barriers and stall each other on a busy machine.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate", "load", "rank", "train"]

_ENTRY_POINTS = {"load", "train", "evaluate", "rank"}


def __getattr__(name: str):
    """The public functions live in ``serving``; they are looked up on first use so that importing stays cheap."""
    if name in _ENTRY_POINTS:
        import importlib

        importlib.import_module("financial_model.extensions").load()
        return getattr(importlib.import_module("financial_model.serving.entry"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
