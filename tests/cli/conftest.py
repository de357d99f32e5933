"""Commands called in this process, and one small demo market with one run for those that need it."""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from financial_model.__main__ import main

torch.set_num_threads(1)

TINY = ["--model", "gru", "--hidden", "16", "--layers", "1", "--context-length", "10", "--epochs", "1", "--windows-per-epoch", "2000",
        "--groups", "return,rank", "--horizon", "3", "--precision", "fp32", "--device", "cpu"]


@dataclass
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def data(self):
        """The one JSON object on standard output."""
        lines = self.out.splitlines()
        assert len(lines) == 1, f"standard output holds {len(lines)} lines"
        found = json.loads(lines[0])
        assert isinstance(found, dict)
        return found

    @property
    def errors(self):
        return [line for line in self.err.splitlines() if line.startswith(("Error:", "错误"))]


class Shell:
    """``call("runs", "--json")`` in a workspace."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, command: str, *arguments: str) -> Said:
        out, err = io.StringIO(), io.StringIO()
        folders = ["--data-dir", str(self.folder / "data"), "--checkpoint-dir", str(self.folder / "runs")]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([command, *arguments, *folders])
        return Said(code, out.getvalue(), err.getvalue())

    def refuses(self, command: str, *arguments: str) -> str:
        """The sentence of a user's error: exit code 2, one line, no traceback, and on standard output an object that says the same."""
        said = self(command, *arguments, "--json")
        assert said.code == 2, f"{said.code}: {said.err}{said.out}"
        assert len(said.errors) == 1 and "Traceback" not in said.err and "Traceback" not in said.out
        assert said.data["error"].split() == said.errors[0].removeprefix("Error: ").split()
        return said.errors[0]


@pytest.fixture
def shell(tmp_path):
    """An empty workspace."""
    return Shell(tmp_path)


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A demo market of 60 stocks and one finished run called ``first``: read it, do not write into it."""
    call = Shell(tmp_path_factory.mktemp("demo"))
    call.downloaded = call("download", "--source", "demo", "--count", "60", "--option", "years=2", "--json")
    call.trained = call("train", *TINY, "--condition", "concat", "--name", "first", "--json")
    return call
