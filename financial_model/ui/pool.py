"""The ranked pool as a reader sees it: a heading, and a table in his language.

In: the ranking of :meth:`Predictor.rank`. Out: HTML and table cells. It ranks nothing; the CSV is written from the ranking itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.ui import components
from financial_model.ui.text import View, number, percent

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("rank", "symbol", "name", "industry", "style", "regime", "price", "expected", "range", "p_up", "volatility", "flags")
STYLES = (("size", "size"), ("value", "value"), ("volatility", "volatility_class"), ("momentum", "momentum"))
FLAGS = ("suspended", "limit_up", "limit_down")


def head(view: View, table: pd.DataFrame) -> str:
    """On which date, how far ahead, out of how many."""
    text = view.word("ui.pool.head", as_of=table.attrs["as_of"], days=table.attrs["days"], shown=len(table), count=table.attrs["considered"])
    return components.note(text) + components.notes(view, table.attrs["notes"])


def rows(view: View, table: pd.DataFrame) -> dict[str, Any]:
    """Headers and cells for ``gr.Dataframe``."""
    cells = [
        [
            row.rank,
            row.symbol,
            row.name,
            view.term("industry", row.industry),
            _style(row, view),
            view.term("regime", row.regime),
            number(row.price, 2),
            percent(np.expm1(row.expected_return), 2, signed=True),
            f"{percent(np.expm1(row.low_80))} … {percent(np.expm1(row.high_80))}",
            percent(row.p_up),
            percent(row.volatility * 252**0.5),
            _flags(row, view),
        ]
        for row in table.itertuples(index=False, name="Stock")
    ]
    return {"headers": [view.word(f"ui.pool.column.{name}") for name in COLUMNS], "data": cells}


def _style(row: Any, view: View) -> str:
    return " · ".join(view.term(kind, getattr(row, column)) for kind, column in STYLES if getattr(row, column) != "unknown")


def _flags(row: Any, view: View) -> str:
    return " ".join(view.word(f"ui.pool.flag.{name}") for name in FLAGS if getattr(row, name))
