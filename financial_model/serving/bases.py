"""The checkpoint a run starts from: found among the runs (on the command line also a file), asked whether it fits, and kept beside the run.

In: settings and the run store. Out: a header, problems, and ``base.safetensors`` in the run's folder, so that a resume needs neither the run it
came from nor its name. Without a file from the caller only runs are looked at, by id or name: a text from a browser never becomes a path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from financial_model import config as settings
from financial_model.config import Problem, RunConfig
from financial_model.errors import CheckpointError, ConfigError, KairosError, NotFoundError
from financial_model.paths import atomic_write
from financial_model.serving.runs import RunInfo, RunStore, run_name
from financial_model.training.base import Header, base_problems, check_features, inherited
from financial_model.training.container import read_header

FILE = "base.safetensors"


def find(runs: RunStore, text: str) -> Path:
    """The checkpoint of the run ``text`` (id or name) that forecasts, or that was pre-trained. ``NotFoundError`` when there is none."""
    return runs.checkpoint(text)


def find_typed(runs: RunStore, text: str) -> Path:
    """For the command line: a ``.safetensors`` file, or a run."""
    path = Path(text)
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise NotFoundError("checkpoint.not_found", path=text)
        return path
    try:
        return find(runs, text)
    except NotFoundError as error:
        raise NotFoundError("transfer.not_a_run", text=text[:80]) if error.key == "runs.unknown" else error from None


def problems(config: RunConfig, runs: RunStore, file: Path | None = None) -> list[Problem]:
    """Everything that can be found wrong before anything is loaded, the base included."""
    return [*_unusable(config), *settings.problems(config), *_unreadable(config), *_misfits(config, runs, file)]


def _unusable(config: RunConfig) -> list[Problem]:
    """A name that no folder can have."""
    try:
        run_name(config.name)
    except ConfigError as error:
        return [Problem(field="name", key=error.key, values=error.fields)]
    return []


def _unreadable(config: RunConfig) -> list[Problem]:
    """A formula that cannot be read, or is unfit to be an input."""
    from financial_model.features import registry

    try:
        registry.names(config.features.groups, config.features.formulas)
    except KairosError as error:
        return [Problem(field="formulas", key=error.key, values=error.fields)]
    return []


def _misfits(config: RunConfig, runs: RunStore, file: Path | None) -> list[Problem]:
    """How the settings and the base differ; a base that cannot be read is a problem of its field."""
    if not config.transfer.init_from or config.transfer.method == "pretrain":
        return []
    try:
        header = read_header(file or find(runs, config.transfer.init_from))
    except KairosError as error:
        return [Problem(field="init_from", key=error.key, values=error.fields)]
    found = base_problems(config, header)
    return found if any(problem.field in ("groups", "formulas") for problem in found) else found + _other_features(config, header)


def _other_features(config: RunConfig, header: Header) -> list[Problem]:
    """The same groups may mean other features: one was added here, or belongs to an extension that is missing."""
    from financial_model.features import registry

    try:
        check_features(registry.names(config.features.groups, config.features.formulas), header)
    except CheckpointError as error:
        return [Problem(field="groups", key=error.key, values=error.fields)]
    except KairosError:
        return []  # a formula that cannot be read is a problem of its own
    return []


def check(config: RunConfig, runs: RunStore, file: Path | None = None) -> None:
    """``ConfigError`` with every error of :func:`problems`."""
    settings.check(config, [*_unreadable(config), *_misfits(config, runs, file)])


def adopt(config: RunConfig, runs: RunStore, run: RunInfo, file: Path | None = None) -> Path | None:
    """The run's own copy of the checkpoint it starts from, checked and made when it is first asked for; None for a run with fresh weights."""
    if not config.transfer.init_from:
        return None
    kept = run.path / FILE
    if not kept.is_file():
        if (run.path / "resume").exists():
            raise CheckpointError("transfer.base_gone", run=run.id)
        check(config, runs, file)
        atomic_write(kept, (file or find(runs, config.transfer.init_from)).read_bytes())
    return kept


def brought_along(runs: RunStore, text: str, method: str, file: Path | None = None) -> dict[str, Any]:
    """Settings (name -> value) that a base asks for; ``training/base.py`` says which."""
    return inherited(read_header(file or find(runs, text)), method)


def begin_with(given: dict[str, Any], runs: RunStore, *, preset: str = "standard", file: Path | None = None) -> RunConfig:
    """Settings over those that the base they name brings along, over the preset."""
    if not given.get("init_from"):
        return settings.build(given, preset=preset)
    method = settings.convert(settings.spec("method"), given.get("method", "full"))
    return settings.build({**brought_along(runs, given["init_from"], method, file), **given}, preset=preset)
