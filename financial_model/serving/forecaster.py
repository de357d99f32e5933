"""One checkpoint file, ready to forecast: on any machine, without the store it was trained from.

In: the path of a ``.safetensors`` checkpoint, then bars or a panel. Out: tables and arrays of forecasts in log return.
It knows no run and no workspace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from financial_model.config import CLASSES, FIGURES, RunConfig, from_dict
from financial_model.errors import ConfigError, DataError
from financial_model.features.industry import industry_names
from financial_model.serving.frames import ALONE, Conditions, given_conditions, pack_frames, panel_of, raw_ranked, split_frame
from financial_model.serving.returns_only import require_returns

if TYPE_CHECKING:
    import threading

    import pandas as pd

    from financial_model.datasets.panel import Panel
    from financial_model.market.packing import PackedBars
    from financial_model.models.prediction import Prediction

BATCH = 512
"""Windows forecast at once."""
LEAST_RANKED = 5
"""Fewer stocks than this on a date have no ranks among them."""


@dataclass(frozen=True, kw_only=True)
class QuantileForecast:
    """Arrays for n stocks, H days and Q quantile levels; everything in log return against the price the label starts from."""

    symbols: tuple[str, ...]
    as_of: NDArray[np.datetime64]
    """[n] the last bar of each window."""
    price: NDArray[np.float64]
    """[n] the raw close of that bar."""
    levels: tuple[float, ...]
    quantiles: NDArray[np.float32]
    """[n, H, Q]"""
    expected: NDArray[np.float32]
    """[n, H]"""
    p_up: NDArray[np.float64]
    """[n, H] chance of a positive return."""
    classes: NDArray[np.float64]
    """[n, 3] chances of config.CLASSES at the class horizon."""
    figures: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Of the head multi: ``volatility`` (per bar) and ``momentum`` (-1..1) within the horizon, [n] each."""
    notes: list[dict[str, Any]] = field(default_factory=list)
    """What the reader should know: ``[{"key", "fields"}]``, texts in the catalogue."""


@dataclass(frozen=True)
class Borrowed:
    """Inputs that windows take from others."""

    ends: NDArray[np.int64]
    """[n] for each window the end row of the one that lends"""
    columns: tuple[int, ...] | None
    """Which features; None: the conditions and style ranks instead"""


class LoadedForecaster:
    """A trained model and its header. ``predict`` for tables, ``predict_quantiles`` for arrays."""

    def __init__(self, model: Any, header: Mapping[str, Any]) -> None:
        self.model, self.header = model, dict(header)
        self.config: RunConfig = from_dict(header["config"])
        self.horizon = self.config.label.horizon
        """Days it was trained for."""
        self.context_length = int(header["context_length"])
        self.features: tuple[str, ...] = tuple(header["features"])
        self.symbols: tuple[str, ...] = tuple(header["symbols"])
        """The stocks it was trained on."""
        self.levels = tuple(self.config.model.quantile_levels)

    # ------------------------------------------------------------ bars in, tables out
    def predict(self, bars: pd.DataFrame, horizon: int | None = None, *, conditions: Conditions | None = None,
                market: pd.DataFrame | None = None) -> pd.DataFrame:
        """The days after the last bar: one row a day (and per symbol), one column a quantile.

        ``bars``: date, open, high, low, close, volume, and amount, factor, symbol where there are any. ``horizon``: at most the trained one.
        ``conditions``: ``{"industry": "finance", ...}``, or one such mapping per symbol; unknown where not given. ``market``: bars of the index.
        Columns: symbol (if given), day, date, expected_return (log), price (median), p_up, q0.025 ... (log return); of the head multi
        expected_volatility and expected_momentum within the horizon. ``attrs["notes"]`` as in :class:`QuantileForecast`.
        Raises ``ConfigError`` beyond the trained horizon, ``DataError`` for bars that are wrong or too few.
        """
        import pandas as pd

        from financial_model.serving.days import following

        found = self.predict_quantiles(bars, horizon, conditions=conditions, market=market)
        days = found.expected.shape[1]
        middle = found.levels.index(0.5)
        parts = []
        for place, symbol in enumerate(found.symbols):
            dates = following(symbol if symbol != ALONE else self._example(), found.as_of[place], days, wait=self.wait)
            columns = {f"q{level:g}": found.quantiles[place, :, number] for number, level in enumerate(found.levels)}
            parts.append(pd.DataFrame({
                **({"symbol": symbol} if "symbol" in bars.columns else {}), "day": np.arange(1, days + 1), "date": dates,
                "expected_return": found.expected[place], "price": found.price[place] * np.exp(found.quantiles[place, :, middle].astype(np.float64)),
                "p_up": found.p_up[place], **columns, **{f"expected_{name}": values[place] for name, values in found.figures.items()}}))
        table = pd.concat(parts, ignore_index=True)
        table.attrs["notes"] = found.notes
        return table

    def predict_quantiles(self, bars: pd.DataFrame, horizon: int | None = None, *, conditions: Conditions | None = None,
                          market: pd.DataFrame | None = None) -> QuantileForecast:
        """The arrays behind :meth:`predict`. With a ``symbol`` column, ranks are those among the given stocks.

        Stocks that are too young are left out and named in the notes; when none is left, ``DataError``.
        """
        days = self.check_horizon(horizon)
        packed = pack_frames(split_frame(bars), market)
        panel, notes = self._panel(packed, conditions, index_given=market is not None)
        ends, short = self._last_windows(panel, packed)
        if short:
            notes.append({"key": "serving.note_left_out", "fields": {"symbols": ", ".join(short[:10]), "count": len(short)}})
        return replace(self.quantiles_of(panel, ends, days), symbols=tuple(packed.symbols[i] for i in panel.symbol_index(ends)), notes=notes)

    # ------------------------------------------------------------ a panel in, arrays out
    def predict_panel(self, panel: Panel, ends: NDArray[np.int64], *, borrowed: Borrowed | None = None, stop: threading.Event | None = None,
                      progress: Callable[[int, int], object] | None = None) -> Prediction:
        """Forecasts for the windows that end on these rows of a panel, in their order, over all trained days.

        ``borrowed``: some inputs of each window are taken from another one of the same date, to see what the forecast owes to them.
        A model with ``cross_section`` reads every complete window of these dates, asked for or not: a stock's forecast is then the same whoever
        else is asked for.
        """
        from financial_model import runtime
        from financial_model.models.prediction import predict

        self._check_features(panel)
        device = runtime.device(self.config.training.device)
        rows = self._whole_dates(panel, ends) if self.config.model.cross_section and len(ends) else ends
        batches = self._batches(panel, rows, device)
        if borrowed is not None:
            lenders = borrowed.ends if rows is ends else _at_places(rows, ends, borrowed.ends)
            batches = _mixed(batches, self._batches(panel, lenders, device), borrowed.columns)
        found = predict(self.model.to(device), _watched(batches, len(rows), progress), extras=self.header["extras"], stop=stop)
        return found if rows is ends else found.at(ends)

    def _whole_dates(self, panel: Panel, ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """Every complete window of the dates of ``ends``, ascending; whether its outcome is known plays no part."""
        from financial_model.datasets.windows import window_ends

        dates = np.unique(panel.time[ends])
        known = window_ends(panel, int(dates[0]), int(dates[-1]), self.context_length, self.horizon, labelled=False)
        return np.union1d(known[np.isin(panel.time[known], dates)], ends)

    def _batches(self, panel: Panel, ends: NDArray[np.int64], device: Any) -> Any:
        from financial_model.datasets.loader import WindowLoader

        table = self.header["table"]
        return WindowLoader(
            panel, ends, self.config, None if table is None else (_float32(table["center"]), _float32(table["scale"])), batch_size=BATCH,
            shuffle=False, seed=0, labelled=False, device=device, label_scale=_float32(self.header["label_scale"]),
            by_date=self.config.model.cross_section)

    def quantiles_of(self, panel: Panel, ends: NDArray[np.int64], days: int, *, stop: threading.Event | None = None,
                     progress: Callable[[int, int], object] | None = None) -> QuantileForecast:
        """:meth:`predict_panel` with what people ask for: quantiles, chances, prices. ``symbols`` as rows of the panel name them. ``ConfigError``
        for a model that forecasts no return."""
        from financial_model.datasets.panel import RAW_CLOSE

        require_returns(self.config)
        prediction = self.predict_panel(panel, ends, stop=stop, progress=progress)
        quantiles, p_up = prediction.quantiles, prediction.probability_up()
        if quantiles is None or p_up is None:
            raise DataError("serving.no_quantiles")
        return QuantileForecast(
            symbols=(), as_of=panel.time[ends].astype("datetime64[s]"), price=np.asarray(panel.prices[ends, RAW_CLOSE], np.float64),
            levels=tuple(prediction.levels), quantiles=quantiles[:, :days], expected=prediction.expected[:, :days], p_up=p_up[:, :days],
            classes=self._classes(prediction), figures={name: array for name, array in prediction.arrays().items() if name in FIGURES})

    def check_horizon(self, asked: int | None) -> int:
        """The number of days to forecast; never more than the model was trained for."""
        if asked is None:
            return self.horizon
        if asked < 1:
            raise ConfigError("serving.days_at_least_one", asked=asked)
        if asked > self.horizon:
            raise ConfigError("serving.beyond_horizon", asked=asked, horizon=self.horizon)
        return int(asked)

    @property
    def wait(self) -> int:
        """Bars between the last one of the window and the one whose price the return starts from."""
        return 0 if self.config.label.entry == "close" else 1

    # ------------------------------------------------------------ inside
    def _panel(self, packed: PackedBars, conditions: Conditions | None, *, index_given: bool) -> tuple[Panel, list[dict[str, Any]]]:
        from financial_model.features import registry

        notes: list[dict[str, Any]] = []
        count, chosen = len(packed.symbols), [registry.get(name) for name in self.features]
        reference = None
        if count < LEAST_RANKED and any(entry.cross_section or entry.inner for entry in chosen):
            reference = self.header["extras"].get("rank_reference")
            notes.append({"key": "serving.note_rank_alone" if reference else "serving.note_rank_unknown", "fields": {"count": count}})
        if self.config.model.cross_section and count < LEAST_RANKED:
            notes.append({"key": "serving.note_few_peers", "fields": {"count": count}})
        if not index_given and any(entry.group == "market" for entry in chosen):
            notes.append({"key": "serving.note_market_alone", "fields": {"count": count}})
        if self.config.model.condition != "none" and not conditions:
            notes.append({"key": "serving.note_condition_unknown", "fields": {}})
        table = given_conditions(conditions, packed.symbols, packed.offsets)
        packed = replace(packed, industries=industry_names(table[packed.offsets[:-1], 0]))
        return panel_of(packed, self.features, conditions=table, reference=reference), notes

    def _last_windows(self, panel: Panel, packed: PackedBars) -> tuple[NDArray[np.int64], list[str]]:
        """The last row of every stock whose last window is complete, and the names of the others."""
        last = panel.offsets[1:] - 1
        needed = self.context_length
        found = np.array([int(_run_length(panel.valid[begin:end])) for begin, end in zip(panel.offsets[:-1], panel.offsets[1:], strict=True)])
        enough = found >= needed
        if not enough.any():
            best = int(found.argmax())
            raise DataError("serving.short_history", symbol=packed.symbols[best], as_of=str(_day(panel.time[last[best]])), needed=needed,
                            found=int(found[best]))
        return last[enough], [packed.symbols[i] for i in np.flatnonzero(~enough)]

    def _classes(self, prediction: Prediction) -> NDArray[np.float64]:
        from financial_model.evaluation.classification import class_probabilities

        label = self.config.label
        if prediction.probabilities is not None:
            return np.asarray(prediction.probabilities, np.float64)
        if prediction.quantiles is None:
            return np.full((len(prediction), len(CLASSES)), np.nan)
        return class_probabilities(prediction.levels, prediction.quantiles[:, min(label.class_horizon, self.horizon) - 1], label.up, label.down)

    def _check_features(self, panel: Panel) -> None:
        if tuple(panel.feature_names) != self.features:
            raise DataError("serving.other_features", count=len(self.features), found=len(panel.feature_names))

    def _example(self) -> str:
        return self.symbols[0] if self.symbols else "AAPL"


def load(checkpoint: Path | str) -> LoadedForecaster:
    """A forecaster from its file. ``NotFoundError`` and ``CheckpointError`` say what is wrong with it."""
    from financial_model.training.checkpoint import load_checkpoint

    return LoadedForecaster(*load_checkpoint(Path(checkpoint)))


def rank_reference(packed: PackedBars, feature_names: tuple[str, ...], rows: NDArray[np.bool_], points: int = 101) -> dict[str, list[float]]:
    """Quantiles of every ranked feature before ranking over ``rows`` [rows] of training bars: what one stock alone is compared with."""
    names, raw = raw_ranked(packed, feature_names)
    levels = np.linspace(0, 1, points)
    found = {}
    for column, name in enumerate(names):
        values = raw[rows, column]
        values = values[np.isfinite(values)]
        if len(values):
            found[name] = [float(value) for value in np.quantile(values.astype(np.float64), levels)]
    return found


def _mixed(batches: Any, others: Any, columns: tuple[int, ...] | None) -> Any:
    """Batches with some feature columns, or (None) the conditions and style ranks, of the windows at the same place in ``others``."""
    for batch, other in zip(batches, others, strict=True):
        if columns is None:
            batch.condition.copy_(other.condition)
            batch.ranks.copy_(other.ranks)
        else:
            batch.x[:, :, list(columns)] = other.x[:, :, list(columns)]
        yield batch


def _at_places(rows: NDArray[np.int64], ends: NDArray[np.int64], lenders: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ascending ``rows`` with the ones of ``ends`` replaced by their ``lenders``; the others lend to themselves."""
    found = rows.copy()
    found[np.searchsorted(rows, ends)] = lenders
    return found


def _watched(loader: Any, total: int, progress: Callable[[int, int], object] | None) -> Any:
    done = 0
    for batch in loader:
        yield batch
        done += len(batch)
        if progress is not None:
            progress(done, total)


def _run_length(valid: NDArray[np.uint8]) -> int:
    """Valid rows at the end of one stock without a gap."""
    gaps = np.flatnonzero(valid == 0)
    return len(valid) - (int(gaps[-1]) + 1 if len(gaps) else 0)


def _float32(values: Any) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)


def _day(time: int) -> np.datetime64:
    return np.datetime64(int(time), "s").astype("datetime64[D]")
