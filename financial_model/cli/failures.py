"""Where a bug is written down: the traceback goes into a file under its id, not onto the screen."""

from __future__ import annotations

import argparse
import tempfile
import traceback
from pathlib import Path

from financial_model.cli.arguments import workspace_of
from financial_model.errors import StorageError
from financial_model.paths import atomic_write


def record(number: str, parsed: argparse.Namespace) -> Path:
    """Write the traceback of the exception being handled and return the file; the temporary folder takes it where ours cannot."""
    text = f"{parsed}\n\n{traceback.format_exc()}"
    for folder in (workspace_of(parsed).checkpoint_dir / "errors", Path(tempfile.gettempdir())):
        try:
            path = folder / f"error_{number}.txt"
            atomic_write(path, text)
            return path
        except StorageError:
            continue
    return Path("-")
