"""Twenty steps of every backbone give the losses they gave before: what guards a refactoring.

A change of these numbers must be wanted. New ones are printed by ``python -m tests.training.test_golden``.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from financial_model.config import BACKBONES
from financial_model.training import reporter
from tests.training.builders import events_of, make_config, make_panel, run

POINTS = (1, 5, 10, 20)
GOLDEN: dict[str, tuple[float, ...]] = {
    "mlp": (0.222736, 0.238110, 0.205230, 0.199304),
    "lstm": (0.224188, 0.220199, 0.184826, 0.180064),
    "gru": (0.225126, 0.214891, 0.177648, 0.179973),
    "lstm_tutorial": (0.224332, 0.246032, 0.218058, 0.215178),
    "transformer": (0.223023, 0.212088, 0.176937, 0.180753),
    "cnn_lstm": (0.223217, 0.215349, 0.179914, 0.176415),
}


def losses(backbone, panel, folder):
    """Training losses at the steps POINTS: quantile head, film condition, no dropout, so that no random draw after the start matters."""
    config = make_config(
        head="quantile", epochs=2, batch_size=57, learning_rate=3e-3,
        model={"backbone": backbone, "condition": "film", "hidden": 16, "layers": 1, "heads": 2, "dropout": 0.0})
    run(config, panel, folder)
    found = {event["step"]: event["metrics"]["loss"] for event in events_of(folder, "step")}
    return tuple(found[step] for step in POINTS)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_twenty_steps(backbone, panel, tmp_path, monkeypatch):
    monkeypatch.setattr(reporter, "POINT_SECONDS", 0.0)
    assert losses(backbone, panel, tmp_path) == pytest.approx(GOLDEN[backbone], rel=2e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    reporter.POINT_SECONDS = 0.0
    with TemporaryDirectory() as folder:
        written = make_panel(Path(folder) / "panel")
        for name in BACKBONES:
            text = ", ".join(f"{loss:.6f}" for loss in losses(name, written, Path(folder) / name))
            sys.stdout.write(f'    "{name}": ({text}),\n')
