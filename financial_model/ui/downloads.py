"""Files that leave through the browser, and the only way they do.

In: run ids, tables, texts. Out: files inside Gradio's own temporary folder, the only place it hands anything out from.
No path that a browser names is ever opened: runs are resolved by the server's own list. Uploads are in ``uploads.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from financial_model.paths import safe_name
from financial_model.serving.runs import RunInfo, RunStore

if TYPE_CHECKING:
    import pandas as pd


def temporary_folder() -> Path:
    """Where Gradio keeps uploads and prepared downloads."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio")


def file_size(path: Path) -> int:
    """Bytes of a file, 0 where there is none: the cheapest sign that a log has grown."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def file_stamp(path: Path) -> int:
    """When a file was last written (ns), 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def prepared(path: Path, name: str) -> str:
    """A copy of one of our files under ``name``, in a folder of its own that Gradio may hand out. A link where the disk allows one."""
    target = temporary_folder() / f"kairos-{uuid.uuid4().hex}" / safe_name(name)
    target.parent.mkdir(parents=True)
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
    return str(target)


def checkpoint(runs: RunStore, run_id: str, kind: str = "") -> str:
    """The checkpoint of a run from the server's own list, named after the run."""
    path = runs.checkpoint(run_id, kind)
    return prepared(path, f"{runs.get(run_id).id}.{path.name}")


def text(content: str, name: str) -> str:
    target = temporary_folder() / f"kairos-{uuid.uuid4().hex}" / safe_name(name)
    target.parent.mkdir(parents=True)
    target.write_text(content, "utf-8")
    return str(target)


def config(run: RunInfo) -> str:
    """The settings of a run as JSON."""
    return text(json.dumps(run.config, ensure_ascii=False, indent=2), f"{run.id}.config.json")


def csv(table: pd.DataFrame, name: str) -> str:
    """A table as CSV that Excel opens as UTF-8, in which no cell can pass for a formula."""
    from financial_model.serving.export import write_csv

    return str(write_csv(table, temporary_folder() / f"kairos-{uuid.uuid4().hex}" / safe_name(name)))
