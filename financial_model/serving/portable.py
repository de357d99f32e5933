"""A checkpoint in the form of other programs: ONNX for any runtime, an AOTInductor package for C++ and for Python without the model's code.

In: a run and a file name. Out: the file, and beside it ``<file>.json`` that says what goes in and what comes out. Before a file is handed over
it is asked for forecasts, which must be those of the checkpoint. It knows no page and no command line.
"""

from __future__ import annotations

import json
import logging
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from financial_model.config import CLASSES, CONDITIONS, FIGURES, RANKS
from financial_model.errors import ConfigError, NotFoundError
from financial_model.paths import Workspace, atomic_write
from financial_model.serving.forecaster import LoadedForecaster, load
from financial_model.serving.returns_only import require_returns
from financial_model.serving.runs import RunStore

if TYPE_CHECKING:
    import torch

    from financial_model.serving.raw_windows import RawForecaster

Runner = Callable[..., tuple["torch.Tensor", ...]]
SUFFIXES = {"safetensors": ".safetensors", "onnx": ".onnx", "aoti": ".pt2"}
FORMATS = tuple(SUFFIXES)
INPUTS = ("values", "condition", "ranks", "volatility")
TOLERANCE = 1e-5
"""Largest difference to the checkpoint's own forecast, in log return or probability."""
_TRIED = 5
"""Windows the written file is asked for; another number than it was traced with."""


def export_run(workspace: Workspace, run_id: str, target: Path | str, *, form: str = "", checkpoint: str = "") -> dict[str, Any]:
    """Write the forecaster of a run to ``target`` and say what was written.

    ``form``: by default what the end of the file's name says, else safetensors. safetensors copies the checkpoint as it is; onnx and aoti hold
    the whole way from raw feature windows to log returns, and ``<target>.json`` beside them describes it. Returns run, checkpoint, format,
    file, bytes, parameters and, where the file could be run here, ``difference`` to the checkpoint. ``ConfigError`` when this machine or this
    model cannot, with the reason; nothing is written then.
    """
    target = Path(target)
    form = form or next((name for name, suffix in SUFFIXES.items() if suffix == target.suffix), "safetensors")
    if form not in SUFFIXES:
        raise ConfigError("export.unknown_format", format=form[:40], choices=", ".join(FORMATS))
    store = RunStore(workspace.checkpoint_dir)
    source = store.checkpoint(run_id, checkpoint)
    if target.is_dir():
        raise NotFoundError("cli.export.is_folder", path=str(target))
    facts = {"run": store.get(run_id).id, "checkpoint": source.stem, "format": form, "file": str(target)}
    if form == "safetensors":
        from financial_model.training.checkpoint import read_header

        header = read_header(source)
        atomic_write(target, source.read_bytes())
        return {**facts, "bytes": target.stat().st_size, "parameters": header["parameters"]}
    require(form)
    loaded = load(source)
    require_returns(loaded.config)
    found = write(loaded, target, form, about=facts)
    return {**facts, "bytes": target.stat().st_size, "parameters": loaded.header["parameters"], "description": str(description_of(target)), **found}


def export_archive(workspace: Workspace, run_id: str, form: str, *, checkpoint: str = "") -> dict[str, Any]:
    """``export_run`` into the folder of the run: the file and its description in one ZIP under ``exports/``; ``archive`` is its path."""
    store = RunStore(workspace.checkpoint_dir)
    kind, run = store.checkpoint(run_id, checkpoint).stem, store.get(run_id)
    archive = run.path / "exports" / f"{kind}.{form}.zip"
    with tempfile.TemporaryDirectory() as folder:
        found = export_run(workspace, run_id, Path(folder) / f"{run.id}.{kind}{SUFFIXES.get(form, '')}", form=form, checkpoint=checkpoint)

        def pack(stream: IO[bytes]) -> None:
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
                for path in sorted(Path(folder).iterdir()):
                    packed.write(path, path.name)

        atomic_write(archive, pack)
    return {**found, "archive": str(archive)}


def description_of(target: Path) -> Path:
    """Where the words to an exported file stand."""
    return target.with_name(f"{target.name}.json")


def require(form: str) -> None:
    """``ConfigError`` where this machine lacks what a format needs."""
    if form == "onnx":
        missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
        if missing:
            raise ConfigError("export.needs_packages", packages=" ".join(missing))
    if form == "aoti":
        from financial_model import runtime

        if not runtime.can_compile(runtime.device()):
            raise ConfigError("export.needs_compiler")


def write(loaded: LoadedForecaster, target: Path, form: str, *, about: dict[str, Any]) -> dict[str, Any]:
    """The file and its description, both atomically; what running it gave. ``about`` goes into the description."""
    import torch

    from financial_model.serving.raw_windows import RawForecaster

    raw = RawForecaster(loaded).eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), _quiet():
        made = Path(folder) / f"model{SUFFIXES[form]}"
        try:
            device, runner = (_onnx if form == "onnx" else _aoti)(raw, made)
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:  # torch.export and both back ends derive theirs from these
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError("export.cannot", backbone=loaded.config.model.backbone, format=form, reason=reason[:200]) from error
        found: dict[str, Any] = {"device": device}
        if runner is not None:
            found["difference"] = _difference(raw, runner, device)
            if not found["difference"] <= TOLERANCE:
                raise ConfigError("export.differs", format=form, difference=f"{found['difference']:.2g}")
        atomic_write(target, made.read_bytes())
    text = json.dumps({**about, **found, **description(loaded, raw)}, ensure_ascii=False, indent=1)
    atomic_write(description_of(target), text.encode("utf-8"))
    return found


def description(loaded: LoadedForecaster, raw: RawForecaster) -> dict[str, Any]:
    """What a program that has only the file must know: the inputs with their order, the outputs with their units, and where they come from."""
    header, (length, columns) = loaded.header, raw.window
    label, config = header["label"], loaded.config
    days, levels = loaded.horizon, len(loaded.levels)
    shapes = {"expected": ["batch", days], "quantiles": ["batch", days, levels], "probabilities": ["batch", len(CLASSES)],
              **{f"expected_{name}": ["batch"] for name in FIGURES}}
    meanings = {"expected": "expected cumulative log return over 1..horizon days", "quantiles": "cumulative log return at the quantile levels",
                "probabilities": "chances of the classes", "expected_volatility": "root mean square of the one-bar log returns within the horizon",
                "expected_momentum": "mean of these returns over their root mean square, -1..1"}
    return {
        "inputs": {
            "values": {"dtype": "float32", "shape": ["batch", length, columns],
                       "meaning": "features of the last bars as they are computed, the newest bar last, not normalised"},
            "condition": {"dtype": "int64", "shape": ["batch", len(CONDITIONS)], "meaning": "index of each class, or one more: unknown"},
            "ranks": {"dtype": "float32", "shape": ["batch", len(RANKS)], "meaning": "place among the stocks of the date, -0.5..0.5; 0: unknown"},
            "volatility": {"dtype": "float32", "shape": ["batch"], "meaning": "trailing 21-bar deviation of daily log returns, at least 0.002"},
        },
        **({"batch": "all stocks of one date: each forecast depends on the others"} if raw.one_date else {}),
        "outputs": {name: {"dtype": "float32", "shape": shapes[name], "meaning": meanings[name]} for name in raw.outputs},
        "features": list(loaded.features), "conditions": {name: list(values) for name, values in CONDITIONS.items()}, "ranks": list(RANKS),
        "classes": list(CLASSES), "quantile_levels": list(loaded.levels), "context_length": length, "horizon": loaded.horizon,
        "label": label, "model": config.model.backbone, "normalisation": config.features.normalisation,
        "split": header.get("split"), "data": header.get("data"), "metrics": header.get("metrics"), "libraries": header.get("libraries"),
        "created": header.get("created"), "weights_hash": header["weights_hash"],
    }


def _traced(raw: RawForecaster) -> torch.export.ExportedProgram:
    """The module as a graph in which the number of windows is free."""
    import torch

    batch = torch.export.Dim("batch", min=1, max=65_536)
    example = tuple(part.to(next(raw.buffers()).device) for part in raw.example(4))
    return torch.export.export(raw, example, dynamic_shapes=({0: batch},) * len(INPUTS))


def _onnx(raw: RawForecaster, path: Path) -> tuple[str, Runner | None]:
    import torch

    program = torch.onnx.export(_traced(raw), dynamo=True, input_names=list(INPUTS), output_names=list(raw.outputs), verbose=False)
    program.save(path)  # type: ignore[union-attr]
    return "any", _onnx_runner(path) if find_spec("onnxruntime") else None


def _onnx_runner(path: Path) -> Runner:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    known = {entry.name for entry in session.get_inputs()}  # an unconditioned model never looks at condition and ranks

    def run(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = {name: tensor.numpy() for name, tensor in zip(INPUTS, inputs, strict=True) if name in known}
        return tuple(torch.from_numpy(output) for output in session.run(None, given))

    return run


def _aoti(raw: RawForecaster, path: Path) -> tuple[str, Runner | None]:
    from torch._inductor import aoti_compile_and_package, aoti_load_package

    from financial_model import runtime

    device = runtime.device()  # the package is machine code: it runs on the kind of device it was made for
    raw.to(device)
    package = aoti_load_package(aoti_compile_and_package(_traced(raw), package_path=str(path)))

    def run(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = package(*inputs)
        return tuple(found) if isinstance(found, tuple | list) else (found,)

    return device.type, run


def _difference(raw: RawForecaster, runner: Runner, device: str) -> float:
    """Largest difference between the checkpoint's forecasts and the file's."""
    inputs = raw.example(_TRIED, seed=1)
    if device != "any":
        inputs = tuple(part.to(device) for part in inputs)
    pairs = zip(raw(*inputs), runner(*inputs), strict=True)
    return max(float((own - other.reshape(own.shape)).abs().max()) for own, other in pairs)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters tell a programmer's story in warnings; ours is the answer of the command."""
    import warnings

    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
