"""Regressions on today's features: the baselines that are hard to beat.

In: the panel's values at the end row, normalised and limited as the models' inputs are, and the four style ranks. Out: see ``rules.py``.
Both regress the label in its unit and choose their complexity on the last fifth of the training dates, with the days a label spans left out
in between. They never see validation or test windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from financial_model.config import RunConfig
from financial_model.datasets.panel import Panel
from financial_model.datasets.splits import label_bars
from financial_model.datasets.targets import fit_label_scale, label_places, label_returns
from financial_model.errors import Stopped
from financial_model.features.scaling import apply_table, fit_table
from financial_model.models.rules import Baseline, Ends, thin

HELD_OUT = 0.2
"""Share of the training dates on which complexity is chosen."""
PENALTIES = tuple(10.0 ** power for power in np.arange(-5, 1.5, 0.5))
"""Ridge penalties per window; inputs have a spread of about one."""
CHUNK = 1 << 15
"""Windows a float64 block holds at once."""
TREES, PATIENCE = 400, 30
TREE_SETTINGS = {
    "objective": "regression", "learning_rate": 0.05, "num_leaves": 31, "feature_fraction": 0.8, "lambda_l2": 10.0, "max_bin": 63,
    "deterministic": True, "force_row_wise": True, "num_threads": 2, "verbosity": -1,
}


class Regression(Baseline):
    """Inputs and targets shared by both."""

    table: tuple[NDArray, NDArray] | None = None
    """center and scale [F] of a run; fitted here where there is none."""

    def prepare(self, panel: Panel, ends: Ends) -> None:
        """Fit the table of the inputs. Windows that normalise themselves have none, so these use robust instead."""
        kind = self.config.features.normalisation
        self.center, self.scale = self.table or fit_table(panel.values, ends, "robust" if kind in ("zscore", "last_close") else kind)
        self.places = label_places(panel, ends, self.config.label) if self.config.label.unit == "rank" else None

    def inputs(self, panel: Panel, ends: Ends) -> NDArray[np.float32]:
        """[n, F + 4]"""
        x = apply_table(panel.values[ends], self.center, self.scale, self.config.features.clip)
        return np.concatenate((x, panel.ranks[ends]), axis=1, dtype=np.float32)

    def targets(self, panel: Panel, ends: Ends) -> NDArray[np.float32]:
        """[n, H] what the model's objective sees: in units, or the place among the stocks of the date."""
        if self.places is not None:
            return self.places[ends]
        return label_returns(panel, ends, self.config.label) / self.unit(panel, ends)

    def held_out(self, panel: Panel, ends: Ends) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Masks [n] of the early windows and of the last fifth by date; windows whose labels reach into the fifth are in neither."""
        time = panel.time[ends]
        sessions = np.unique(time)
        first = int(len(sessions) * (1 - HELD_OUT))
        last_early = max(0, first - label_bars(self.config.label.horizon, self.config.label.entry))
        return time < sessions[last_early], time >= sessions[min(first, len(sessions) - 1)]


class Moments(NamedTuple):
    """All a linear regression needs to know about its windows: sums, so parts of the data simply add up."""

    windows: float
    gram: NDArray[np.float64]
    """X'X, the intercept's column last."""
    cross: NDArray[np.float64]
    """X'z, one column per horizon."""

    def add(self, other: Moments) -> Moments:
        return Moments(self.windows + other.windows, self.gram + other.gram, self.cross + other.cross)

    def solve(self, penalty: float) -> NDArray[np.float64]:
        """Weights [k, H]; ``penalty`` per window on all but the intercept."""
        ridge = np.full(len(self.gram), penalty * self.windows)
        ridge[-1] = 1e-9 * self.windows
        return np.asarray(np.linalg.solve(self.gram + np.diag(ridge), self.cross), np.float64)

    def error(self, weights: NDArray[np.float64]) -> float:
        """Sum of squared errors of ``weights``, up to z'z, which is the same for all weights."""
        return float(((self.gram @ weights - 2 * self.cross) * weights).sum())


class Ridge(Regression):
    """Linear regression with a penalty on all weights but the intercept, from its normal equations in float64."""

    @classmethod
    def on(cls, panel: Panel, ends: Ends, config: RunConfig, table: tuple[NDArray, NDArray]) -> Self:
        """Learned from labelled training windows, on inputs normalised with ``table``."""
        ridge = cls()
        ridge.config, ridge.table, ridge.label_scale = config, table, fit_label_scale(panel, thin(ends), config)
        ridge.learn(panel, ends)
        return ridge

    def learn(self, panel: Panel, ends: Ends) -> None:
        self.prepare(panel, ends)
        masks = self.held_out(panel, ends)
        early, late = (self._moments(panel, ends[mask]) for mask in masks)
        between = self._moments(panel, ends[~(masks[0] | masks[1])])
        self.penalty = min(PENALTIES, key=lambda penalty: late.error(early.solve(penalty))) if early.windows else max(PENALTIES)
        self.weights = early.add(late).add(between).solve(self.penalty)
        """[F + 5, H] in units: features, style ranks, intercept."""
        self.early_weights = early.solve(self.penalty) if early.windows else self.weights
        """The same without the held-out dates."""

    def expect(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        result = np.empty((len(ends), self.config.label.horizon))
        for rows in chunks(len(ends)):
            result[rows] = with_one(self.inputs(panel, ends[rows])) @ self.weights * self.unit(panel, ends[rows])
        return result

    def _moments(self, panel: Panel, ends: Ends) -> Moments:
        size, horizon = panel.values.shape[1] + panel.ranks.shape[1] + 1, self.config.label.horizon
        gram, cross = np.zeros((size, size)), np.zeros((size, horizon))
        for rows in chunks(len(ends)):
            x, z = with_one(self.inputs(panel, ends[rows])), self.targets(panel, ends[rows])
            gram += x.T @ x
            cross += x.T @ z
        return Moments(len(ends), gram, cross)


class Boosting(Regression):
    """LightGBM, one ensemble per horizon, stopped on the held-out dates. At most ``SAMPLE`` windows; the same trees on every run."""

    def learn(self, panel: Panel, ends: Ends) -> None:
        import lightgbm

        ends = thin(ends)
        self.prepare(panel, ends)
        early, late = self.held_out(panel, ends)
        if not early.any():
            early = late
        x, z = self.inputs(panel, ends), self.targets(panel, ends)
        settings = {**TREE_SETTINGS, "seed": self.config.training.seed, "min_data_in_leaf": int(np.clip(early.sum() // 100, 5, 200))}
        self.trees = []
        for column in range(z.shape[1]):
            train = lightgbm.Dataset(x[early], z[early, column])
            check = lightgbm.Dataset(x[late], z[late, column], reference=train)
            self.trees.append(lightgbm.train(settings, train, TREES, valid_sets=[check],
                                             callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False), self._look_for_stop]))

    def _look_for_stop(self, environment: Any) -> None:
        if self.stop is not None and self.stop.is_set():
            raise Stopped

    def expect(self, panel: Panel, ends: Ends) -> NDArray[np.float64]:
        result = np.empty((len(ends), self.config.label.horizon))
        for rows in chunks(len(ends)):
            x = self.inputs(panel, ends[rows])
            for column, trees in enumerate(self.trees):
                result[rows, column] = trees.predict(x, num_threads=TREE_SETTINGS["num_threads"])
            result[rows] *= self.unit(panel, ends[rows])
        return result


def chunks(count: int) -> Iterator[slice]:
    """Slices of at most ``CHUNK`` windows."""
    return (slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))


def with_one(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n, k] -> float64 [n, k + 1] with the intercept's column."""
    return np.concatenate((x, np.ones((len(x), 1))), axis=1, dtype=np.float64)

