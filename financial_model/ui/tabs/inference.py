"""Inference: ask a trained model about one stock or the whole pool, and see what its test said.

In: the page. Out: the tab. Forecasts come from the predictor, rankings and evaluations are jobs; the model is chosen by run id.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model.config import CONDITIONS, INDUSTRIES
from financial_model.errors import ConfigError
from financial_model.serving.runs import RunInfo
from financial_model.ui import charts, components, downloads, pool, results
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.tabs import frame
from financial_model.ui.text import View, escape, number, percent
from financial_model.ui.training import pick, run_choices

OFFERED_SYMBOLS = 400
"""Stocks offered in the list; any other one is found by typing its code, name or pinyin initials."""


def usable(snapshot: Snapshot) -> list[RunInfo]:
    return [run for run in snapshot.runs if run.checkpoints and not run.active]


def build(page: Page) -> None:
    with frame.tab(page, "inference"):
        empty = gr.HTML()
        with gr.Column() as whole:
            picker = page.words(gr.Dropdown, {"label": "ui.inference.run"}, choices=[], value=None, filterable=False, elem_id="inference-run")
            with gr.Tabs():
                with page.words(gr.Tab, {"label": "ui.inference.stock"}):
                    StockView(page, picker)
                with page.words(gr.Tab, {"label": "ui.inference.pool"}):
                    PoolView(page, picker)
                with page.words(gr.Tab, {"label": "ui.inference.evaluation"}):
                    EvaluationView(page, picker)

    def draw(view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        runs = usable(snapshot)
        run = pick(runs, wanted)
        hint = "" if runs else components.empty(view, "ui.inference.empty")
        return [hint, gr.update(visible=bool(runs)), gr.update(choices=run_choices(runs, view), value=run.id if run else None)]

    page.live(
        "inference.runs",
        [empty, whole, picker],
        lambda snapshot, wanted: (tuple((run.id, run.state) for run in usable(snapshot)), wanted),
        draw,
        [picker],
    )
    page.refresh_on(picker.input)


def chosen(snapshot: Snapshot, wanted: str | None, view: View) -> RunInfo:
    run = pick(usable(snapshot), wanted)
    if run is None:
        raise ConfigError("ui.inference.no_run")
    return run


class StockView:
    """One stock: candles and fan, the odds, the table, and what a reader must know first."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        self.found = gr.State(None)
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
                gr.Number, {"label": "ui.stock.days", "info": "ui.stock.days_info"}, value=5, precision=0, minimum=1, maximum=30, scale=1
            )
        self.ask = words(gr.Button, {"value": "ui.stock.ask"}, variant="primary", elem_id="stock-ask")
        self.head = gr.HTML(elem_id="stock-head")
        self.plot = gr.Plot(show_label=False, visible=False, elem_id="stock-plot")
        self.table = gr.HTML(elem_id="stock-table")
        page.on_and_refresh(
            [self.ask.click, self.as_of.submit],
            self._forecast,
            [picker, self.symbol, self.as_of, self.days],
            [self.found],
            show_progress="minimal",
            show_progress_on=[self.head],
            concurrency_limit=2,
            concurrency_id="forecast",
        )
        page.live(
            "stock.names",
            [self.symbol],
            lambda snapshot, *_: (snapshot.market.get("stocks"), snapshot.market.get("updated")),
            self._draw_names,
            [self.symbol],
        )
        page.live("stock.found", [self.head, self.plot, self.table], lambda snapshot, found: found and found["id"], self._draw, [self.found])

    def _forecast(self, view: View, wanted: str | None, symbol: str | None, as_of: str, days: float | None) -> dict[str, Any]:
        services = self.page.services
        run = chosen(services.snapshot(), wanted, view)
        if not (symbol or "").strip():
            raise ConfigError("ui.stock.which")
        horizon = run.run_config().label.horizon
        found = services.predictor.forecast(run.id, str(symbol).strip(), (as_of or "").strip() or None, min(int(days or horizon), horizon))
        return {"id": (run.id, found["symbol"], found["as_of"], found["days"]), **found}

    def _draw_names(self, view: View, snapshot: Snapshot, symbol: str | None) -> list[Any]:
        names = list(self.page.services.names().items())[:OFFERED_SYMBOLS]
        value = symbol or (names[0][0] if names else None)
        return [gr.update(choices=[(f"{code}  {name}".strip(), code) for code, name in names], value=value)]

    def _draw(self, view: View, snapshot: Snapshot, found: dict[str, Any] | None) -> list[Any]:
        if not found:
            return ["", gr.update(visible=False), ""]
        return [stock_head(view, found), gr.update(value=charts.candles(found, view), visible=True), stock_table(view, found)]


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
        f"{odds}{components.odds(view, found['classes'])}{components.notes(view, found['notes'])}</div>"
    )


def stock_table(view: View, found: dict[str, Any]) -> str:
    """One row a day ahead: date, median, ranges, expected return, chance of a rise, and the truth where it is known."""
    truth = found["truth"]["price"]
    bands = [name for name in ("50", "80", "95") if name in found["fan"]]
    rows = []
    for place, day in enumerate(found["table"]):
        ranges = [f"{found['fan'][name]['low'][place]:.2f} – {found['fan'][name]['high'][place]:.2f}" for name in bands]
        known = number(truth[place], 2) if place < len(truth) else ""
        rows.append(
            [
                f"{day['day']}<small>{day['date']}</small>",
                number(day["price"], 2),
                *ranges,
                components.change_cell(day["expected_return"], view),
                percent(day["p_up"]),
                known,
            ]
        )
    headers = [
        view.word("ui.stock.day"),
        view.word("ui.chart.median"),
        *(f"{name} %" for name in bands),
        view.word("ui.stock.expected_short"),
        view.word("ui.stock.p_up_short"),
        view.word("ui.chart.truth"),
    ]
    return f'<div class="k-card">{components.table(headers, rows)}</div>'


class PoolView:
    """Every stock of the model's universe in order of its expected return; the ranking is a job, so every browser sees it."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        with gr.Group(), gr.Row(equal_height=True):
            self.top = words(gr.Number, {"label": "ui.pool.top", "info": "ui.pool.top_info"}, value=20, precision=0, minimum=0, maximum=10_000)
            self.gain = words(gr.Number, {"label": "ui.pool.gain", "info": "ui.pool.gain_info"}, value=None)
            self.industry = words(
                gr.Dropdown,
                {
                    "label": "form.industry.label",
                    "info": "ui.pool.industry_info",
                    "choices": [(f"ui.term.industry.{name}", name) for name in ("all", *INDUSTRIES)],
                },
                value="all",
            )
            self.as_of = words(gr.Textbox, {"label": "ui.stock.as_of", "info": "ui.stock.as_of_info", "placeholder": "ui.form.date"}, max_lines=1)
        self.ask = words(gr.Button, {"value": "ui.pool.ask"}, variant="primary", elem_id="pool-ask")
        self.status = gr.HTML(elem_id="pool-status")
        self.table = gr.Dataframe(
            value=None,
            interactive=False,
            show_label=False,
            visible=False,
            max_height=620,
            elem_id="pool-table",
            show_search="filter",
            buttons=["fullscreen", "copy"],
            pinned_columns=2,
        )
        self.csv = words(gr.DownloadButton, {"label": "ui.pool.csv"}, value=None, visible=False, elem_id="pool-csv")
        page.on_and_refresh(self.ask.click, self._rank, [picker, self.top, self.gain, self.industry, self.as_of], trigger_mode="once")
        page.live("pool", [self.status, self.table, self.csv], self._version, self._draw, [picker])

    def _rank(self, view: View, wanted: str | None, top: float | None, gain: float | None, industry: str, as_of: str) -> None:
        services = self.page.services
        services.jobs.submit(
            "rank",
            run=chosen(services.snapshot(), wanted, view).id,
            top=int(top or 0),
            as_of=(as_of or "").strip() or None,
            min_gain=None if gain is None else gain / 100,
            industry=None if industry == "all" else industry,
        )

    def _job(self, snapshot: Snapshot, wanted: str | None) -> dict[str, Any] | None:
        run = pick(usable(snapshot), wanted)
        return next((job for job in snapshot.jobs if job["kind"] == "rank" and run is not None and job["run"] == run.id), None)

    def _version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        job = self._job(snapshot, wanted)
        return job and (job["id"], job["state"], job["stage"], job["done"])

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        job = self._job(snapshot, wanted)
        hidden = gr.update(visible=False)
        if job is None:
            return [components.empty(view, "ui.pool.empty"), hidden, hidden]
        if job["state"] != "finished":
            return [components.progress(view, job, None), hidden, hidden]
        table = job["result"]
        file = downloads.csv(table, f"{job['run']}.{table.attrs['as_of']}.csv")
        return [pool.head(view, table), gr.update(value=pool.rows(view, table), visible=True), gr.update(value=file, visible=True)]


class EvaluationView:
    """What the test said: beside the baselines, in sentences, in figures."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        self.ask = words(gr.Button, {"value": "ui.evaluation.ask"}, elem_id="evaluation-ask")
        self.status = gr.HTML()
        self.card = gr.HTML(elem_id="evaluation-card")
        with gr.Row(visible=False) as self.figures:
            with gr.Column(min_width=380):
                words(gr.HTML, {"value": "ui.evaluation.ic"}, html_template='<b class="k-title">${value}</b>')
                self.ic = gr.Plot(show_label=False)
            with gr.Column(min_width=380):
                words(gr.HTML, {"value": "ui.evaluation.calibration"}, html_template='<b class="k-title">${value}</b>')
                self.calibration = gr.Plot(show_label=False)
        with gr.Column(visible=False) as self.groups:
            self.dimension = words(
                gr.Radio, {"label": "ui.evaluation.by", "choices": [(f"ui.term.dimension.{name}", name) for name in CONDITIONS]}, value="industry"
            )
            self.by_group = gr.Plot(show_label=False)
        page.on_and_refresh(self.ask.click, self._evaluate, [picker], trigger_mode="once")
        page.live("evaluation.status", [self.status], self._status_version, self._draw_status, [picker])
        page.live("evaluation", [self.card, self.figures, self.ic, self.calibration, self.groups], self._version, self._draw, [picker])
        page.live(
            "evaluation.groups",
            [self.by_group],
            lambda snapshot, wanted, by: (self._version(snapshot, wanted), by),
            self._draw_groups,
            [picker, self.dimension],
        )
        page.refresh_on(self.dimension.input)

    def _evaluate(self, view: View, wanted: str | None) -> None:
        services = self.page.services
        services.jobs.submit("evaluate", run=chosen(services.snapshot(), wanted, view).id)

    def _job(self, snapshot: Snapshot, wanted: str | None) -> dict[str, Any] | None:
        run = pick(usable(snapshot), wanted)
        return next((job for job in snapshot.jobs if job["kind"] == "evaluate" and run is not None and job["run"] == run.id), None)

    def _status_version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        job = self._job(snapshot, wanted)
        return job and (job["id"], job["state"], job["stage"], job["done"])

    def _draw_status(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        job = self._job(snapshot, wanted)
        if job is None:
            return [""]
        if job["state"] == "finished":
            return [components.notes(view, (job["result"] or {}).get("notes", ()))]
        return [components.progress(view, job, None)]

    def _version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        run = pick(usable(snapshot), wanted)
        return run and results.version(run)

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        run = pick(usable(snapshot), wanted)
        found = results.load(run) if run else None
        if not found:
            hidden = gr.update(visible=False)
            return [components.empty(view, "ui.evaluation.empty"), hidden, gr.skip(), gr.skip(), hidden]
        result = found["result"]
        return [
            results.card(view, found),
            gr.update(visible=True),
            charts.ic_series(result["series"]["time"], result["series"]["ic"], view),
            charts.calibration(result["calibration"], view),
            gr.update(visible=True),
        ]

    def _draw_groups(self, view: View, snapshot: Snapshot, wanted: str | None, dimension: str) -> list[Any]:
        run = pick(usable(snapshot), wanted)
        found = results.load(run) if run else None
        return [charts.group_bars(found["result"]["groups"].get(dimension, {}), dimension, view) if found else gr.skip()]
