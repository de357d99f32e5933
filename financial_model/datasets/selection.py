"""Which stocks and which rows a panel shall hold: the limits of ``UniverseConfig`` applied to what the store has.

In: the store's table of symbols, industries, settings. Out: symbols, and who was left out and why. A limit that leaves nothing is an error
that says which limit it was. It reads no bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from financial_model.config import UniverseConfig
from financial_model.datasets.splits import seconds
from financial_model.errors import DataError, NotFoundError
from financial_model.market.symbols import parse_symbol

_NAMED = 10  # symbols spelled out in a sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    symbols: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    """Symbol -> reason: no_bars, industry, limit, short."""


def select(lengths: Mapping[str, int], industries: Mapping[str, str], config: UniverseConfig) -> Selection:
    """Symbols to read, ascending. ``lengths``: bars in the store by symbol.

    ``NotFoundError`` for a listed symbol the store does not have, ``DataError`` when a limit leaves nothing.
    """
    if not any(lengths.values()):
        raise DataError("panel.store_empty")
    wanted = tuple(dict.fromkeys(str(parse_symbol(text)) for text in config.symbols))
    unknown = [symbol for symbol in wanted if symbol not in lengths]
    if unknown:
        raise NotFoundError("panel.unknown_symbols", symbols=named(unknown), count=len(lengths))
    left_out: dict[str, str] = {}

    def only(candidates: Sequence[str], reason: str, test) -> list[str]:
        left_out.update({symbol: reason for symbol in candidates if not test(symbol)})
        return [symbol for symbol in candidates if symbol not in left_out]

    chosen = only(wanted or tuple(lengths), "no_bars", lambda symbol: lengths[symbol] > 0)
    if config.industry != "all":
        chosen = only(chosen, "industry", lambda symbol: industries.get(symbol, "other") == config.industry)
        if not chosen:
            raise DataError("panel.no_industry", industry=config.industry, count=len(wanted) or len(lengths))
    considered = chosen
    chosen = only(chosen, "short", lambda symbol: lengths[symbol] >= config.min_history)
    if not chosen:
        raise too_short(considered, lengths, config)
    if config.max_symbols and len(chosen) > config.max_symbols:
        longest = set(sorted(chosen, key=lambda symbol: (-lengths[symbol], symbol))[:config.max_symbols])
        chosen = only(chosen, "limit", longest.__contains__)
    return Selection(symbols=tuple(sorted(chosen)), left_out=left_out)


def keep_rows(symbols: Sequence[str], offsets: NDArray[np.int64], time: NDArray[np.int64], config: UniverseConfig,
              left_out: dict[str, str]) -> NDArray[np.bool_]:
    """Rows [rows] from ``start`` to ``end`` of stocks with at least ``min_history`` of them; the others are added to ``left_out``.

    Features are computed before this, on all history there is: the first row kept has its indicators. Rows before ``start`` are then dropped,
    so the first window ends ``context_length`` bars later.
    """
    first = seconds(config.start) if config.start else np.iinfo(np.int64).min
    last = seconds(config.end) + 86_399 if config.end else np.iinfo(np.int64).max
    inside = (time >= first) & (time <= last)
    counts = np.diff(np.concatenate([[0], np.cumsum(inside)])[offsets])
    enough = counts >= config.min_history
    if not enough.any():
        raise too_short(symbols, dict(zip(symbols, counts.tolist(), strict=True)), config)
    left_out.update({symbol: "short" for symbol, good in zip(symbols, enough, strict=True) if not good})
    return inside & np.repeat(enough, np.diff(offsets))


def too_short(symbols: Sequence[str], lengths: Mapping[str, int], config: UniverseConfig) -> DataError:
    best = max(symbols, key=lambda symbol: lengths[symbol])
    fields: dict[str, Any] = {"needed": config.min_history, "symbol": best, "longest": lengths[best], "count": len(symbols)}
    if config.start or config.end:
        return DataError("panel.too_short_in_range", start=config.start or "…", end=config.end or "…", **fields)
    return DataError("panel.too_short", symbols=named(symbols), **fields)


def named(symbols: Sequence[str]) -> str:
    shown = ", ".join(symbols[:_NAMED])
    return shown if len(symbols) <= _NAMED else f"{shown} … (+{len(symbols) - _NAMED})"
