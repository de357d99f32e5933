"""What a configuration leaves open until the data are known: head, objective and unit by the stocks of a date, the context length by their memory.

In: settings and the panel of a run, or the store before there is one. Out: settings without an open question, and the estimate behind an automatic
context, kept in the run's folder. It trains nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.config import RunConfig, resolve
from financial_model.paths import atomic_write
from financial_model.serving.runs import RunInfo

if TYPE_CHECKING:
    from financial_model.datasets.context import ContextEstimate
    from financial_model.datasets.panel import Panel
    from financial_model.datasets.splits import Span
    from financial_model.market.store import Store

CONTEXT = "context.json"


def decide(config: RunConfig, panel: Panel, folder: Path | None = None) -> RunConfig:
    """The settings a run works with; how its context was found is written into ``folder``. The same panel gives the same again."""
    from financial_model.datasets.context import of_panel

    if config.features.context != "auto":
        return resolve(config, names_per_date(panel))
    found = of_panel(panel, config)
    if folder is not None:
        atomic_write(folder / CONTEXT, json.dumps(found.to_dict()))
    return resolve(config, names_per_date(panel), found.context_length)


def names_per_date(panel: Panel) -> float:
    """Stocks that share a date, in the middle of the dates."""
    import numpy as np

    return float(np.median(np.unique(panel.time, return_counts=True)[1]))


def context_of(run: RunInfo) -> dict[str, Any] | None:
    """The estimate behind the automatic context of a run; None where there is none."""
    try:
        return json.loads((run.path / CONTEXT).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def context_of_store(store: Store, symbols: Sequence[str], config: RunConfig, span: Span) -> ContextEstimate:
    """What the run will find, or nearly: from the bars of the stocks it would look at, on the same dates, before there is a panel."""
    import numpy as np

    from financial_model.datasets.context import chosen, estimate

    def returns(symbol: str) -> Any:
        bars = store.read_bars(symbol)
        time = bars["date"].to_numpy("datetime64[s]").astype(np.int64)
        close = np.log(bars["close"].to_numpy(float) * bars["factor"].to_numpy(float))
        return np.diff(close[(time >= span[0]) & (time <= span[1])])

    return estimate((returns(symbols[place]) for place in chosen(len(symbols))), config.features.context_low, config.features.context_high)
