"""``journal``: forecasts on record. ``list`` shows them, ``publish`` adds one, ``score`` says what became of them.

In: parsed arguments. Out: an :class:`Answer`. The journal and its rules are ``serving.journal``'s.
"""

from __future__ import annotations

import argparse
from typing import Any

from financial_model.cli.arguments import workspace_of
from financial_model.cli.forecasting import published_line
from financial_model.cli.output import Answer, Output, ProgressBar, figure, percent, table
from financial_model.cli.training import stopping
from financial_model.errors import ConfigError
from financial_model.serving.runs import RunStore

SHOWN = 20
FIGURES = ("rank_ic", "direction", "direction_base_rate", "mae_percent", "coverage_80")
PERCENTAGES = frozenset({"direction", "direction_base_rate", "coverage_80"})


def journal(arguments: argparse.Namespace, output: Output) -> Answer:
    """One of the three actions."""
    actions = {"list": _list, "publish": _publish, "score": _score}
    return actions[arguments.action](arguments, output)


def _run(arguments: argparse.Namespace) -> str:
    """The id of the run asked for; one that was deleted since is still in the journal by its id."""
    runs = RunStore(workspace_of(arguments).checkpoint_dir)
    return next((run.id for run in runs.list() if arguments.run in (run.id, run.name)), arguments.run)


def _publish(arguments: argparse.Namespace, output: Output) -> Answer:
    from financial_model.serving.journal_publish import publish

    if not arguments.run:
        raise ConfigError("journal.which_run")
    with stopping(output) as stop, ProgressBar(output) as progress:
        entry = publish(workspace_of(arguments), arguments.run, symbol=arguments.symbol, as_of=arguments.as_of or None, days=arguments.days,
                        progress=progress, stop=stop)
    return Answer(entry, [published_line(entry, output)])


def _list(arguments: argparse.Namespace, output: Output) -> Answer:
    from financial_model.serving.journal_score import journal_list

    found = journal_list(workspace_of(arguments), _run(arguments))
    rows = [[entry["number"], entry["published"][:16].replace("T", " "), entry["as_of"], entry["run"],
             entry["symbol"] or output.word("cli.journal.pool"), entry["days"], entry["stocks"], entry["late"] or "", entry["hash"][:16]]
            for entry in found["entries"][:SHOWN]]
    columns = ("number", "published", "as_of", "run", "what", "days", "stocks", "late", "hash")
    body = table([output.word(f"cli.journal.{name}") for name in columns], rows) if rows else [output.word("cli.journal.empty")]
    return Answer(found, [*body, "", chain_line(found["chain"], output)])


def chain_line(chain: dict[str, Any], output: Output) -> str:
    """Whether the journal is whole."""
    if chain["intact"]:
        return output.word("cli.journal.intact", entries=chain["entries"], head=chain["head"][:16])
    return output.word("cli.journal.broken", sentence=output.word(chain["problem"]["key"], **chain["problem"]["fields"]))


def _score(arguments: argparse.Namespace, output: Output) -> Answer:
    from financial_model.serving.journal_score import score

    found = score(workspace_of(arguments), _run(arguments))
    lines = [line for group in found["groups"] for line in _group_lines(group, output)] or [output.word("cli.journal.empty")]
    spoken = [{**group, "track": group["track"] and {**group["track"], "notes": _notes(group, output)}} for group in found["groups"]]
    return Answer({**found, "groups": spoken}, [*lines, chain_line(found["chain"], output)])


def _notes(group: dict[str, Any], output: Output) -> list[str]:
    return [output.word(note["key"], **note["fields"]) for note in group["track"]["notes"]]


def _group_lines(group: dict[str, Any], output: Output) -> list[str]:
    """One run's forecasts of one kind: figures beside the naive rules, months, and the paper portfolio."""
    head = output.word(f"cli.journal.group_{'late' if group['late'] else 'in_time'}", **{name: group[name] for name in (
        "run", "days", "published", "waiting")})
    found = group["track"]
    if found is None:
        return [head, output.word("cli.journal.all_waiting"), ""]
    rivals = found["baselines"]
    rows = [[output.word("ui.metric.model"), *(_cell(found, name) for name in FIGURES)],
            *([output.word(f"ui.term.baseline.{name}"), *(_cell(rival, name) for name in FIGURES)] for name, rival in rivals.items()),
            *([output.word("cli.journal.month", month=row["month"], dates=row["dates"]), *(_cell(row, name) for name in FIGURES)]
              for row in found["months"][-6:])]
    shown = [head, "", *table(["", *(output.word(f"ui.term.metric.{name}") for name in FIGURES)], rows), "", *_notes(group, output)]
    paper = group["paper"]
    if paper is not None:
        earned = {name: percent(paper.get(key, {}).get("total_return"), signed=True)
                  for name, key in (("net", "metrics"), ("equal", "equal_weight"), ("index", "index"))}
        shown.append(output.word("cli.journal.paper", first=_day(paper["series"]["time"][0]), top=paper["settings"]["top"], **earned))
    return [*shown, ""]


def _cell(row: dict[str, Any], name: str) -> str:
    write = percent if name in PERCENTAGES else figure
    text, pair = write(row.get(name)), row.get(f"{name}_interval")
    return f"{text} [{write(pair[0])} … {write(pair[1])}]".replace(" %", "") if pair else text


def _day(time: int) -> str:
    from financial_model.datasets.splits import iso

    return iso(time)
