"""Industries, past against forecast: what each did over the last days, and what a model expects of it over as many days to come.

In: a ranking of the whole pool (:meth:`Predictor.rank` with ``top=0``). Out: one plain row per industry. Every stock of an industry counts the same.
It asks no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def industry_table(pool: pd.DataFrame) -> list[dict[str, Any]]:
    """The industry with the highest expectation first: ``industry``, ``stocks``, ``past`` and ``expected`` (mean simple return, shares of 1),
    ``p_up`` (mean), ``rising`` (share of its stocks with a positive expectation), ``best`` (symbol) and ``best_expected``."""
    rows = []
    for industry, part in pool.groupby("industry", sort=False):
        best = part.loc[part["expected_return"].idxmax()]
        expected = np.expm1(part["expected_return"])
        rows.append({
            "industry": str(industry), "stocks": len(part), "past": _mean(np.expm1(part["past_return"])), "expected": float(expected.mean()),
            "p_up": _mean(part["p_up"]), "rising": float((expected > 0).mean()), "best": str(best["symbol"]), "best_name": str(best["name"]),
            "best_expected": float(np.expm1(best["expected_return"]))})
    return sorted(rows, key=lambda row: (-row["expected"], row["industry"]))


def _mean(values: pd.Series) -> float | None:
    """The mean of what is known; None where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
