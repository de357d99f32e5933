"""The backtest of a run on its test dates: settings and costs, equity beside its benchmarks, months, figures, and every trade.

In: the page and the run picker of the inference tab. Out: components. The backtest is a job whose result the run keeps; here it is asked for
and drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from financial_model.serving.backtesting import LIMITS
from financial_model.serving.trials import BACKTEST, read_backtest
from financial_model.ui import asking, charts, components, downloads
from financial_model.ui.choosing import asked, pick, usable, within
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.places import room_for
from financial_model.ui.tables import grid, written
from financial_model.ui.text import View, count, escape, interval, number, percent

FIELDS: tuple[tuple[str, float, float], ...] = (
    ("top", 30, 1),
    ("drop", 5, 1),
    ("every", 1, 1),
    ("minimum_holding", 1, 1),
    ("capital", 1_000_000, 1),
    ("industry_cap", 0, 100),
    ("volume_share", 5, 100),
    ("commission", 0.025, 100),
    ("commission_minimum", 5, 1),
    ("slippage", 0.05, 100),
)
"""Setting, what the field shows at first, and how many of the field's units make one of the setting's (100: percent)."""
WHOLE = frozenset({"top", "drop", "every", "minimum_holding"})
SIDES = ("net", "gross", "equal_weight", "index")
FIGURES = ("total_return", "annual_return", "annual_volatility", "sharpe", "max_drawdown", "calmar", "win_rate")
RATIOS = frozenset({"sharpe", "calmar"})
SHOWN_TRADES = 300
TRADE_COLUMNS = ("date", "symbol", "side", "shares", "price", "amount", "cost")


class BacktestView:
    """Settings, start, result."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        self.fields: dict[str, gr.Number] = {}
        with gr.Group():
            self._row(FIELDS[:5])
            with words(gr.Accordion, {"label": "ui.backtest.costs"}, open=False):
                self._row(FIELDS[5:])
                self.official = words(gr.Checkbox, {"label": "ui.backtest.official", "info": "ui.backtest.official_info"}, value=True)
        self.ask = words(gr.Button, {"value": "ui.backtest.ask"}, variant="primary", elem_id="backtest-ask", elem_classes=["k-act"])
        self.refused = gr.HTML(elem_id="backtest-refused")
        self.status = gr.HTML(elem_id="backtest-status")
        self.card = gr.HTML(elem_id="backtest-card")
        self.plot = room_for("equity", visible=False, elem_id="backtest-plot")
        self.months = gr.HTML(elem_id="backtest-months")
        with words(gr.Accordion, {"label": "ui.backtest.trades"}, open=False, visible=False) as self.listed:
            self.trades = gr.Dataframe(value=None, interactive=False, show_label=False, max_height=420, elem_id="backtest-trades", buttons=["copy"])
        self.csv = words(
            gr.DownloadButton, {"label": "ui.backtest.csv"}, value=None, size="sm", visible=False, elem_id="backtest-csv", elem_classes=["k-act"]
        )
        page.on_and_refresh(self.ask.click, self._ask, [picker, self.official, *self.fields.values()], trigger_mode="once", beside=self.refused)
        page.live(
            "backtest.status",
            [self.status],
            lambda snapshot, wanted: (wanted, asking.version(asking.job_of(snapshot, "backtest", wanted))),
            self._draw_status,
            [picker],
        )
        page.live("backtest", [self.card, self.plot, self.months, self.listed, self.trades, self.csv], self._version, self._draw, [picker])

    def _row(self, fields: tuple[tuple[str, float, float], ...]) -> None:
        with gr.Row(equal_height=True):
            for name, value, _ in fields:
                self.fields[name] = self.page.words(
                    gr.Number,
                    {"label": f"ui.backtest.{name}", "info": f"ui.backtest.{name}_info"},
                    value=value,
                    precision=0 if name in WHOLE else None,
                    min_width=130,
                    elem_id=f"backtest-{name}",
                )

    def _ask(self, view: View, wanted: str | None, official: bool, *given: float | None) -> None:
        services = self.page.services
        settings: dict[str, Any] = {"official": bool(official)}
        for (name, shown, scale), value in zip(FIELDS, given, strict=True):
            low, high = LIMITS[name]
            number_ = within(view, f"ui.backtest.{name}", shown if value is None else value, low * scale, high * scale)
            settings[name] = int(number_) if name in WHOLE else number_ / scale
        asking.ask(services, "backtest", run=asked(services.snapshot(), wanted).id, **settings)

    def _draw_status(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        job = asking.job_of(snapshot, "backtest", wanted)
        return ["" if job is None or asking.finished(job) else components.progress(view, job, None)]

    def _version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        run = pick(usable(snapshot), wanted)
        return run and (run.id, downloads.file_stamp(run.path / BACKTEST))

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        run = pick(usable(snapshot), wanted)
        found = read_backtest(run) if run else None
        hidden = gr.update(visible=False)
        if run is None or found is None:
            return [components.empty(view, "ui.backtest.empty"), hidden, "", hidden, gr.skip(), hidden]
        return [
            card(view, found),
            gr.update(value=charts.equity(found, view), visible=True),
            components.months(view, view.word("ui.backtest.monthly"), found["monthly"]),
            gr.update(visible=True),
            trade_rows(view, found),
            gr.update(value=_csv(run.id, found), visible=True),
        ]


def _csv(run_id: str, found: Mapping[str, Any]) -> str:
    import pandas as pd

    return downloads.csv(pd.DataFrame(found["trades"]), f"{run_id}.trades.csv")


def card(view: View, found: Mapping[str, Any]) -> str:
    """Figures side by side, the facts of trading, what they mean, and how often luck was asked."""
    sides = [name for name in SIDES if name == "net" or name in found]
    columns = {name: found["metrics"] if name == "net" else found[name] for name in sides}
    rows = [[escape(view.word(f"evaluation.report.figure_{row}")), *(_figure(row, columns[name]) for name in sides)] for row in FIGURES]
    labels = [view.term("market", found["index_name"]) if name == "index" else view.word(f"evaluation.report.side_{name}") for name in sides]
    metrics, held = found["metrics"], found["settings"]
    lead = view.word(
        "ui.backtest.head", first=found["test"]["first"], last=found["test"]["last"], days=metrics["days"], top=held["top"], drop=held["drop"]
    )
    blocked = [
        f"{view.word(f'evaluation.report.blocked_{reason}')} {amount}" for side in found["blocked"].values() for reason, amount in side.items()
    ]
    against = []
    for rival in (name for name in ("equal_weight", "index") if f"excess_{name}" in metrics):
        bounds = interval(metrics.get(f"excess_{rival}_interval"), 1, as_percent=True)
        against.append((view.word(f"evaluation.report.figure_excess_{rival}"), percent(metrics[f"excess_{rival}"], signed=True), bounds))
        ratio = f"information_ratio_{rival}"
        against.append((view.word(f"evaluation.report.figure_{ratio}"), number(metrics[ratio], 2), ""))
    facts = components.tiles(
        [
            *against,
            (view.word("evaluation.report.figure_turnover"), percent(metrics["turnover"]), ""),
            (view.word("evaluation.report.figure_cost_per_year"), percent(metrics["cost_per_year"]), ""),
            (view.word("evaluation.report.figure_invested"), percent(metrics["invested"]), ""),
            (view.word("evaluation.report.figure_trades"), count(metrics["trades"]), ""),
            (view.word("evaluation.report.figure_blocked"), count(metrics["blocked"]), " · ".join(blocked)),
            (view.word("ui.backtest.tried"), count(metrics["trials"]), view.word("ui.backtest.tried_info")),
        ]
    )
    said = components.verdict(view, found["verdict"])
    return (
        f'<div class="k-card"><b class="k-title">{escape(view.word("ui.backtest.title"))}</b><p class="k-lead">{escape(lead)}</p>'
        f'{components.table(["", *labels], rows, own=1)}<div style="height:12px"></div>{facts}{said}</div>'
    )


def _figure(name: str, column: Mapping[str, Any]) -> str:
    shown = number(column.get(name), 2) if name in RATIOS else percent(column.get(name))
    bounds = interval(column.get(f"{name}_interval"), 2)
    return f"{shown}<small>{escape(bounds)}</small>" if bounds else shown


def trade_rows(view: View, found: Mapping[str, Any]) -> dict[str, Any]:
    """The last trades, newest first, for ``gr.Dataframe``; the CSV has them all."""
    cells = [
        [
            trade["date"],
            trade["symbol"],
            view.word(f"evaluation.report.{trade['side']}"),
            written(number, trade["shares"], 0),
            written(number, trade["price"], 2),
            written(number, trade["amount"], 0),
            written(number, trade["commission"] + trade["stamp"] + trade["transfer"] + trade["slippage"], 2),
        ]
        for trade in reversed(found["trades"][-SHOWN_TRADES:])
    ]
    return grid([view.word(f"ui.backtest.column.{name}") for name in TRADE_COLUMNS], cells)
