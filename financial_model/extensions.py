"""A user's own Python files: backbones, features, sources and labels register themselves by their decorators while a file is read.

In: the environment variable ``KAIROS_EXTENSIONS``, files or folders of files. Out: what they registered. Nothing else names such a file: the page
cannot.
The variable and not a flag, because the child processes that compute features must read the same files.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from financial_model.errors import ConfigError

VARIABLE = "KAIROS_EXTENSIONS"
PREFIX = "kairos_extension_"


def load() -> list[str]:
    """Read every file that was not read yet; names of the modules. ``ConfigError`` names a file that is missing or fails."""
    return [_load(path) for path in files()]


def files() -> list[Path]:
    """The files the variable stands for, in its order; of a folder those that end in ``.py``, by name."""
    found: list[Path] = []
    for text in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        path = Path(text)
        if not path.exists():
            raise ConfigError("extensions.missing", path=str(path), variable=VARIABLE)
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return found


def _load(path: Path) -> str:
    name = PREFIX + "".join(letter if letter.isalnum() else "_" for letter in path.stem)
    if name in sys.modules:
        return name
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ConfigError("extensions.missing", path=str(path), variable=VARIABLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's own file can fail in any way; the sentence says which and how
        del sys.modules[name]
        raise ConfigError("extensions.broken", path=str(path), reason=f"{type(error).__name__}: {error}"[:200]) from error
    return name
