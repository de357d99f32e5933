"""From typed words to an exit code: parse, run one command, answer; errors become one line.

In: the arguments. Out: 0, 2 for a user's error or a job that gave up half-way, 130 for an abort, 1 for a bug (logged under an id). It knows no
command's insides.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

from financial_model import extensions
from financial_model.cli.arguments import build_parser, language_of
from financial_model.cli.failures import record
from financial_model.cli.output import Answer, Output, logs_to_stderr
from financial_model.errors import KairosError, Stopped
from financial_model.serving.failures import error_id, memory_failure

COMMANDS: dict[str, tuple[str, str]] = {
    "download": ("market", "download"), "import": ("market", "import_files"), "analyze": ("market", "analyze"), "sources": ("market", "sources"),
    "integrity": ("checking", "integrity"),
    "train": ("training", "train"), "pretrain": ("training", "pretrain"),
    "evaluate": ("training", "evaluate"), "runs": ("training", "runs"), "export": ("training", "export"),
    "backtest": ("backtest", "backtest"), "recover": ("recovery", "recover"), "compare": ("comparing", "compare"),
    "sweep": ("sweeping", "sweep"),
    "quickstart": ("quick", "quickstart"),
    "predict": ("forecasting", "predict"), "rank": ("forecasting", "rank"),
    "orders": ("orders", "orders"), "journal": ("journal", "journal"),
    "models": ("machine", "models"), "features": ("machine", "features"), "doctor": ("machine", "doctor"), "serve": ("serving", "serve"),
    "mcp": ("serving", "mcp"),
    "demo": ("demo", "demo"),
}
"""Command -> module of this package and function ``(arguments, output) -> Answer``; loaded when it is called for."""


def run(arguments: Sequence[str]) -> int:
    """One command, from its words to its exit code."""
    _speak_utf8()
    output = Output(as_json="--json" in arguments, language=language_of(arguments))
    try:
        extensions.load()
        parsed = build_parser(output.language).parse_args(list(arguments))
    except KairosError as error:
        output.problem(error.message(output.language))
        return 2
    except SystemExit as leaving:  # --help and --version have said what they say
        return int(leaving.code or 0)
    parsed.language_given = parsed.language is not None
    parsed.language = output.language
    logs_to_stderr()
    return _perform(_command(parsed.command), parsed, output)


def _command(name: str) -> Callable[[argparse.Namespace, Output], Answer | None]:
    module, function = COMMANDS[name]
    return getattr(importlib.import_module(f"financial_model.cli.{module}"), function)


def _perform(command: Callable[[argparse.Namespace, Output], Answer | None], parsed: argparse.Namespace, output: Output) -> int:
    try:
        answer = command(parsed, output)
        if answer is not None:  # a command that goes on for hours has answered on its way
            output.answer(answer)
            return 0 if answer.complete else 2
    except KairosError as error:
        output.problem(error.message(output.language))
        return 2
    except (KeyboardInterrupt, Stopped):
        output.problem(output.word("cli.aborted"))
        return 130
    except BrokenPipeError:  # the reader of our output has gone (| head)
        sys.stderr.close()
        return 0
    except Exception as error:
        # The outermost place: whatever reaches it is a bug, and a person gets its number instead of a traceback.
        failure = memory_failure(error)
        if failure is not None:
            output.problem(failure.message(output.language))
            return 2
        number = error_id(error)
        output.problem(output.word("cli.unexpected", id=number, where=record(number, parsed)), error_id=number)
        return 1
    return 0


def _speak_utf8() -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
