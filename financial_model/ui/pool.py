"""The stock pool: every stock of a model's universe in order of its expected return, filtered as the reader likes.

In: the page and the run picker of the inference tab. Out: components and their rows. The ranking of the whole pool is a job, so every browser sees
it; filters only choose from it, so changing one asks no model again. The CSV holds what the table shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from financial_model.config import CONDITIONS, INDUSTRIES
from financial_model.errors import ConfigError
from financial_model.serving.plausibility import age_line
from financial_model.ui import asking, components, downloads
from financial_model.ui.choosing import asked, checked_date, within
from financial_model.ui.journal import publish_button
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.tables import Written, grid, matches, search_box, written
from financial_model.ui.text import View, money, number, percent
from financial_model.ui.watching import WatchSwitch

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("rank", "symbol", "name", "expected", "p_up", "price", "range", "past", "industry", "style", "regime", "volatility", "amount", "flags")
"""What is asked for first: a phone shows four columns."""
STYLES = (("size", "size"), ("value", "value"), ("volatility", "volatility_class"), ("momentum", "momentum"))
"""Condition -> column of the ranking."""
FLAGS = ("suspended", "limit_up", "limit_down", "unusual", "impossible")
SHOWN_ROWS = 500
"""Rows of the table; the CSV has them all."""


def least_gain(text: str | None) -> float | None:
    """Percent as written by a person -> share of 1; ``None`` for nothing. ``ConfigError`` for anything that is no number."""
    written = (text or "").strip().rstrip("%％").strip()
    if not written:
        return None
    try:
        value = float(written)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError("ui.pool.bad_gain", value=str(text)[:20])
    return value / 100


def filtered(table: pd.DataFrame, *, top: int, gain: float | None, industry: str, styles: Sequence[str], tradable: bool) -> pd.DataFrame:
    """The rows of a ranking that pass, in its order, the first ``top`` (0: all) of them.

    ``styles``: ``size:small``, ``momentum:positive`` ...; labels of one dimension are alternatives, dimensions must all fit.
    """
    keep = np.ones(len(table), bool)
    if gain is not None:
        keep &= np.expm1(table["expected_return"].to_numpy()) >= gain
    if industry != "all":
        keep &= (table["industry"] == industry).to_numpy()
    wanted: dict[str, list[str]] = {}
    for style in styles:
        kind, _, label = style.partition(":")
        wanted.setdefault(dict(STYLES)[kind], []).append(label)
    for column, labels in wanted.items():
        keep &= table[column].isin(labels).to_numpy()
    if tradable:
        keep &= table["tradable"].to_numpy()
    found = table[keep]
    return found.head(top) if top else found


def sought(view: View, whole: pd.DataFrame, text: str | None) -> pd.DataFrame:
    """The rows in which every word of a search stands, as the reader sees them."""
    return whole[[matches(cells, text) for cells in _cells(view, whole)]] if (text or "").strip() else whole


def passing(view: View, whole: pd.DataFrame, *, text: str | None = "", gain: str | None, top: float = 0, **wanted: Any) -> tuple[pd.DataFrame, str]:
    """What :func:`filtered` leaves for a gain and a number as written, and the note that says why nothing is left.

    A gain that is no number, or a number out of range, leaves nothing: rows that obey another filter than the one
    that stands above them would mislead.
    """
    try:
        table = filtered(sought(view, whole, text), gain=least_gain(gain), top=int(within(view, "ui.pool.top", top, 0, 10_000)), **wanted)
    except ConfigError as error:
        return whole.head(0), components.note(error.message(view.language), "bad")
    return table, "" if len(table) else components.note(view.word("ui.pool.none", count=len(whole)), "warn")


def head(view: View, table: pd.DataFrame) -> str:
    """On which date, how far ahead, out of how many."""
    text = view.word("ui.pool.head", as_of=table.attrs["as_of"], days=table.attrs["days"], shown=len(table), count=table.attrs["considered"])
    return components.note(text) + components.aside(view, age_line(table.attrs["age"])) + components.notes(view, table.attrs["notes"])


def rows(view: View, table: pd.DataFrame) -> dict[str, Any]:
    """Headers and cells for ``gr.Dataframe``."""
    days = table.attrs["days"]
    return grid([view.word(f"ui.pool.column.{name}", days=days) for name in COLUMNS], _cells(view, table))


def _cells(view: View, table: pd.DataFrame) -> list[list[Any]]:
    return [
        [
            row.rank,
            row.symbol,
            row.name,
            written(percent, np.expm1(row.expected_return), 2, signed=True),
            written(percent, row.p_up),
            written(number, row.price, 2),
            Written(float(np.expm1(row.low_80)), f"{percent(np.expm1(row.low_80))} … {percent(np.expm1(row.high_80))}"),
            written(percent, np.expm1(row.past_return), 2, signed=True),
            view.term("industry", row.industry),
            _style(row, view),
            view.term("regime", row.regime),
            written(percent, row.volatility * 252**0.5),
            written(money, row.amount, view),
            _flags(row, view),
        ]
        for row in table.itertuples(index=False, name="Stock")
    ]


def _style(row: Any, view: View) -> str:
    return " · ".join(view.term(kind, getattr(row, column)) for kind, column in STYLES if getattr(row, column) != "unknown")


def _flags(row: Any, view: View) -> str:
    return " ".join(view.word(f"ui.pool.flag.{name}") for name in FLAGS if getattr(row, name))


class PoolView:
    """Ask for the ranking; filter what it shows."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        self.as_of = words(
            gr.Textbox,
            {"label": "ui.stock.as_of", "info": "ui.stock.as_of_info", "placeholder": "ui.form.date"},
            max_lines=1,
            elem_id="pool-as-of",
            elem_classes=["k-narrow"],
        )
        with gr.Row():
            self.ask = words(gr.Button, {"value": "ui.pool.ask"}, variant="primary", elem_id="pool-ask", elem_classes=["k-act"])
            switch = WatchSwitch(page, picker)
        self.refused = gr.HTML(elem_id="pool-refused")
        switch.line.render()
        self.status = gr.HTML(elem_id="pool-status")
        with gr.Column(visible=False) as self.whole:
            filters = self._build_filters()
            self.table = gr.Dataframe(
                value=None,
                interactive=False,
                show_label=False,
                max_height=620,
                elem_id="pool-table",
                buttons=["fullscreen", "copy"],
                pinned_columns=2,
            )
            with gr.Row():
                self.csv = words(
                    gr.DownloadButton, {"label": "ui.pool.csv"}, interactive=False, size="sm", elem_id="pool-csv", elem_classes=["k-act"]
                )
                self.publish = publish_button(page, "pool-publish", self._publish, [picker], visible=True)
        page.on_and_refresh([self.ask.click, self.as_of.submit], self._rank, [picker, self.as_of], trigger_mode="once", beside=self.refused)
        page.live("pool", [self.status, self.whole, self.table, self.csv], self._version, self._draw, [picker, *filters])
        page.refresh_on(self.top.change, self.gain.change, self.industry.input, self.styles.input, self.tradable.input, self.text.change)

    def _build_filters(self) -> list[Any]:
        words = self.page.words
        with gr.Group(), gr.Row(equal_height=True):
            self.top = words(
                gr.Number, {"label": "ui.pool.top", "info": "ui.pool.top_info"}, value=20, precision=0, min_width=110
            )
            self.gain = words(
                gr.Textbox,
                {"label": "ui.pool.gain", "info": "ui.pool.gain_info", "placeholder": "ui.pool.gain_any"},
                max_lines=1,
                min_width=130,
                elem_id="pool-gain",
            )
            self.industry = words(
                gr.Dropdown,
                {
                    "label": "form.industry.label",
                    "info": "ui.pool.industry_info",
                    "choices": [(f"ui.term.industry.{name}", name) for name in ("all", *INDUSTRIES)],
                },
                value="all",
                filterable=False,
                min_width=150,
            )
            self.styles = words(
                gr.Dropdown,
                {
                    "label": "ui.pool.column.style",
                    "info": "ui.pool.style_info",
                    "choices": [(f"ui.term.{kind}.{label}", f"{kind}:{label}") for kind, _ in STYLES for label in CONDITIONS[kind]],
                },
                value=[],
                multiselect=True,
                min_width=220,
                elem_id="pool-styles",
            )
            self.tradable = words(gr.Checkbox, {"label": "ui.pool.tradable", "info": "ui.pool.tradable_info"}, value=False, min_width=150)
        self.text = search_box(words, "pool-filter")
        return [self.top, self.gain, self.industry, self.styles, self.tradable, self.text]

    def _rank(self, view: View, wanted: str | None, as_of: str) -> None:
        services = self.page.services
        asking.ask(services, "rank", run=asked(services.snapshot(), wanted).id, top=0, as_of=checked_date(as_of))

    def _publish(self, view: View, wanted: str | None) -> dict[str, Any]:
        """The whole ranking that is shown, whatever the filters leave of it."""
        from financial_model.serving.journal_publish import publish_ranking

        services = self.page.services
        job = asking.job_of(services.snapshot(), "rank", wanted)
        if job is None or not asking.finished(job):
            raise ConfigError("ui.journal.nothing_shown")
        return publish_ranking(services.workspace, job["run"], job["result"])

    def _version(self, snapshot: Snapshot, wanted: str | None, *filters: Any) -> Any:
        return wanted, asking.version(asking.job_of(snapshot, "rank", wanted)), filters

    def _draw(
        self,
        view: View,
        snapshot: Snapshot,
        wanted: str | None,
        top: float | None,
        gain: str,
        industry: str,
        styles: list[str] | None,
        tradable: bool,
        text: str,
    ) -> list[Any]:
        job = asking.job_of(snapshot, "rank", wanted)
        if job is None or not asking.finished(job):
            return [asking.waiting(view, job, "ui.pool.empty"), gr.update(visible=False), gr.skip(), gr.skip()]
        whole = job["result"]
        wanted_rows: dict[str, Any] = {"industry": industry, "styles": styles or (), "tradable": tradable}
        table, nothing = passing(view, whole, text=text, gain=gain, top=top or 0, **wanted_rows)
        if table.empty:
            return [head(view, table) + nothing, gr.update(visible=True), rows(view, table), gr.update(value=None, interactive=False)]
        file = downloads.csv(table, f"{job['run']}.{table.attrs['as_of']}.csv")
        return [head(view, table), gr.update(visible=True), rows(view, table.head(SHOWN_ROWS)), gr.update(value=file, interactive=True)]
