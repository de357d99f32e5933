"""What can be typed: every command with its flags. The flags of ``train`` are the settings of ``config``, their help is the form's.

In: a language. Out: a parser whose result names the command. It runs nothing and knows no layer below but the configuration and one default.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from financial_model import __version__, config
from financial_model.errors import ConfigError
from financial_model.paths import Workspace
from financial_model.serving.search import DEFAULT_TRIALS
from financial_model.text import LANGUAGES, translate

DEMO_FOLDER = Path("demo_output")


class Parser(argparse.ArgumentParser):
    """argparse that raises a sentence instead of printing usage and leaving the process."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError("cli.usage", message=message.rstrip("."), program=self.prog)


def language_of(arguments: Sequence[str]) -> str:
    """The language to speak before anything is parsed: ``--language``, else the environment's, else English."""
    for place, word in enumerate(arguments):
        value = word.partition("=")[2] if word.startswith("--language=") else (arguments[place + 1 : place + 2] or [""])[0]
        if word.startswith("--language") and value in LANGUAGES:
            return value
    spoken = os.environ.get("KAIROS_LANGUAGE") or os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return "zh" if spoken.lower().startswith("zh") else "en"


def build_parser(language: str = "en") -> Parser:
    """The whole command line in ``language``."""
    words = _Words(language)
    parser = Parser(prog="kairos", description=words("about"), allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"kairos {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    common = _common(words)

    def command(name: str) -> Parser:
        return commands.add_parser(name, help=words(f"{name}.about"), description=words(f"{name}.about"), parents=[common], allow_abbrev=False)

    _data_commands(command, words)
    _run_commands(command, words)
    _measuring_commands(command, words)
    _forecast_commands(command, words)
    _action_commands(command, words)
    _machine_commands(command, words)
    return parser


class _Words:
    """Help texts: ``cli.<name>`` with argparse's percent signs doubled."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, name: str, **fields: object) -> str:
        return self.text(f"cli.{name}", **fields)

    def text(self, key: str, **fields: object) -> str:
        return translate(key, self.language, **fields).replace("%", "%%")


def _common(words: _Words) -> Parser:
    common = Parser(add_help=False)
    group = common.add_argument_group(words("common"))
    defaults = Workspace()
    group.add_argument("--json", action="store_true", help=words("flag.json"))
    group.add_argument("--data-dir", type=Path, default=None, metavar="DIR", help=words("flag.data_dir", default=defaults.data_dir))
    group.add_argument("--checkpoint-dir", type=Path, default=None, metavar="DIR", help=words("flag.checkpoint_dir", default=defaults.checkpoint_dir))
    group.add_argument("--language", choices=LANGUAGES, default=None, help=words("flag.language"))
    return common


def _data_commands(command: Any, words: _Words) -> None:
    parser = command("download")
    parser.add_argument("--source", required=True, metavar="SOURCE", help=words("flag.source"))
    parser.add_argument("--symbols", default="", metavar="A,B", help=words("flag.symbols"))
    parser.add_argument("--count", type=int, default=None, metavar="N", help=words("flag.count"))
    parser.add_argument("--start", default="", metavar="DATE", help=words("flag.start"))
    parser.add_argument("--boards", default="", metavar="A,B", help=words("flag.boards"))
    parser.add_argument("--exclude-st", action="store_true", help=words("flag.exclude_st"))
    parser.add_argument("--server", default="", metavar="HOST:PORT", help=words("flag.server"))
    parser.add_argument("--packets", default="", metavar="DIGITS", help=words("flag.packets"))
    parser.add_argument("--interval", default="", metavar="LENGTH", help=words("flag.interval"))
    parser.add_argument("--retry", action="store_true", help=words("flag.retry"))
    parser.add_argument("--plan", action="store_true", help=words("flag.plan"))
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help=words("flag.option"))

    parser = command("import")
    parser.add_argument("paths", nargs="+", metavar="PATH", help=words("flag.paths"))
    parser.add_argument("--industry", default=None, metavar="FILE", help=words("flag.industry_file"))
    parser.add_argument("--volume-unit", choices=("auto", "shares", "lots"), default="auto", help=words("flag.volume_unit"))
    parser.add_argument("--prices", choices=("auto", "raw", "adjusted"), default="auto", help=words("flag.prices"))
    parser.add_argument("--column", action="append", default=[], metavar="FIELD=HEADER", help=words("flag.column"))
    parser.add_argument("--plan", action="store_true", help=words("flag.import_plan"))

    command("analyze")

    parser = command("integrity")
    parser.add_argument("symbols", nargs="*", metavar="SYMBOL", help=words("flag.integrity_symbols"))
    parser.add_argument("--csv", default="", metavar="FILE", help=words("flag.integrity_csv"))

    command("sources")


def _run_commands(command: Any, words: _Words) -> None:
    parser = command("train")
    parser.add_argument("--preset", choices=tuple(config.PRESETS), default="standard", help=words("flag.preset"))
    parser.add_argument("--resume", default="", metavar="RUN", help=words("flag.resume"))
    _settings(parser, words)

    parser = command("pretrain")
    parser.add_argument("--preset", choices=tuple(config.PRESETS), default="standard", help=words("flag.preset"))
    parser.set_defaults(resume="")
    _settings(parser, words, without=("method", "init_from"))

    parser = command("evaluate")
    parser.add_argument("run", metavar="RUN", help=words("flag.run"))
    parser.add_argument("--html", default="", metavar="FILE", help=words("flag.html"))
    parser.add_argument("--importance", action="store_true", help=words("flag.importance"))

    parser = command("runs")
    parser.add_argument("--empty-trash", action="store_true", help=words("flag.empty_trash"))

    parser = command("export")
    parser.add_argument("run", metavar="RUN", help=words("flag.run"))
    parser.add_argument("file", metavar="FILE", help=words("flag.export_file"))
    parser.add_argument("--format", choices=("safetensors", "onnx", "aoti"), default="", help=words("flag.export_format"))
    parser.add_argument("--checkpoint", default="", metavar="KIND", help=words("flag.checkpoint"))


def _measuring_commands(command: Any, words: _Words) -> None:
    parser = command("backtest")
    parser.add_argument("run", metavar="RUN", help=words("flag.run"))
    parser.add_argument("--top", type=int, default=None, metavar="N", help=words("flag.backtest_top"))
    for name, kind in (("drop", int), ("every", int), ("minimum_holding", int), ("industry_cap", float), ("capital", float), ("volume_share", float)):
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=None, metavar="N" if kind is int else "X", help=words(f"flag.{name}"))
    parser.add_argument("--csv", default="", metavar="FILE", help=words("flag.trades_csv"))

    parser = command("compare")
    parser.add_argument("--models", default="", metavar="A,B", help=words("flag.models"))
    parser.add_argument("--runs", default="", metavar="RUN,RUN", help=words("flag.compare_runs"))
    parser.add_argument("--rank-by", default="rank_ic", metavar="FIGURE", help=words("flag.rank_by"))
    parser.add_argument("--resume", default="", metavar="COMPARISON", help=words("flag.compare_resume"))
    _source(parser, words)
    parser.add_argument("--csv", default="", metavar="FILE", help=words("flag.compare_csv"))
    parser.add_argument("--html", default="", metavar="FILE", help=words("flag.html"))
    parser.add_argument("--preset", choices=tuple(config.PRESETS), default="standard", help=words("flag.preset"))
    _settings(parser, words)

    parser = command("sweep")
    parser.add_argument("--search", action="append", default=[], metavar="NAME=VALUES", help=words("flag.search"))
    parser.add_argument("--trials", type=int, default=None, metavar="N", help=words("flag.trials", count=DEFAULT_TRIALS))
    parser.add_argument("--by", default="loss", metavar="FIGURE", help=words("flag.sweep_by"))
    parser.add_argument("--prune", action=argparse.BooleanOptionalAction, default=True, help=words("flag.prune"))
    parser.add_argument("--resume", default="", metavar="SWEEP", help=words("flag.sweep_resume"))
    parser.add_argument("--csv", default="", metavar="FILE", help=words("flag.sweep_csv"))
    parser.add_argument("--preset", choices=tuple(config.PRESETS), default="standard", help=words("flag.preset"))
    _settings(parser, words)

    parser = command("quickstart")
    parser.add_argument("--tickers", default="", metavar="A,B", help=words("flag.tickers"))
    parser.add_argument("--source", nargs="+", default=["yahoo"], metavar="SOURCE", help=words("flag.quickstart_source"))
    parser.add_argument("--html", default="", metavar="FILE", help=words("flag.html"))
    parser.add_argument("--preset", choices=tuple(config.PRESETS), default="quick", help=words("flag.preset"))
    _settings(parser, words, without=("symbols",))

    parser = command("recover")
    parser.add_argument("run", nargs="?", default="", metavar="RUN", help=words("flag.recover_run"))
    parser.add_argument("--quick", action="store_true", help=words("flag.quick"))
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help=words("flag.seeds"))
    parser.add_argument("--variants", default="", metavar="A,B", help=words("flag.variants"))
    parser.add_argument("--stocks", type=int, default=None, metavar="N", help=words("flag.stocks"))
    parser.add_argument("--years", type=float, default=None, metavar="X", help=words("flag.years"))
    parser.add_argument("--preset", choices=tuple(config.PRESETS), default=None, help=words("flag.recover_preset"))
    _settings(parser, words, without=("seeds",))  # here the flag counts markets; an ensemble is tried as `recover RUN`


def _forecast_commands(command: Any, words: _Words) -> None:
    parser = command("predict")
    parser.add_argument("run", metavar="RUN", help=words("flag.run"))
    parser.add_argument("--symbol", required=True, metavar="CODE", help=words("flag.symbol"))
    parser.add_argument("--as-of", default="", metavar="DATE", help=words("flag.as_of"))
    parser.add_argument("--days", type=int, default=None, metavar="N", help=words("flag.days"))
    parser.add_argument("--publish", action="store_true", help=words("flag.publish"))

    parser = command("rank")
    parser.add_argument("run", metavar="RUN", help=words("flag.run"))
    parser.add_argument("--top", type=int, default=20, metavar="N", help=words("flag.top"))
    parser.add_argument("--as-of", default="", metavar="DATE", help=words("flag.as_of"))
    parser.add_argument("--min-gain", type=float, default=None, metavar="X", help=words("flag.min_gain"))
    parser.add_argument("--industry", default="", metavar="NAME", help=words("flag.industry"))
    parser.add_argument("--csv", default="", metavar="FILE", help=words("flag.csv"))
    parser.add_argument("--publish", action="store_true", help=words("flag.publish"))
    parser.add_argument("--watch", type=float, default=None, metavar="SECONDS", help=words("flag.watch"))


def _action_commands(command: Any, words: _Words) -> None:
    """What follows from a forecast."""
    parser = command("orders")
    parser.add_argument("run", metavar="RUN", help=words("flag.run"))
    parser.add_argument("--holdings", default="", metavar="FILE", help=words("flag.holdings"))
    parser.add_argument("--capital", type=float, default=None, metavar="X", help=words("flag.orders_capital"))
    parser.add_argument("--cash", type=float, default=None, metavar="X", help=words("flag.cash"))
    parser.add_argument("--top", type=int, default=None, metavar="N", help=words("flag.backtest_top"))
    for name in ("drop", "minimum_holding"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=None, metavar="N", help=words(f"flag.{name}"))
    for name in ("industry_cap", "volume_share", "commission", "commission_minimum", "slippage"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=None, metavar="X", help=words(f"flag.{name}"))
    parser.add_argument("--as-of", default="", metavar="DATE", help=words("flag.as_of"))
    parser.add_argument("--csv", default="", metavar="FILE", help=words("flag.orders_csv"))

    parser = command("journal")
    parser.add_argument("action", nargs="?", choices=("list", "publish", "score"), default="list", metavar="{list,publish,score}",
                        help=words("flag.journal_action"))
    parser.add_argument("run", nargs="?", default="", metavar="RUN", help=words("flag.journal_run"))
    parser.add_argument("--symbol", default="", metavar="CODE", help=words("flag.journal_symbol"))
    parser.add_argument("--as-of", default="", metavar="DATE", help=words("flag.as_of"))
    parser.add_argument("--days", type=int, default=None, metavar="N", help=words("flag.days"))


def _machine_commands(command: Any, words: _Words) -> None:
    command("models")
    command("features")

    parser = command("doctor")
    parser.add_argument("--rebuild", action="store_true", help=words("flag.rebuild"))

    parser = command("demo")
    parser.add_argument("--seed", type=int, default=7, metavar="N", help=words("flag.demo_seed"))

    parser = command("serve")
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help=words("flag.host"))
    parser.add_argument("--listen", action="store_true", help=words("flag.listen"))
    parser.add_argument("--port", type=int, default=7860, metavar="PORT", help=words("flag.port"))
    parser.add_argument("--auth", default="", metavar="USER:PASS", help=words("flag.auth"))

    command("mcp")


def _source(parser: Parser, words: _Words) -> None:
    """Where bars come from, for commands that bring their own."""
    parser.add_argument("--source", nargs="+", default=[], metavar="SOURCE", help=words("flag.own_source"))
    parser.add_argument("--count", type=int, default=None, metavar="N", help=words("flag.count"))


def _settings(parser: Parser, words: _Words, without: Sequence[str] = ()) -> None:
    """Every setting of a run as a flag, by section, but for those in ``without``."""
    sections: dict[str, Any] = {}
    for entry in config.fields():
        if entry.name in without:
            continue
        title = words(f"section.{entry.section or 'run'}")
        group = sections.setdefault(title, parser.add_argument_group(title) if title not in sections else None)
        _add_setting(group, entry, words)


def _add_setting(group: Any, entry: config.FieldSpec, words: _Words) -> None:
    """One setting as a flag. Its value stays a text here: ``config.build`` converts and checks it, and names what is wrong."""
    about = words.text(f"form.{entry.name}.help")
    shown = ",".join(map(str, entry.default)) if isinstance(entry.default, tuple) else entry.default
    if shown not in ("", None):
        about = f"{about} [{str(shown).replace('%', '%%')}]"
    options: dict[str, Any] = {"dest": f"setting_{entry.name}", "default": argparse.SUPPRESS, "help": about}
    if entry.kind is bool:
        group.add_argument(f"--{entry.flag}", action=argparse.BooleanOptionalAction, **options)
        return
    if entry.name == "walk_forward":  # the flag alone says enough
        options |= {"nargs": "?", "const": "expanding"}
    if entry.choices and entry.kind is not tuple:
        options["metavar"] = "{" + ",".join(entry.choices) + "}"
    else:
        options["metavar"] = {int: "N", float: "X", str: "TEXT", tuple: "A,B"}[entry.kind]
    group.add_argument(f"--{entry.flag}", **options)


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings a user typed, by field name; what he left out is not among them."""
    return {name.removeprefix("setting_"): value for name, value in vars(arguments).items() if name.startswith("setting_")}


def workspace_of(arguments: argparse.Namespace, base: Workspace | None = None) -> Workspace:
    base = base or Workspace()
    return Workspace(data_dir=arguments.data_dir or base.data_dir, checkpoint_dir=arguments.checkpoint_dir or base.checkpoint_dir)
