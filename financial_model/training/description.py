"""The header of a run's checkpoints: what a forecast elsewhere needs, and what a reader wants to know.

In: configuration, panel, preparation, progress. Out: a dictionary for ``save_checkpoint``. It knows no weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from financial_model.config import CLASSES, RunConfig, to_dict
from financial_model.training.preparation import Preparation
from financial_model.training.progress import Progress

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.training.finetune import Start


def describe(config: RunConfig, panel: Panel, preparation: Preparation, progress: Progress, *, start: Start | None = None) -> dict[str, Any]:
    """``metrics`` is left empty for the test part, which training never opens; ``validation`` says how the weights did there; ``lineage`` says
    which checkpoints they descend from, the nearest first, and ``notes`` what that means for the figures."""
    label = config.label
    table = preparation.table
    return {
        "config": to_dict(config),
        "head": config.head(),
        "features": list(panel.feature_names),
        "inputs": len(panel.feature_names),
        "context_length": config.features.context_length,
        "symbols": list(panel.symbols),
        "table": None if table is None else {"center": table[0], "scale": table[1]},
        "label_scale": preparation.label_scale,
        "label": {
            "horizon": label.horizon, "entry": label.entry, "unit": label.unit, "target": label.target,
            **({} if label.own else {"return": "cumulative log return"}),
            "classes": list(CLASSES), "up": label.up, "down": label.down, "class_horizon": label.class_horizon},
        "extras": progress.extras,
        "split": preparation.split.describe(),
        "data": {"fingerprint": panel.fingerprint, "market": panel.market, "synthetic": panel.synthetic, "rows": panel.rows,
                 "windows": {"train": len(preparation.train), "validation": len(preparation.validation)}},
        "validation": {**progress.validation, "baselines": progress.baselines},
        "training": {"objective": config.objective(), "step": progress.step, "best_step": progress.best_step, "best_epoch": progress.best_epoch},
        "metrics": {},
        "lineage": [] if start is None else start.lineage,
        "notes": [] if start is None else start.notes,
    }
