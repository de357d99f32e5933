"""Industries, past against forecast over the same number of days: a figure and a table made from the ranking of the whole pool.

In: the page and the run picker of the inference tab. Out: components. It asks for the same ranking as the stock pool does, and shares it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from financial_model.serving.industry import industry_table
from financial_model.ui import asking, charts, components, downloads
from financial_model.ui.choosing import asked
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.places import room_for
from financial_model.ui.text import View, count, escape, percent

COLUMNS = ("industry", "stocks", "past", "expected", "p_up", "rising", "best")


class IndustryView:
    """Ask, then the figure and the table."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        self.ask = words(gr.Button, {"value": "ui.industry.ask"}, variant="primary", elem_id="industry-ask", elem_classes=["k-act"])
        self.status = gr.HTML(elem_id="industry-status")
        self.plot = room_for("industries", visible=False, elem_id="industry-plot")
        self.table = gr.HTML(elem_id="industry-table")
        self.csv = words(
            gr.DownloadButton, {"label": "ui.pool.csv"}, value=None, size="sm", visible=False, elem_id="industry-csv", elem_classes=["k-act"]
        )
        page.on_and_refresh(self.ask.click, self._rank, [picker], trigger_mode="once")
        page.live(
            "industry",
            [self.status, self.plot, self.table, self.csv],
            lambda snapshot, wanted: (wanted, asking.version(asking.job_of(snapshot, "rank", wanted))),
            self._draw,
            [picker],
        )

    def _rank(self, view: View, wanted: str | None) -> None:
        services = self.page.services
        asking.ask(services, "rank", run=asked(services.snapshot(), wanted).id, top=0)

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        import pandas as pd

        job = asking.job_of(snapshot, "rank", wanted)
        hidden = gr.update(visible=False)
        if job is None or not asking.finished(job):
            return [asking.waiting(view, job, "ui.industry.empty"), hidden, "", hidden]
        pool = job["result"]
        found = industry_table(pool)
        head = view.word("ui.industry.head", as_of=pool.attrs["as_of"], days=pool.attrs["days"])
        file = downloads.csv(pd.DataFrame(found), f"{job['run']}.{pool.attrs['as_of']}.industries.csv")
        return [
            components.note(head) + components.notes(view, pool.attrs["notes"]),
            gr.update(value=charts.industries(found, view), visible=True),
            table(view, found),
            gr.update(value=file, visible=True),
        ]


def table(view: View, found: Sequence[Mapping[str, Any]]) -> str:
    """One row per industry."""
    rows = [
        [
            escape(view.term("industry", entry["industry"])),
            count(entry["stocks"]),
            components.change_cell(entry["past"], view),
            components.change_cell(entry["expected"], view),
            percent(entry["p_up"]),
            percent(entry["rising"], 0),
            f"{escape(entry['best_name'] or entry['best'])}<small>{escape(entry['best'])} {percent(entry['best_expected'], 2, signed=True)}</small>",
        ]
        for entry in found
    ]
    return f'<div class="k-card">{components.table([view.word(f"ui.industry.{name}") for name in COLUMNS], rows, text=(6,))}</div>'
