"""A user's own Python files: backbones, features, sources and labels register themselves by their decorators while a file is read.

In: the environment variable ``KAIROS_EXTENSIONS``, files or folders of files. Out: what they registered. Nothing else names such a file: the page
cannot.
The variable and not a flag, because the child processes that compute features must read the same files.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from financial_model.errors import ConfigError, DataError, KairosError

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
        first = str(sys.modules[name].__file__)
        if first != str(path.resolve()):
            raise ConfigError("extensions.same_name", path=str(path), first=first)
        return name
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ConfigError("extensions.missing", path=str(path), variable=VARIABLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except KairosError as error:
        del sys.modules[name]
        raise ConfigError("extensions.refused", path=str(path), reason=error) from error
    except Exception as error:  # a user's own file can fail in any way; the sentence says which and how
        del sys.modules[name]
        raise ConfigError("extensions.broken", path=str(path), reason=f"{type(error).__name__}: {error}"[:200]) from error
    return name


def telling(name: str, function: Callable, *, but: tuple[type[Exception], ...] = ()) -> Callable:
    """``function`` of a user's own, called ``name``: what goes wrong in it becomes a ``DataError`` that says where, errors of the
    kinds ``but`` excepted."""

    through: tuple[type[Exception], ...] = (KairosError, *but)

    @functools.wraps(function)
    def told(*values: Any, **named: Any) -> Any:
        try:
            return function(*values, **named)
        except through:
            raise
        except Exception as error:
            raise DataError("extensions.fails", name=name, reason=f"{type(error).__name__}: {error}"[:200]) from error

    return told
