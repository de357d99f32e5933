"""``download``, ``import``, ``analyze``, ``sources``: bars into the store, and what is in it.

In: parsed arguments. Out: an :class:`Answer`. Reading and writing bars is the market layer's business.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Sequence
from typing import Any

from financial_model.cli.arguments import workspace_of
from financial_model.cli.output import Answer, Output, ProgressBar, table
from financial_model.cli.training import stopping
from financial_model.config import CONDITIONS
from financial_model.errors import ConfigError
from financial_model.paths import Workspace
from financial_model.text import translate

SHOWN = 20
"""Refusals spelled out; the rest is in ``--json``."""


def download(arguments: argparse.Namespace, output: Output) -> Answer:
    """Bars from a registered source; with ``--plan`` only what would be done."""
    from financial_model.serving.market import download as fetch
    from financial_model.serving.market import plan_download

    workspace = workspace_of(arguments)
    own = {name: getattr(arguments, name) for name in ("server", "packets", "interval") if getattr(arguments, name)}
    wishes: dict[str, Any] = {
        "symbols": _parts(arguments.symbols), "count": arguments.count, "start": arguments.start, "boards": _parts(arguments.boards),
        "exclude_st": arguments.exclude_st, "options": {**_options(arguments.option), **own}, "retry": arguments.retry}
    if arguments.plan:
        plan = plan_download(workspace, arguments.source, **wishes)
        return Answer(plan, _plan_lines(plan, output))
    with stopping(output) as stop, ProgressBar(output) as progress:
        result = fetch(workspace, arguments.source, **wishes, progress=progress, stop=stop)
    return Answer(result, _download_lines(result, workspace, output), complete=result["halted"] is None)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _plan_lines(plan: dict[str, Any], output: Output) -> list[str]:
    counts = {name: f"{plan[name]:,}" for name in ("stocks", "new", "update", "current", "empty", "bars")}
    return [output.word("cli.download.plan", source=plan["source"], **counts, megabytes=f"{plan['bytes'] / 1e6:,.0f}",
                        minutes=f"{plan['seconds'] / 60:,.1f}")]


def _download_lines(result: dict[str, Any], workspace: Workspace, output: Output) -> list[str]:
    summary, failed = result["summary"], result["failed"]
    lines = [output.word("cli.download.done", source=result["source"], stored=len(result["stored"]), rows=f"{result['rows']:,}",
                         current=result["current"], empty=len(result["empty"]), failed=len(failed))]
    if summary["stocks"]:
        lines.append(output.word("cli.download.store", folder=str(workspace.data_dir), stocks=f"{summary['stocks']:,}",
                                 rows=f"{summary['rows']:,}", first=summary["first"], last=summary["last"]))
    lines += [f"{entry['symbol']}: {translate(entry['key'], output.language, **entry['fields'])}" for entry in failed[:SHOWN]]
    if len(failed) > SHOWN:
        lines.append(output.word("cli.download.more_failed", count=len(failed) - SHOWN))
    if result["halted"]:
        lines.append(translate(result["halted"]["key"], output.language, **result["halted"]["fields"]))
    return lines


def make_demo_market(workspace: Workspace, *, count: int, seed: int, progress: Callable[..., None], stop: threading.Event) -> dict[str, Any]:
    """The demo market of ``demo``."""
    from financial_model.serving.market import download as fetch

    return fetch(workspace, "demo", count=count, options={"seed": seed}, progress=progress, stop=stop)


def _options(given: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` pairs; numbers become numbers."""
    found: dict[str, Any] = {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not (separator and name and value):
            raise ConfigError("cli.bad_option", option=pair[:60])
        found[name.replace("-", "_")] = _number(value)
    return found


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def import_files(arguments: argparse.Namespace, output: Output) -> Answer:
    """A user's own files; what is refused is named with its reason, the rest is taken. With ``--plan`` only how they would be read."""
    from financial_model.serving.market import import_files as read
    from financial_model.serving.market import plan_import

    wishes: dict[str, Any] = {"volume_unit": arguments.volume_unit, "prices": arguments.prices, "columns": arguments.column}
    if arguments.plan:
        plan = plan_import(workspace_of(arguments), arguments.paths, **wishes)
        return Answer(plan, _import_plan_lines(plan, output))
    with stopping(output) as stop, ProgressBar(output) as progress:
        found = read(workspace_of(arguments), arguments.paths, industry=arguments.industry, **wishes, progress=progress, stop=stop)
    refused = found["refused"]
    lines = [output.word("cli.import.done", count=len(found["imported"]), rows=f"{found['rows']:,}", files=found["files"],
                         unchanged=found["unchanged"], refused=len(refused), industries=found["industries"])]
    lines += [output.word("cli.import.refused", file=entry["file"], sentence=translate(entry["key"], output.language, **entry["fields"]))
              for entry in refused[:SHOWN]]
    lines += [translate(entry["key"], output.language, **entry["fields"]) for entry in found["notes"]]
    if found["unmapped"]:
        lines.append(output.word("cli.import.unmapped", words=", ".join(list(found["unmapped"])[:SHOWN])))
    return Answer(found, lines)


def _import_plan_lines(plan: dict[str, Any], output: Output) -> list[str]:
    """Per file: symbols, rows, units, and which header is taken for what; then what would be refused."""
    lines: list[str] = []
    for entry in plan["files"]:
        said = {kind: ", ".join(output.word(f"ui.plan.{kind}_{name}") for name in entry[kind].split("/") if name) or "-"
                for kind in ("unit", "prices")}
        rest = entry["count"] - len(entry["symbols"])
        symbols = ", ".join(entry["symbols"]) + (f" +{rest:,}" if rest > 0 else "")
        lines.append(output.word("cli.import.file", file=entry["file"], symbols=symbols or "-", rows=f"{entry['rows']:,}", **said))
        lines.append("  " + ", ".join(name if name == header else f"{name} <- {header}" for name, header in entry["mapping"].items()))
        if entry["ignored"]:
            lines.append("  " + output.word("ui.plan.ignored", names=", ".join(entry["ignored"])))
        lines += [output.word("cli.import.refused", file=entry["file"], sentence=translate(problem["key"], output.language, **problem["fields"]))
                  for problem in entry["problems"][:SHOWN]]
    return [*lines, output.word("ui.plan.more", count=plan["more"])] if plan["more"] else lines


def analyze(arguments: argparse.Namespace, output: Output) -> Answer:
    """Counts, dates, styles and the regime of what is in the store."""
    from financial_model.serving.market import analyze as look

    with ProgressBar(output) as progress:
        found = look(workspace_of(arguments), progress=progress)
    rows = [[name, ", ".join(f"{label} {count}" for label, count in found["counts"][name].items() if count)]
            for name in CONDITIONS if name in found["counts"] and name != "regime"]
    title = output.word("cli.analyze.title", stocks=f"{found['stocks']:,}", rows=f"{found['rows']:,}", first=found["first"], last=found["last"],
                        sessions=f"{found['sessions']:,}", market=found["market"])
    today = _last_regime(found)
    warnings = [translate(note["key"], output.language, **note["fields"]) for note in found["warnings"]]
    head = [output.word("cli.analyze.condition"), output.word("cli.analyze.counts")]
    return Answer(found, [title, "", *table(head, rows), "", output.word("cli.analyze.regime", regime=today), *warnings])


def _last_regime(found: dict[str, Any]) -> str:
    ribbon = found["regimes"]
    names, last = ribbon["names"], ribbon["regime"][-1]
    return names[last] if last < len(names) else "unknown"


def sources(arguments: argparse.Namespace, output: Output) -> Answer:
    """The registered sources and what each gives."""
    import dataclasses

    from financial_model.market.sources import base

    known: dict[str, Any] = {name: base.source_class(name) for name in base.sources()}
    entries = [{"name": name, **dataclasses.asdict(kind.capabilities)} for name, kind in known.items()]
    gives = ("minute", "events", "industries", "shares", "book", "delisted")
    rows = [[entry["name"], ", ".join(entry["markets"]), output.word("cli.doctor.yes" if entry["network"] else "cli.doctor.no"),
             ", ".join(name for name in gives if entry[name]), str(entry["connections"])] for entry in entries]
    head = [output.word(f"cli.sources.{name}") for name in ("name", "markets", "network", "gives", "connections")]
    return Answer({"sources": entries}, [*table(head, rows), "", output.word("cli.sources.files")])
