"""``models``, ``features``, ``doctor``: what this installation can do.

In: parsed arguments. Out: an :class:`Answer`.
"""

from __future__ import annotations

import argparse
from typing import Any

from financial_model import __version__, config
from financial_model.cli.arguments import workspace_of
from financial_model.cli.output import Answer, Output, table
from financial_model.errors import KairosError
from financial_model.paths import Workspace


def models(arguments: argparse.Namespace, output: Output) -> Answer:
    """Every backbone with its number of parameters, for each way to condition it."""
    from financial_model.serving import inventory

    data = inventory.models()
    entries = data["models"]
    sizes = ("hidden", "layers", "heads")
    rows = [[entry["name"], *(str(entry["shape"][name]) for name in sizes), *(f"{count:,}" for count in entry["parameters"].values())]
            for entry in entries]
    head = [output.word("cli.models.name"), *(output.word(f"form.{name}.label") for name in sizes), *config.CONDITION_MODES]
    presets = [f"{name}: " + (", ".join(f"{key} {value}" for key, value in values.items()) or "-") for name, values in config.PRESETS.items()]
    title = output.word("cli.models.title", inputs=data["inputs"])
    return Answer(data, [title, "", *table(head, rows), "", output.word("cli.models.presets"), *presets])


def features(arguments: argparse.Namespace, output: Output) -> Answer:
    """Every feature with its group and a line of explanation."""
    from financial_model.serving import inventory

    data = inventory.features()
    rows = [[entry["name"], entry["group"], entry[output.language]] for entry in data["features"]]
    head = [output.word(f"cli.features.{name}") for name in ("name", "group", "meaning")]
    return Answer(data, table(head, rows))


def doctor(arguments: argparse.Namespace, output: Output) -> Answer:
    """What is there and what is not, in words a user can act on; ``--rebuild`` makes the database anew from the bar files."""
    from financial_model import runtime

    workspace = workspace_of(arguments)
    machine = runtime.describe(workspace.data_dir)
    advice = [output.word(note["key"], **note["fields"]) for note in machine.pop("notes")]
    data: dict[str, Any] = {"version": __version__, "machine": machine, "data_dir": str(workspace.data_dir.resolve()),
                            "checkpoint_dir": str(workspace.checkpoint_dir.resolve())}
    if arguments.rebuild:
        data["rebuild"] = _rebuild(workspace)
    data["data"] = _data(workspace, advice, output)
    data["runs"] = _runs(workspace, advice, output)
    data["advice"] = advice
    return Answer(data, _doctor_lines(data, output))


def _rebuild(workspace: Workspace) -> dict[str, Any]:
    from financial_model.market.store import Store

    return Store(workspace.data_dir).rebuild()


def _data(workspace: Workspace, advice: list[str], output: Output) -> dict[str, Any]:
    """The store's totals; what is wrong with it becomes advice."""
    from financial_model.market.store import Store

    if not (workspace.data_dir / "market.sqlite").is_file():
        advice.append(output.word("serving.no_data", folder=str(workspace.data_dir)))
        return {}
    try:
        summary = Store(workspace.data_dir).summary()
    except KairosError as error:
        advice += [error.message(output.language), output.word("cli.doctor.try_rebuild")]
        return {}
    if not summary["stocks"]:
        advice.append(output.word("serving.no_data", folder=str(workspace.data_dir)))
    if summary["synthetic"]:
        advice.append(output.word("serving.note_synthetic"))
    return summary


def _runs(workspace: Workspace, advice: list[str], output: Output) -> dict[str, int]:
    from financial_model.serving.runs import RunStore

    found = RunStore(workspace.checkpoint_dir).list()
    counts: dict[str, int] = {}
    for run in found:
        counts[run.state] = counts.get(run.state, 0) + 1
        if run.state == "interrupted":
            advice.append(output.word("cli.doctor.interrupted", run=run.id))
    return counts


def _doctor_lines(data: dict[str, Any], output: Output) -> list[str]:
    machine, summary = data["machine"], data["data"]

    def gigabytes(value: Any) -> str:
        return f"{value / 2**30:.1f} GB" if isinstance(value, int | float) and value else "–"

    def yes(value: Any) -> str:
        return output.word("cli.doctor.yes" if value else "cli.doctor.no")

    facts = [
        ("kairos", data["version"]), ("python", machine["python"]), ("system", machine["system"]), ("torch", machine["torch"]),
        ("device", f"{machine['device']} ({machine.get('device_name', '')})"), ("precision", machine.get("precision", "–")),
        ("triton", yes(machine.get("triton"))), ("flash", machine.get("attention") or output.word("cli.doctor.no")),
        ("compile", yes(machine.get("compile"))), ("memory", f"{gigabytes(machine['memory_available'])} / {gigabytes(machine['memory_total'])}"),
        ("disk", gigabytes(machine["disk_free"])), ("data_dir", data["data_dir"]), ("checkpoint_dir", data["checkpoint_dir"]),
        ("stocks", f"{summary['stocks']:,}, {summary['first']} – {summary['last']}" if summary.get("stocks") else "0"),
        ("runs", ", ".join(f"{output.word(f'cli.state.{state}')} {count}" for state, count in data["runs"].items()) or "0"),
    ]
    rebuilt = [output.word("cli.doctor.rebuilt", symbols=data["rebuild"]["symbols"], read=data["rebuild"]["read"])] if "rebuild" in data else []
    rows = [[output.word(f"cli.doctor.{name}"), value] for name, value in facts]
    return [*(f"{name:<{_pad(rows)}}  {value}".rstrip() for name, value in rows), "", *rebuilt, *(f"* {line}" for line in data["advice"])]


def _pad(rows: list[list[str]]) -> int:
    return max(len(row[0]) for row in rows)
