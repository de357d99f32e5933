"""Forecasts of a label that is no return, in its own unit: one stock, or every stock, the highest first.

In: a predictor and a run. Out: plain data and a table whose columns carry the label's name. Where a return would be turned into a price, an order or
a portfolio there is nothing here: ``returns_only.py`` refuses that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.errors import DataError, NotFoundError

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.serving.predictor import Predictor

FAN = (0.1, 0.9)


def rank_label(predictor: Predictor, run_id: str, top: int = 20, as_of: str | None = None, *, industry: str | None = None,
               progress: Callable[..., None] | None = None, stop: threading.Event | None = None) -> pd.DataFrame:
    """All stocks with a complete window on ``as_of`` (default: the newest session), the highest forecast first, at most ``top`` (0: all).

    Columns: rank, symbol, name, industry, price, ``<label>`` at the full horizon, ``<label>_low_80`` and ``<label>_high_80``, all three in the
    label's unit. ``attrs``: label, as_of, days, considered, notes. ``DataError`` when no stock is left.
    """
    import pandas as pd

    from financial_model.datasets.panel import RAW_CLOSE

    model, panel, ends, day = predictor.windows_on(run_id, as_of, progress=progress, stop=stop)
    found, label = model.predict_panel(panel, ends, stop=stop), model.config.label.target
    names, symbols = predictor.names(), [panel.symbols[place] for place in panel.symbol_index(ends)]
    fan = {} if found.quantiles is None else dict(zip(found.levels, found.quantiles[:, -1].T, strict=True))
    low, high = (fan.get(level, np.full(len(ends), np.nan)) for level in FAN)
    table = pd.DataFrame({
        "symbol": symbols, "name": [names.get(symbol, "") for symbol in symbols], "industry": predictor.industries_of(panel, ends),
        "price": np.asarray(panel.prices[ends, RAW_CLOSE], np.float64), label: found.expected[:, -1].astype(np.float64),
        f"{label}_low_80": np.asarray(low, np.float64), f"{label}_high_80": np.asarray(high, np.float64)})
    considered = len(table)
    table = table[table["industry"] == industry] if industry else table
    if not len(table):
        raise DataError("serving.nothing_ranked_filters", count=considered)
    table = table.sort_values([label, "symbol"], ascending=[False, True]).reset_index(drop=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    table = table.head(top) if top else table
    table.attrs.update(label=label, as_of=day, days=model.horizon, considered=considered, notes=predictor.notes_of(model, panel, day))
    return table


def forecast_label(predictor: Predictor, run_id: str, symbol: str, as_of: str | None = None) -> dict[str, Any]:
    """One stock: ``label``, and ``table`` with one entry per day ahead, the label's name -> its forecast, and its quantiles by level.

    ``NotFoundError`` for a stock that is not of the run's universe or has no complete window on that day."""
    code = predictor.resolve(symbol)
    model, panel, ends, day = predictor.windows_on(run_id, as_of)
    row = [end for end, place in zip(ends, panel.symbol_index(ends), strict=True) if panel.symbols[place] == code]
    if not row:
        raise NotFoundError("serving.unknown_symbol", symbol=symbol[:40])
    found, label = model.predict_panel(panel, np.array(row)), model.config.label.target
    table = [{"day": place + 1, label: float(value), "quantiles": {} if found.quantiles is None else {
        f"{level:g}": float(part) for level, part in zip(found.levels, found.quantiles[0, place], strict=True)}}
        for place, value in enumerate(found.expected[0])]
    return {"run": predictor.runs.get(run_id).id, "symbol": code, "name": predictor.names().get(code, ""), "as_of": day, "label": label,
            "horizon": model.horizon, "table": table, "notes": predictor.notes_of(model, panel, day)}
