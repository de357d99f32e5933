"""Orders for the next session: what is held, how much money there is, and the list that follows from the ranking.

In: the page and the run picker of the inference tab. Out: components. Holdings are typed or uploaded and stay with the visitor; the list is a job.
Nothing here reaches a broker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from financial_model.errors import ConfigError
from financial_model.serving.holdings import COLUMNS, as_rows, read_holdings, typed_holdings
from financial_model.ui import asking, components, downloads, uploads
from financial_model.ui.choosing import asked, within
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.text import DASH, View, escape, number

ROWS = 4
"""Empty rows a visitor begins with."""
ORDER_COLUMNS = ("side", "stock", "shares", "price", "limits", "amount", "costs", "why")


class OrdersView:
    """Holdings and money on top, the list below."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        self.own = gr.State(None)
        words(gr.HTML, {"value": "ui.orders.lead"}, html_template='<p class="k-lead">${value}</p>')
        with gr.Row():
            with gr.Column(scale=7, min_width=380):
                self.table = words(
                    gr.Dataframe,
                    {"label": "ui.orders.holdings"},
                    headers=list(COLUMNS),
                    value=[["", None, None, ""]] * ROWS,
                    datatype=["str", "number", "number", "str"],
                    column_count=(len(COLUMNS), "fixed"),
                    type="array",
                    max_height=300,
                    elem_id="orders-holdings",
                    buttons=[],
                )
            with gr.Column(scale=4, min_width=280):
                self.upload = words(gr.File, {"label": "ui.orders.upload"}, file_types=[".csv", ".txt"], height=130, elem_id="orders-upload")
                self._money()
        self.ask = words(gr.Button, {"value": "ui.orders.ask"}, variant="primary", elem_id="orders-ask", elem_classes=["k-act"])
        self.refused = gr.HTML(elem_id="orders-refused")
        self.card = gr.HTML(elem_id="orders-card")
        self.csv = words(
            gr.DownloadButton, {"label": "ui.orders.csv"}, value=None, visible=False, size="sm", elem_id="orders-csv", elem_classes=["k-act"]
        )
        page.on(self.upload.upload, self._read, [self.upload], [self.table], beside=self.refused)
        page.on_and_refresh(
            self.ask.click, self._ask, [picker, self.table, self.kind, self.money, self.top, self.drop], [self.own], trigger_mode="once",
            beside=self.refused,
        )
        page.live("orders.headers", [self.table], lambda snapshot, rows: 0, self._draw_headers, [self.table])
        page.live(
            "orders",
            [self.card, self.csv],
            lambda snapshot, wanted, own: (wanted, asking.version(asking.job_of(snapshot, "orders", wanted, own))),
            self._draw,
            [picker, self.own],
        )

    def _money(self) -> None:
        words = self.page.words
        self.kind = words(
            gr.Radio, {"label": "ui.orders.kind", "choices": [("ui.orders.capital", "capital"), ("ui.orders.cash", "cash")]}, value="capital"
        )
        with gr.Row():
            self.money = words(gr.Number, {"label": "ui.orders.money"}, value=1_000_000, min_width=120, elem_id="orders-money")
            self.top = words(gr.Number, {"label": "ui.backtest.top"}, value=10, precision=0, min_width=80)
            self.drop = words(gr.Number, {"label": "ui.backtest.drop"}, value=5, precision=0, min_width=80)

    def _read(self, view: View, path: str | None) -> Any:
        if not path:
            return gr.skip()
        return _table(view, as_rows(read_holdings(uploads.received(path, kinds=(".csv", ".txt")))))

    def _ask(
        self, view: View, wanted: str | None, rows: Sequence[Sequence[Any]], kind: str, money: float | None, top: float | None, drop: float | None
    ) -> str:
        if money is None:
            raise ConfigError("orders.which_money")
        services = self.page.services
        run = asked(services.snapshot(), wanted)
        settings = {
            "top": int(within(view, "ui.backtest.top", 1 if top is None else top, 1, 1000)),
            "drop": int(within(view, "ui.backtest.drop", drop or 0, 0, 1000)),
        }
        within(view, "ui.orders.money", money, 0, 1e12)
        held = as_rows(typed_holdings(rows))
        return asking.ask(services, "orders", run=run.id, holdings=held, settings=settings, **{kind: float(money)})

    def _draw_headers(self, view: View, snapshot: Snapshot, rows: Sequence[Sequence[Any]]) -> list[Any]:
        return [_table(view, [list(row) for row in rows])]

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None, own: str | None) -> list[Any]:
        job = asking.job_of(snapshot, "orders", wanted, own)
        if job is None or not asking.finished(job):
            return [asking.waiting(view, job, "ui.orders.empty"), gr.update(visible=False)]
        return [order_card(view, job["result"]), gr.update(value=_csv(view, job["result"]), visible=True)]


def _table(view: View, rows: list[list[Any]]) -> dict[str, Any]:
    """Rows under headers in the visitor's language, with room for more."""
    empty = [["", None, None, ""] for _ in range(max(ROWS - len(rows), 0))]
    return {"headers": [view.word(f"ui.orders.{name}") for name in COLUMNS], "data": [*rows, *empty]}


def _csv(view: View, found: Mapping[str, Any]) -> str:
    from financial_model.serving.orders import order_table

    return downloads.csv(order_table(dict(found), view.language), f"orders.{found['trade_date']}.csv")


def order_card(view: View, found: Mapping[str, Any]) -> str:
    """Money before and after, the orders, what cannot be done and why, what stays, and what a reader must know."""
    title = view.word("ui.orders.title", trade_date=found["trade_date"], as_of=found["as_of"], count=found["considered"])
    shown = {"cash_before": "cash_before", "sold": "sold", "bought_amount": "bought", "costs": "costs", "cash_after": "cash_after", "worth": "worth"}
    figures = components.tiles([(view.word(f"ui.orders.{name}"), number(found[key], 2), "") for name, key in shown.items()])
    notes = components.notes(view, found["notes"])
    body = components.table([view.word(f"ui.orders.column.{name}") for name in ORDER_COLUMNS], [_row(view, order) for order in found["orders"]],
                            text=(1, 7))
    blocked = "".join(components.note(f"{_stock(item)} · {view.word('orders.' + item['side'])}: {_said(view, item['why'])}", "warn")
                      for item in found["blocked"])
    kept = ", ".join(_stock(item) for item in found["kept"])
    return (
        f'<div class="k-card"><b class="k-title">{escape(title)}</b><div style="height:10px"></div>{figures}'
        f"{body if found['orders'] else ''}"
        + (f'<b class="k-title">{escape(view.word("ui.orders.blocked"))}</b>{blocked}' if blocked else "")
        + (f'<p class="k-lead">{escape(view.word("ui.orders.kept", symbols=kept))}</p>' if kept else "")
        + f"{notes}</div>"
    )


def _row(view: View, order: Mapping[str, Any]) -> list[str]:
    tone = "good" if order["side"] == "buy" else "warn"
    limits = f"{number(order['limit_low'], 2)} – {number(order['limit_high'], 2)}" if order["limit_high"] else DASH
    why = " ".join([_said(view, order["why"]), *(_said(view, item) for item in order["warnings"])])
    return [
        components.badge(view.word(f"orders.{order['side']}"), tone),
        escape(_stock(order)),
        f"{order['shares']:,.10g}",
        number(order["price"], 2),
        limits,
        number(order["amount"], 2),
        number(order["costs"], 2),
        escape(why),
    ]


def _stock(item: Mapping[str, Any]) -> str:
    return f"{item['symbol']} {item['name']}".strip()


def _said(view: View, item: Mapping[str, Any]) -> str:
    return view.word(item["key"], **item["fields"])
