"""Bars for a command that brings its own: the demo market, files, or a source that is downloaded from.

In: a workspace and what was typed after ``--source``. Out: the symbols that are in its store then. Reading and writing is the market layer's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from financial_model.errors import DataError, NotFoundError
from financial_model.paths import Workspace

FILES, DEMO = "files", "demo"
DEMO_STOCKS = 200


def folder_of(source: Sequence[str], root: Path) -> Workspace:
    """The folders such a command works in unless told otherwise: one pair per source, so that synthetic bars never meet real ones, nor daily ones
    minute bars."""
    name, paths = split(source)
    label = Path(paths[0]).resolve().stem if paths else name
    folder = root / "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in label)
    return Workspace(data_dir=folder / "data", checkpoint_dir=folder / "checkpoints")


def split(source: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """(name, paths): ``demo``, ``yahoo`` ..., ``files PATH...``, or paths alone. ``NotFoundError`` for a word that is neither."""
    from financial_model.market.sources.base import sources

    first, rest = source[0], tuple(source[1:])
    if first == FILES and rest:
        return FILES, rest
    if first in sources() and not rest:
        return first, ()
    missing = [word for word in source if not Path(word).exists()]
    if missing or first == FILES:
        raise NotFoundError("bring.unknown", source=" ".join(missing or source)[:80], known=", ".join(sources()))
    return FILES, tuple(source)


def bring(workspace: Workspace, source: Sequence[str], *, symbols: Sequence[str] = (), count: int | None = None,
          progress: Callable[..., None] | None = None, stop: threading.Event | None = None) -> list[str]:
    """Put the bars of ``source`` into the store and return its symbols. What is there already is left alone.

    The demo market that is there is kept as it is. ``DataError`` when the store then holds nothing; ``Stopped`` on ``stop``.
    """
    from financial_model.market.store import Store
    from financial_model.serving.market import download, import_files

    name, paths = split(source)
    store = Store(workspace.data_dir)
    if paths:
        import_files(workspace, paths, progress=progress, stop=stop)
    elif name == DEMO:
        if not (store.synthetic and store.summary()["stocks"]):
            download(workspace, DEMO, count=DEMO_STOCKS if count is None else count, progress=progress, stop=stop)
    else:
        download(workspace, name, symbols=symbols, count=count, progress=progress, stop=stop)
    found = store.symbols()["symbol"].tolist()
    if not found:
        raise DataError("serving.no_data", folder=str(workspace.data_dir))
    return found
