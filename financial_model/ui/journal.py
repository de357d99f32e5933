"""The forecast journal on the page: publish, see what is on record and that it is whole, and what became of it.

In: the page and the run picker of the inference tab. Out: components, and the button that publishes what a pool or stock view shows.
Publishing and scoring are the serving layer's; here they are asked for and drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from financial_model.serving.journal import Entry, Journal
from financial_model.ui import asking, charts, components, downloads
from financial_model.ui.choosing import asked, pick, usable
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.places import room_for
from financial_model.ui.text import View, escape, interval, number, percent

SHOWN = 100
FIGURES = ("rank_ic", "direction", "direction_base_rate", "mae_percent", "coverage_80")
PERCENTAGES = frozenset({"direction", "direction_base_rate", "coverage_80"})
COLUMNS = ("number", "published", "as_of", "what", "days", "stocks", "state", "hash")


class JournalView:
    """Publish and score on top; the record below."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        words(gr.HTML, {"value": "ui.journal.lead"}, html_template='<p class="k-lead">${value}</p>')
        with gr.Row():
            self.publish = words(gr.Button, {"value": "ui.journal.publish"}, variant="primary", elem_id="journal-publish", elem_classes=["k-act"])
            self.score = words(gr.Button, {"value": "ui.journal.score"}, elem_id="journal-score", elem_classes=["k-act"])
        self.status = gr.HTML(elem_id="journal-status")
        self.card = gr.HTML(elem_id="journal-card")
        self.plot = room_for("equity", visible=False, elem_id="journal-plot")
        self.list = gr.HTML(elem_id="journal-list")
        page.on_and_refresh(self.publish.click, self._publish, [picker], trigger_mode="once")
        page.on_and_refresh(self.score.click, self._score, [picker], trigger_mode="once")
        page.live("journal.status", [self.status], self._status_version, self._draw_status, [picker])
        page.live(
            "journal.score",
            [self.card, self.plot],
            lambda snapshot, wanted: (wanted, asking.version(asking.job_of(snapshot, "score", wanted))),
            self._draw_score,
            [picker],
        )
        page.live("journal.list", [self.list], lambda snapshot, wanted: (wanted, self._stamp()), self._draw_list, [picker])

    def _journal(self) -> Journal:
        return Journal(self.page.services.workspace)

    def _stamp(self) -> Any:
        path = self._journal().path
        return downloads.file_stamp(path), downloads.file_size(path)

    def _publish(self, view: View, wanted: str | None) -> None:
        services = self.page.services
        asking.ask(services, "publish", run=asked(services.snapshot(), wanted).id)

    def _score(self, view: View, wanted: str | None) -> None:
        services = self.page.services
        asking.ask(services, "score", run=asked(services.snapshot(), wanted).id)

    def _status_version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        return wanted, asking.version(asking.job_of(snapshot, "publish", wanted))

    def _draw_status(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        job = asking.job_of(snapshot, "publish", wanted)
        if job is None:
            return [""]
        entry = job["result"]
        return [components.note(published(view, entry), _tone(entry)) if asking.finished(job) else components.progress(view, job, None)]

    def _draw_score(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        job = asking.job_of(snapshot, "score", wanted)
        if job is None or not asking.finished(job):
            return [components.progress(view, job, None) if job else "", gr.update(visible=False)]
        groups = job["result"]["groups"]
        paper = next((group["paper"] for group in groups if group["paper"]), None)
        return ["".join(group_card(view, group) for group in groups) or components.empty(view, "ui.journal.empty"),
                gr.update(value=charts.equity(paper, view), visible=True) if paper else gr.update(visible=False)]

    def _draw_list(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        run = pick(usable(snapshot), wanted)
        journal = self._journal()
        chain = journal.verify()
        if chain["problem"]:
            said = components.note(view.word("cli.journal.broken", sentence=view.word(chain["problem"]["key"], **chain["problem"]["fields"])), "bad")
            return [said]
        entries = [entry for entry in reversed(journal.entries()) if run is not None and entry["run"] == run.id][:SHOWN]
        return [entry_list(view, entries, chain) if entries else components.empty(view, "ui.journal.empty")]


def publish_button(page: Page, elem_id: str, action: Callable[..., Entry], inputs: Sequence[Any], *, visible: bool = False) -> gr.Button:
    """A button that publishes what a view shows: ``action(view, *inputs)`` writes the entry; what was written is told as a toast."""
    button = page.words(gr.Button, {"value": "ui.journal.publish_this"}, size="sm", visible=visible, elem_id=elem_id, elem_classes=["k-act"])

    def perform(view: View, *values: Any) -> None:
        gr.Info(published(view, action(view, *values)))

    page.on_and_refresh(button.click, perform, list(inputs), trigger_mode="once")
    return button


def published(view: View, entry: Entry) -> str:
    """What was written, and whether in time."""
    name = "repeated" if entry["repeated"] else "late" if entry["late"] else "in_time"
    return view.word(f"cli.journal.published_{name}", number=entry["number"], as_of=entry["as_of"], late=entry["late"], hash=entry["hash"][:16])


def _tone(entry: Entry) -> str:
    return "" if entry["repeated"] else "warn" if entry["late"] else "good"


def entry_list(view: View, entries: Sequence[Entry], chain: Mapping[str, Any]) -> str:
    """The record of one run, newest first, and that it is whole."""
    rows = []
    for entry in entries:
        state = view.word("ui.journal.late", late=entry["late"]) if entry["late"] else view.word("ui.journal.in_time")
        rows.append([str(entry["number"]), escape(entry["published"][:16].replace("T", " ")), escape(entry["as_of"]),
                     escape(entry["symbol"] or view.word("cli.journal.pool")), str(entry["days"]), str(entry["stocks"]),
                     components.badge(state, "warn" if entry["late"] else "good"), f"<code>{escape(entry['hash'][:16])}</code>"])
    head = components.note(view.word("cli.journal.intact", entries=chain["entries"], head=chain["head"][:16]), "good")
    body = components.table([view.word(f"ui.journal.column.{name}") for name in COLUMNS], rows, text=(1, 2, 3, 6, 7))
    return f'<div class="k-card">{head}{body}</div>'


def group_card(view: View, group: Mapping[str, Any]) -> str:
    """One run's forecasts of one kind: figures beside the naive rules, month by month, and what they say."""
    title = view.word(f"cli.journal.group_{'late' if group['late'] else 'in_time'}", **{name: group[name] for name in (
        "run", "days", "published", "waiting")})
    found = group["track"]
    if found is None:
        return f'<div class="k-card"><b class="k-title">{escape(title)}</b>{components.note(view.word("cli.journal.all_waiting"))}</div>'
    lines = [(view.word("ui.metric.model"), found), *((view.term("baseline", name), rival) for name, rival in found["baselines"].items()),
             *((view.word("cli.journal.month", month=row["month"], dates=row["dates"]), row) for row in found["months"][-12:])]
    rows = [[escape(name), *(_cell(row, figure) for figure in FIGURES)] for name, row in lines]
    body = components.table(["", *(view.term("metric", name) for name in FIGURES)], rows)
    return f'<div class="k-card"><b class="k-title">{escape(title)}</b>{body}{components.verdict(view, found["notes"])}{_paper(view, group)}</div>'


def _paper(view: View, group: Mapping[str, Any]) -> str:
    paper = group["paper"]
    if not paper:
        return ""
    earned = {name: percent(paper.get(key, {}).get("total_return"), signed=True)
              for name, key in (("net", "metrics"), ("equal", "equal_weight"), ("index", "index"))}
    from financial_model.datasets.splits import iso

    said = view.word("cli.journal.paper", first=iso(paper["series"]["time"][0]), top=paper["settings"]["top"], **earned)
    return f'<p class="k-lead">{escape(said)}</p>'


def _cell(row: Mapping[str, Any], name: str) -> str:
    shown = percent(row.get(name)) if name in PERCENTAGES else number(row.get(name))
    bounds = interval(row.get(f"{name}_interval"), 1 if name in PERCENTAGES else 3, as_percent=name in PERCENTAGES)
    return f"{shown}<small>{escape(bounds)}</small>" if bounds else shown
