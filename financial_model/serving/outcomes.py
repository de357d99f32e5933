"""Forecast against outcome of one stock over the test dates: what was said on each day, and what the bars said later.

In: a run with stored out-of-sample forecasts, a symbol, the store. Out: plain lists. It asks no model and opens no test.
"""

from __future__ import annotations

import logging
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.serving.judging import FORECASTS
from financial_model.serving.runs import RunInfo

if TYPE_CHECKING:
    from financial_model.market.store import Store

logger = logging.getLogger(__name__)


def judged_symbols(run: RunInfo) -> list[str]:
    """The stocks with out-of-sample forecasts; none where the test was never opened."""
    found = _load(run)
    return [] if found is None else [str(found["symbols"][place]) for place in np.unique(found["symbol"])]


def outcomes(run: RunInfo, store: Store, symbol: str) -> dict[str, list[Any]] | None:
    """``date``, ``predicted`` and ``actual`` (simple returns over the whole horizon, share of 1; None where not known yet), ascending dates.

    None for a stock without stored forecasts or without bars.
    """
    from financial_model.features.labels import last_bar, log_returns

    found = _load(run)
    if found is None or symbol not in found["symbols"] or not store.has(symbol):
        return None
    rows = np.flatnonzero(found["symbol"] == int(np.flatnonzero(found["symbols"] == symbol)[0]))
    rows = rows[np.argsort(found["time"][rows])]
    bars = store.read_bars(symbol)
    time = bars["date"].to_numpy("datetime64[s]").astype(np.int64)
    ends = np.searchsorted(time, found["time"][rows])
    known = (ends < len(time)) & (time[np.minimum(ends, len(time) - 1)] == found["time"][rows])
    rows, ends = rows[known], ends[known]
    horizon, entry = found["expected"].shape[1], str(run.config.get("label", {}).get("entry", "close"))
    later = ends + last_bar(horizon, entry) < len(time)
    close, paid = (np.log(bars[name].to_numpy() * bars["factor"].to_numpy()) for name in ("close", "open" if entry == "next_open" else "close"))
    actual = np.full(len(rows), np.nan)
    if later.any():
        actual[later] = log_returns(paid, close, ends[later], horizon, entry=entry)[:, -1]
    return {
        "date": [str(day) for day in found["time"][rows].astype("datetime64[s]").astype("datetime64[D]")],
        "predicted": np.expm1(found["expected"][rows, -1].astype(np.float64)).tolist(),
        "actual": [float(value) if np.isfinite(value) else None for value in np.expm1(actual)],
    }


def _load(run: RunInfo) -> dict[str, Any] | None:
    try:
        with np.load(run.path / FORECASTS, allow_pickle=False) as known:
            return {name: known[name] for name in ("symbols", "symbol", "time", "expected")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        logger.warning("%s is damaged", run.path / FORECASTS)
        return None
