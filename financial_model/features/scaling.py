"""Tables that bring features to a common scale, fitted on training rows and nothing else.

In: feature values, the numbers of the training rows, the kind. Out: ``center`` and ``scale`` so that ``x' = (x - center) * scale``.
The table travels inside the checkpoint; it knows no window and no split.
"""

from __future__ import annotations

import numpy as np

from financial_model.errors import ConfigError, DataError

KINDS = ("robust", "standard", "minmax")
SAMPLE = 500_000
"""The robust kind sorts; so many rows, evenly spaced over the training rows, tell a median as well as all of them."""
_CHUNK = 1 << 18


def fit_table(values: np.ndarray, rows: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """``(center [F], scale [F])`` float32 from ``values`` [all rows, F] at the training ``rows`` (int64 numbers). NaN is left out.

    ``robust``: median, and 1.349 over the quartile distance (a normal column gets deviation 1); where the quartiles coincide, as for a flag,
    the standard deviation takes its place. ``standard``: mean and deviation. ``minmax``: the training range becomes -1..1.
    A column that is constant (or unknown) on the training rows gets scale 0 and so reads 0 everywhere.
    """
    rows = np.asarray(rows, dtype=np.int64)
    if kind not in KINDS:
        raise ConfigError("config.not_a_choice", name="normalisation", value=kind, choices=", ".join(KINDS))
    if not len(rows):
        raise DataError("features.no_training_rows")
    mean, deviation, low, high = _summary(values, rows)
    if kind == "standard":
        center, spread = mean, deviation
    elif kind == "minmax":
        center, spread = (high + low) / 2.0, (high - low) / 2.0
    else:
        center, spread = _quartiles(values, rows)
        flat = ~(spread > 1e-7 * np.abs(center))
        center, spread = np.where(flat, mean, center), np.where(flat, deviation, spread)
    known = np.isfinite(center) & (high > low) & (spread > 1e-7 * np.abs(center))  # float32 columns: less than this is rounding
    return np.where(np.isfinite(center), center, 0.0).astype(np.float32), np.where(known, 1.0 / np.where(known, spread, 1.0), 0.0).astype(np.float32)


def apply_table(values: np.ndarray, center: np.ndarray, scale: np.ndarray, clip: float = 0.0) -> np.ndarray:
    """``(values - center) * scale``, limited to plus or minus ``clip`` where it is not 0: what the window kernel's mode ``table`` does."""
    scaled = (values - center) * scale
    return np.clip(scaled, -clip, clip) if clip else scaled


def _summary(values: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation, lowest and highest per column over all training rows, in double precision, a piece at a time."""
    columns = values.shape[1]
    count, mean, square = np.zeros(columns), np.zeros(columns), np.zeros(columns)
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    for start in range(0, len(rows), _CHUNK):
        part = values[rows[start:start + _CHUNK]].astype(np.float64)
        known = np.isfinite(part)
        n = known.sum(axis=0)
        here = np.where(known, part, 0.0).sum(axis=0) / np.maximum(n, 1)
        spread = (np.where(known, part - here, 0.0) ** 2).sum(axis=0)
        total = np.maximum(count + n, 1)
        square += spread + (here - mean) ** 2 * count * n / total  # merged around the means: no cancellation
        mean += (here - mean) * n / total
        count += n
        low, high = np.minimum(low, np.where(known, part, np.inf).min(axis=0)), np.maximum(high, np.where(known, part, -np.inf).max(axis=0))
    empty = count == 0
    return np.where(empty, np.nan, mean), np.sqrt(square / np.maximum(count, 1)), np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def _quartiles(values: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and quartile distance over 1.349 per column."""
    chosen = rows if len(rows) <= SAMPLE else rows[np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64)]
    center, spread = np.full(values.shape[1], np.nan), np.zeros(values.shape[1])
    for column in range(values.shape[1]):
        part = values[chosen, column]
        part = part[np.isfinite(part)].astype(np.float64)
        if len(part):
            quarter, center[column], three = np.quantile(part, [0.25, 0.5, 0.75])
            spread[column] = (three - quarter) / 1.349
    return center, spread
