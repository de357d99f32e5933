"""Publishing a forecast: from a ranking or a single forecast to an entry of the journal, with the moment it was made.

In: a workspace, a run, and the forecast (made here, or just made by the caller). Out: the entry. What was published after the next session had begun
is marked late with the number of sessions: it can be looked at, but it proves nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from financial_model.config import from_dict
from financial_model.errors import ConfigError
from financial_model.paths import Workspace
from financial_model.serving.journal import Entry, Journal
from financial_model.serving.runs import RunStore
from financial_model.training.container import read_header

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.serving.predictor import Predictor

OPENS = {"XSHG": (ZoneInfo("Asia/Shanghai"), time(9, 15)), "XNYS": (ZoneInfo("America/New_York"), time(9, 30))}
"""When the first price of a session may be known; in China the call auction begins at 9:15."""
POOL_COLUMNS = {"price": "price", "expected": "expected_return", "p_up": "p_up", "low_80": "low_80", "high_80": "high_80"}
PROMISED = ("ic", "rank_ic", "direction", "coverage_80", "mae_percent")
"""Test figures of the checkpoint that an entry remembers, to be compared with what came."""


def publish(workspace: Workspace, run: str, *, symbol: str = "", as_of: str | None = None, days: int | None = None,
            predictor: Predictor | None = None, now: datetime | None = None, progress: Callable[..., None] | None = None,
            stop: threading.Event | None = None) -> Entry:
    """Make a forecast (of one stock, or of the whole pool without a ``symbol``) and publish it. Errors as of the predictor."""
    from financial_model.serving.predictor import Predictor

    predictor = predictor or Predictor(workspace)
    if symbol:
        return publish_forecast(workspace, predictor.forecast(run, symbol, as_of, days, progress=progress, stop=stop), now=now)
    return publish_ranking(workspace, run, predictor.rank(run, 0, as_of, days=days, progress=progress, stop=stop), now=now)


def publish_ranking(workspace: Workspace, run: str, ranking: pd.DataFrame, *, now: datetime | None = None) -> Entry:
    """Publish the whole pool of ``Predictor.rank``; ``ConfigError`` when a part of it was filtered away: what is left out could be chosen later."""
    facts = ranking.attrs
    if len(ranking) != facts["considered"]:
        raise ConfigError("journal.partial", shown=len(ranking), count=facts["considered"])
    ordered = ranking.sort_values("symbol")
    figures = {"symbols": ordered["symbol"].tolist(), **{name: [_short(value) for value in ordered[column]] for name, column in POOL_COLUMNS.items()}}
    return _publish(workspace, run, kind="pool", symbol="", facts=facts, figures=figures, now=now)


def publish_forecast(workspace: Workspace, found: Mapping[str, Any], *, now: datetime | None = None) -> Entry:
    """Publish a forecast of ``Predictor.forecast``: scored at its last day, kept with its whole path."""
    last, price = found["table"][-1], found["price"]
    band = {name: np.log(found["fan"]["80"][side][-1] / price) if "80" in found["fan"] else np.nan
            for name, side in (("low_80", "low"), ("high_80", "high"))}
    figures = {"symbols": [found["symbol"]], "price": [_short(price)], "expected": [_short(last["expected_return"])], "p_up": [_short(last["p_up"])],
               **{name: [_short(value)] for name, value in band.items()},
               "path": [{"day": row["day"], "date": row["date"], **{name: _short(value) for name, value in row["quantiles"].items()}}
                        for row in found["table"]]}
    return _publish(workspace, found["run"], kind="stock", symbol=found["symbol"], facts=found, figures=figures, now=now)


def _publish(workspace: Workspace, run: str, *, kind: str, symbol: str, facts: Mapping[str, Any], figures: Mapping[str, Any],
             now: datetime | None) -> Entry:
    runs = RunStore(workspace.checkpoint_dir)
    header, moment = read_header(runs.checkpoint(run)), (now or datetime.now(UTC)).astimezone(UTC)
    split = header.get("split", {})
    return Journal(workspace).append({
        "published": moment.isoformat(timespec="seconds"), "kind": kind, "symbol": symbol, "run": runs.get(run).id,
        "checkpoint": header["weights_hash"], "data": facts["fingerprint"], "synthetic": bool(facts["synthetic"]), "as_of": facts["as_of"],
        "days": int(facts["days"]), "entry": from_dict(header["config"]).label.entry, "stocks": len(figures["symbols"]),
        "late": sessions_late(figures["symbols"][0], facts["as_of"], moment, facts["newest"]),
        "in_sample": bool(split) and facts["as_of"] <= split["validation"]["last"],
        "promised": {name: header["metrics"][name] for name in PROMISED if header.get("metrics", {}).get(name) is not None}}, figures)


def sessions_late(symbol: str, as_of: str, now: datetime, newest: str = "") -> int:
    """Sessions after ``as_of`` that had begun by ``now``, on the calendar of ``symbol``'s exchange; at least 1 when the data itself runs on to
    ``newest``. 0: published before anything of what it forecasts could be known."""
    from financial_model.errors import DataError
    from financial_model.market.calendar import exchange, sessions

    try:
        name = exchange(symbol)
    except DataError:  # bars of something that is no listed code: only the data can tell
        return int(newest > as_of)
    zone, opens = OPENS[name]
    local = now.astimezone(zone)
    after = sessions(name, start=str(np.datetime64(as_of, "D") + 1), end=str(local.date()))
    begun = len(after) - int(bool(len(after)) and str(after[-1]) == str(local.date()) and local.time() < opens)
    return max(begun, int(newest > as_of))


def _short(value: Any) -> float | None:
    """A figure to seven digits, None where there is none: what single precision holds, and a third of the bytes."""
    number = float(value)
    return float(f"{number:.7g}") if np.isfinite(number) else None
