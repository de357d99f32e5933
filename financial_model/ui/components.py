"""Pieces of the page that are shown, not filled in: cards, tiles, tables of metrics, progress, notes. Every one is HTML made from data and a view.

In: snapshots, metrics, problems. Out: strings for ``gr.HTML``, with everything that came from outside escaped.
It opens nothing and asks no service; forms are in ``forms.py``, figures in ``charts.py``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from financial_model.serving.runs import ACTIVE, RunInfo
from financial_model.text import has
from financial_model.ui.text import DASH, View, count, duration, escape, interval, known, number, percent, size

TONES = {
    "running": "run",
    "working": "run",
    "watching": "good",
    "preparing": "run",
    "stopping": "warn",
    "queued": "accent",
    "finished": "good",
    "stopped": "warn",
    "failed": "bad",
    "interrupted": "warn",
}
METRICS = ("ic", "rank_ic", "icir", "direction", "balanced_accuracy", "mae_percent", "mae", "rmse", "coverage_80", "pinball")
PERCENTAGES = frozenset({"direction", "direction_base_rate", "balanced_accuracy", "coverage_80", "recovery"})
STEPS = ("queued", "panel", "train", "test", "done")
COUNTED_JOBS = ("download", "import")
"""Whose figures are symbols and files: shown with their rate."""
_TESTING = ("evaluate", "baselines", "recalibrate", "backtest", "report")
_STEP_OF = {"": "queued", "queued": "queued", "train": "train", **dict.fromkeys(_TESTING, "test")}

CHART_ICON = (
    '<svg viewBox="0 0 48 48" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round" '
    'aria-hidden="true"><path d="M6 6v36h36"/><path d="M13 33l8-9 7 5 12-15"/></svg>'
)


def badge(text: str, tone: str = "") -> str:
    return f'<span class="k-badge {tone}">{escape(text)}</span>'


def state_badge(state: str, view: View) -> str:
    return badge(view.term("state", state), TONES.get(state, ""))


def job_state(job: Mapping[str, Any]) -> str:
    """A job's state as it is said: what runs and is no training works or watches."""
    if job["state"] != "running" or job["kind"] in ("train", "resume"):
        return str(job["state"])
    return "watching" if job["kind"] == "watch" else "working"


def note(text: str, tone: str = "") -> str:
    return f'<div class="k-note {tone}"><span>{escape(text)}</span></div>'


def empty(view: View, key: str) -> str:
    """An empty place that says what to do next: ``<key>.title`` and ``<key>.next``."""
    return f'<div class="k-empty">{CHART_ICON}<b>{escape(view.word(f"{key}.title"))}</b><p>{escape(view.word(f"{key}.next"))}</p></div>'


ONE_LINE = 9
"""Characters of a figure that fit a tile in one line even where they are several words."""


def tiles(figures: Iterable[tuple[str, str, str]]) -> str:
    """Key figures side by side: (label, figure, small print)."""

    def kind(figure: str) -> str:
        return "words" if " " in figure and len(figure) > ONE_LINE else "whole"

    cells = "".join(
        f'<div class="k-tile"><span>{escape(label)}</span><b class="{kind(figure)}">{escape(figure)}</b><small>{escape(small)}</small></div>'
        for label, figure, small in figures
    )
    return f'<div class="k-tiles">{cells}</div>'


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, own: int | None = None, text: Iterable[int] = ()) -> str:
    """A table of ready-made HTML cells; column number ``own`` is set off, the columns ``text`` hold words and begin on the left as the first does."""
    words = set(text)

    def line(tag: str, cells: Sequence[str]) -> str:
        kinds = (" ".join(["own"] * (place == own) + ["text"] * (place in words)) for place in range(len(cells)))
        return "".join(f'<{tag} class="{kind}">{cell}</{tag}>' if kind else f"<{tag}>{cell}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    head = line("th", [_whole_words(escape(header)) for header in headers])
    return f'<div class="k-scroll"><table class="k-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _whole_words(text: str) -> str:
    """No line is broken at a hyphen: 12-1 is one word."""
    return re.sub(r"\S+-\S+", r'<span style="white-space: nowrap; color: inherit">\g<0></span>', text)


# ---------------------------------------------------------------- the status bar
def status_bar(view: View, machine: Mapping[str, Any], market: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]]) -> str:
    """Device, memory, disk, data as of, and what is running."""

    def entry(key: str, text: str) -> str:
        return f"<span><i>{escape(view.word(key))}</i>{escape(text)}</span>"

    parts = [
        entry("ui.status.device", machine.get("device", DASH)),
        entry("ui.status.memory", memory(machine)),
        entry("ui.status.disk", size(machine.get("disk_free"))),
    ]
    stocks = market.get("stocks") or 0
    parts.append(
        entry(
            "ui.status.data",
            f"{market.get('last') or DASH}  ·  {view.word('ui.status.stocks', count=count(stocks))}" if stocks else view.word("ui.status.no_data"),
        )
    )
    if market.get("synthetic"):
        parts.append(badge(view.word("ui.synthetic"), "warn"))
    running = [job for job in jobs if job["state"] != "queued"]
    waiting = len(jobs) - len(running)
    parts.append('<span class="k-grow"></span>')
    for job in running:
        share = f" {job['done'] / job['total']:.0%}" if job["total"] else ""
        title = f"{view.term('job', job['kind'])} {job['run']}"
        parts.append(f'<span><b class="k-dot live"></b>{escape(title)}<i>{escape(doing(job, view))}{share}</i></span>')
    if waiting:
        parts.append(badge(view.word("ui.status.waiting", count=waiting), "accent"))
    if not jobs:
        parts.append(f'<span><b class="k-dot"></b><i>{escape(view.word("ui.status.idle"))}</i></span>')
    return f'<div class="k-status" role="status">{"".join(parts)}</div>'


def memory(machine: Mapping[str, Any]) -> str:
    used, total = machine.get("memory_used"), machine.get("memory_total")
    return f"{size(used)} / {size(total)}" if known(used) and known(total) else DASH


def doing(job: Mapping[str, Any], view: View) -> str:
    """What a job is at: its stage, or, before it has one, how it stands."""
    name = job["stage"]
    return view.word(f"stage.{name}") if has(f"stage.{name}") else name or view.term("state", job_state(job))


# ---------------------------------------------------------------- a job and its run
def progress(view: View, job: Mapping[str, Any] | None, run: RunInfo | None) -> str:
    """The card above a curve: what this run is, how far it is, and how long it still takes."""
    if run is None and job is None:
        return ""
    state = run.state if run is not None else job_state(job) if job else ""
    title = run.id if run is not None else view.term("job", str(job["kind"])) if job else ""
    head = f'<div class="k-head"><b class="k-title">{escape(title)}</b>{state_badge(state, view)}</div>'
    body = ""
    if job is not None and job["state"] in ACTIVE:
        share = min(1.0, job["done"] / job["total"]) if job["total"] else 0.0
        detail = doing(job, view)
        if job["position"]:
            detail = view.word("ui.progress.position", place=job["position"])
        eta = view.word("ui.progress.eta", time=duration(job["eta"])) if job["eta"] else ""
        if job["kind"] in COUNTED_JOBS and job["rate"]:
            rate = view.word("ui.progress.rate", done=count(job["done"]), total=count(job["total"]), rate=number(job["rate"], 1))
            eta = " · ".join(filter(None, (rate, eta)))
        steps = _steps(view, job["stage"]) if job["kind"] in ("train", "resume") else ""
        kind, done = ("k-bar", f"{share:.0%}") if job["total"] else ("k-bar unsure", "")
        body = (
            f'{steps}<div class="{kind}"><i style="width:{share:.1%}"></i></div>'
            f'<div class="k-row"><span>{escape(detail)} {done}</span><span>{escape(eta)}</span></div>'
        )
    elif run is not None and run.message(view.language):
        body = note(run.message(view.language), "bad" if state == "failed" else "warn" if state != "finished" else "")
    elif job is not None and job["message"]:
        body = note(view.word(job["message_key"], **job["message_fields"]), "bad" if job["state"] == "failed" else "")
    return f'<div class="k-card">{head}{body}</div>'


def _steps(view: View, name: str) -> str:
    now = STEPS.index(_STEP_OF.get(name, "panel"))
    marks = ["done" if place < now else "now" if place == now else "todo" for place in range(len(STEPS))]
    cells = "".join(f'<span class="{mark}">{escape(view.term("stage", step))}</span>' for mark, step in zip(marks, STEPS, strict=True))
    return f'<div class="k-steps">{cells}</div>'


# ---------------------------------------------------------------- what a model is worth
def metric_table(view: View, metrics: Mapping[str, Any]) -> str:
    """The model beside its baselines, a row per metric, intervals in small print. Nothing stands without something to compare it with."""
    rivals: Mapping[str, Mapping[str, Any]] = metrics.get("baselines", {})
    shown = [name for name in METRICS if known(metrics.get(name)) or any(known(row.get(name)) for row in rivals.values())]
    oracle = known(metrics.get("oracle_ic"))
    rows = []
    for name in shown:
        row = [escape(view.term("metric", name)), _cell(metrics, name, own=True), *(_cell(rival, name) for rival in rivals.values())]
        rows.append([*row, *([_truth_cell(metrics, name)] if oracle else [])])
    headers = [
        "",
        view.word("ui.metric.model"),
        *(view.term("baseline", name) for name in rivals),
        *([view.word("ui.metric.oracle")] if oracle else []),
    ]
    return table(headers, rows, own=1)


def _cell(row: Mapping[str, Any], name: str, *, own: bool = False) -> str:
    """A figure with its interval: in small print for the model, on pointing at it for the others."""
    value = row.get(name)
    text = percent(value) if name in PERCENTAGES else number(value, 4 if name == "pinball" else 3)
    bounds = interval(row.get(f"{name}_interval"), 1 if name in PERCENTAGES else 3, as_percent=name in PERCENTAGES)
    if not bounds:
        return text
    return f"{text}<small>{escape(bounds)}</small>" if own else f'<span title="{escape(bounds)}">{text}</span>'


def _truth_cell(metrics: Mapping[str, Any], name: str) -> str:
    """What a perfect forecaster scores, where the market's truth is known: only its IC is."""
    return _cell({"ic": metrics["oracle_ic"], "ic_interval": metrics.get("oracle_ic_interval")}, "ic") if name == "ic" else ""


FIRST_SENTENCES = 2
LEVELS = {"good": "good", "bad": "bad", "warning": "warn", "none": "warn", "note": ""}


def verdict(view: View, items: Sequence[Mapping[str, Any]]) -> str:
    """What the figures say, as sentences: the first ones at once, the others on request. ``items``: key, fields, level, by importance."""
    said = [note(view.word(item["key"], **_named(item["fields"], view)), LEVELS.get(item["level"], "")) for item in items]
    first, rest = "".join(said[:FIRST_SENTENCES]), "".join(said[FIRST_SENTENCES:])
    if not rest:
        return first
    return (
        f'{first}<details class="k-more"><summary>{escape(view.word("ui.verdict.more", count=len(said) - FIRST_SENTENCES))}</summary>{rest}</details>'
    )


def _named(fields: Mapping[str, Any], view: View) -> dict[str, Any]:
    """The fields of a sentence, a baseline called by its reader's name."""
    return {name: view.term("baseline", value) if name == "name" and isinstance(value, str) else value for name, value in fields.items()}


def aside(view: View, items: Iterable[Mapping[str, Any]]) -> str:
    """Sentences in small print: worth knowing, no warning."""
    return "".join(f'<p class="k-lead">{escape(view.word(item["key"], **item["fields"]))}</p>' for item in items)


def notes(view: View, items: Iterable[Mapping[str, Any]]) -> str:
    """What a reader must know before he believes a forecast."""
    return "".join(note(view.word(item["key"], **item["fields"]), "warn") for item in items)


def odds(view: View, probabilities: Mapping[str, float]) -> str:
    """Up, flat and down as one bar and one line."""
    parts = [(name, float(probabilities.get(name, math.nan))) for name in ("up", "flat", "down")]
    if not all(math.isfinite(share) for _, share in parts):
        return ""
    cells = "".join(f'<span class="{name}" style="width:{share:.2%}">{format(share, ".0%") if share >= 0.08 else ""}</span>' for name, share in parts)
    line = "  ·  ".join(f"{view.term('class', name)} {share:.0%}" for name, share in parts)
    return f'<div class="k-{view.colours.replace("_", "-")}"><div class="k-odds">{cells}</div><p class="k-lead">{escape(line)}</p></div>'


def change_cell(value: Any, view: View, digits: int = 2) -> str:
    """A signed percent in the colour of its direction; ready-made HTML."""
    tone = "k-up" if known(value) and value > 0 else "k-down" if known(value) and value < 0 else ""
    return f'<span class="k-{view.colours.replace("_", "-")}"><span class="{tone}">{percent(value, digits, signed=True)}</span></span>'


FULL_TINT = 0.08
"""A month that moved this much has the full colour."""


def months(view: View, title: str, table_: Mapping[str, Mapping[str, float]], *, compound: bool = True, scale: float = FULL_TINT) -> str:
    """Year by month as a table of coloured cells. ``table_``: year -> month (1..12) -> value; the last column is the year, compounded or the mean."""
    rows = []
    for year, values in sorted(table_.items()):
        known_ = [value for value in values.values() if known(value)]
        whole = math.prod(1 + value for value in known_) - 1 if compound else sum(known_) / max(len(known_), 1)
        cells = [_tinted(values.get(str(month)), scale, compound) for month in range(1, 13)]
        rows.append(f"<tr><td>{escape(year)}</td>{''.join(cells)}{_tinted(whole, scale * 3 if compound else scale, compound)}</tr>")
    head = "".join(f"<th>{escape(text)}</th>" for text in ("", *map(str, range(1, 13)), view.word("ui.chart.year" if compound else "ui.chart.mean")))
    body = f'<table class="k-table k-months"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="k-card k-{view.colours.replace("_", "-")}"><b class="k-title">{escape(title)}</b><div class="k-scroll">{body}</div></div>'


def _tinted(value: Any, scale: float, as_percent: bool) -> str:
    if not known(value):
        return "<td></td>"
    share = min(1.0, abs(value) / scale) * 55
    text = f"{value * 100:.1f}" if as_percent else f"{value:.2f}"
    return f'<td style="background: color-mix(in srgb, var(--k-{"up" if value >= 0 else "down"}) {share:.0f}%, transparent)">{text}</td>'


# ---------------------------------------------------------------- the market
def market_card(view: View, market: Mapping[str, Any]) -> str:
    """What is in the store, or what to do while nothing is."""
    if not market.get("stocks"):
        return empty(view, "ui.data.empty")
    head = f'<div class="k-head"><b class="k-title">{escape(view.word("ui.data.status"))}</b>'
    head += badge(view.word("ui.synthetic"), "warn") if market.get("synthetic") else badge(view.word("ui.data.real"), "good")
    updated = str(market.get("updated") or DASH)
    shown = {
        "stocks": (count(market.get("stocks")), ""),
        "rows": (count(market.get("rows")), ""),
        "first": (str(market.get("first") or DASH)[:10], ""),
        "last": (str(market.get("last") or DASH)[:10], ""),
        "size": (size(market.get("bytes")), ""),
        "updated": (updated[:10], updated[11:16]),
    }
    figures = tiles([(view.word(f"ui.data.{name}"), figure, small) for name, (figure, small) in shown.items()])
    warning = note(view.word("ui.data.synthetic_note"), "warn") if market.get("synthetic") else ""
    return f'<div class="k-card">{head}</div><div style="height:10px"></div>{figures}{warning}</div>'


SHOWN_REFUSALS = 50


def download_report(view: View, report: Mapping[str, Any]) -> str:
    """What a download brought, what had nothing, and what failed with its reason; why it gave up, if it did."""
    figures = tiles(
        [
            (view.word(f"ui.download.{name}"), count(amount), "")
            for name, amount in (
                ("stored", len(report["stored"])),
                ("rows", report["rows"]),
                ("current", report["current"]),
                ("empty", len(report["empty"])),
                ("failed", len(report["failed"])),
            )
        ]
    )
    halted = report.get("halted")
    noticed = note(view.word(halted["key"], **halted["fields"]), "warn") if halted else ""
    failed = report["failed"]
    if failed:
        lines = "".join(note(f"{item['symbol']}: {view.word(item['key'], **item['fields'])}", "bad") for item in failed[:SHOWN_REFUSALS])
        noticed += f'<details class="k-more" open><summary>{escape(view.word("ui.download.failed"))} {count(len(failed))}</summary>{lines}</details>'
    return f'<div class="k-card"><b class="k-title">{escape(view.term("job", "download"))}</b><div style="height:8px"></div>{figures}{noticed}</div>'


def import_report(view: View, report: Mapping[str, Any]) -> str:
    """What an import took, what it refused with file, line and reason, and what it noticed."""
    figures = tiles(
        [
            (view.word(f"ui.import.{name}"), count(report[name] if name != "imported" else len(report[name])), "")
            for name in ("imported", "rows", "files", "unchanged", "industries")
        ]
    )
    noticed = "".join(note(view.word(item["key"], **item["fields"])) for item in report["notes"])
    if report["unmapped"]:
        words = ", ".join(f"{word} ({amount})" for word, amount in list(report["unmapped"].items())[:12])
        noticed += note(view.word("ui.import.unmapped", words=words), "warn")
    refused = report["refused"]
    lines = "".join(note(f"{item['file']}: {view.word(item['key'], **item['fields'])}", "bad") for item in refused[:SHOWN_REFUSALS])
    if refused:
        noticed += f'<details class="k-more" open><summary>{escape(view.word("ui.import.refused", count=len(refused)))}</summary>{lines}</details>'
    return f'<div class="k-card"><b class="k-title">{escape(view.term("job", "import"))}</b><div style="height:8px"></div>{figures}{noticed}</div>'
