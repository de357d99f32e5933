"""Whether everything Kairos keeps on disk can be read: what the crash test asks after every kill.

In: a folder. Out: how many files of each kind were opened, and one line for each that could not be. It repairs nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PANEL = "panel.json"


@dataclass
class Found:
    """What a look at a folder found."""

    read: Counter[str] = field(default_factory=Counter)
    """Files by kind that were opened and read whole."""
    leftovers: int = 0
    """Unfinished temporary files and folders: allowed after a kill, nobody reads them."""
    faults: list[str] = field(default_factory=list)


def look(folder: Path) -> Found:
    """Open every file under ``folder`` as its reader does."""
    found = Found()
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).parts
        if any(part.startswith(".") and part.endswith(".tmp") for part in inner):
            found.leftovers += inner[-1].startswith(".")
            continue
        read = _READERS.get(path.suffix)
        if read is None or not path.is_file():
            continue
        try:
            read(path)
        except FileNotFoundError:  # a process that is going down may still clear its own temporary files away
            continue
        except Exception as error:  # whatever it is: that is the finding
            found.faults.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}"[:300])
        else:
            found.read[path.suffix[1:]] += 1
    return found


def _bars(path: Path) -> None:
    from financial_model.market.store import Store

    if path.parent.name == "training_data" or path.parent.parent.name == "training_data":
        data = next(parent for parent in path.parents if (parent / "training_data").is_dir())
        if not len(Store(data).read_bars(path.stem)):
            raise ValueError("no bars")
    elif not path.read_text("utf-8-sig").endswith("\n"):
        raise ValueError("the last line is torn")


def _database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        said = database.execute("PRAGMA integrity_check").fetchall()
    if said != [("ok",)]:
        raise ValueError(str(said)[:200])


def _weights(path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="np") as stored:
        for text in (stored.metadata() or {}).values():
            json.loads(text)
        for name in stored.keys():
            stored.get_tensor(name)


def _lines(path: Path) -> None:
    """Every complete line; what a kill tore off at the end is cut by the next writer and seen by no reader."""
    data = path.read_bytes()
    for line in data[:data.rfind(b"\n") + 1].splitlines():
        json.loads(line)


def _json(path: Path) -> None:
    json.loads(path.read_text("utf-8"))
    if path.name == PANEL:
        from financial_model.datasets.panel import open_panel

        open_panel(path.parent)


_READERS: dict[str, Callable[[Path], object]] = {
    ".csv": _bars, ".sqlite": _database, ".safetensors": _weights, ".jsonl": _lines, ".json": _json,
    ".npy": lambda path: np.load(path, mmap_mode="r", allow_pickle=False),
}
