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
    before, after = _arrays(old), _arrays(new)
    if not len(after["date"]) or not len(before["date"]):
        return True
    kept = slice(int(np.searchsorted(before["date"], after["date"].min())), None)
    order = np.argsort(after["date"], kind="stable")
    again = order[np.minimum(np.searchsorted(after["date"], before["date"][kept], sorter=order), len(order) - 1)]
    if not len(again) or (after["date"][again] != before["date"][kept]).any():
        return True
    for column in (*PRICES, *(("factor",) if "factor" in before and "factor" in after else ())):
        if (np.abs(after[column][again] - before[column][kept]) > _TOLERANCE * before[column][kept]).any():
            return True
    volume = before["volume"][kept]
    return bool((np.abs(np.nan_to_num(after["volume"][again]) - volume) > 1e-3 * volume + 100).any())


def _arrays(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns by name; a dozen arrays cost less than a table's own arithmetic on five rows."""
    return {str(name): column.to_numpy() for name, column in table.items()}


def merged(old: pd.DataFrame | None, new: pd.DataFrame) -> pd.DataFrame:
    """Stored rows followed by the new ones after them; stored rows never change."""
    if old is None:
        return new.copy()
    before, after = _arrays(old), _arrays(new)
    later = after["date"] > before["date"][-1]
    none = np.full(int(later.sum()), np.nan)
    columns = {name: np.concatenate((values, after[name][later] if name in after else none)) for name, values in before.items()}
    columns |= {name: np.concatenate((np.full(len(old), np.nan), after[name][later])) for name in after if name not in before}
    if "factor" in before and "factor" not in after:
        columns["factor"][len(old):] = before["factor"][-1]
    return pd.DataFrame(columns)


def finished(table: pd.DataFrame, events: Sequence[ExRights] | None, facts: Mapping[str, Sequence[tuple] | None],
             stored: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """``table`` with its factor from ``events`` (None: its own) and shares and book values as of each day.

    ``facts``: rows of ``schema.FACTS`` just delivered, None where the source said nothing; ``stored``: those delivered earlier.
    """
    days = table["date"].to_numpy().astype("datetime64[D]")
    if events is not None:
        volume = np.nan_to_num(table["volume"].to_numpy(np.float64))
        table["factor"] = backward_factors(days, table["close"].to_numpy(np.float64), volume > 0, events)
    shares = _rows(facts.get("shares"), stored.get("shares"))
    for place, column in enumerate(("total_shares", "float_shares"), start=1):
        _as_of(table, days, [(row[0], row[place]) for row in shares], column)
    _as_of(table, days, [(announced, value) for _, announced, value in _rows(facts.get("book"), stored.get("book"))], "book_per_share")
    return table


def _rows(rows: Sequence[tuple] | None, stored: pd.DataFrame | None) -> Sequence[tuple]:
    if rows is not None or stored is None:
        return rows or ()
    return list(stored.itertuples(index=False, name=None))


def _as_of(table: pd.DataFrame, days: np.ndarray, facts: Sequence[tuple[str, float]], column: str) -> None:
    """``column`` of ``table``: the newest of ``facts`` (known from, value) at the end of each day; NaN before the first. In place; left alone
    without facts."""
    if not facts:
        return
    ordered = sorted(facts, key=lambda fact: fact[0])
    since = np.array([known_from for known_from, _ in ordered], "datetime64[D]")
    values = np.array([np.nan, *(value for _, value in ordered)], np.float64)
    table[column] = values[np.searchsorted(since, days, side="right")]
