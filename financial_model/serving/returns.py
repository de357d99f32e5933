"""What following each of several runs would have earned on their test dates, with the number of trials in mind.

In: runs that were tested on the same panel. Out: per run the figures of its backtest (many stocks, daily bars) or of following its sign (a few
stocks, bars within the day). It ranks nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import RANK_NAMES
from financial_model.errors import DataError
from financial_model.paths import Workspace
from financial_model.serving import trials
from financial_model.serving.runs import RunInfo

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel

logger = logging.getLogger(__name__)


def returns_of(workspace: Workspace, runs: Sequence[RunInfo], *, trials_so_far: int, progress: Callable[..., None],
               stop: threading.Event | None = None) -> dict[str, Any]:
    """Run id -> ``{"way": "portfolio"|"sign", "total_return", "benchmark_return", "sharpe", "sharpe_interval", "max_drawdown", "break_even_cost",
    "turnover", "deflated_sharpe", "bars"}``, and ``bar_seconds``. A run whose forecasts no longer belong to the data is left out."""
    from financial_model.serving.experiment import current_panel
    from financial_model.serving.judging import stored_forecasts

    try:
        panel = current_panel(workspace, runs[0], progress=progress, stop=stop)
    except DataError as error:
        logger.warning("%s", error)
        return {}
    found: dict[str, Any] = {"bar_seconds": bar_seconds(panel)}
    portfolios = {run.id: known for run in runs if (known := trials.read_backtest(run)) is not None}
    if len(portfolios) == len(runs) and _names(panel) >= RANK_NAMES:
        return {**found, **_portfolios(portfolios, trials_so_far)}
    signs = {}
    for run in runs:
        try:
            signs[run.id] = (stored_forecasts(run, panel), run.run_config().label)
        except DataError as error:
            logger.warning("%s", error)
    return {**found, **_signs(signs, panel, trials_so_far)}


def bar_seconds(panel: Panel) -> int:
    """Seconds between neighbouring bars: 86,400 for daily ones, 60 for one-minute ones."""
    from financial_model.market.bars import interval

    first = slice(int(panel.offsets[0]), int(panel.offsets[1]))
    return interval(np.asarray(panel.time[first]).astype("datetime64[s]"))


def _names(panel: Panel) -> float:
    from financial_model.serving.deciding import names_per_date

    return names_per_date(panel)


def _portfolios(known: dict[str, dict[str, Any]], trials_so_far: int) -> dict[str, Any]:
    """The stored backtests beside the equal-weight universe."""
    lucky = _deflated({run: trials.returns_by_time(entry)[1] - _steps(entry["series"]["equal_weight"]) for run, entry in known.items()},
                      trials_so_far)
    return {run: {
        "way": "portfolio", "total_return": entry["metrics"]["total_return"], "benchmark_return": entry["equal_weight"]["total_return"],
        "sharpe": entry["metrics"]["sharpe"], "sharpe_interval": entry["metrics"]["sharpe_interval"],
        "max_drawdown": entry["metrics"]["max_drawdown"], "break_even_cost": entry["metrics"]["break_even_cost_equal_weight"],
        "turnover": entry["metrics"]["turnover"], "deflated_sharpe": lucky[run],
        "bars": entry["metrics"]["days"]} for run, entry in known.items()}


def _signs(forecasts: dict[str, Any], panel: Panel, trials_so_far: int) -> dict[str, Any]:
    from financial_model.evaluation.timing import follow

    once = {run: follow(forecast, panel, label) for run, (forecast, label) in forecasts.items()}
    lucky = _deflated({run: np.asarray(entry["excess"]) for run, entry in once.items()}, trials_so_far)
    return {run: {
        "way": "sign", "total_return": entry["net"]["total_return"], "benchmark_return": entry["hold"]["total_return"],
        "sharpe": entry["net"]["sharpe"], "sharpe_interval": entry["sharpe_interval"], "max_drawdown": entry["net"]["max_drawdown"],
        "break_even_cost": entry["break_even_cost"], "turnover": entry["turnover"], "bars": entry["bars"], "bars_per_year": entry["bars_per_year"],
        "deflated_sharpe": lucky[run]} for run, entry in once.items()}


def _steps(growth: Sequence[float]) -> np.ndarray:
    """Simple returns of a curve that starts from 1."""
    value = np.concatenate([[1.0], np.asarray(growth, np.float64)])
    return value[1:] / value[:-1] - 1


def _deflated(excess: dict[str, np.ndarray], trials_so_far: int) -> dict[str, float | None]:
    """Chance that each lead over just holding is no luck, given how many were tried and how far their ratios lie apart. The lead and not the return:
    in a rising market whoever is always invested has a fine Sharpe ratio."""
    from financial_model.evaluation.significance import deflated_sharpe

    variance = _variance([_ratio(values) for values in excess.values()])
    return {run: deflated_sharpe(values, trials_so_far, variance) for run, values in excess.items()}


def _ratio(returns: np.ndarray) -> float | None:
    spread = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    return float(returns.mean()) / spread if spread > 1e-12 else None


def _variance(ratios: Sequence[float | None]) -> float:
    known = [ratio for ratio in ratios if ratio is not None]
    return float(np.var(known, ddof=1)) if len(known) > 1 else 0.0
