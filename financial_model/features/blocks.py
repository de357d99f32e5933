"""Running functions of :class:`Series` over a packed panel: a few symbols at a time, several threads.

In: bars and functions ``Series -> [rows]``. Out: their values as columns of one float32 table. A block of symbols is small enough for its
intermediate columns to stay in the processor's cache, and large enough to make Python's part vanish. It knows no feature.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import is_dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from financial_model.errors import DataError
from financial_model.features.cross_section import Groups, group_by_date, rank
from financial_model.features.series import Market, Series
from financial_model.features.settling import lay_down

BLOCK_ROWS = 16_384
"""Rows computed at once: whole symbols, at least one."""
COLUMNS = 32
"""Columns written into the table at once: a line of the cache holds sixteen float32, and would travel once for each of them otherwise."""
Stage = tuple[Callable[[Any], object], Sequence[Any]]
"""A task and its parts."""


class Finished(Protocol):
    """Which parts are finished, by their number through all stages. A set of int is one; so is a list on the disk."""

    def __contains__(self, part: int, /) -> bool: ...
    def add(self, part: int, /) -> None: ...


def blocks(offsets: np.ndarray) -> list[tuple[int, int]]:
    """Runs of consecutive symbols (first, after the last) of about ``BLOCK_ROWS`` rows each."""
    found, first = [], 0
    for last in range(1, len(offsets)):
        if offsets[last] - offsets[first] >= BLOCK_ROWS or last == len(offsets) - 1:
            found.append((first, last))
            first = last
    return found


def evaluation(bars: Any, functions: Sequence[tuple[str, Callable[[Series], Any]]], table: np.ndarray,
               settled: Mapping[int, Callable[[np.ndarray, np.ndarray, np.ndarray], object]] | None = None,
               raw: tuple[np.ndarray, np.ndarray] | None = None) -> Stage:
    """The stage that fills ``table`` [rows, functions] with the values of ``functions`` (name, function), not finite where they are not.

    ``settled``: for the columns named there, ``settle(values, to, offsets)`` writes the values of a block into the float32 ``to``. ``raw``: a
    float32 array [rows, k] and the numbers [k] of the functions whose values go there instead. A wrong number of values is a ``DataError``.
    """
    market, finish = Market(bars), settled or {}
    aside = np.empty(0, np.int64) if raw is None else raw[1]
    own = np.setdiff1d(np.arange(len(functions)), aside)
    goals = [(table, own, own), *([] if raw is None else [(raw[0], aside, np.arange(len(aside)))])]
    done: list[list[Any]] = []  # by function: what is needed no more after it, as the first block finds out

    def evaluate(block: tuple[int, int]) -> None:
        series, row = Series(bars, *block, market=market), int(bars.offsets[block[0]])
        columns = np.empty((min(COLUMNS, len(functions)), len(series)), np.float32)
        with np.errstate(all="ignore"):
            for start in range(0, len(functions), COLUMNS):
                chosen = functions[start:start + COLUMNS]
                for i, (name, function) in enumerate(chosen):
                    values = np.ascontiguousarray(function(series), dtype=np.float64)
                    series.next_turn(done[start + i] if done else ())
                    if values.shape != (len(series),):
                        raise DataError("features.wrong_shape", name=name, shape=str(values.shape), rows=len(series))
                    if start + i in finish:
                        finish[start + i](values, columns[i], series.offsets)
                    else:
                        columns[i] = values
                for goal, numbers, places in goals:
                    here = (numbers >= start) & (numbers < start + len(chosen))
                    lay_down(columns, numbers[here] - start, goal, row, places[here])
        if not done:
            done.extend(series.last_uses())
    return evaluate, blocks(bars.offsets)


def with_ranks(bars: Any, wanted: Mapping[str, Callable[[Series], Any]], workers: int = 0) -> Any:
    """The bars with extra columns: for each key, its function's values as ranks among the names of their date (0 on a date with too few).

    In the order given, so that a later one may read an earlier one. The bars as they are when nothing is wanted.
    """
    if not wanted:
        return bars
    groups, extra, column, first = groups_by_date(bars), dict(bars.extra), np.empty((len(bars.time), 1), dtype=np.float32), np.zeros(1, np.int64)
    seen = replace(bars, extra=extra) if is_dataclass(bars) and not isinstance(bars, type) else SimpleNamespace(**{**vars(bars), "extra": extra})

    def rank_dates(part: tuple[int, int]) -> None:
        rank(column, column, first, groups, thin=0.0, first=part[0], last=part[1])

    for key, function in wanted.items():
        run([evaluation(seen, [(key, function)], column), (rank_dates, date_parts(groups))], workers=workers)
        extra[key] = column[:, 0].astype(np.float64)
    return seen


def groups_by_date(bars: Any) -> Groups:
    """Rows of the panel by date and market."""
    return group_by_date(bars.time, np.repeat(market_codes(bars.symbols), np.diff(bars.offsets)))


def market_codes(symbols: Sequence[str]) -> np.ndarray:
    """int64 [symbols]: 0 for the Chinese exchanges, 1 for all others; names of different markets are never compared."""
    return np.array([0 if symbol.endswith((".SH", ".SZ", ".BJ")) else 1 for symbol in symbols], dtype=np.int64)


def date_parts(groups: Groups) -> list[tuple[int, int]]:
    """Runs of dates with about the same number of rows, to work on side by side."""
    edges = np.searchsorted(groups.starts, np.arange(0, len(groups.code), 8 * BLOCK_ROWS)).tolist()
    edges = [0, *edges[1:], len(groups)]
    return [(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]


def run(stages: Sequence[Stage], progress: Callable[[int, int], object] | None = None, workers: int = 0, finished: Finished | None = None) -> None:
    """The parts of each stage side by side, one stage after the other; whatever ``progress(done, total)`` raises stops the rest.

    ``workers``: threads, 0 for one per core (at most eight). ``finished``: parts that are left out, and where those done now are added; a part that
    was interrupted is done again, so that a task has to come to the same when it is repeated.
    """
    _keep_memory()
    done, total, known = 0, sum(len(parts) for _, parts in stages), set[int]() if finished is None else finished
    threads = workers or min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        side_by_side: Callable[..., Any] = map if threads == 1 else pool.map  # a single one needs no other thread
        try:
            first = 0
            for task, parts in stages:
                left = [i for i in range(len(parts)) if first + i not in known]
                done += len(parts) - len(left)
                for i, _ in zip(left, side_by_side(task, [parts[i] for i in left]), strict=True):
                    known.add(first + i)
                    done += 1
                    if progress is not None:
                        progress(done, total)
                first += len(parts)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@cache
def _keep_memory() -> None:
    """Let the columns of one block be made of the memory of the block before.

    glibc gives freed memory back to the system above a limit that follows the largest piece ever freed (at most 32 MB), and every page of it costs
    a fault when it comes back: a third of the time, where nothing large had been freed yet. One large piece that is never touched raises the limit.
    """
    np.empty((32 << 20) - (1 << 16), np.uint8)
