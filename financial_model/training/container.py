"""The outside of a checkpoint: a safetensors file whose metadata carries one JSON header.

In: a path. Out: the header, or the file with another header. It reads no weights and knows no torch and no model.

The format (https://huggingface.co/docs/safetensors): 8 bytes little-endian length, a JSON object of that length, then the tensors' bytes.
Names in that object are tensors with ``dtype``, ``shape`` and ``data_offsets``; ``__metadata__`` maps texts to texts, and ours has the one
entry ``kairos``. A file from elsewhere is never trusted: every length is checked against the file before anything is read.
"""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from financial_model.errors import CheckpointError, NotFoundError, system_reason
from financial_model.paths import atomic_write
from financial_model.training.plain import plain

METADATA_KEY = "kairos"
FORMAT = "kairos.forecaster"
VERSION = 1
"""Version of the header's layout. A greater one in a file means that a newer Kairos wrote it."""
HEADER_LIMIT = 32 * 2**20
"""Bytes. A header names every symbol of its universe: 100,000 symbols are 1.5 MB."""
REQUIRED = ("config", "head", "features", "inputs", "context_length", "symbols", "table", "label_scale", "extras", "weights_hash")
_FOREIGN_MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How a zip archive (torch.save) and a pickle begin."""


@dataclass(frozen=True)
class _Layout:
    """What the first bytes of a safetensors file say."""

    entries: dict[str, Any]
    data_start: int


def read_header(path: Path | str) -> dict[str, Any]:
    """The header of a checkpoint without its weights, in milliseconds and without torch. ``CheckpointError`` says what is wrong with it."""
    path = Path(path)
    return _header(_layout(path), path)


def write_header(path: Path | str, header: dict[str, Any]) -> None:
    """Replace the header of a checkpoint; its weights stay byte for byte. Atomic."""
    path = Path(path)
    layout = _layout(path)
    entries = dict(layout.entries)
    entries["__metadata__"] = {METADATA_KEY: encode(header)}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)  # the tensors stay aligned

    def write(stream) -> None:
        stream.write(struct.pack("<Q", len(text)))
        stream.write(text)
        with open(path, "rb") as source:
            source.seek(layout.data_start)
            shutil.copyfileobj(source, stream, 2**20)

    atomic_write(path, write)


def encode(header: dict[str, Any]) -> str:
    """A header as the text that stands in the file."""
    return json.dumps(plain(header), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _layout(path: Path) -> _Layout:
    """The first JSON object of the file, its lengths checked against the file's size."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as stream:
            start, brace = stream.read(8), stream.read(1)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            fits = brace == b"{" and 8 + length <= size  # a header of 1,152 bytes (80 04 ...) begins like a pickle, too
            if start.startswith(_FOREIGN_MAGIC) and not fits:
                raise CheckpointError("checkpoint.pickle", path=path.name)
            if len(start) < 8:
                raise CheckpointError("checkpoint.truncated", path=path.name)
            if brace != b"{":
                raise CheckpointError("checkpoint.not_safetensors", path=path.name)
            if length > HEADER_LIMIT:
                raise CheckpointError("checkpoint.header_too_large", path=path.name, limit=HEADER_LIMIT // 2**20)
            if 8 + length > size:
                raise CheckpointError("checkpoint.truncated", path=path.name)
            text = b"{" + stream.read(length - 1)
    except FileNotFoundError:
        raise NotFoundError("checkpoint.not_found", path=path.name) from None
    except OSError as error:
        raise CheckpointError("checkpoint.unreadable", path=path.name, reason=system_reason(error)) from error
    try:
        entries = json.loads(text)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
        end = max(ends, default=0)
        expected = 8 + length + end
    except (ValueError, RecursionError, AttributeError, TypeError, LookupError):
        raise CheckpointError("checkpoint.corrupt", path=path.name) from None
    if expected != size:
        raise CheckpointError("checkpoint.truncated" if expected > size else "checkpoint.corrupt", path=path.name)
    return _Layout(entries, 8 + length)


def _header(layout: _Layout, path: Path) -> dict[str, Any]:
    """Our own header out of the file's metadata, with everything in it that loading needs."""
    metadata = layout.entries.get("__metadata__")
    if not isinstance(metadata, dict) or METADATA_KEY not in metadata:
        raise CheckpointError("checkpoint.foreign", path=path.name)
    try:
        header = json.loads(metadata[METADATA_KEY])
        kind, version = header["format"], header["version"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise CheckpointError("checkpoint.corrupt", path=path.name) from None
    if kind != FORMAT or not isinstance(version, int):
        raise CheckpointError("checkpoint.foreign", path=path.name)
    if version > VERSION:
        raise CheckpointError("checkpoint.newer", path=path.name, version=version, known=VERSION)
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise CheckpointError("checkpoint.incomplete", path=path.name, missing=", ".join(missing))
    return header
