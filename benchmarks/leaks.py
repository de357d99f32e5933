"""How 65-70 % comes about: every common leak on a random walk, where nothing can be forecast, beside its honest twin.

Run: ``python -m benchmarks.leaks``. In: nothing but a seed. Out: one Markdown table. Each case trains the simplest learner that the leak rewards
(ridge regression, or repeating what was remembered) and prints the share of right directions beside the base rate of the same rows.
docs/why-not-70-percent.md explains the rows; tests/canaries/test_leaks.py holds the figures to their order of size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
STOCKS, DAYS, HORIZON, LAGS = 40, 1000, 5, 10
MARKET, OWN = 0.01, 0.02
"""Daily deviation of the move all stocks share, and of each stock's own."""


@dataclass(frozen=True)
class Case:
    """What one way of cheating, and doing the same honestly, report on a random walk."""

    name: str
    leaky: float
    leaky_base: float
    honest: float
    honest_base: float


class Walk:
    """Random walks of many stocks with a common factor; log prices [stocks, days] and, per day, the range within it."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        steps = OWN * rng.standard_normal((STOCKS, DAYS)) + MARKET * rng.standard_normal(DAYS)
        self.close = np.cumsum(steps, axis=1)
        before = np.concatenate([np.zeros((STOCKS, 1)), self.close[:, :-1]], axis=1)
        room = np.abs(0.008 * rng.standard_normal((2, STOCKS, DAYS)))
        self.high, self.low = np.maximum(before, self.close) + room[0], np.minimum(before, self.close) - room[1]
        self.day = np.arange(LAGS + 20, DAYS - HORIZON)
        self.cut = int(self.day[0] + 0.8 * len(self.day))

    def ahead(self, days: int) -> Array:
        """Log return over the ``days`` after each day, [stocks, len(day)]."""
        return self.close[:, self.day + days] - self.close[:, self.day]

    def returns(self) -> Array:
        """The last ``LAGS`` daily returns as inputs, [stocks, len(day), LAGS]."""
        return np.stack([self.close[:, self.day - lag] - self.close[:, self.day - lag - 1] for lag in range(LAGS)], axis=-1)

    def train(self) -> Array:
        """bool [len(day)]: the training dates of an honest split, labels included."""
        return self.day < self.cut - HORIZON

    def test(self) -> Array:
        return self.day >= self.cut


def ridge(x: Array, y: Array, asked: Array) -> Array:
    """Fitted on rows [n, f], asked on [m, f]."""
    center, scale = x.mean(axis=0), x.std(axis=0) + 1e-12
    design = (x - center) / scale
    weights = np.linalg.solve(design.T @ design + np.eye(x.shape[1]), design.T @ (y - y.mean()))
    return (asked - center) / scale @ weights + y.mean()


def score(said: Array, truth: Array) -> tuple[float, float]:
    """Share of right directions, and what the better constant answer scores."""
    up = float((truth > 0).mean())
    return float(((said > 0) == (truth > 0)).mean()), max(up, 1 - up)


def by_date(walk: Walk, x: Array, y: Array) -> tuple[float, float]:
    """The honest protocol: train before the cut with a purge, test after it."""
    train, test = walk.train(), walk.test()
    flat = x.shape[-1]
    return score(ridge(x[:, train].reshape(-1, flat), y[:, train].ravel(), x[:, test].reshape(-1, flat)), y[:, test].ravel())


# ---------------------------------------------------------------- one function per leak: (leaky, honest)
def future_columns(walk: Walk) -> Case:
    """Columns computed for the labels stay among the inputs."""
    honest, later = walk.returns(), walk.ahead(3)[..., None]
    return Case("label columns among the inputs", *by_date(walk, np.concatenate([honest, later], axis=-1), walk.ahead(HORIZON)),
                *by_date(walk, honest, walk.ahead(HORIZON)))


def same_day_range(walk: Walk) -> Case:
    """The day's own high and low are inputs for that day's close."""
    previous, today = walk.close[:, walk.day - 1], walk.close[:, walk.day] - walk.close[:, walk.day - 1]
    known = np.stack([walk.high[:, walk.day] - previous, walk.low[:, walk.day] - previous], axis=-1)
    before = np.stack([walk.high[:, walk.day - 1] - previous, walk.low[:, walk.day - 1] - previous], axis=-1)
    return Case("the same day's high and low as inputs", *by_date(walk, known, today), *by_date(walk, before, today))


def smoothed_prices(walk: Walk) -> Case:
    """Prices are smoothed by a window that looks both ways before anything else; inputs and labels come from the smooth curve."""
    smooth = np.mean([walk.close[:, walk.day + shift] for shift in range(-2, 3)], axis=0)
    steps = np.diff(smooth, axis=1, prepend=smooth[:, :1])
    label = np.concatenate([steps[:, 1:], steps[:, -1:]], axis=1)
    return Case("prices smoothed to both sides first", *by_date(walk, steps[..., None], label), *by_date(walk, walk.returns(), walk.ahead(1)))


def random_rows(walk: Walk) -> Case:
    """Windows are shuffled before they are split: each test window has neighbours in training that share most of its label."""
    label = walk.ahead(HORIZON)
    known = np.random.default_rng(0).random(label.shape[1]) < 0.8
    days = np.flatnonzero(known)
    nearest = days[np.abs(np.arange(label.shape[1])[:, None] - days).argmin(axis=1)]
    last = np.flatnonzero(walk.train())[-1]
    test = walk.test()
    return Case("windows shuffled, then split", *score(label[:, nearest][:, ~known].ravel(), label[:, ~known].ravel()),
                *score(np.repeat(label[:, last:last + 1], test.sum(), axis=1).ravel(), label[:, test].ravel()))


def other_stocks(walk: Walk) -> Case:
    """Train and test hold different stocks of the same dates: the market's move of the day is remembered, and handed to the others."""
    label, half = walk.ahead(HORIZON), STOCKS // 2
    market = label[:half].mean(axis=0)
    train, test = walk.train(), walk.test()
    return Case("tested on other stocks, same dates", *score(np.repeat(market[None], STOCKS - half, axis=0).ravel(), label[half:].ravel()),
                *score(np.full(label[half:, test].shape, label[:half, train].mean()).ravel(), label[half:, test].ravel()))


def rows_per_stock(walk: Walk) -> Case:
    """Each stock is cut at 80 % of its own rows: a young stock trains inside an older stock's test period."""
    label, half = walk.ahead(HORIZON), STOCKS // 2
    test = walk.test()
    market = label[:half].mean(axis=0)[test]  # the young half is still in training while the old half is tested
    return Case("split by rows of each stock", *score(np.repeat(market[None], STOCKS - half, axis=0).ravel(), label[half:, test].ravel()),
                *by_date(walk, walk.returns(), label))


def unbalanced_classes(walk: Walk) -> Case:
    """Accuracy where one class holds two thirds: "not up by 2 %" is right in most rows without looking at anything."""
    share = float((walk.ahead(HORIZON)[:, walk.test()] < 0.02).mean())
    return Case("accuracy of one large class", share, share, *by_date(walk, walk.returns(), walk.ahead(HORIZON)))


LEAKS: tuple[Callable[[Walk], Case], ...] = (future_columns, same_day_range, smoothed_prices, random_rows, other_stocks, rows_per_stock,
                                             unbalanced_classes)


def level_fit(walk: Walk) -> float:
    """R² of the price level on test dates when nothing is done but repeat yesterday's close."""
    price = np.exp(walk.close[0]) * 100
    truth, said = price[walk.cut:], price[walk.cut - 1:-1]
    return float(1 - ((truth - said) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def measure(seeds: int = 5) -> list[Case]:
    """Every case, averaged over ``seeds`` markets."""
    walks = [Walk(seed) for seed in range(seeds)]
    found = []
    for leak in LEAKS:
        cases = [leak(walk) for walk in walks]
        means = (float(np.mean([getattr(case, name) for case in cases])) for name in ("leaky", "leaky_base", "honest", "honest_base"))
        found.append(Case(cases[0].name, *means))
    return found


def render(cases: list[Case], fit: float) -> str:
    lines = ["| what is done | direction or accuracy | base rate | the same done honestly | base rate |", "|---|---|---|---|---|"]
    lines += [f"| {case.name} | {case.leaky:.0%} | {case.leaky_base:.0%} | {case.honest:.0%} | {case.honest_base:.0%} |" for case in cases]
    return "\n".join([*lines, "", f"R² of the price level when yesterday's close is repeated: {fit:.3f}"])


if __name__ == "__main__":
    sys.stdout.write(render(measure(), float(np.mean([level_fit(Walk(seed)) for seed in range(5)]))) + "\n")
