"""A model in one file: weights and, in the header, everything that a forecast on another machine needs.

In: a forecaster and what is to be known about it. Out: one ``.safetensors`` file; and from such a file the forecaster again.
Never pickle. It knows no panel and no training: what stands in the header is decided by who saves.
"""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model import __version__
from financial_model.config import from_dict, spec
from financial_model.errors import CheckpointError, ConfigError
from financial_model.paths import atomic_write
from financial_model.training.base import is_encoder
from financial_model.training.container import FORMAT, METADATA_KEY, VERSION, encode, read_header, write_header

if TYPE_CHECKING:
    import torch

    from financial_model.models.ensemble import Ensemble
    from financial_model.models.forecaster import Forecaster

__all__ = ["load_checkpoint", "load_weights", "read_header", "save_checkpoint", "update_header", "update_metrics"]

_LIBRARIES = ("torch", "numpy", "pandas", "safetensors", "numba")


def save_checkpoint(path: Path | str, model: torch.nn.Module, header: dict[str, Any]) -> None:
    """Write weights (adapters multiplied in) and ``header`` to one file, atomically.

    ``header`` holds config, head, features, inputs, context_length, symbols, table, label_scale, extras and whatever else is to be known;
    format, version, time, library versions, parameter count and the hash of the weights are added here.
    """
    from safetensors.torch import save

    from financial_model.models.lora import LowRank, merged

    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in merged(model).items()}
    added = sum(parameter.numel() for part in model.modules() if isinstance(part, LowRank) for parameter in part.parameters())
    parameters = sum(parameter.numel() for parameter in model.parameters()) - added
    complete = {
        **header,
        "format": FORMAT,
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": _libraries(),
        "parameters": parameters,
        "weights_hash": weights_hash(weights),
    }
    atomic_write(Path(path), save(weights, {METADATA_KEY: encode(complete)}))


def load_checkpoint(path: Path | str) -> tuple[Forecaster | Ensemble, dict[str, Any]]:
    """The forecaster in a file (an ensemble where the header names ``members``), in evaluation mode on the CPU, and the header.

    ``CheckpointError`` when a tensor is missing, surplus, of another shape, or not what was saved, or the file holds a pre-trained encoder.
    """
    path = Path(path)
    header = read_header(path)
    if is_encoder(header):
        raise CheckpointError("checkpoint.encoder_only", path=path.name)
    model = _build(header, path)
    model.load_state_dict(load_weights(path, model.state_dict()), strict=True)
    return model.eval(), header


def load_weights(path: Path | str, expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a file on the CPU. ``CheckpointError`` unless they have the names, shapes and types of ``expected`` and are what was saved."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    known = read_header(path)["weights_hash"]
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError("checkpoint.corrupt", path=path.name) from error
    _check_fit(expected, weights, path)
    if weights_hash(weights) != known:
        raise CheckpointError("checkpoint.altered", path=path.name)
    return weights


def update_metrics(path: Path | str, metrics: dict[str, Any]) -> None:
    """Put (test) metrics into a checkpoint's header, beside the ones that stand there. The weights stay byte for byte; atomic."""
    header = read_header(path)
    update_header(path, {"metrics": {**header.get("metrics", {}), **metrics}})


def update_header(path: Path | str, changes: dict[str, Any]) -> None:
    """Replace entries of a checkpoint's header. The weights stay byte for byte; atomic."""
    write_header(path, {**read_header(path), **changes})


def weights_hash(weights: dict[str, torch.Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors: equal exactly when the weights are equal bit for bit."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _build(header: dict[str, Any], path: Path) -> Forecaster | Ensemble:
    """An untrained forecaster of the shape the header describes; of ``members`` such ones where there are several."""
    from financial_model.models.ensemble import Ensemble
    from financial_model.models.forecaster import build_forecaster

    try:
        config, members = from_dict(header["config"]), int(header.get("members", 1))
        inputs, context = int(header["inputs"]), int(header["context_length"])
        if inputs != len(header["features"]) or context < 1 or not 1 <= members <= (spec("seeds").high or 1):
            raise ValueError(f"{inputs} inputs, {context} bars, {members} members")
        built = [build_forecaster(config.model, head=header["head"], inputs=inputs, context_length=context, horizon=config.label.horizon)
                 for _ in range(members)]
        return built[0] if members == 1 else Ensemble(built)
    except (ConfigError, TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, ConfigError) and error.key.startswith("extensions."):
            raise  # nothing is wrong with the file
        reason = error if isinstance(error, ConfigError) else str(error)
        raise CheckpointError("checkpoint.bad_description", path=path.name, reason=reason) from error


def _check_fit(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor], path: Path) -> None:
    missing, surplus = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or surplus:
        raise CheckpointError("checkpoint.other_tensors", path=path.name, missing=", ".join(missing[:5]) or "-",
                              surplus=", ".join(surplus[:5]) or "-")
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape or tensor.dtype != found[name].dtype:
            raise CheckpointError("checkpoint.other_shape", path=path.name, tensor=name, expected=list(tensor.shape),
                                  found=list(found[name].shape))


@cache
def _libraries() -> dict[str, str]:
    """Versions of what produced the weights."""
    versions = {"kairos": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
