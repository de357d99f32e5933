"""Does the trainer find what is there, and nothing where there is nothing? A run's settings tried on markets whose truth is known.

In: settings, names of planted variants, seeds. Out: one row per variant: the oracle's IC, the model's, the share recovered, ridge and LightGBM on
the same rows. Every market lives in a temporary folder of its own and goes the way of real data: store, panel, trainer, checkpoint.
"""

from __future__ import annotations

import json
import logging
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.config import RunConfig, SplitConfig, UniverseConfig, build, check, flatten
from financial_model.errors import ConfigError, Stopped
from financial_model.paths import Workspace, atomic_write
from financial_model.serving.returns_only import require_returns

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.evaluation.truth import Measured
    from financial_model.models.prediction import Prediction
    from financial_model.serving.runs import RunInfo, RunStore

logger = logging.getLogger(__name__)

RIVALS = ("ridge", "lightgbm")
ORDER = ("linear", "interaction", "sign_flip", "industry_lead_lag", "one_style", "volatility_only", "null")
NOTHING = ("volatility_only", "null")
"""Variants without a signal: whatever a model finds in their returns is a leak or luck."""
STAGE, NULL = "recover", "null.json"
_SHARES = {"panel": (0.02, 0.1), "train": (0.12, 0.55), "evaluate": (0.67, 0.05), "baselines": (0.72, 0.28)}
"""Where in the work on one market a stage begins, and how much of it it is."""
Progress = Callable[..., None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much market; the test part is longer than in a usual run, because the figure asked for is its mean."""

    stocks: int = 300
    years: float = 10
    train: float = 0.7
    validation: float = 0.1


QUICK = Size(stocks=200, train=0.65)
ASKED = {"condition": "concat", "horizon": 1, "class_horizon": 1}
"""The conditional model, asked for the next day: the strength of every planted signal is given as its one-day oracle IC (0.06)."""


def settings(values: dict[str, Any], *, preset: str = "standard") -> RunConfig:
    """The configuration that is tried: that of ``preset`` with ``ASKED``, and ``values`` over both."""
    return build({**ASKED, **values}, preset=preset)


def recover(config: RunConfig, *, variants: Sequence[str] = ORDER, seeds: int = 1, size: Size | None = None, first_seed: int = 1,
            progress: Progress | None = None, stop: threading.Event | None = None) -> dict[str, Any]:
    """Train ``config`` on every variant, ``seeds`` markets each, and compare. Dates, symbols and universe of ``config`` are not used.

    Keys: ``variants`` (name -> row of ``truth.compare``, with ``nothing``: no signal is planted), ``size``, ``seeds``, ``settings``.
    Raises ``ConfigError`` for an unknown variant, ``Stopped`` on ``stop``: nothing is left behind either way.
    """
    from financial_model.evaluation.truth import compare
    from financial_model.market.sources.synthetic import VARIANTS

    size, stop = size or Size(), stop or threading.Event()
    unknown = [name for name in variants if name not in VARIANTS]
    if unknown or not variants:
        raise ConfigError("config.not_a_choice", name="variants", value=", ".join(unknown), choices=", ".join(ORDER))
    if seeds < 1:
        raise ConfigError("config.out_of_range", name="seeds", value=seeds, low=1, high="–")
    config = prepared(config, size)
    check(config)
    require_returns(config)
    total, rows = len(variants) * seeds, {}
    for place, variant in enumerate(variants):
        markets = []
        for number in range(seeds):
            watch = _Watch(progress, place * seeds + number, total)
            markets.append(one_market(config, variant, size, first_seed + number, watch, stop))
        rows[variant] = {**compare(markets), "nothing": variant in NOTHING}
        logger.info("%s: oracle IC %s, model IC %s", variant, _shown(rows[variant].get("oracle_ic")), _shown(rows[variant]["ic"]))
    return {"variants": rows, "seeds": seeds, "stocks": size.stocks, "years": size.years, "horizon": config.label.horizon,
            "settings": flatten(config)}


def prepared(config: RunConfig, size: Size) -> RunConfig:
    """``config`` for a market that has nothing in common with the real one but its columns: all stocks, parts by ratio."""
    return replace(config, universe=UniverseConfig(), split=replace(
        SplitConfig(embargo=config.split.embargo), train=size.train, validation=size.validation))


def one_market(config: RunConfig, variant: str, size: Size, seed: int, progress: Progress, stop: threading.Event) -> Measured:
    """Write the market, train on it, measure the model and its rivals on the test part."""
    from financial_model.evaluation.truth import measure

    with tempfile.TemporaryDirectory(prefix="kairos-recover-") as folder:
        panel, config, forecasts = trained(config, variant, size, seed, Path(folder), progress, stop)
        return measure(forecasts, panel, config)


def trained(config: RunConfig, variant: str, size: Size, seed: int, folder: Path, progress: Progress,
            stop: threading.Event) -> tuple[Panel, RunConfig, dict[str, Prediction]]:
    """(panel, settings once ``auto`` was decided, forecasts of the test part by model and rivals), the model first. ``Stopped`` on ``stop``."""
    from financial_model.datasets.panel import build_panel, open_panel
    from financial_model.datasets.splits import PARTS, date_split
    from financial_model.datasets.windows import window_ends
    from financial_model.market.sources.demo import write_demo
    from financial_model.market.store import Store
    from financial_model.serving.deciding import decide
    from financial_model.serving.experiment import WatchedEvents
    from financial_model.serving.forecaster import load
    from financial_model.serving.pieces import fitted
    from financial_model.training.trainer import train

    workspace, run = Workspace(data_dir=folder / "data", checkpoint_dir=folder), folder / "run"
    write_demo(Store(workspace.data_dir), variant=variant, stocks=size.stocks, years=size.years, seed=seed, stop=stop)
    panel = open_panel(build_panel(workspace, config, progress=progress, stop=stop))
    config = decide(config, panel)
    with WatchedEvents(run / "events.jsonl", progress) as events:
        result = train(config, panel, run, stop=stop, events=events)
    if result.state == "stopped":
        raise Stopped
    label, context = config.label, config.features.context_length
    split = date_split(panel.time, config.split, label.horizon, label.entry)
    known, chosen, asked = (window_ends(panel, *split.part(part), context, label.horizon, entry=label.entry) for part in PARTS)
    model = load(result.checkpoint).predict_panel(panel, asked, stop=stop, progress=lambda done, total: progress("evaluate", done, total))
    rivals = fitted(panel, config, known, asked, RIVALS, validation=chosen, progress=lambda done, total: progress("baselines", done, total),
                    stop=stop)
    return panel, config, {"model": model, **rivals}


# ---------------------------------------------------------------- a run's own settings
def keep_null(run: RunInfo, runs: RunStore, found: Mapping[str, Any]) -> None:
    """Keep with a run what its settings found on the null market, and write its report anew."""
    from financial_model.serving.judging import refresh_report

    atomic_write(run.path / NULL, json.dumps({**found["variants"]["null"], "seeds": found["seeds"], "stocks": found["stocks"]}, allow_nan=False))
    refresh_report(run, runs)


def null_of(run: RunInfo) -> dict[str, Any] | None:
    """What :func:`keep_null` kept; None where nothing was tried."""
    try:
        return json.loads((run.path / NULL).read_text("utf-8"))
    except (OSError, ValueError):
        return None


class _Watch:
    """The stages of one market as a share of the whole work."""

    def __init__(self, progress: Progress | None, place: int, total: int) -> None:
        self._progress, self._place, self._total = progress, place, total

    def __call__(self, stage: str, done: float = 0, total: float = 0) -> None:
        if self._progress is not None and stage in _SHARES:
            first, share = _SHARES[stage]
            self._progress(STAGE, self._place + first + share * (done / total if total else 0.0), self._total)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
