"""What any model must beat, behind one interface: ``fit(panel, ends, config)`` on training windows, ``predict(panel, ends)`` any windows.

In: a name. Out: a class. The rules stand in ``rules.py``, the regressions in ``regression.py``.
"""

from __future__ import annotations

from financial_model.errors import ConfigError
from financial_model.models.regression import Boosting, Ridge
from financial_model.models.rules import Baseline, Momentum, MovingAverage, Persistence, Reversal, TrainMean, Zero

BASELINES: dict[str, type[Baseline]] = {
    "zero": Zero, "train_mean": TrainMean, "persistence": Persistence, "reversal_5": Reversal, "momentum_12_1": Momentum,
    "moving_average": MovingAverage, "ridge": Ridge, "lightgbm": Boosting,
}


def baseline_class(name: str) -> type[Baseline]:
    """The class called ``name``; ``ConfigError`` lists the known names."""
    if name not in BASELINES:
        raise ConfigError("models.unknown_baseline", name=name, known=", ".join(BASELINES))
    return BASELINES[name]
