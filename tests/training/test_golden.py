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
    "mlp": (0.223287, 0.236676, 0.200642, 0.191729),
    "lstm": (0.226390, 0.220937, 0.180823, 0.177490),
    "gru": (0.225669, 0.214354, 0.174537, 0.181439),
    "lstm_tutorial": (0.224282, 0.246668, 0.218373, 0.213529),
    "transformer": (0.224678, 0.210455, 0.176051, 0.184605),
    "cnn_lstm": (0.223130, 0.212478, 0.175912, 0.173736),
    "tsf": (0.222223, 0.207347, 0.176853, 0.181317),
    "tsf-5m": (0.224298, 0.210452, 0.175766, 0.182830),
    "tsf-27m": (0.224179, 0.207739, 0.176525, 0.184931),
    "moe_transformer": (0.225395, 0.212610, 0.172877, 0.179756),
    "multiscale": (0.223677, 0.206567, 0.176171, 0.178628),
}


def losses(backbone, panel, folder):
    """Training losses at the steps POINTS: quantile head, film condition, no dropout, so that no random draw after the start matters."""
    config = make_config(
        head="quantile", epochs=2, batch_size=57, learning_rate=3e-3, weight_decay=1e-2,
        model={"backbone": backbone, "condition": "film", "hidden": 16, "layers": 1, "heads": 2, "dropout": 0.0, "head_dropout": 0.0})
    run(config, panel, folder)
    found = {event["step"]: event["metrics"]["loss"] for event in events_of(folder, "step")}
    return tuple(found[step] for step in POINTS)


def every_step(put):
    """A point of the curve after each step, however slow the machine is."""
    put(reporter, "POINT_SECONDS", 0.0)
    put(reporter, "POINTS", 10**9)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_twenty_steps(backbone, panel, tmp_path, monkeypatch):
    every_step(monkeypatch.setattr)
    assert losses(backbone, panel, tmp_path) == pytest.approx(GOLDEN[backbone], rel=2e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    every_step(setattr)
    with TemporaryDirectory() as folder:
        written = make_panel(Path(folder) / "panel")
        for name in BACKBONES:
            text = ", ".join(f"{loss:.6f}" for loss in losses(name, written, Path(folder) / name))
            sys.stdout.write(f'    "{name}": ({text}),\n')
