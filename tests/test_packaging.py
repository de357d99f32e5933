"""What `pip install .` puts on a disk: every file the package reads beside its code, and the command `kairos`."""

import tomllib
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGE = ROOT / "financial_model"


def test_every_file_beside_the_code_is_package_data():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["financial_model"]
    packed = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    beside = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".nbi", ".nbc")}
    assert {path.suffix for path in beside} >= {".toml", ".css", ".svg", ".html"}
    assert sorted(beside - packed) == []


def test_every_folder_with_code_is_a_package():
    """Only folders with an `__init__.py` are found by setuptools' `packages.find`."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_the_command_kairos_is_the_entry_of_the_package():
    module, _, function = PROJECT["project"]["scripts"]["kairos"].partition(":")
    assert getattr(import_module(module), function) is import_module("financial_model.__main__").main


def test_the_requirements_of_the_wheel_are_exact_pins_of_files_that_exist():
    named = PROJECT["tool"]["setuptools"]["dynamic"]["dependencies"]["file"]
    lines = [line for name in named for line in (ROOT / name).read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert lines and all("==" in line for line in lines)
