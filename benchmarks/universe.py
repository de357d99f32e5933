"""Universe analysis: industry, style and regime of every stock on every date, and all figures of the page, from bars on disk.

Reading the bar files and the analysis itself are measured apart, so that nobody has to write thousands of files to know what ten years cost.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.table import CPU_TIME, Row
from financial_model.config import INDUSTRIES
from financial_model.features import overview
from financial_model.features.universe import conditions, summarize
from financial_model.market.bars import PackedBars, pack
from financial_model.market.calendar import sessions
from financial_model.market.store import Store

WHOLE, LAST_SESSION = 5000, "2025-12-31"
MOST_SECONDS = 20.0


def run(quick: bool) -> list[Row]:
    stocks, days, files = (1000, 2500, 40) if quick else (WHOLE, 2500, 200)
    industries = {symbol: INDUSTRIES[number % len(INDUSTRIES)] for number, symbol in enumerate(_symbols(stocks))}

    def look(bars: PackedBars) -> None:
        codes, _ = conditions(bars, industries)
        summarize(overview.Stretch(bars=bars, codes=codes, start=0), {}, synthetic=False).to_dict()

    look(make_bars(60, 400))
    bars = make_bars(stocks, days)
    looking, wall = _seconds(lambda: look(bars), 3)
    with tempfile.TemporaryDirectory() as name:
        store, chosen = Store(Path(name)), list(bars.symbols[:files])
        for symbol in chosen:
            store.write_bars(symbol, _frame(bars, symbol), source="files")
        pack(store, chosen)
        reading, _ = _seconds(lambda: pack(store, chosen), 3)
    cost, read = looking / stocks * WHOLE, reading / files * WHOLE
    method = (
        f"{CPU_TIME} and here counts both cores; random walks with shares and book value; styles, regime and every figure and table of the page, "
        f"median of 3; reading: {files} bar files of {days:,} rows into packed bars, page cache warm"
    )
    return [
        Row(
            benchmark="universe",
            case=f"analysis of {stocks:,} stocks x {days:,} days, packed",
            ours=looking,
            unit="s of CPU",
            against="-",
            ratio=wall,
            ratio_of="s of wall time on this machine",
            method=method,
        ),
        Row(benchmark="universe", case=f"reading {files} such stocks", ours=1e3 * reading / files, unit="ms of CPU a stock", against="-"),
        Row(
            benchmark="universe",
            case=f"both for {WHOLE:,} stocks, by proportion",
            ours=cost + read,
            unit="s of CPU",
            against="-",
            target=f"seconds (at most {MOST_SECONDS:.0f})",
            met=cost + read <= MOST_SECONDS,
        ),
    ]


def make_bars(stocks: int, days: int, seed: int = 0) -> PackedBars:
    """Random walks around a common market, a hundredth of the days without a trade; share counts and book value constant per stock."""
    random = np.random.default_rng(seed)
    rows, common = stocks * days, random.normal(0, 0.01, days)
    close = 20 * np.exp((common + random.normal(0, 0.02, (stocks, days))).cumsum(1)).reshape(-1)
    volume = np.where(random.random(rows) < 0.01, 0.0, np.round(1e6 * np.exp(random.normal(0, 0.5, rows))))
    held = sessions("XSHG", end=LAST_SESSION)[-days:].astype("datetime64[s]").astype(np.int64)
    extra = {
        "total_shares": np.repeat(np.round(10 ** random.uniform(8, 10, stocks)), days),
        "book_per_share": np.repeat(random.uniform(2, 20, stocks), days),
        "tradable": (volume > 0).astype(np.float64),
    }
    return PackedBars(
        symbols=_symbols(stocks),
        offsets=np.arange(stocks + 1, dtype=np.int64) * days,
        time=np.tile(held, stocks),
        open=close,
        high=close,
        low=close,
        close=close,
        volume=volume,
        amount=volume * close,
        factor=np.ones(rows),
        extra=extra,
        market_time=held,
        market_close=1000 * np.exp(common.cumsum()),
        market_name="000300.SH",
    )


def _symbols(stocks: int) -> tuple[str, ...]:
    return tuple(f"{600000 + number}.SH" for number in range(stocks))


def _frame(bars: PackedBars, symbol: str) -> pd.DataFrame:
    rows = bars.rows(symbol)
    prices = dict.fromkeys(("open", "high", "low", "close"), np.round(bars.close[rows], 2))
    return pd.DataFrame(
        {
            "date": bars.time[rows].astype("datetime64[s]"),
            **prices,
            "volume": bars.volume[rows],
            "amount": np.round(bars.amount[rows]),
            "total_shares": bars.extra["total_shares"][rows],
            "book_per_share": np.round(bars.extra["book_per_share"][rows], 2),
        }
    )


def _seconds(function: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median processor time and median wall time of a call."""
    taken = []
    for _ in range(rounds):
        processor, wall = time.process_time(), time.perf_counter()
        function()
        taken.append((time.process_time() - processor, time.perf_counter() - wall))
    return statistics.median(one for one, _ in taken), statistics.median(two for _, two in taken)
