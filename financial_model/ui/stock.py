"""One stock: ask, then candles and fan, the odds, the table, and what a reader must know first.

In: the page and the run picker of the inference tab. Out: components. The forecast is a job, so the first one may take its time to prepare the
data, shows how far it is, and is still there after a reload.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model.errors import ConfigError
from financial_model.serving.plausibility import age_line
from financial_model.ui import asking, charts, components
from financial_model.ui.choosing import asked, checked_date, setting, within
from financial_model.ui.journal import publish_button
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.places import room_for
from financial_model.ui.text import DASH, View, escape, number, percent

OFFERED_SYMBOLS = 400
"""Stocks offered in the list; any other one is found by typing its code, name or pinyin initials."""


class StockView:
    """One stock: candles and fan, the odds, the table, and what a reader must know first."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        self.own = gr.State(None)
        """The question this visitor asked last."""
        with gr.Group(), gr.Row(equal_height=True):
            self.symbol = words(
                gr.Dropdown,
                {"label": "ui.stock.symbol", "info": "ui.stock.symbol_info"},
                choices=[],
                value=None,
                allow_custom_value=True,
                scale=3,
                elem_id="stock-symbol",
            )
            self.as_of = words(
                gr.Textbox,
                {"label": "ui.stock.as_of", "info": "ui.stock.as_of_info", "placeholder": "ui.form.date"},
                max_lines=1,
                scale=2,
                elem_id="stock-as-of",
            )
            self.days = words(
                gr.Number, {"label": "ui.stock.days", "info": "ui.stock.days_info"}, value=5, precision=0, scale=1
            )
        self.ask = words(gr.Button, {"value": "ui.stock.ask"}, variant="primary", elem_id="stock-ask", elem_classes=["k-act"])
        self.refused = gr.HTML(elem_id="stock-refused")
        self.head = gr.HTML(elem_id="stock-head")
        self.plot = room_for("candles", visible=False, elem_id="stock-plot")
        self.table = gr.HTML(elem_id="stock-table")
        self.publish = publish_button(page, "stock-publish", self._publish, [picker, self.own])
        page.on_and_refresh(
            [self.ask.click, self.as_of.submit],
            self._ask,
            [picker, self.symbol, self.as_of, self.days],
            [self.own],
            show_progress="minimal",
            show_progress_on=[self.head],
            beside=self.refused,
        )
        page.live(
            "stock.names",
            [self.symbol],
            lambda snapshot, *_: (snapshot.market.get("stocks"), snapshot.market.get("updated")),
            self._draw_names,
            [self.symbol],
        )
        page.live(
            "stock.found",
            [self.head, self.plot, self.table, self.publish],
            lambda snapshot, wanted, own: (wanted, asking.version(asking.job_of(snapshot, "forecast", wanted, own))),
            self._draw,
            [picker, self.own],
        )

    def _ask(self, view: View, wanted: str | None, symbol: str | None, as_of: str, days: float | None) -> str:
        services = self.page.services
        run = asked(services.snapshot(), wanted)
        if not (symbol or "").strip():
            raise ConfigError("ui.stock.which")
        horizon = int(setting(run, "label", "horizon"))
        when, ahead = checked_date(as_of), min(int(within(view, "ui.stock.days", horizon if days is None else days, 1, 250)), horizon)
        return asking.ask(services, "forecast", run=run.id, symbol=str(symbol).strip(), as_of=when, days=ahead)

    def _draw_names(self, view: View, snapshot: Snapshot, symbol: str | None) -> list[Any]:
        names = list(self.page.services.names().items())[:OFFERED_SYMBOLS]
        value = symbol or (names[0][0] if names else None)
        return [gr.update(choices=[(f"{code}  {name}".strip(), code) for code, name in names], value=value)]

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None, own: str | None) -> list[Any]:
        job = asking.job_of(snapshot, "forecast", wanted, own)
        if job is None or not asking.finished(job):
            return [asking.waiting(view, job, "ui.stock.empty"), gr.update(visible=False), "", gr.update(visible=False)]
        found = job["result"]
        figure = gr.update(value=charts.candles(found, view), visible=True)
        return [stock_head(view, found), figure, stock_table(view, found), gr.update(visible=True)]

    def _publish(self, view: View, wanted: str | None, own: str | None) -> dict[str, Any]:
        """The forecast that is shown."""
        from financial_model.serving.journal_publish import publish_forecast

        services = self.page.services
        job = asking.job_of(services.snapshot(), "forecast", wanted, own)
        if job is None or not asking.finished(job):
            raise ConfigError("ui.journal.nothing_shown")
        return publish_forecast(services.workspace, job["result"])


def stock_head(view: View, found: dict[str, Any]) -> str:
    """Name, price, odds, and the warnings, before any figure is drawn."""
    last = found["table"][-1]
    title = f"{found['symbol']}  {found['name']}".strip()
    figures = components.tiles(
        [
            (view.word("ui.stock.price"), number(found["price"], 2), found["as_of"]),
            (view.word("ui.stock.median", days=last["day"]), number(last["price"], 2), percent(last["price"] / found["price"] - 1, 2, signed=True)),
            (view.word("ui.stock.expected", days=last["day"]), percent(last["expected_return"], 2, signed=True), ""),
            (view.word("ui.stock.p_up", days=last["day"]), percent(last["p_up"]), ""),
            (view.word("ui.stock.industry"), view.term("industry", found["industry"]), ""),
            (view.word("ui.stock.volatility"), percent(found["volatility"] * 252**0.5), ""),
        ]
    )
    odds = f'<p class="k-lead" style="margin-top:12px">{escape(view.word("ui.stock.odds", days=found["class_horizon"]))}</p>'
    return (
        f'<div class="k-card"><div class="k-head"><b class="k-title">{escape(title)}</b></div><div style="height:10px"></div>{figures}'
        f"{odds}{components.odds(view, found['classes'])}{_figures(view, found)}"
        f"{components.aside(view, age_line(found['age']))}{components.notes(view, found['notes'])}</div>"
    )


def _figures(view: View, found: dict[str, Any]) -> str:
    """Volatility and momentum within the horizon, of a model that says them."""
    said = found.get("figures")
    return f'<p class="k-lead">{escape(view.word("serving.figure_line", **said))}</p>' if said else ""


def stock_table(view: View, found: dict[str, Any]) -> str:
    """One row a day ahead: date, median, ranges, expected return, chance of a rise, and the truth where it is known."""
    truth = found["truth"]["price"]
    bands = [name for name in ("50", "80", "95") if name in found["fan"]]
    rows = []
    for place, day in enumerate(found["table"]):
        ranges = [f"{found['fan'][name]['low'][place]:.2f} – {found['fan'][name]['high'][place]:.2f}" for name in bands]
        rows.append(
            [
                f"{day['day']}<small>{day['date']}</small>",
                number(day["price"], 2),
                *ranges,
                components.change_cell(day["expected_return"], view),
                percent(day["p_up"]),
                *([number(truth[place], 2) if place < len(truth) else DASH] if truth else []),
            ]
        )
    headers = [
        view.word("ui.stock.day"),
        view.word("ui.chart.median"),
        *(f"{name} %" for name in bands),
        view.word("ui.stock.expected_short"),
        view.word("ui.stock.p_up_short"),
        *([view.word("ui.chart.truth")] if truth else []),
    ]
    return f'<div class="k-card">{components.table(headers, rows)}</div>'
