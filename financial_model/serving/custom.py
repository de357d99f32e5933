"""A forecast of bars somebody has just uploaded: read, forecast, forgotten. Nothing of it enters the store.

In: a run's id and a file of bars (CSV, XLSX, Parquet). Out: plain data for a page and a table for a file. The file is read by the importer's own
reader into a store of its own that is deleted afterwards, so headers, encodings and repairs are the same, and so are the refusals.
It draws nothing; whether the file may be opened at all is for its caller to say.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.errors import DataError, Stopped
from financial_model.paths import Workspace, safe_name

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.market.store import Store
    from financial_model.serving.forecaster import LoadedForecaster
    from financial_model.serving.predictor import Predictor

STOCKS = 500
"""Stocks of one file: more belong into the store."""
DRAWN = 50
"""Stocks whose candles are kept for the page."""


def forecast_file(workspace: Workspace, run_id: str, path: Path | str, *, symbol: str = "", industry: str = "", days: int | None = None,
                  predictor: Predictor | None = None, progress: Callable[..., None] | None = None, stop: threading.Event | None = None
                  ) -> dict[str, Any]:
    """The days after the last bar of every stock in a file.

    ``symbol`` names the stock of a file that does not say; ``industry`` one of config.INDUSTRIES for models that ask for it.
    Keys: ``table`` (one row per stock and day, as :meth:`LoadedForecaster.predict`), ``stocks`` (symbol -> history, fan, as_of, price, truth, for a
    figure), ``notes``, ``rows`` read, ``refused``. Raises ``DataError`` for a file without usable bars, ``ConfigError`` beyond the horizon.
    """
    from financial_model.market.store import Store
    from financial_model.serving.predictor import Predictor

    model = (predictor or Predictor(workspace)).forecaster(run_id)
    asked = model.check_horizon(days)
    with tempfile.TemporaryDirectory(prefix="kairos-custom-") as folder:
        store = Store(Path(folder) / "data")
        report = _read(store, _named(Path(path), symbol, Path(folder)), progress, stop)
        if progress is not None:
            progress("forecast")
        return {**_answer(model, store, asked, industry), "rows": report.rows,
                "refused": [{"key": entry.key, "fields": entry.fields} for entry in report.refused]}


def _named(path: Path, symbol: str, folder: Path) -> Path:
    """The file under the name of the stock it is about, where somebody has said which."""
    if not symbol.strip():
        return path
    from financial_model.market.symbols import parse_symbol

    target = folder / safe_name(f"{parse_symbol(symbol)}{path.suffix.lower()}")
    shutil.copyfile(path, target)
    return target


def _read(store: Store, path: Path, progress: Callable[..., None] | None, stop: threading.Event | None) -> Any:
    from financial_model.market.sources.files import import_paths

    report = import_paths(store, [path], progress=progress, stop=stop)
    try:
        report.check()
    except DataError as error:
        if error.key == "import.no_symbol":  # which says to rename the file; here there is a field for it
            raise DataError("serving.custom_no_symbol", file=error.fields["file"]) from error
        raise
    if len(report.imported) > STOCKS:
        raise DataError("serving.custom_stocks", count=len(report.imported), limit=STOCKS)
    if stop is not None and stop.is_set():
        raise Stopped
    return report


def _answer(model: LoadedForecaster, store: Store, days: int, industry: str) -> dict[str, Any]:
    import pandas as pd

    tables = {symbol: store.read_bars(symbol) for symbol in [*store.symbols("all")["symbol"]]}
    bars = pd.concat([table.assign(symbol=symbol) for symbol, table in tables.items()], ignore_index=True)
    found = model.predict(bars, days, conditions={"industry": industry} if industry else None)
    drawn = list(dict.fromkeys(found["symbol"]))[:DRAWN]
    return {"table": found, "notes": found.attrs.get("notes", []), "days": days, "run_horizon": model.horizon,
            "stocks": {symbol: drawable(tables[symbol], found[found["symbol"] == symbol]) for symbol in drawn}}


def drawable(bars: pd.DataFrame, ahead: pd.DataFrame) -> dict[str, Any]:
    """What a figure needs of one stock: candles in prices of the last bar, the fan in price. ``ahead``: its rows of the forecast table."""
    import numpy as np

    from financial_model.market.bars import PRICES
    from financial_model.serving.predictor import FANS, HISTORY, candles_of

    bars = bars.tail(HISTORY)
    scale = bars["factor"] / float(bars["factor"].iloc[-1])
    price = float(bars["close"].iloc[-1])
    history = candles_of(bars.assign(**{name: bars[name] * scale for name in PRICES}))

    def prices(level: float) -> list[float]:
        return (price * np.exp(ahead[f"q{level:g}"].to_numpy(np.float64))).tolist()

    fan: dict[str, Any] = {"date": ahead["date"].astype(str).str[:10].tolist(), "median": ahead["price"].tolist()}
    fan |= {name: {"low": prices(low), "high": prices(high)} for name, (low, high) in FANS.items()
            if {f"q{low:g}", f"q{high:g}"} <= set(ahead.columns)}
    return {"history": history, "fan": fan, "as_of": history["date"][-1], "price": price, "truth": {"date": [], "price": []}}
