"""Which stocks to hold: the best `top` by score, with a limit on how many are exchanged at a time and how many one industry may have.

In: scores of one day and what is held. Out: what to sell and what to buy, best first. It knows no prices, no cash and no rules of trading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

Array = np.ndarray


def exchange(score: Array, held: Collection[int], top: int, drop: int, locked: Collection[int] = (), groups: Sequence[int] = (),
             most: int = 0) -> tuple[list[int], list[int]]:
    """(sell, buy) for scores [stocks] (NaN: no forecast) and the stocks ``held``; ``locked`` ones may not be sold yet.

    The held stocks and the best newcomers are ranked together, and what is too many is cut from the bottom, at most ``drop`` stocks (0: no limit);
    as many newcomers come in as places are free. A held stock without a forecast ranks last. This is the top-k-with-drop rule Qlib made common.
    ``most``: stocks of one of ``groups`` [stocks] that are held at most (0: no limit). A newcomer whose group is full is passed over; it may come
    once one of its group has left.
    """
    value = np.where(np.isfinite(score), score, -np.inf)
    limit = drop or top
    ranked = [int(stock) for stock in np.argsort(-value, kind="stable") if np.isfinite(score[stock]) and stock not in held]
    fresh = (_admitted(ranked, held, groups, most) if most else ranked)[: max(limit + top - len(held), 0)]
    together = sorted([*held, *fresh], key=lambda stock: (-value[stock], stock not in held, stock))
    surplus = max(min(limit, len(together) - top), 0)
    sell = [stock for stock in together[len(together) - surplus:] if stock in held and stock not in locked]
    return sell[::-1], fresh[: max(top - len(held) + len(sell), 0)]


def _admitted(ranked: Collection[int], held: Collection[int], groups: Sequence[int], most: int) -> list[int]:
    """The newcomers that leave no group with more than ``most`` stocks, in their order."""
    counts, found = Counter(groups[stock] for stock in held), []
    for stock in ranked:
        if counts[groups[stock]] < most:
            counts[groups[stock]] += 1
            found.append(stock)
    return found
