"""How often a 95 % interval misses the truth on pure noise: the table of docs/evaluation.md.

    python -m tests.evaluation.interval_calibration
"""

import sys

import numpy as np

from financial_model.evaluation.metrics import series_mean
from financial_model.evaluation.significance import DateBootstrap, block_length, newey_west

CASES = ((100, 5, 5), (250, 5, 5), (250, 5, 20), (500, 5, 60), (250, 10, 20), (750, 10, 20), (1000, 5, 20))
"""dates, horizon, days of momentum"""


def momentum_ic(rng: np.random.Generator, dates: int, horizon: int, signal: int, names: int = 60) -> np.ndarray:
    """Daily IC [dates] of ``signal`` days of momentum for the next ``horizon`` days of a random walk; its true mean is zero."""
    price = np.cumsum(rng.standard_normal((names, dates + horizon + signal)), axis=1)
    at = np.arange(signal, signal + dates)
    x, y = price[:, at] - price[:, at - signal], price[:, at + horizon] - price[:, at]
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return (x * y).sum(axis=0) / np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))


def rejections(dates: int, horizon: int, signal: int, *, markets: int = 300, draws: int = 400, seed: int = 0) -> dict[str, float]:
    """Share of noise markets that each method calls significant at 5 %."""
    rng = np.random.default_rng(seed)
    block = block_length(horizon, signal, dates)
    plan = DateBootstrap.plan(dates, block, draws=draws)
    counts = {"naive": 0, "newey_west": 0, "percentile": 0, "ours": 0}
    for _ in range(markets):
        series = momentum_ic(rng, dates, horizon, signal)
        statistic = series_mean(series)
        ends = np.quantile(statistic.of(plan.totals(statistic.sums)), (0.025, 0.975))
        low, high = plan.interval(statistic)
        counts["naive"] += abs(newey_west(series, 0).t) > 1.96
        counts["newey_west"] += abs(newey_west(series, block).t) > 1.96
        counts["percentile"] += not ends[0] <= 0 <= ends[1]
        counts["ours"] += not low <= 0 <= high
    return {"block": block, **{name: count / markets for name, count in counts.items()}}


if __name__ == "__main__":
    for case in CASES:
        found = rejections(*case)
        sys.stdout.write(f"| {' | '.join(map(str, case))} days | {found['block']} | "
                         + " | ".join(f"{found[name]:.0%}" for name in ("naive", "newey_west", "percentile", "ours")) + " |\n")
