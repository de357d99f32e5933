"""What a portfolio that follows a run's forecasts would have earned on its test dates.

In: out-of-sample forecasts and the bars of the store, or a run by name. Out: plain data of ``performance.summarize``, kept as ``backtest.json`` of
the run. Every setting that was tried on the same dates is remembered, so that the figures know how often luck was asked.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import RunConfig
from financial_model.errors import ConfigError, DataError
from financial_model.paths import Workspace, atomic_write
from financial_model.serving import trials
from financial_model.serving.returns_only import require_returns
from financial_model.serving.runs import RunInfo, RunStore

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.evaluation.backtest import BacktestSettings
    from financial_model.market.store import Store
    from financial_model.models.prediction import Prediction

DAYS_BEFORE = 40
"""Calendar days of bars read before the first forecast: limits of its day are relative to the close before."""
COMPARABLE = 10
"""Portfolios from which the probability of overfitting is stated, and the variance of their Sharpe ratios is measured and not assumed."""


def backtest(prediction: Prediction, panel: Panel, store: Store, config: RunConfig, *, settings: BacktestSettings | None = None, count: int = 1,
             variance: float = 0.0) -> dict[str, Any]:
    """Follow ``prediction`` under the rules of the market. ``count`` and ``variance``: trials so far and the variance of their daily Sharpe ratios.

    ``DataError`` for bars within the day (the rules count sessions), when no stock has bars, or when no forecast is followed by a session.
    """
    from financial_model.evaluation.backtest import run_backtest
    from financial_model.evaluation.market_days import market_days, scores
    from financial_model.evaluation.performance import summarize
    from financial_model.market.packing import DAILY_FLAGS, pack

    times = panel.time[prediction.end]
    if (times % 86_400).any():
        raise DataError("serving.backtest_intraday")
    first = int(times.min())
    symbols = [symbol for symbol in panel.symbols if store.has(symbol)]
    bars = pack(store, symbols, start=_day(first, before=DAYS_BEFORE), end=_day(int(panel.time.max())), columns=DAILY_FLAGS)
    days = market_days(bars, first=first, last=int(panel.time.max()), industries=store.industries())
    result = run_backtest(days, scores(prediction, panel, days), settings)
    return summarize(result, days, trials=count, trial_variance=variance, horizon=config.label.horizon)


def _day(time: int, before: int = 0) -> str:
    return (datetime.fromisoformat("1970-01-01") + timedelta(seconds=time, days=-before)).strftime("%Y-%m-%d")


def backtest_run(workspace: Workspace, run_id: str, *, settings: BacktestSettings | None = None, progress: Callable[..., None] | None = None,
                 stop: threading.Event | None = None) -> dict[str, Any]:
    """The backtest of a run with ``settings``; its report is written anew with it.

    Keys of ``performance.summarize``, and ``run``, ``test``, ``synthetic``, ``tried`` (settings and daily Sharpe ratio of each trial on these dates),
    ``overfitting`` (probability, None below ``COMPARABLE`` portfolios on the same days). Raises what ``evaluate_run`` and :func:`backtest` raise.
    """
    from financial_model.evaluation.backtest import BacktestSettings
    from financial_model.market.store import Store
    from financial_model.serving.experiment import current_panel, evaluate_run
    from financial_model.serving.judging import refresh_report, stored_forecasts

    runs = RunStore(workspace.checkpoint_dir)
    run, settings = runs.get(run_id), settings or BacktestSettings()
    require_returns(run.run_config())
    found = evaluate_run(workspace, run_id, progress=progress, stop=stop)
    panel = current_panel(workspace, run, progress=progress, stop=stop)
    if progress is not None:
        progress("backtest")
    before = trials.read_backtest(run) or {}
    tried = [entry for entry in before.get("tried", []) if entry["test"] == found["split"]["test"] and entry["settings"] != described(settings)]
    peers = [known for other in trials.others(runs, run) if (known := trials.read_backtest(other)) is not None]
    ratios = [entry["sharpe"] for known in ({"tried": tried}, *peers) for entry in known["tried"] if entry["sharpe"] is not None]
    result = backtest(stored_forecasts(run, panel), panel, Store(workspace.data_dir), run.run_config(), settings=settings,
                      count=max(1 + len(ratios), trials.count(runs, run)),
                      variance=float(np.var(ratios, ddof=1)) if len(ratios) >= COMPARABLE else 0.0)
    result = {**result, **_kept(run, found["split"]["test"], settings, result, tried), **_overfitting(result, peers),
              "synthetic": found["synthetic"]}
    save(run, result)
    refresh_report(run, runs)
    return result


def save(run: RunInfo, result: dict[str, Any]) -> None:
    """Keep a backtest with its run."""
    atomic_write(run.path / trials.BACKTEST, json.dumps(result, ensure_ascii=False, allow_nan=False))


def first_of(run: RunInfo, test: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """The backtest that a finished training makes by itself, as :func:`backtest_run` keeps it."""
    from financial_model.evaluation.backtest import BacktestSettings

    return {**result, **_kept(run, test, BacktestSettings(), result, []), "overfitting": None}


def _kept(run: RunInfo, test: dict[str, Any], settings: BacktestSettings, result: dict[str, Any], tried: list[dict[str, Any]]) -> dict[str, Any]:
    _, returns = trials.returns_by_time(result)
    spread = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    entry = {"settings": described(settings), "sharpe": float(returns.mean()) / spread if spread > 1e-12 else None, "test": test}
    return {"run": run.id, "test": test, "tried": [*tried, entry]}


LIMITS: dict[str, tuple[float, float]] = {
    "top": (1, 1000), "drop": (0, 1000), "every": (1, 250), "minimum_holding": (1, 250), "industry_cap": (0, 1), "capital": (1, 1e12),
    "volume_share": (0, 1), "commission": (0, 0.1), "commission_minimum": (0, 1e6), "us_commission": (0, 0.1), "us_commission_minimum": (0, 1e6),
    "slippage": (0, 0.1)}
"""Setting -> least and largest value."""


def settings_from(given: Mapping[str, Any]) -> BacktestSettings:
    """Settings from flat names and values, those of the costs among them. ``ConfigError`` for an unknown name or a value out of range."""
    from dataclasses import fields

    from financial_model.evaluation.backtest import BacktestSettings
    from financial_model.evaluation.costs import Costs

    for name, value in given.items():
        low, high = LIMITS.get(name, (-math.inf, math.inf))
        if not low <= value <= high:
            raise ConfigError("config.out_of_range", name=name, value=value, low=f"{low:g}", high=f"{high:g}")
    costs = {entry.name for entry in fields(Costs)}
    if unknown := sorted(set(given) - costs - {entry.name for entry in fields(BacktestSettings)}):
        raise ConfigError("config.unknown_setting", name=", ".join(unknown)[:80])
    return BacktestSettings(costs=Costs(**{name: value for name, value in given.items() if name in costs}),
                            **{name: value for name, value in given.items() if name not in costs})


def described(settings: BacktestSettings) -> dict[str, Any]:
    """Settings as plain data."""
    from dataclasses import asdict

    return json.loads(json.dumps(asdict(settings)))


def _overfitting(result: dict[str, Any], peers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """``overfitting``: probability that the best of the portfolios on exactly these days is below the median elsewhere (CSCV), None where they are
    few; and ``verdict``, which says so."""
    from financial_model.evaluation.significance import overfitting_probability

    time, own = trials.returns_by_time(result)
    same = [returns for known in peers for when, returns in [trials.returns_by_time(known)] if when == time]
    value = overfitting_probability(np.stack([own, *same], axis=1)) if len(same) + 1 >= COMPARABLE else None
    said = [] if value is None else [{"key": "evaluation.backtest.overfitting", "level": "warning" if value > 0.25 else "note",
                                      "fields": {"count": len(same) + 1, "value": value}}]
    return {"overfitting": value, "verdict": [*result["verdict"], *said]}
