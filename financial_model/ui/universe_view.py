"""The universe as a reader sees it: heading, warnings, tables, cells of the conditions. HTML and rows made from a summary.

In: a summary of the universe and the visitor's view. Out: strings, rows, frames for figures. It analyses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from financial_model.ui import components
from financial_model.ui.tables import Written, grid, matches, written
from financial_model.ui.text import View, count, escape, number, percent

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.market.store import Store

Summary = Mapping[str, Any]
"""A ``features.universe.UniverseSummary`` as plain data."""

COLUMNS = (
    "symbol",
    "name",
    "industry",
    "size",
    "value",
    "volatility",
    "momentum",
    "close",
    "change_month",
    "annual_return",
    "annual_volatility",
    "rows",
    "missing",
)
_CHANGES = frozenset({"change_month", "annual_return"})
_SHARES = frozenset({"change_month", "annual_return", "annual_volatility", "missing"})
_TERMS = frozenset({"industry", "size", "value", "volatility", "momentum"})


def head(view: View, summary: Summary) -> str:
    """Counts, span, coverage, and what to beware of."""
    tiles = components.tiles(
        [
            (view.word("ui.data.stocks"), count(summary["stocks"]), ""),
            (view.word("ui.data.rows"), count(summary["rows"]), ""),
            (view.word("ui.data.first"), summary["first"], ""),
            (view.word("ui.data.last"), summary["last"], ""),
            (view.word("ui.universe.sessions"), count(summary["sessions"]), ""),
            (view.word("ui.universe.classified"), percent(1 - summary["other_share"], 0), ""),
            (view.word("ui.universe.market"), view.term("market", summary["market"]), ""),
        ]
    )
    return tiles + components.notes(view, summary["warnings"])


def frame(summary: Summary) -> pd.DataFrame:
    """One row per stock, as the summary has it."""
    import pandas as pd

    return pd.DataFrame(summary["table"])


def rows(view: View, summary: Summary, limit: int, text: str | None = "") -> dict[str, Any]:
    """Headers and cells for ``gr.Dataframe``: the largest of all stocks in whose row every word of ``text`` stands."""
    largest = sorted(summary["table"], key=lambda stock: -(stock["weight"] or 0))
    cells = ([_cell(stock, name, view) for name in COLUMNS] for stock in largest)
    found = list(islice((row for row in cells if matches(row, text)), limit))
    return grid([view.term("dimension", name) if name in _TERMS else view.word(f"ui.universe.column.{name}") for name in COLUMNS], found)


def _cell(stock: Mapping[str, Any], name: str, view: View) -> str | Written:
    value = stock[name]
    if name in _TERMS:
        return view.term(name, value)
    if name in _SHARES:
        return written(percent, value, signed=name in _CHANGES)
    return written(number, value, 2) if name == "close" else written(count, value) if name == "rows" else str(value or "")


def history(store: Store, symbol: str, bars: int) -> dict[str, list]:
    """The last bars of a stock as columns for a chart; prices forward adjusted, so that they end at the price of today."""
    table = store.read_bars(symbol).tail(bars)
    scale = (table["factor"] / table["factor"].iloc[-1]).to_numpy()
    daily = (table["date"].dt.normalize() == table["date"]).all()
    dates = table["date"].dt.strftime("%Y-%m-%d" if daily else "%Y-%m-%d %H:%M").tolist()
    prices = {name: (table[name].to_numpy() * scale).round(4).tolist() for name in ("open", "high", "low", "close")}
    return {"date": dates, **prices, "volume": table["volume"].tolist()}


def correlation(view: View, summary: Summary, of: str) -> tuple[list[str], list[list[float | None]]]:
    """Names and matrix of the correlations of ``industries`` or of the largest ``stocks``, those that move alike beside each other."""
    found = summary["correlation"][of]
    if of == "industries":
        return [view.term("industry", name) for name in found["names"]], found["matrix"]
    name = {row["symbol"]: row["name"] for row in summary["table"]}
    return [f"{name[symbol]} {symbol}".strip() for symbol in found["names"]], found["matrix"]


def style_shares(summary: Summary) -> dict[str, dict[str, float]]:
    """Condition -> label -> share of the trading stocks."""
    shares = {}
    for condition, labels in summary["counts"].items():
        total = sum(labels.values())
        if condition != "industry" and total:
            shares[condition] = {label: amount / total for label, amount in labels.items() if amount}
    return shares


def all_cells(view: View, summary: Summary) -> str:
    """:func:`cells` behind a summary line: what the thin ones are."""
    title = escape(view.word("ui.universe.cells"))
    return f'<details class="k-more"><summary>{title}</summary>{cells(view, summary)}</details>'


def cells(view: View, summary: Summary) -> str:
    """How many stocks carry each label of each condition; thin ones stand out."""
    thin = {(cell["condition"], cell["label"]) for cell in summary["thin"]}
    lines = []
    for condition, labels in summary["counts"].items():
        chips = "".join(
            components.badge(
                f"{view.term(condition, label)} {amount}", "warn" if (condition, label) in thin else "" if label == "unknown" else "accent"
            )
            for label, amount in labels.items()
            if amount
        )
        lines.append(f'<div class="k-cells"><b>{escape(view.term("dimension", condition))}</b><div>{chips}</div></div>')
    warning = components.note(view.word("ui.conditional.thin", count=len(thin)), "warn") if thin else ""
    return "".join(lines) + warning
