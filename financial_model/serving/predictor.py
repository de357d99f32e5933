"""Forecasts of a run on the data of a workspace: one stock with its history and what came after, or the whole pool ranked.

In: a run's id, a symbol, a date. Out: plain data for a page, a table for a file. The model is chosen by run id, never by a path.
It draws nothing and trains nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from financial_model.config import CLASSES, CONDITIONS, INDUSTRIES
from financial_model.errors import ConfigError, DataError
from financial_model.market.lookup import stored_symbol
from financial_model.paths import Workspace
from financial_model.serving import plausibility
from financial_model.serving.days import following, parse_date
from financial_model.serving.export import write_csv
from financial_model.serving.forecaster import LoadedForecaster, load
from financial_model.serving.runs import RunStore

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.datasets.panel import Panel
    from financial_model.serving.forecaster import QuantileForecast

__all__ = ["LoadedForecaster", "Predictor", "load"]

HISTORY = 120
"""Candles shown before the forecast."""
FANS = {"50": (0.25, 0.75), "80": (0.1, 0.9), "95": (0.025, 0.975)}
"""Central intervals by name: the levels they lie between."""
KEPT_MODELS = 3
PEERS = 300
"""Stocks of the training that a stock from outside it is ranked among."""


class Predictor:
    """Asks runs for forecasts. Keeps the last models loaded; safe to share between threads."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.runs = RunStore(workspace.checkpoint_dir)
        self._models: OrderedDict[tuple[Path, int], LoadedForecaster] = OrderedDict()
        self._lock = threading.Lock()

    def forecaster(self, run: str, checkpoint: str = "") -> LoadedForecaster:
        """The model of a run: the one that forecasts, or the checkpoint asked for (best, last, epoch5 ...)."""
        path = self.runs.checkpoint(run, checkpoint)
        key = (path, path.stat().st_mtime_ns)
        with self._lock:
            if key not in self._models:
                self._models[key] = load(path)
                while len(self._models) > KEPT_MODELS:
                    self._models.popitem(last=False)
            self._models.move_to_end(key)
            return self._models[key]

    # ------------------------------------------------------------ one stock
    def forecast(self, run_id: str, symbol: str, as_of: str | None = None, days: int | None = None, *, checkpoint: str = "",
                 history: int = HISTORY, progress: Callable[..., None] | None = None, stop: threading.Event | None = None) -> dict[str, Any]:
        """The days after ``as_of`` (default: the newest bar) for one stock, as plain data.

        ``history``: dates, open, high, low, close, volume, in prices of ``as_of`` (adjusted for what happened since). ``table``: one entry per day
        ahead with day, date, expected_return and quantiles in log return, price (median), prices, p_up. ``fan``: 50, 80 and 95 % in price.
        ``truth``: what came after, where it is known. ``classes`` and ``class_line``; ``figures``: volatility and momentum of the head multi;
        ``notes``: ``[{"key", "fields"}]``, warnings first.
        Raises ``NotFoundError`` for a symbol without bars, ``ConfigError`` beyond the trained horizon, ``DataError`` for too short a history.
        """
        model = self.forecaster(run_id, checkpoint)
        asked = model.check_horizon(days)
        code = self.resolve(symbol)
        panel, notes = self._panel_with(model, code, progress=progress, stop=stop)
        row = self._window_row(panel, code, parse_date(as_of) if as_of else None, model.context_length)
        found = model.quantiles_of(panel, np.array([row]), asked)
        bars, at = self._bars(code, int(panel.time[row]))
        dates = self._dates(code, bars, at, asked, model.wait)
        day, label = _iso(panel.time[row]), model.config.label
        classes = {name: float(share) for name, share in zip(CLASSES, found.classes[0], strict=True)}
        return {
            "run": self.runs.get(run_id).id, "symbol": code, "name": self._store().names().get(code, ""), "as_of": day,
            "industry": self.industries_of(panel, np.array([row]))[0], "price": float(found.price[0]), "volatility": float(panel.volatility[row]),
            "horizon": model.horizon, "days": asked, "entry": label.entry, "history": candles_of(bars.iloc[max(0, at + 1 - history):at + 1]),
            "table": _table(found, dates), "fan": _fan(found, dates), "truth": _truth(bars, at, asked, label.entry), "classes": classes,
            "class_horizon": min(label.class_horizon, model.horizon), "class_line": {name: round(100 * share) for name, share in classes.items()},
            "figures": {name: float(values[0]) for name, values in found.figures.items()},
            "notes": [*self._notes(model, panel, day, as_of), *_behind(panel, row, as_of),
                      *self._doubts(model, panel, np.array([row]), found, dates), *notes],
            "model": _card(model), "age": plausibility.age(model.header, day, code), **_data_facts(panel),
        }

    def resolve(self, text: str) -> str:
        """The stored symbol somebody means. ``NotFoundError`` when there is none."""
        return stored_symbol(self._store(), text)

    # ------------------------------------------------------------ the pool
    def rank(self, run_id: str, top: int = 20, as_of: str | None = None, *, days: int | None = None, min_gain: float | None = None,
             industry: str | None = None, checkpoint: str = "", progress: Callable[..., None] | None = None,
             stop: threading.Event | None = None) -> pd.DataFrame:
        """All stocks with a complete window on ``as_of`` (default: the newest session), best expected return first, at most ``top`` (0: all).

        ``min_gain``: least expected simple return (0.02 is 2 %); ``industry``: one of config.INDUSTRIES.
        Columns: rank, symbol, name, industry, size, value, volatility_class, momentum, regime, price, past_return (log, over as many bars until
        then), expected_return (log), p_up, low_80, high_80 (log), volatility (daily), tradable, suspended, limit_up, limit_down (at the close of
        ``as_of``), unusual and impossible (``serving.plausibility``), amount (money traded a bar, mean of the last 20); of the head multi
        expected_volatility and expected_momentum. ``attrs``: as_of, days, considered, notes, age, and what it was made from: fingerprint, synthetic,
        newest (the last session there is).
        """
        from financial_model.datasets.windows import window_ends

        if industry and industry not in INDUSTRIES:
            raise ConfigError("serving.condition_value", name="industry", value=industry[:40], choices=", ".join(INDUSTRIES))
        if top < 0:
            raise ConfigError("serving.top_negative", top=top)
        model = self.forecaster(run_id, checkpoint)
        asked = model.check_horizon(days)
        panel = self._panel(model, progress=progress, stop=stop)
        session = _session(panel, parse_date(as_of) if as_of else None)
        ends = window_ends(panel, session, session, model.context_length, model.horizon, labelled=False)
        day = _iso(session)
        if not len(ends):
            raise DataError("serving.nothing_ranked_short", needed=model.context_length, as_of=day)
        found = model.quantiles_of(panel, ends, asked, stop=stop, progress=_stage(progress))
        table = self._pool(panel, ends, found)
        doubts = plausibility.mark(table, plausibility.compare_inputs(model.header, panel, ends), _ahead(panel, day, asked, model.wait))
        table["amount"] = panel.amount[ends].astype(np.float64)
        considered = len(table)
        if industry:
            table = table[table["industry"] == industry]
        if min_gain is not None:
            table = table[np.expm1(table["expected_return"]) >= min_gain]
        if not len(table):
            raise DataError("serving.nothing_ranked_filters", count=considered)
        table = table.sort_values(["expected_return", "symbol"], ascending=[False, True]).reset_index(drop=True)
        table.insert(0, "rank", np.arange(1, len(table) + 1))
        table = table.head(top) if top else table
        table.attrs.update(as_of=day, days=asked, considered=considered, notes=[*self._notes(model, panel, day, as_of), *doubts],
                           age=plausibility.age(model.header, day, panel.symbols[0]), **_data_facts(panel))
        return table

    def to_csv(self, table: pd.DataFrame, path: Path | str) -> Path:
        """A ranking as a file for Excel (UTF-8 with BOM, no formulas)."""
        return write_csv(table, path)

    def _pool(self, panel: Panel, ends: NDArray[np.int64], found: QuantileForecast) -> pd.DataFrame:
        import pandas as pd

        from financial_model.features.labels import TRADES

        symbols = [panel.symbols[i] for i in panel.symbol_index(ends)]
        names = self._store().names()
        conditions = {name: _conditions(name, panel.conditions[ends, column]) for column, name in enumerate(CONDITIONS)}
        suspended = (panel.tradable[ends] & TRADES) == 0
        up, down = closes_at_limit(panel, ends, symbols)
        low, high = (_at_level(found, level) for level in FANS["80"])
        return pd.DataFrame({
            "symbol": symbols, "name": [names.get(symbol, "") for symbol in symbols], "industry": conditions["industry"], "size": conditions["size"],
            "value": conditions["value"], "volatility_class": conditions["volatility"], "momentum": conditions["momentum"],
            "regime": conditions["regime"], "price": found.price, "past_return": _past_return(panel, ends, found.expected.shape[1]),
            "expected_return": found.expected[:, -1].astype(np.float64), "p_up": found.p_up[:, -1], "low_80": low, "high_80": high,
            "volatility": panel.volatility[ends].astype(np.float64), "tradable": ~suspended & ~up, "suspended": suspended, "limit_up": up,
            "limit_down": down, **{f"expected_{name}": values.astype(np.float64) for name, values in found.figures.items()}})

    # ------------------------------------------------------------ what other forecasts are made from
    def windows_on(self, run_id: str, as_of: str | None = None, *, progress: Callable[..., None] | None = None,
                   stop: threading.Event | None = None) -> tuple[LoadedForecaster, Panel, NDArray[np.int64], str]:
        """The model of a run, its panel up to today, the rows on which complete windows end on ``as_of`` (default: the newest session), that day.

        ``DataError`` when no stock has one.
        """
        from financial_model.datasets.windows import window_ends

        model = self.forecaster(run_id)
        panel = self._panel(model, progress=progress, stop=stop)
        session = _session(panel, parse_date(as_of) if as_of else None)
        ends = window_ends(panel, session, session, model.context_length, model.horizon, labelled=False)
        if not len(ends):
            raise DataError("serving.nothing_ranked_short", needed=model.context_length, as_of=_iso(session))
        return model, panel, ends, _iso(session)

    def names(self) -> dict[str, str]:
        return self._store().names()

    @staticmethod
    def industries_of(panel: Panel, ends: NDArray[np.int64]) -> list[str]:
        return _conditions("industry", panel.conditions[ends, 0])

    def notes_of(self, model: LoadedForecaster, panel: Panel, day: str) -> list[dict[str, Any]]:
        return self._notes(model, panel, day, None)

    # ------------------------------------------------------------ data
    def _store(self) -> Any:
        from financial_model.market.store import Store

        return Store(self.workspace.data_dir)

    def _panel(self, model: LoadedForecaster, *, progress: Callable[..., None] | None = None, stop: threading.Event | None = None) -> Panel:
        """The panel of the run's universe up to the newest bar; built when the data has changed since."""
        from financial_model.datasets.panel import build_panel, open_panel
        from financial_model.serving.experiment import require_data

        require_data(self.workspace)
        universe = replace(model.config.universe, end="")
        return open_panel(build_panel(self.workspace, replace(model.config, universe=universe), progress=progress, stop=stop))

    def _panel_with(self, model: LoadedForecaster, symbol: str, **watching: Any) -> tuple[Panel, list[dict[str, Any]]]:
        """A panel that holds ``symbol``: the run's own, or one in memory where the stock is not of its universe."""
        panel = self._panel(model, **watching)
        if symbol in panel.symbols:
            return panel, []
        from financial_model.features import universe
        from financial_model.market.packing import pack
        from financial_model.serving.frames import panel_of

        store = self._store()
        peers = [peer for peer in panel.symbols if store.has(peer)][:PEERS]
        bars = pack(store, [symbol, *peers])
        conditions, ranks = universe.conditions(bars, store.industries())
        made = panel_of(bars, model.features, conditions=conditions, ranks=ranks, synthetic=panel.synthetic)
        return made, [{"key": "serving.note_outside_universe", "fields": {"symbol": symbol, "count": len(peers)}}]

    def _window_row(self, panel: Panel, symbol: str, as_of: np.datetime64 | None, needed: int) -> int:
        """The row a window may end on: the stock's last one up to ``as_of``. ``DataError`` when there is none or its window is incomplete."""
        rows = panel.rows_of(symbol)
        times = panel.time[rows]
        last = len(times) if as_of is None else int(np.searchsorted(times, (as_of + 1).astype("datetime64[s]").astype(np.int64)))
        if last == 0:
            raise DataError("serving.before_history", symbol=symbol, as_of=str(as_of), first=_iso(times[0]))
        valid = panel.valid[rows][:last][-needed:]
        complete = int(np.flatnonzero(valid == 0)[-1]) + 1 if (valid == 0).any() else 0
        if len(valid) - complete < needed:
            raise DataError("serving.short_history", symbol=symbol, needed=needed, found=len(valid) - complete,
                            as_of=_iso(times[last - 1]))
        return rows.start + last - 1

    def _bars(self, symbol: str, time: int) -> tuple[pd.DataFrame, int]:
        """All bars of a stock in prices of ``time`` (factor 1 there), and the position of that bar."""
        from financial_model.market.bars import PRICES

        bars = self._store().read_bars(symbol)
        at = int(np.searchsorted(bars["date"].to_numpy("datetime64[s]").astype(np.int64), time))
        scale = bars["factor"].to_numpy() / float(bars["factor"].iloc[at])
        for column in PRICES:
            bars[column] = bars[column].to_numpy() * scale
        return bars, at

    @staticmethod
    def _dates(symbol: str, bars: pd.DataFrame, at: int, days: int, wait: int) -> list[str]:
        """The day each horizon falls on: real sessions of the stock where they have passed, the calendar's after that."""
        known = bars["date"].iloc[at + 1 + wait:at + 1 + wait + days].to_numpy("datetime64[D]")
        if len(known) < days:
            held = bars["date"].iloc[-1].to_datetime64()
            passed = len(bars) - 1 - at
            ahead = following(symbol, held, days - len(known), wait=max(0, wait - passed))
            known = np.concatenate([known, ahead])
        return [str(day) for day in known]

    def _doubts(self, model: LoadedForecaster, panel: Panel, ends: NDArray[np.int64], found: QuantileForecast, dates: list[str]
                ) -> list[dict[str, Any]]:
        """Why the forecast of one stock deserves a second look: an input unlike the training, a path the price limits do not allow."""
        symbol = panel.symbols[int(panel.symbol_index(ends)[0])]
        low, high = found.quantiles[0, :, 0], found.quantiles[0, :, -1]
        st = plausibility.is_st(self._store().names().get(symbol, ""))
        return [*plausibility.input_notes(plausibility.compare_inputs(model.header, panel, ends)),
                *plausibility.path_notes(symbol, dates, found.expected[0], low, high, st=st)]

    @staticmethod
    def _notes(model: LoadedForecaster, panel: Panel, day: str, asked: str | None) -> list[dict[str, Any]]:
        """What a reader must know before he believes the figures of ``day``, the last one with a bar up to the date he ``asked`` for."""
        earlier = parse_date(asked) if asked else None
        notes = [] if earlier is None or str(earlier) <= day else [{"key": "serving.note_earlier", "fields": {"asked": str(earlier), "as_of": day}}]
        notes += plausibility.age_notes(plausibility.age(model.header, day, panel.symbols[0]))
        notes += _seen(model.header.get("split", {}), day)
        notes += plausibility.market_notes(model.header, panel)
        if model.wait:
            notes.append({"key": "serving.note_entry", "fields": {"entry": model.config.label.entry}})
        if panel.synthetic:
            notes.append({"key": "serving.note_synthetic", "fields": {}})
        return notes


def _past_return(panel: Panel, ends: NDArray[np.int64], days: int) -> NDArray[np.float64]:
    """Log return of the ``days`` bars that end on each row; NaN where the stock is younger."""
    from financial_model.datasets.panel import LOG_CLOSE

    before = ends - days
    inside = before >= panel.offsets[panel.symbol_index(ends)]
    return np.where(inside, panel.prices[ends, LOG_CLOSE] - panel.prices[np.maximum(before, 0), LOG_CLOSE], np.nan)


def closes_at_limit(panel: Panel, ends: NDArray[np.int64], symbols: list[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each row closed at its upper, at its lower price limit: such a stock can hardly be bought, hardly be sold."""
    from financial_model.datasets.panel import LOG_CLOSE, RAW_CLOSE
    from financial_model.market.rules import at_limit, price_limit
    from financial_model.market.symbols import board

    up, down = np.zeros(len(ends), bool), np.zeros(len(ends), bool)
    before = np.maximum(ends - 1, panel.offsets[panel.symbol_index(ends)])
    close = panel.prices[ends, RAW_CLOSE]
    reference = close * np.exp(panel.prices[before, LOG_CLOSE] - panel.prices[ends, LOG_CLOSE])  # in prices of today, so ex-days are no jumps
    boards = np.array([board(symbol) for symbol in symbols])
    for name in np.unique(boards):
        rows = np.flatnonzero((boards == name) & (before < ends))
        for side, flags in (("up", up), ("down", down)):
            flags[rows] = at_limit(close[rows], reference[rows], price_limit(name, panel.time[ends[rows]], side=side), side)
    return up, down


def _seen(split: Mapping[str, Any], day: str) -> list[dict[str, Any]]:
    """Whether the model was made from what came after ``day``; the days between two parts count to the earlier one, whose labels reach into them."""
    parts = ("train", "validation", "test")
    if not set(parts) <= set(split):
        return []
    begun = [part for part in parts if split[part]["first"] <= day]
    if begun[-1:] == ["test"]:
        return []
    part, key = (begun[-1], f"in_{begun[-1]}") if begun else ("train", "before_train")
    return [{"key": f"serving.note_{key}", "fields": {"as_of": day, "first": split[part]["first"], "last": split[part]["last"]}}]


def _behind(panel: Panel, row: int, asked: str | None) -> list[dict[str, Any]]:
    """That a stock has no bar on the newest session: it is suspended, has left the exchange, or was not updated."""
    newest = int(panel.time.max())
    if asked or panel.time[row] == newest:
        return []
    sessions = len(np.unique(panel.time[panel.time > panel.time[row]]))
    return [{"key": "serving.note_behind", "fields": {"as_of": _iso(panel.time[row]), "newest": _iso(newest), "sessions": sessions}}]


def _session(panel: Panel, as_of: np.datetime64 | None) -> int:
    """The newest session, or the last one up to ``as_of``."""
    if as_of is None:
        return int(panel.time.max())
    before = panel.time[panel.time < (as_of + 1).astype("datetime64[s]").astype(np.int64)]
    if not len(before):
        raise DataError("serving.before_market", as_of=str(as_of), first=_iso(panel.time.min()))
    return int(before.max())


def _at_level(found: QuantileForecast, level: float) -> NDArray[np.float64]:
    """[n] one quantile at the last day, NaN where it was not trained."""
    known = level in found.levels
    return found.quantiles[:, -1, found.levels.index(level)].astype(np.float64) if known else np.full(len(found.expected), np.nan)


def _ahead(panel: Panel, day: str, days: int, wait: int) -> list[str]:
    """The sessions that forecasts of ``day`` are about, on the calendar of the pool's exchange."""
    return [str(date) for date in following(panel.symbols[0], np.datetime64(day, "D"), days, wait=wait)]


def _data_facts(panel: Panel) -> dict[str, Any]:
    """On which data a forecast stands."""
    return {"fingerprint": panel.fingerprint, "synthetic": panel.synthetic, "newest": _iso(panel.time.max())}


def _iso(time: int) -> str:
    return str(np.datetime64(int(time), "s").astype("datetime64[D]"))


def _conditions(name: str, values: NDArray[np.int8]) -> list[str]:
    """Their names; the index behind the last one means unknown."""
    names = (*CONDITIONS[name], "unknown")
    return [names[value] for value in values.tolist()]


def candles_of(bars: pd.DataFrame) -> dict[str, list[Any]]:
    """Bars as a figure takes them: date, open, high, low, close, volume."""
    return {"date": bars["date"].dt.strftime("%Y-%m-%d").tolist(),
            **{column: [float(value) for value in bars[column]] for column in ("open", "high", "low", "close", "volume")}}


def _table(found: QuantileForecast, dates: list[str]) -> list[dict[str, Any]]:
    """One entry per day ahead."""
    middle, price = found.levels.index(0.5), float(found.price[0])
    rows = []
    for day, date in enumerate(dates):
        values = [float(value) for value in found.quantiles[0, day]]
        names = [f"q{level:g}" for level in found.levels]
        rows.append({
            "day": day + 1, "date": date, "expected_return": float(found.expected[0, day]), "p_up": float(found.p_up[0, day]),
            "price": price * float(np.exp(values[middle])), "quantiles": dict(zip(names, values, strict=True)),
            "prices": {name: price * float(np.exp(value)) for name, value in zip(names, values, strict=True)}})
    return rows


def _fan(found: QuantileForecast, dates: list[str]) -> dict[str, Any]:
    """Median and central intervals in price, where their levels were trained."""
    price = float(found.price[0])

    def path(level: float) -> list[float]:
        return [price * float(np.exp(value)) for value in found.quantiles[0, :, found.levels.index(level)]]

    bands = {name: {"low": path(low), "high": path(high)} for name, (low, high) in FANS.items() if low in found.levels and high in found.levels}
    return {"date": dates, "median": path(0.5), **bands}


def _truth(bars: pd.DataFrame, at: int, days: int, entry: str) -> dict[str, list[Any]]:
    """Closes after the as-of date in its prices, and their log return from the entry price; empty while nothing has come yet."""
    first = at + (entry != "close")
    after = bars.iloc[first + 1:first + 1 + days]
    base = float(bars["open" if entry == "next_open" else "close"].iloc[min(first, len(bars) - 1)])
    return {"date": after["date"].dt.strftime("%Y-%m-%d").tolist(), "price": [float(value) for value in after["close"]],
            "log_return": [float(value) for value in np.log(after["close"].to_numpy() / base)]}


def _card(model: LoadedForecaster) -> dict[str, Any]:
    """What stands in the header about the model: trained when, on what, and what the test said."""
    header = model.header
    return {"created": header.get("created"), "parameters": header.get("parameters"), "split": header.get("split"), "data": header.get("data"),
            "metrics": header.get("metrics"), "backbone": model.config.model.backbone, "condition": model.config.model.condition,
            "objective": model.config.objective(), "symbols": len(model.symbols)}


def _stage(progress: Callable[..., None] | None) -> Callable[[int, int], object] | None:
    return None if progress is None else lambda done, total: progress("rank", done, total)
