"""Intervals of IC and RankIC from a thousand resamples of dates: sums per date resampled, against computing every resample anew."""

from __future__ import annotations

import time

import numpy as np
from scipy import stats

from benchmarks.table import CPU_TIME, Row
from financial_model.evaluation.metrics import correlation_statistics
from financial_model.evaluation.significance import DateBootstrap

DRAWS, BLOCK = 1000, 10
METHOD = (f"{CPU_TIME}; normal forecasts that explain a little of normal returns, blocks of {BLOCK} dates; ours: IC, RankIC and both "
          f"ratios per date, their values and the intervals of all four from {DRAWS} draws; anew: numpy's and scipy's correlations of every date of "
          "a resample, two draws taken, a thousand extrapolated")


def run(quick: bool) -> list[Row]:
    dates, stocks = (250, 1000) if quick else (1000, 1000)
    random = np.random.default_rng(0)
    predicted = random.normal(size=(dates, stocks))
    actual = 0.05 * predicted + random.normal(size=predicted.shape)
    day = np.repeat(np.arange(dates), stocks)
    _intervals(day[:stocks * 100], 100, predicted.ravel()[:stocks * 100], actual.ravel()[:stocks * 100])
    ours = [_seconds(lambda: _intervals(day, dates, predicted.ravel(), actual.ravel())) for _ in range(3)]
    plan = DateBootstrap.plan(dates, BLOCK, draws=2)
    assert plan is not None
    anew = _seconds(lambda: _anew(plan, predicted, actual)) / 2 * DRAWS
    taken = float(np.median(ours))
    return [Row(benchmark="bootstrap", case=f"{DRAWS:,} draws, {dates:,} dates x {stocks:,} stocks, IC, RankIC, their ratios", ours=taken,
                unit="s", peer=anew, against="every resample anew, extrapolated", ratio=anew / taken, target="seconds",
                met=taken < 10, method=METHOD)]


def _seconds(work) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _intervals(day: np.ndarray, dates: int, predicted: np.ndarray, actual: np.ndarray) -> list[object]:
    found, _ = correlation_statistics(day, dates, predicted, actual)
    plan = DateBootstrap.plan(dates, BLOCK, draws=DRAWS)
    assert plan is not None
    return [(statistic.value(), plan.interval(statistic)) for statistic in found.values()]


def _anew(plan: DateBootstrap, predicted: np.ndarray, actual: np.ndarray) -> list[tuple[float, float]]:
    found = []
    for starts in plan.starts:
        chosen = ((starts[:, None] + np.arange(plan.block)) % plan.dates).ravel()[:plan.dates]
        plain = [np.corrcoef(predicted[date], actual[date])[0, 1] for date in chosen]
        ranked = [np.corrcoef(stats.rankdata(predicted[date]), stats.rankdata(actual[date]))[0, 1] for date in chosen]
        found.append((float(np.mean(plain)), float(np.mean(ranked))))
    return found
