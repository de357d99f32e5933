"""Stocks that walk at random: whatever earns on them knows the future."""

import numpy as np

from financial_model.evaluation.metrics import daily_rank_ic

NAMES, DAYS, HORIZON = 60, 500, 5


class Noise:
    """A random walk for each stock: nothing in it can be forecast."""

    def __init__(self, seed: int = 0, names: int = NAMES, days: int = DAYS, horizon: int = HORIZON):
        rng = np.random.default_rng(seed)
        self.price = np.cumsum(0.02 * rng.standard_normal((names, days)) + 0.01 * rng.standard_normal(days), axis=1)
        self.names, self.days, self.horizon = names, days, horizon
        self.first, self.last = 60, days - horizon - 1
        self.day = np.tile(np.arange(self.last - self.first), names)
        self.stock = np.repeat(np.arange(names), self.last - self.first)

    def rows(self, grid: np.ndarray) -> np.ndarray:
        """[stocks, days] -> [rows]"""
        return grid[:, self.first:self.last].ravel()

    def label(self, shift: int = 0) -> np.ndarray:
        """Return over the horizon that starts ``shift`` days after the close of the window's last bar."""
        grid = np.full(self.price.shape, np.nan)
        at = np.arange(self.first, self.last)
        grid[:, at] = self.price[:, at + shift + self.horizon] - self.price[:, at + shift]
        return self.rows(grid)

    def rank_ic(self, score: np.ndarray, label: np.ndarray | None = None) -> float:
        return float(np.nanmean(daily_rank_ic(self.day, self.last - self.first, score, self.label() if label is None else label)))


def momentum(price: np.ndarray, days: int) -> np.ndarray:
    grid = np.zeros_like(price)
    grid[:, days:] = price[:, days:] - price[:, :-days]
    return grid
