"""New bars onto stored ones: the overlap compared, the factor from events, dated facts as columns.

In: tables and facts of one symbol. Out: one table for the store. It knows no source and no store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from financial_model.market.adjustment import ExRights, backward_factors
from financial_model.market.bars import PRICES

OVERLAP = 5
"""Stored bars that an update asks for again and compares."""
_TOLERANCE = 1e-6


def differs(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    """True unless the last stored bars and the first new ones say the same of the days they share, and every stored day since is among the new.

    Prices to one part in a million, a factor of the source's own too; volume to one in a thousand (vendors round it).
    """
    tail = old[old["date"] >= new["date"].min()].set_index("date")
    again = new.set_index("date")
    if not len(tail) or not tail.index.isin(again.index).all():
        return True
    again = again.loc[tail.index]
    for column in (*PRICES, *(("factor",) if "factor" in tail and "factor" in again else ())):
        if (np.abs(again[column] - tail[column]) > _TOLERANCE * tail[column]).any():
            return True
    volume = np.abs(again["volume"].fillna(0) - tail["volume"])
    return bool((volume > 1e-3 * tail["volume"] + 100).any())


def merged(old: pd.DataFrame | None, new: pd.DataFrame) -> pd.DataFrame:
    """Stored rows followed by the new ones after them; stored rows never change."""
    if old is None:
        return new.copy()
    later = new[new["date"] > old["date"].iloc[-1]]
    table = pd.concat([old, later], ignore_index=True)
    if "factor" in old and "factor" not in new:
        table["factor"] = table["factor"].ffill()
    return table


def finished(table: pd.DataFrame, events: Sequence[ExRights] | None, facts: Mapping[str, Sequence[tuple] | None],
             stored: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """``table`` with its factor from ``events`` (None: its own) and shares and book values as of each day.

    ``facts``: rows of ``schema.FACTS`` just delivered, None where the source said nothing; ``stored``: those delivered earlier.
    """
    if events is not None:
        days = table["date"].to_numpy().astype("datetime64[D]")
        table["factor"] = backward_factors(days, table["close"].to_numpy(np.float64), table["volume"].fillna(0).to_numpy() > 0, events)
    shares = _frame(facts.get("shares"), stored.get("shares"), ("date", "total_shares", "float_shares"))
    for column in ("total_shares", "float_shares"):
        _as_of(table, shares, "date", column)
    _as_of(table, _frame(facts.get("book"), stored.get("book"), ("date", "announced", "book_per_share")), "announced", "book_per_share")
    return table


def _frame(rows: Sequence[tuple] | None, stored: pd.DataFrame | None, columns: tuple[str, ...]) -> pd.DataFrame:
    if rows is not None:
        return pd.DataFrame(list(rows), columns=list(columns))
    return stored if stored is not None else pd.DataFrame(columns=list(columns))


def _as_of(table: pd.DataFrame, facts: pd.DataFrame, known_from: str, column: str) -> None:
    """``column`` of ``table``: the newest fact known at the end of each day; NaN before the first. In place; left alone without facts."""
    if not len(facts):
        return
    ordered = facts.sort_values(known_from, kind="stable")
    since = ordered[known_from].to_numpy().astype("datetime64[D]")
    values = np.concatenate(([np.nan], ordered[column].to_numpy(np.float64)))
    table[column] = values[np.searchsorted(since, table["date"].to_numpy().astype("datetime64[D]"), side="right")]
