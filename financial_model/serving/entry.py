"""The Python interface: four functions that do what the commands and the pages of the same names do.

In: paths, run names, settings by name. Out: forecasters, runs, results, tables. It holds no state.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from financial_model.paths import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.serving.forecaster import LoadedForecaster
    from financial_model.serving.runs import RunInfo


def load(checkpoint: Path | str) -> LoadedForecaster:
    """A forecaster from one checkpoint file; nothing else is needed.

    ``forecaster.predict(bars, horizon=5)`` gives a DataFrame with one row per day ahead and one column per quantile,
    ``forecaster.predict_quantiles(bars)`` the arrays. Raises ``NotFoundError`` or ``CheckpointError``.
    """
    from financial_model.serving.forecaster import load

    return load(checkpoint)


def train(*, data_dir: Path | str = Workspace.data_dir, checkpoint_dir: Path | str = Workspace.checkpoint_dir, preset: str = "standard",
          **settings: Any) -> RunInfo:
    """Train, open the test once and return the finished run; ``settings`` by their names in ``config`` (``backbone="gru", epochs=3``)."""
    from financial_model import config
    from financial_model.serving.experiment import run_training

    return run_training(_workspace(data_dir, checkpoint_dir), config.build(settings, preset=preset))


def evaluate(run: str, *, data_dir: Path | str = Workspace.data_dir, checkpoint_dir: Path | str = Workspace.checkpoint_dir) -> dict[str, Any]:
    """The test result of a run (its id, or a name: then its newest); see ``experiment.evaluate_run`` for the keys."""
    from financial_model.serving.experiment import evaluate_run

    return evaluate_run(_workspace(data_dir, checkpoint_dir), run)


def rank(run: str, top: int = 20, *, data_dir: Path | str = Workspace.data_dir, checkpoint_dir: Path | str = Workspace.checkpoint_dir,
         **filters: Any) -> pd.DataFrame:
    """The stock pool of a run, best first; ``filters`` as in ``Predictor.rank``: as_of, days, min_gain, industry."""
    from financial_model.serving.predictor import Predictor

    return Predictor(_workspace(data_dir, checkpoint_dir)).rank(run, top, **filters)


def _workspace(data_dir: Path | str, checkpoint_dir: Path | str) -> Workspace:
    return Workspace(data_dir=Path(data_dir), checkpoint_dir=Path(checkpoint_dir))
