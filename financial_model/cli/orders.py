"""``orders``: what to sell and to buy in the next session, from a ranking, what is held, and the money there is.

In: parsed arguments. Out: an :class:`Answer`. The rules are the backtest's; ``serving.orders`` applies them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from financial_model.cli.arguments import workspace_of
from financial_model.cli.output import Answer, Output, ProgressBar, figure, table
from financial_model.cli.training import stopping

COLUMNS = ("side", "symbol", "name", "shares", "price", "limits", "amount", "costs", "why")
SETTINGS = ("top", "drop", "minimum_holding", "volume_share", "industry_cap", "commission", "commission_minimum", "slippage")


def orders(arguments: argparse.Namespace, output: Output) -> Answer:
    """The order list; ``--csv`` also writes it for Excel."""
    from financial_model.serving.backtesting import settings_from
    from financial_model.serving.export import write_csv
    from financial_model.serving.holdings import read_holdings
    from financial_model.serving.orders import order_table
    from financial_model.serving.orders import orders as plan

    settings = settings_from({name: getattr(arguments, name) for name in SETTINGS if getattr(arguments, name) is not None})
    held = read_holdings(arguments.holdings) if arguments.holdings else []
    with stopping(output) as stop, ProgressBar(output) as progress:
        found = plan(workspace_of(arguments), arguments.run, held, capital=arguments.capital, cash=arguments.cash, settings=settings,
                     as_of=arguments.as_of or None, progress=progress, stop=stop)
    file = write_csv(order_table(found, output.language), Path(arguments.csv)) if arguments.csv else None
    return Answer({**_spoken(found, output), **({"csv": str(file)} if file else {})}, [*order_lines(found, output), *([str(file)] if file else [])])


def _spoken(found: dict[str, Any], output: Output) -> dict[str, Any]:
    """The same with its sentences in the reader's language."""
    def said(item: dict[str, Any]) -> str:
        return output.word(item["key"], **item["fields"])

    return {**found, "notes": [said(note) for note in found["notes"]], "blocked": [{**item, "why": said(item["why"])} for item in found["blocked"]],
            "orders": [{**order, "why": said(order["why"]), "warnings": [said(item) for item in order["warnings"]]} for order in found["orders"]]}


def order_lines(found: dict[str, Any], output: Output) -> list[str]:
    """The list for a reader: orders, money, what is not possible, what stays."""
    spoken = _spoken(found, output)
    title = output.word("cli.orders.title", trade_date=found["trade_date"], as_of=found["as_of"], count=found["considered"])
    money = output.word("cli.orders.money", **{name: figure(float(found[key]), 2) for name, key in (
        ("before", "cash_before"), ("after", "cash_after"), ("bought", "bought"), ("sold", "sold"), ("costs", "costs"), ("worth", "worth"))})
    rows = [[output.word(f"orders.{order['side']}"), order["symbol"], order["name"], f"{order['shares']:,.10g}", figure(order["price"], 2),
             f"{figure(order['limit_low'], 2)} – {figure(order['limit_high'], 2)}", figure(order["amount"], 2), figure(order["costs"], 2),
             " ".join([order["why"], *order["warnings"]])] for order in spoken["orders"]]
    blocked = [f"  {output.word('orders.' + item['side'])} {item['symbol']} {item['name']}: {item['why']}" for item in spoken["blocked"]]
    kept = ", ".join(item["symbol"] for item in found["kept"])
    head = [output.word(f"cli.orders.{name}") for name in COLUMNS]
    return [title, "", *(table(head, rows) if rows else []), "", money, *([output.word("cli.orders.blocked"), *blocked] if blocked else []),
            *([output.word("cli.orders.kept", symbols=kept)] if kept else []), "", *spoken["notes"]]
