"""The resume point: one file from which a killed run goes on to the very weights it would have reached.

In: model, optimiser and the numbers of a run. Out: ``resume/state.safetensors``, written as a whole or not at all; and from it the same again.
Random states are not in it because there are none: the order of windows depends on (seed, epoch), dropout on (seed, batch).
Never pickle. It knows no loop and no clock.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from financial_model.config import RunConfig, to_dict
from financial_model.errors import CheckpointError
from financial_model.paths import atomic_write

METADATA_KEY = "kairos_resume"
VERSION = 2
_FREE = {"name", "device", "precision", "compile", "save_every", "resume_every"}
"""Settings that may change between two sessions of a run: a run may be renamed, and moved to another machine."""


def resume_path(run_dir: Path) -> Path:
    return run_dir / "resume" / "state.safetensors"


def identity(config: RunConfig, fingerprint: str) -> dict[str, str]:
    """What must be the same for a run to go on: its settings and its data."""
    def decisive(value: Any) -> Any:
        return {name: decisive(inner) for name, inner in value.items() if name not in _FREE} if isinstance(value, dict) else value

    text = json.dumps(decisive(to_dict(config)), sort_keys=True)
    return {"configuration": hashlib.sha256(text.encode()).hexdigest(), "data": fingerprint}


def save_resume(run_dir: Path, known: dict[str, str], facts: dict[str, Any], model: torch.nn.Module | None = None,
                optimizer: torch.optim.Optimizer | None = None) -> None:
    """Write the resume point atomically. ``facts`` is JSON, ``known`` is :func:`identity`; a finished run needs no model and no optimiser.

    ``StorageError`` when the disk refuses; the point before is then intact.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()} if model is not None else {}
    for index, entries in optimizer.state_dict()["state"].items() if optimizer is not None else ():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in entries.items()}
    text = json.dumps({"version": VERSION, "identity": known, "facts": facts})
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    atomic_write(resume_path(run_dir), save(tensors, {METADATA_KEY: text}))


@dataclass(frozen=True)
class ResumePoint:
    """What a file held."""

    path: Path
    facts: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    def restore(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put both back. The optimiser's groups come from the configuration; what it remembers per parameter comes from here."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in self.tensors.items():
            if name.startswith("optimizer."):
                _, index, entry = name.split(".", 2)
                state.setdefault(int(index), {})[entry] = tensor
        try:
            model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in self.tensors.items() if name.startswith("model.")})
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError("training.resume_corrupt", path=str(self.path)) from error


def load_resume(run_dir: Path, known: dict[str, str]) -> ResumePoint | None:
    """The resume point of a run, or None when it was killed before its first one.

    ``CheckpointError`` when it is damaged, or belongs to other settings or other data.
    """
    path = resume_path(run_dir)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            content = json.loads(stored.metadata()[METADATA_KEY])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}
        found, facts, version = content["identity"], content["facts"], content["version"]
        different = sorted(name for name in known if found[name] != known[name])
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError("training.resume_corrupt", path=str(path)) from error
    if version != VERSION:
        different.append("version")
    if different:
        raise CheckpointError("training.resume_other_run", path=str(path), difference=", ".join(different))
    return ResumePoint(path, facts, tensors)
