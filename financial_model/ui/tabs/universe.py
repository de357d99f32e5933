"""Universe: what the store holds, by industry, style and market regime.

In: the page. Out: the tab. The look at the data is a job that begins when the tab is opened; every browser sees its result.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model.config import INDUSTRIES
from financial_model.ui import charts, components, downloads, universe_view
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.places import room_for
from financial_model.ui.tables import search_box
from financial_model.ui.tabs import frame
from financial_model.ui.text import View, escape

SHOWN_ROWS, GAPS, CANDLES = 300, 20, 250
IN_SIGHT = "() => { setTimeout(() => document.querySelector('#universe-candles')?.scrollIntoView({behavior: 'smooth', block: 'nearest'}), 300); }"
"""Script that brings the candles of a row into sight: they stand below a table as high as a screen."""


def build(page: Page) -> None:
    with frame.tab(page, "universe") as tab:
        UniverseTab(page, tab)


class UniverseTab:
    """Heading, figures, table; nothing is drawn before there is something to draw."""

    def __init__(self, page: Page, tab: gr.Tab) -> None:
        self.page, words = page, page.words
        self.status = gr.HTML(elem_id="universe-status")
        self.stop = words(gr.Button, {"value": "ui.train.stop"}, variant="stop", size="sm", visible=False, elem_id="universe-stop")
        with gr.Column(visible=False) as self.whole:
            self.head = gr.HTML(elem_id="universe-head")
            self.cells = gr.HTML(elem_id="universe-cells")
            self._title("treemap")
            self.change = words(
                gr.Radio,
                {"choices": [("ui.universe.month", "change_month"), ("ui.universe.span", "change")]},
                value="change_month",
                show_label=False,
                container=False,
                elem_classes=["k-switch"],
            )
            self.treemap = room_for("treemap", elem_id="universe-treemap")
            self._title("regime")
            self.ribbon = room_for("regime_ribbon", elem_id="universe-regime")
            with gr.Row():
                with gr.Column(min_width=380):
                    self._title("styles")
                    self.styles = room_for("style_bars")
                    self._title("coverage")
                    self.coverage = room_for("coverage", elem_id="universe-coverage")
                with gr.Column(min_width=380):
                    self._title("risk")
                    self.risk = room_for("risk_scatter")
            with gr.Row():
                with gr.Column(min_width=380):
                    self._title("correlation")
                    self.correlated = words(
                        gr.Radio,
                        {"choices": [("ui.universe.by_industry", "industries"), ("ui.universe.largest", "stocks")]},
                        value="industries",
                        show_label=False,
                        container=False,
                        elem_classes=["k-switch"],
                        elem_id="universe-correlated",
                    )
                    self.correlation = room_for("heatmap", elem_id="universe-correlation")
                with gr.Column(min_width=380):
                    self._title("missing")
                    self.missing = room_for("heatmap")
            self._title("table")
            words(gr.HTML, {"value": "ui.universe.click"}, html_template='<p class="k-lead">${value}</p>')
            self.filter = search_box(words, "universe-filter")
            self.table = gr.Dataframe(
                value=None,
                interactive=False,
                show_label=False,
                max_height=520,
                elem_id="universe-table",
                buttons=["fullscreen", "copy"],
                pinned_columns=2,
            )
            self.csv = words(
                gr.DownloadButton, {"label": "ui.pool.csv"}, interactive=False, size="sm", elem_id="universe-csv", elem_classes=["k-act"]
            )
            self.candles_head = gr.HTML(elem_id="universe-stock")
            self.candles = room_for("bars", visible=False, elem_id="universe-candles")
        page.live("universe.status", [self.status, self.stop, self.whole], self._status_version, self._draw_status)
        page.live("universe.treemap", [self.treemap], lambda snapshot, by: (_stamp(snapshot), by), self._draw_treemap, [self.change])
        page.live(
            "universe.correlation", [self.correlation], lambda snapshot, of: (_stamp(snapshot), of), self._draw_correlation, [self.correlated]
        )
        page.live(
            "universe",
            [self.head, self.cells, self.ribbon, self.styles, self.coverage, self.risk, self.missing, self.csv],
            _stamp,
            self._draw,
        )
        page.live("universe.table", [self.table], lambda snapshot, text: (_stamp(snapshot), text), self._draw_table, [self.filter])
        page.on_and_refresh(tab.select, lambda view: page.services.look_at_universe())
        page.on_and_refresh(self.stop.click, self._stop, queue=False)
        page.on_select(self.table, self._show, [self.candles_head, self.candles])
        self.candles.change(None, js=IN_SIGHT, api_visibility="undocumented")
        page.refresh_on(self.change.input, self.correlated.input, self.filter.change)

    def _title(self, name: str) -> None:
        self.page.words(gr.HTML, {"value": f"ui.universe.{name}"}, html_template='<b class="k-title">${value}</b>')

    def _status_version(self, snapshot: Snapshot) -> Any:
        job = snapshot.analysis_job
        return snapshot.market["stocks"], _stamp(snapshot), job and (job["id"], job["state"], job["done"])

    def _draw_status(self, view: View, snapshot: Snapshot) -> list[Any]:
        if snapshot.analysis is not None:
            return ["", gr.update(visible=False), gr.update(visible=True)]
        if not snapshot.market["stocks"]:
            return [components.empty(view, "ui.data.empty"), gr.update(visible=False), gr.update(visible=False)]
        job = snapshot.analysis_job
        waiting = components.progress(view, job, None) if job else components.empty(view, "ui.universe.empty")
        working = job is not None and job["state"] in ("queued", "preparing", "running")
        return [waiting, gr.update(visible=working), gr.update(visible=False)]

    def _stop(self, view: View) -> None:
        job = self.page.services.snapshot(fresh=True).analysis_job
        if job is not None:
            self.page.services.jobs.stop(job["id"])

    def _show(self, view: View, row: list[Any]) -> list[Any]:
        """Candles of the stock whose row was chosen."""
        symbol, name = str(row[0]), str(row[1] or "")
        history = universe_view.history(self.page.services.store, symbol, CANDLES)
        title = view.word("ui.universe.candles", symbol=symbol, name=name)
        return [f'<b class="k-title">{escape(title)}</b>', gr.update(value=charts.bars(history, view), visible=True)]

    def _draw_treemap(self, view: View, snapshot: Snapshot, by: str) -> list[Any]:
        if snapshot.analysis is None:
            return [gr.skip()]
        table = universe_view.frame(snapshot.analysis)
        names = {name: view.term("industry", name) for name in (*INDUSTRIES, "unknown")}
        return [charts.treemap(names, table.assign(change=table[by]), view)]

    def _draw_correlation(self, view: View, snapshot: Snapshot, of: str) -> list[Any]:
        if snapshot.analysis is None:
            return [gr.skip()]
        names, matrix = universe_view.correlation(view, snapshot.analysis, of)
        return [charts.heatmap(names, names, matrix)]

    def _draw_table(self, view: View, snapshot: Snapshot, text: str) -> list[Any]:
        return [gr.skip() if snapshot.analysis is None else universe_view.rows(view, snapshot.analysis, SHOWN_ROWS, text)]

    def _draw(self, view: View, snapshot: Snapshot) -> list[Any]:
        if snapshot.analysis is None:
            return [gr.skip()] * 8
        summary = snapshot.analysis
        table, regimes = universe_view.frame(summary), summary["regimes"]
        missing = summary["missing"]
        return [
            universe_view.head(view, summary),
            universe_view.all_cells(view, summary),
            charts.regime_ribbon(regimes["dates"], regimes["close"], regimes["regime"], view),
            charts.style_bars(universe_view.style_shares(summary), view),
            charts.coverage(summary["coverage"]["dates"], summary["coverage"]["stocks"], view),
            charts.risk_scatter(table, view),
            charts.heatmap(missing["months"], missing["symbols"][:GAPS], missing["share"][:GAPS], share=True),
            gr.update(value=downloads.csv(table, f"universe_{summary['last']}.csv"), interactive=True),
        ]


def _stamp(snapshot: Snapshot) -> str:
    return snapshot.analysis_id
