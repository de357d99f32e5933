"""What is said about market data on its page: a plan before a download, how files would be read, what is doubtful in what is stored.

In: plain data of the market layer and the visitor's view. Out: HTML and rows. It reads no store and checks no bar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from financial_model.ui import components
from financial_model.ui.text import View, count, duration, escape, number, percent, size

COUNTED = ("missing_sessions", "suspended", "zero_volume", "limit", "repeated", "unit", "behind")
COLUMNS = ("symbol", "first", "last", "rows", "missing_sessions", "longest_gap", *COUNTED[1:])
SHOWN_STOCKS, SHOWN_FINDINGS = 200, 200

def hosts(view: View, found: Sequence[Mapping[str, Any]]) -> str:
    """Which hosts answered with fresh bars and how soon; why the others did not."""
    lines = [
        components.note(view.word("ui.hosts.good", host=entry["address"], ms=count(1000 * entry["seconds"])), "good")
        if entry["error"] is None
        else components.note(view.word("ui.hosts.bad", host=entry["address"], reason=entry["error"].message(view.language)), "bad")
        for entry in found
    ]
    return "".join(lines)


Report = Mapping[str, Any]
"""``serving.market.check_integrity``: totals, symbols, findings."""


def integrity_head(view: View, report: Report, *, stale: bool) -> str:
    """Totals per kind of doubt."""
    totals = report["totals"]
    figures = [(view.word(f"ui.integrity.{name}"), count(totals[name]), "") for name in ("symbols", "doubtful")]
    figures += [(view.word(f"cli.integrity.{name}"), count(totals[name]), view.word(f"ui.integrity.hint.{name}")) for name in COUNTED]
    said = components.note(view.word("ui.integrity.stale"), "warn") if stale else ""
    if not totals["doubtful"]:
        said += components.note(view.word("ui.integrity.clean"), "good")
    listed = len(_worst(report))
    if listed > SHOWN_STOCKS:
        said += components.note(view.word("ui.integrity.shown", shown=SHOWN_STOCKS, count=count(listed)))
    return components.tiles(figures) + said


def integrity_rows(view: View, report: Report) -> dict[str, Any]:
    """Headers and counts of the stocks with most findings, for ``gr.Dataframe``."""
    headers = [view.word("ui.integrity.rows" if name == "rows" else f"cli.integrity.{name}") for name in COLUMNS]
    return {"headers": headers, "data": [[entry[name] for name in COLUMNS] for entry in _worst(report)[:SHOWN_STOCKS]]}


def _worst(report: Report) -> list[Mapping[str, Any]]:
    found = Counter(entry["symbol"] for entry in report["findings"])
    return sorted((entry for entry in report["symbols"] if entry["symbol"] in found), key=lambda entry: (-found[entry["symbol"]], entry["symbol"]))


def integrity_findings(view: View, report: Report) -> str:
    """The dated findings in words, behind a summary; the rare kinds first, so that a thousand gaps do not hide one wrong unit."""
    findings = report["findings"]
    if not findings:
        return ""
    often = Counter(entry["kind"] for entry in findings)
    chosen = sorted(findings, key=lambda entry: (often[entry["kind"]], entry["kind"], entry["symbol"], entry["date"]))[:SHOWN_FINDINGS]
    rows = [[escape(entry["symbol"]), escape(view.word(f"ui.integrity.kind.{entry['kind']}")), escape(entry["date"]),
             escape(_what(view, entry))] for entry in chosen]
    headers = [view.word("cli.integrity.symbol"), *(view.word(f"ui.integrity.column.{name}") for name in ("kind", "date", "what"))]
    title = escape(view.word("ui.integrity.findings", count=count(len(findings))))
    return f'<details class="k-more"><summary>{title}</summary>{components.table(headers, rows)}</details>'


def _what(view: View, finding: Mapping[str, Any]) -> str:
    value = number(finding["value"], 2) if finding["kind"] == "unit" else count(finding["value"])
    return view.word(f"ui.integrity.what.{finding['kind']}", value=value, share=percent(finding["value"], signed=True))


def download_plan(view: View, plan: Mapping[str, Any]) -> str:
    """How many stocks, bars and minutes a download would take. ``plan``: ``serving.market.plan_download``."""
    figures = [(view.word(f"ui.plan.{name}"), count(plan[name]), "") for name in ("stocks", "new", "update", "current", "empty", "bars")]
    figures += [(view.word("ui.plan.size"), size(plan["bytes"]), ""), (view.word("ui.plan.time"), duration(plan["seconds"]), "")]
    nothing = "" if plan["stocks"] else components.note(view.word("ui.plan.nothing"), "good")
    return _card(view.word("ui.plan.download"), components.tiles(figures) + nothing)


def import_plan(view: View, plan: Mapping[str, Any]) -> str:
    """Per file: symbols, rows, which column means what, units, and what would be refused. ``plan``: ``serving.market.plan_import``."""
    headers = [view.word(f"ui.plan.column.{name}") for name in ("file", "symbols", "rows", "mapping", "unit", "prices")]
    rows = [[escape(_short(entry["file"])), escape(_symbols(entry)), count(entry["rows"]), _mapping(view, entry),
             escape(_terms(view, "unit", entry["unit"])), escape(_terms(view, "prices", entry["prices"]))] for entry in plan["files"]]
    problems = [(entry["file"], problem) for entry in plan["files"] for problem in entry["problems"]]
    said = "".join(components.note(f"{_short(file)}: {view.word(problem['key'], **problem['fields'])}", "bad")
                   for file, problem in problems[: components.SHOWN_REFUSALS])
    more = components.note(view.word("ui.plan.more", count=plan["more"])) if plan["more"] else ""
    return _card(view.word("ui.plan.files"), components.table(headers, rows) + said + more)


def _short(file: str) -> str:
    return file.replace("\\", "/").rsplit("/", 1)[-1]


def _symbols(entry: Mapping[str, Any]) -> str:
    rest = entry["count"] - len(entry["symbols"])
    return ", ".join(entry["symbols"]) + (f" +{rest}" if rest > 0 else "")


def _mapping(view: View, entry: Mapping[str, Any]) -> str:
    pairs = ", ".join(name if name == header else f"{name} ← {header}" for name, header in entry["mapping"].items())
    ignored: Sequence[str] = entry["ignored"]
    left = f"<small>{escape(view.word('ui.plan.ignored', names=', '.join(ignored)))}</small>" if ignored else ""
    return escape(pairs) + left


def _terms(view: View, kind: str, joined: str) -> str:
    return ", ".join(view.word(f"ui.plan.{kind}_{name}") for name in joined.split("/") if name)


def _card(title: str, body: str) -> str:
    return f'<div class="k-card"><b class="k-title">{escape(title)}</b><div style="height:8px"></div>{body}</div>'
