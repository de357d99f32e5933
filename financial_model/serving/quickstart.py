"""From tickers to a table in one go: bars, features, training, the test, and per stock the figures other projects print beside the honest ones.

In: a workspace, a source, tickers, settings. Out: plain data and one HTML file in the run's folder. Each step is the ordinary one of the layer that
knows how; here they only follow each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from financial_model import config as settings
from financial_model.config import RunConfig
from financial_model.errors import NotFoundError, Stopped
from financial_model.paths import Workspace, atomic_write
from financial_model.serving import bringing

SETTINGS = {"name": "quickstart", "backbone": "lstm", "groups": "price,return,volatility,volume,time,technical"}
"""No ranks among stocks: a few tickers have no place among each other."""
RIVALS = ("zero", "train_mean", "ridge")
PAGE = "quickstart.html"


def quickstart(workspace: Workspace, source: Sequence[str], tickers: Sequence[str], config: RunConfig, *,
               progress: Callable[..., None] | None = None, stop: threading.Event | None = None) -> dict[str, Any]:
    """Everything once. Keys: ``run``, ``rows`` (of ``evaluation.per_stock``), ``metrics``, ``split``, ``horizon``, ``tickers`` (asked -> used),
    ``synthetic``, ``verdict``, ``page``. Raises ``NotFoundError`` for a ticker the source does not have, ``Stopped`` on ``stop``.
    """
    from financial_model.datasets.panel import open_panel
    from financial_model.serving.experiment import evaluate_run, run_training
    from financial_model.serving.judging import stored_forecasts
    from financial_model.serving.runs import RunStore

    progress = progress or _silent
    stored = bringing.bring(workspace, source, symbols=tickers, progress=progress, stop=stop)
    used = chosen(tickers, stored, synthetic=bringing.split(source)[0] == bringing.DEMO)
    config = settings.build({"symbols": tuple(dict.fromkeys(used.values()))}, base=config)
    run = run_training(workspace, config, stop=stop, progress=progress)
    if run.state == "stopped":
        raise Stopped
    found = evaluate_run(workspace, run.id, progress=progress, stop=stop)
    panel = open_panel(workspace.panels / found["fingerprint"])
    rows = _rows(stored_forecasts(run, panel), RunStore(workspace.checkpoint_dir).checkpoint(run.id), panel, progress, stop)
    answer = {"run": run.id, "rows": rows, "metrics": found["metrics"], "split": found["split"], "horizon": found["result"]["horizon"],
              "model": run.run_config().model.backbone, "tickers": used, "synthetic": found["synthetic"], "verdict": found["result"]["verdict"]}
    return {**answer, "page": str(write_page(run.path / PAGE, answer))}


def chosen(tickers: Sequence[str], stored: Sequence[str], *, synthetic: bool) -> dict[str, str]:
    """Ticker as typed -> symbol of the store; without tickers, what the source brought. On the demo market, whose stocks nobody knows by name, each
    foreign ticker is given a stock in its place, and the answer says which."""
    from financial_model.market.symbols import parse_symbol

    if not tickers:
        return {symbol: symbol for symbol in stored[:5]}
    found: dict[str, str] = {}
    free = iter(stored)
    for ticker in tickers:
        symbol = str(parse_symbol(ticker))
        if symbol not in stored:
            if not synthetic:
                raise NotFoundError("quickstart.no_ticker", ticker=symbol, known=", ".join(stored[:12]))
            symbol = next(candidate for candidate in free if candidate not in found.values())
        found[ticker] = symbol
    return found


def _rows(model: Any, checkpoint: Path, panel: Any, progress: Callable[..., None], stop: threading.Event | None) -> list[dict[str, Any]]:
    from financial_model.evaluation.per_stock import per_stock
    from financial_model.serving import pieces

    found = pieces.pieces(checkpoint, panel)
    rivals = pieces.rivals(found, panel, RIVALS, progress=progress, stop=stop)
    config = found[-1].config
    return per_stock(model, rivals, panel, config.label, config.features.context_length)


def write_page(path: Path, answer: Mapping[str, Any], language: str = "en") -> Path:
    """The table and a picture per stock as one self-contained file. ``StorageError`` when it cannot be written."""
    from financial_model.evaluation.per_stock_report import render

    atomic_write(path, render(answer, language))
    return path


def _silent(stage: str, done: float = 0, total: float = 0) -> None:
    """Nobody is watching."""
