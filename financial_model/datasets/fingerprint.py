"""When is a panel out of date? When anything it was made from is not, byte for byte, what it was.

In: files, settings, tables. Out: one short hash. Contents count, dates do not: a copied folder has the same fingerprint. Modification times
only spare reading a file again that has not been touched since. It knows nothing of what the files mean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from financial_model.paths import atomic_write

_CHUNK = 1 << 20


def file_hashes(files: Mapping[str, Path], cache: Path) -> dict[str, dict[str, Any]]:
    """``{name: {"size", "mtime", "hash"}}`` of files that exist. ``cache``: what is known from earlier, updated when something changed."""
    known = _read(cache)
    current: dict[str, dict[str, Any]] = {}
    for name, path in sorted(files.items()):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        before = known.get(str(path.resolve()), {})
        same = before.get("size") == status.st_size and before.get("mtime") == status.st_mtime_ns
        current[name] = {"size": status.st_size, "mtime": status.st_mtime_ns, "hash": before["hash"] if same else content_hash(path)}
    fresh = {str(files[name].resolve()): entry for name, entry in current.items()}
    if any(known.get(path) != entry for path, entry in fresh.items()):
        atomic_write(cache, json.dumps({**known, **fresh}))
    return current


def _read(cache: Path) -> dict[str, dict[str, Any]]:
    """What the cache knows; a lost or damaged cache knows nothing, and everything is read again."""
    try:
        data = json.loads(cache.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) and all(isinstance(entry, dict) and "hash" in entry for entry in data.values()) else {}


def content_hash(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def array_hash(arrays: Mapping[str, Any]) -> str:
    """Of the arrays among ``arrays``, by name."""
    digest = hashlib.blake2b(digest_size=16)
    for name, array in sorted(arrays.items()):
        if isinstance(array, np.ndarray):
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def code_hash(files: Iterable[Path]) -> str:
    """Of the source files that decide what a panel holds."""
    return combined([[path.name, content_hash(path)] for path in sorted(set(files))])


def combined(parts: Any) -> str:
    """A hash of plain JSON data."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()
