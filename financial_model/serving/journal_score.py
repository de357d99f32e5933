"""What became of the published forecasts: hits, errors, coverage, drift, and a paper portfolio that followed them.

In: a workspace's journal and the bars of today. Out: plain data. Of several publications of the same run for the same date the first one counts.
Forecasts published in time and late ones are never mixed: what was written down afterwards proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.errors import DataError
from financial_model.paths import Workspace
from financial_model.serving.journal import Entry, Journal

if TYPE_CHECKING:
    from financial_model.evaluation.tracking import Outcomes
    from financial_model.market.packing import PackedBars

DAYS_BEFORE = 40
"""Calendar days of bars read before the first entry: the naive rules look back, and limits need the close before."""
REVERSAL = 5
REVISED = 0.001
"""A close that differs by more than this from the published one was changed since, or belongs to another price."""
PAPER_TOP, PAPER_SHARE = 30, 5
"""The paper portfolio holds the best fifth of the pool, at most 30 stocks."""
_SPAN = 1 << 40


def journal_list(workspace: Workspace, run: str = "") -> dict[str, Any]:
    """Every entry (of one run), newest first, and whether the chain is whole: ``entries``, ``chain``."""
    journal = Journal(workspace)
    chain = journal.verify()
    return {"entries": [entry for entry in reversed(journal.entries()) if run in ("", entry["run"])], "chain": chain}


def score(workspace: Workspace, run: str = "") -> dict[str, Any]:
    """Scores of all published forecasts whose future has come.

    Keys: ``chain``; ``entries`` (newest first: the entry, ``state`` scored, waiting or repeated, and its own figures); ``groups``, one per run, kind,
    horizon and lateness, best evidence first: run, kind, days, late, synthetic, ``track`` (``tracking.track``) and ``paper`` (None, or
    ``performance.summarize``'s). Raises ``DataError`` for a journal that cannot be read.
    """
    journal = Journal(workspace)
    chain, entries = journal.verify(), [entry for entry in journal.entries() if run in ("", entry["run"])]
    if not entries:
        return {"chain": chain, "entries": [], "groups": []}
    first = _first_ones(entries)
    figures = {entry["number"]: journal.figures(entry) for entry in entries if entry["number"] in first}
    truth = _Truth(workspace, entries, figures)
    outcomes = {number: truth.of(entry, figures[number]) for number, entry in ((item["number"], item) for item in entries) if number in figures}
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        if entry["number"] in first:
            groups.setdefault((entry["late"] > 0, entry["kind"] != "pool", entry["run"], entry["days"]), []).append(entry)
    return {"chain": chain, "entries": [_told(entry, first, outcomes) for entry in reversed(entries)],
            "groups": [_group(key, members, outcomes, figures, truth) for key, members in sorted(groups.items(), key=lambda item: item[0])]}


def _first_ones(entries: Sequence[Entry]) -> set[int]:
    """Numbers of the entries that count: the first of each run, date, horizon and stock (or pool)."""
    seen: dict[tuple[Any, ...], int] = {}
    for entry in entries:
        seen.setdefault((entry["run"], entry["kind"], entry["symbol"], entry["as_of"], entry["days"]), entry["number"])
    return set(seen.values())


class _Truth:
    """The bars from before the first entry until today, and what they say about each forecast."""

    def __init__(self, workspace: Workspace, entries: Sequence[Entry], figures: Mapping[int, Mapping[str, Any]]) -> None:
        from financial_model.market.packing import DAILY_FLAGS, pack
        from financial_model.market.store import Store

        store, self.bars = Store(workspace.data_dir), None
        self.industries = store.industries() if store.database.is_file() else {}
        symbols = sorted({symbol for found in figures.values() for symbol in found["symbols"]})
        there = [symbol for symbol in symbols if store.has(symbol)]
        start = str(np.datetime64(min(entry["as_of"] for entry in entries), "D") - DAYS_BEFORE)
        if there:
            try:
                self.bars = pack(store, there, start=start, columns=DAILY_FLAGS)
            except DataError as error:
                if error.key != "bars.nothing_in_range":  # the data of another market, or none any more: everything waits
                    raise

    def of(self, entry: Entry, figures: Mapping[str, Any]) -> Outcomes | None:
        """What came of one entry, by stock; None while nothing is known yet."""
        from financial_model.evaluation.tracking import Outcomes
        from financial_model.features.labels import entry_wait

        bars = self.bars
        if bars is None:
            return None
        wait, time = entry_wait(entry["entry"]), _seconds(entry["as_of"])
        number = {symbol: place for place, symbol in enumerate(bars.symbols)}
        stock = np.array([number.get(symbol, -1) for symbol in figures["symbols"]], np.int64)
        row = np.searchsorted(_keys(bars), np.maximum(stock, 0) * _SPAN + time)
        last = bars.offsets[np.maximum(stock, 0) + 1] - 1
        price = np.array(figures["price"], np.float64)
        there = (stock >= 0) & (row + wait + entry["days"] <= last)
        row = np.where(there, row, 0)
        there &= (bars.time[row] == time) & (np.abs(bars.close[row] / price - 1) < REVISED)
        if not there.any():
            return None
        row = row[there]
        log_close = np.log(bars.close * bars.factor)
        base = np.log(bars.open * bars.factor) if entry["entry"] == "next_open" else log_close
        back = row - REVERSAL
        known = back >= bars.offsets[stock[there]]
        reversal = np.where(known, log_close[np.maximum(back, 0)] - log_close[row], np.nan)

        def column(name: str) -> np.ndarray:
            return np.array([np.nan if value is None else value for value in figures[name]], np.float64)[there]

        return Outcomes(time=np.full(len(row), time), predicted=column("expected"), actual=log_close[row + wait + entry["days"]] - base[row + wait],
                        low=column("low_80"), high=column("high_80"), rivals={"reversal_5": reversal})


def _keys(bars: PackedBars) -> np.ndarray:
    """[rows] ascending: stock and time in one number."""
    return np.repeat(np.arange(len(bars.symbols), dtype=np.int64), np.diff(bars.offsets)) * _SPAN + bars.time


# ---------------------------------------------------------------- telling
def _told(entry: Entry, first: set[int], outcomes: Mapping[int, Outcomes | None]) -> dict[str, Any]:
    if entry["number"] not in first:
        return {**entry, "state": "repeated"}
    found = outcomes[entry["number"]]
    if found is None:
        return {**entry, "state": "waiting"}
    from financial_model.evaluation.metrics import daily_rank_ic

    moved = found.actual != 0
    inside = (found.actual >= found.low) & (found.actual <= found.high)
    hits = ((found.predicted > 0) == (found.actual > 0))[moved]
    rank = float(daily_rank_ic(np.zeros(len(found.actual), np.int64), 1, found.predicted, found.actual)[0])
    return {**entry, "state": "scored", "known": len(found.actual), "direction": float(hits.mean()) if len(hits) else None,
            "mae_percent": float(100 * np.abs(np.expm1(found.predicted) - np.expm1(found.actual)).mean()),
            "coverage_80": float(inside.mean()) if np.isfinite(found.low).all() else None, "rank_ic": rank if np.isfinite(rank) else None,
            "predicted": float(np.median(found.predicted)), "actual": float(np.median(found.actual))}


def _group(key: tuple[Any, ...], members: Sequence[Entry], outcomes: Mapping[int, Outcomes | None], figures: Mapping[int, Mapping[str, Any]],
           truth: _Truth) -> dict[str, Any]:
    from financial_model.evaluation.tracking import track

    late, single, run, days = key
    known = [found for entry in members if (found := outcomes[entry["number"]]) is not None]
    promised: dict[str, float] = next((entry["promised"] for entry in reversed(members) if entry.get("promised")), {})
    return {"run": run, "kind": "stock" if single else "pool", "days": days, "late": late, "synthetic": any(entry["synthetic"] for entry in members),
            "in_sample": sum(entry["in_sample"] for entry in members), "published": len(members), "waiting": len(members) - len(known),
            "promised": promised, "track": track(_joined(known), days, promised) if known else None,
            "paper": None if single else _paper(members, figures, truth, days)}


def _joined(found: Sequence[Outcomes]) -> Outcomes:
    from financial_model.evaluation.tracking import Outcomes

    parts = {name: np.concatenate([getattr(item, name) for item in found]) for name in ("time", "predicted", "actual", "low", "high")}
    return Outcomes(**parts, rivals={name: np.concatenate([item.rivals[name] for item in found]) for name in found[0].rivals})


def _paper(members: Sequence[Entry], figures: Mapping[int, Mapping[str, Any]], truth: _Truth, horizon: int) -> dict[str, Any] | None:
    """A portfolio that followed the published pools under the rules of the market; None until a session has come after the first."""
    from financial_model.evaluation.backtest import BacktestSettings, run_backtest
    from financial_model.evaluation.market_days import market_days
    from financial_model.evaluation.performance import summarize

    if truth.bars is None:
        return None
    days = market_days(truth.bars, first=_seconds(min(entry["as_of"] for entry in members)) - 20 * 86_400, industries=truth.industries)
    number = {symbol: place for place, symbol in enumerate(days.symbols)}
    score = np.full((len(days.time), len(days.symbols)), np.nan)
    for entry in members:
        day, found = int(np.searchsorted(days.time, _seconds(entry["as_of"]))), figures[entry["number"]]
        if day < len(days.time) and days.time[day] == _seconds(entry["as_of"]):
            for symbol, expected in zip(found["symbols"], found["expected"], strict=True):
                if symbol in number and expected is not None:
                    score[day, number[symbol]] = expected
    top = min(PAPER_TOP, max(1, max(entry["stocks"] for entry in members) // PAPER_SHARE))
    try:
        result = run_backtest(days, score, BacktestSettings(top=top, drop=max(1, top // 6)))
    except DataError as error:
        if error.key != "evaluation.no_signal":
            raise
        return None
    return summarize(result, days, horizon=horizon, draws=200)


def _seconds(day: str) -> int:
    return int(np.datetime64(day, "s").astype(np.int64))
