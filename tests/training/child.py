"""A training in a process of its own, to be killed: ``python -m tests.training.child PANEL RUN [resume]``.

Every step is a point of the curve and takes a few milliseconds, resume points are written after every third step, and the rest is as always.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from financial_model.datasets.panel import open_panel
from financial_model.training import reporter, session
from tests.training.builders import make_config, run

CONFIG = make_config(epochs=3, accumulation=2, batch_size=32, evaluations_per_epoch=2, schedule="plateau", patience=0)


class Slow:
    """A stop signal that is never set, and makes every step last long enough to be hit by a kill."""

    def is_set(self) -> bool:
        time.sleep(0.004)
        return False


def every_third_step(self: session.Session) -> float:
    return float("inf") if self.progress.step % 3 == 2 else 0.0


if __name__ == "__main__":
    torch.set_num_threads(1)
    reporter.POINT_SECONDS = 0.0
    session.Session.seconds_since_save = every_third_step  # type: ignore[method-assign]
    run(CONFIG, open_panel(Path(sys.argv[1])), Path(sys.argv[2]), stop=Slow(), resume="resume" in sys.argv)
