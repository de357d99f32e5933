"""Which group of inputs a forecast lives on: swap it among the stocks of a date, see what the RankIC loses, and how much chance would take.

In: the forecast's score, the scores with one group swapped each, what really happened. Out: plain JSON rows. On validation dates: it invites to
choose inputs, and that must not touch the test. It knows no model; ``partners`` says which window lends its inputs to which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from financial_model.evaluation import significance
from financial_model.evaluation.detectors import shuffle_within_date
from financial_model.evaluation.metrics import daily_rank_ic, series_mean
from financial_model.training.plain import plain

Array = np.ndarray
SHUFFLES = 100


def partners(day: Array, seed: int = 0) -> Array:
    """For each row another row of the same date, at random and used once; a date with a single row keeps its own. int64 [rows]"""
    if not len(day):
        return np.zeros(0, np.int64)
    order = np.lexsort((np.random.default_rng(seed).random(len(day)), day))
    starts = np.flatnonzero(np.r_[True, day[order][1:] != day[order][:-1]])
    following = np.arange(1, len(day) + 1)
    following[np.r_[starts[1:], len(day)] - 1] = starts  # the last of a date lends to its first: nobody keeps his own
    result = np.empty(len(day), np.int64)
    result[order] = order[following]
    return result


def group_importance(score: Array, swapped: Mapping[str, Array], actual: Array, day: Array, *, block: int, shuffles: int = SHUFFLES,
                     seed: int = 0) -> dict[str, Any]:
    """``rank_ic`` of the whole and, per group, ``drop`` (what it loses when the group is swapped) with a paired interval and ``chance``.

    ``chance``: the loss that 95 of 100 shuffles of the outcomes within their dates stay below; a drop inside it says nothing. Rows by drop, largest
    first. ``day`` counts dates from 0; ``block``: dates per block of the bootstrap.
    """
    days = int(day.max()) + 1 if len(day) else 0
    whole = daily_rank_ic(day, days, score, actual)
    bootstrap = significance.DateBootstrap.plan(days, block, seed=seed)
    rng = np.random.default_rng(seed)
    shuffled = [shuffle_within_date(actual, day, rng) for _ in range(shuffles)]
    by_chance = [np.nanmean(daily_rank_ic(day, days, score, values)) for values in shuffled]
    rows = []
    for name, other in swapped.items():
        drop = series_mean(whole).minus(series_mean(daily_rank_ic(day, days, other, actual)))
        luck = [before - np.nanmean(daily_rank_ic(day, days, other, values)) for before, values in zip(by_chance, shuffled, strict=True)]
        rows.append({"name": name, "drop": drop.value(), "interval": None if bootstrap is None else bootstrap.interval(drop),
                     "chance": float(np.quantile(luck, 0.95))})
    return plain({"rank_ic": series_mean(whole).value(), "dates": days, "rows": sorted(rows, key=lambda row: -row["drop"])})
