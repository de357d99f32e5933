"""Bars that a user holds in his hands, made into what a model reads: no store, no folder, one panel in memory.

In: one table of bars or one with a ``symbol`` column. Out: ``PackedBars``, and from them a ``Panel``.
The columns are computed by the very functions that build a panel on disk. It knows no model and no run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from financial_model.config import CONDITION_SIZES, CONDITIONS, RANKS
from financial_model.datasets.panel import Panel
from financial_model.datasets.row_facts import price_columns, trailing_amount, trailing_volatility, volatility_scale
from financial_model.errors import ConfigError, DataError
from financial_model.features import registry
from financial_model.features.labels import TRADES
from financial_model.market.bars import COLUMNS, validate
from financial_model.market.packing import EQUAL_WEIGHT, PackedBars, _day_numbers, _equal_weight

ALONE = "-"
"""Stands for the symbol of bars that name none."""
Conditions = Mapping[str, Any]
RankReference = Mapping[str, Sequence[float]]
"""Feature -> ascending quantiles of its values before ranking, evenly spaced from the lowest to the highest."""


def split_frame(bars: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Validated bars by symbol, in order of first appearance; bars without a ``symbol`` column are one stock called ``-``."""
    if not isinstance(bars, pd.DataFrame):
        raise DataError("serving.bars_not_a_table", kind=type(bars).__name__)
    if "symbol" not in bars.columns:
        return {ALONE: validate(bars, str(bars.attrs.get("symbol", ALONE)))}
    return {str(symbol): validate(_own_columns(rows), str(symbol)) for symbol, rows in bars.groupby("symbol", sort=False)}


def _own_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """One symbol's rows without the columns that only the others have."""
    return rows.drop(columns="symbol").dropna(axis="columns", how="all").reset_index(drop=True)


def pack_frames(frames: Mapping[str, pd.DataFrame], market: pd.DataFrame | None = None) -> PackedBars:
    """Validated bars of several symbols end to end. ``market``: bars of the index; without it, the mean of the stocks themselves."""
    tables = list(frames.values())
    if not tables:
        raise DataError("serving.no_bars")
    offsets = np.concatenate([[0], np.cumsum([len(table) for table in tables])]).astype(np.int64)

    def joined(name: str) -> NDArray[np.float64]:
        return np.concatenate([table[name].to_numpy(np.float64) if name in table else np.full(len(table), np.nan) for table in tables])

    core = {name: joined(name) for name in COLUMNS if name != "date"}
    extra = {name: joined(name) for name in sorted({name for table in tables for name in table.columns} - set(COLUMNS))}
    extra.setdefault("tradable", (core["volume"] > 0).astype(np.float64))
    time = np.concatenate([_seconds(table["date"]) for table in tables])
    if market is None:
        codes, days = _day_numbers(time)
        level = _equal_weight(offsets, codes, len(days), core["close"] * core["factor"], extra["tradable"] > 0)
        name = EQUAL_WEIGHT
    else:
        index = validate(market, "market")
        days, level, name = _seconds(index["date"]), (index["close"] * index["factor"]).to_numpy(), str(market.attrs.get("symbol", "market"))
    return PackedBars(symbols=tuple(frames), industries=(), offsets=offsets, time=time, extra=extra, **core,
                      market_time=days, market_close=level, market_name=name)


def panel_of(bars: PackedBars, feature_names: Sequence[str], *, conditions: NDArray[np.int8] | None = None, ranks: NDArray[np.float32] | None = None,
             reference: RankReference | None = None, synthetic: bool = False) -> Panel:
    """A panel in memory over all rows. ``conditions`` [rows, 6] and ``ranks`` [rows, 4]: unknown where not given.

    ``reference``: where ranks among the stocks of a date mean nothing because there are too few, they are read off the training data instead.
    """
    rows = len(bars.time)
    values = registry.compute(bars, feature_names)
    if reference:
        _rank_by_reference(values, bars, feature_names, reference)
    finite = np.isfinite(values).all(axis=1)
    trades = (bars.extra["tradable"] > 0) if "tradable" in bars.extra else bars.volume > 0
    panel = Panel(
        path=Path("-"), feature_names=tuple(feature_names), fingerprint="", market=bars.market_name, synthetic=synthetic, facts={},
        values=np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), time=bars.time,
        conditions=unknown_conditions(rows) if conditions is None else conditions,
        ranks=np.zeros((rows, len(RANKS)), np.float32) if ranks is None else ranks, prices=price_columns(bars),
        volatility=trailing_volatility(np.log(bars.close * bars.factor), bars.offsets, volatility_scale(bars.time, bars.offsets)),
        amount=trailing_amount(bars.amount, bars.close, bars.volume, bars.offsets), valid=finite.astype(np.uint8),
        tradable=trades.astype(np.uint8) * np.uint8(TRADES), offsets=bars.offsets, oracle=None,
        market_time=bars.market_time, market_close=bars.market_close)
    vars(panel)["symbols"] = tuple(bars.symbols)  # what a panel on disk reads from its folder when first asked
    return panel


def unknown_conditions(rows: int) -> NDArray[np.int8]:
    return np.tile(np.array([size - 1 for size in CONDITION_SIZES], np.int8), (rows, 1))


def given_conditions(given: Conditions | None, symbols: Sequence[str], offsets: NDArray[np.int64]) -> NDArray[np.int8]:
    """[rows, 6] from names: ``{"industry": "finance", "regime": "bull"}`` for all, or one such mapping per symbol. The rest is unknown.

    ``ConfigError`` names a condition or a value that does not exist.
    """
    table = unknown_conditions(int(offsets[-1]))
    for place, symbol in enumerate(symbols):
        entry = (given or {}).get(symbol, given or {})
        for name, value in entry.items():
            if isinstance(value, Mapping):  # another symbol's
                continue
            if name not in CONDITIONS or value not in CONDITIONS[name]:
                choices = CONDITIONS.get(name, tuple(CONDITIONS))
                raise ConfigError("serving.condition_value", name=name, value=str(value)[:40], choices=", ".join(choices))
            table[offsets[place]:offsets[place + 1], list(CONDITIONS).index(name)] = CONDITIONS[name].index(value)
    return table


def raw_ranked(bars: PackedBars, feature_names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Names of those features that are ranks among the stocks of a date, and their values [rows, names] before ranking."""
    chosen = [registry.get(name) for name in feature_names]
    ranked = [dataclasses.replace(entry, cross_section=False) for entry in chosen if entry.cross_section]
    return tuple(entry.name for entry in ranked), registry.compute_features(bars, ranked)


def _rank_by_reference(values: NDArray[np.float32], bars: PackedBars, feature_names: Sequence[str], reference: RankReference) -> None:
    names, raw = raw_ranked(bars, feature_names)
    for column, name in enumerate(names):
        if name in reference:
            quantiles = np.asarray(reference[name], np.float64)
            rank = np.interp(raw[:, column], quantiles, np.linspace(-0.5, 0.5, len(quantiles)))
            values[:, list(feature_names).index(name)] = np.where(np.isnan(raw[:, column]), np.nan, rank)


def _seconds(dates: pd.Series) -> NDArray[np.int64]:
    return dates.to_numpy("datetime64[s]").astype(np.int64)
