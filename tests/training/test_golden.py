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
    "mlp": (0.225285, 0.239505, 0.202469, 0.198146),
    "lstm": (0.224408, 0.220890, 0.175108, 0.178805),
    "gru": (0.224423, 0.215984, 0.174385, 0.176546),
    "lstm_tutorial": (0.224282, 0.246668, 0.218373, 0.213529),
    "transformer": (0.225131, 0.209476, 0.174972, 0.178373),
    "cnn_lstm": (0.223219, 0.217657, 0.179206, 0.178011),
    "tsf": (0.226491, 0.212774, 0.175797, 0.188311),
    "tsf-5m": (0.226366, 0.212771, 0.178422, 0.186262),
    "tsf-27m": (0.226529, 0.211256, 0.177656, 0.185871),
    "moe_transformer": (0.224758, 0.210243, 0.175363, 0.185501),
    "multiscale": (0.225784, 0.210059, 0.176945, 0.177965),
}


def losses(backbone, panel, folder, head="quantile"):
    """Training losses at the steps POINTS: film condition, no dropout, so that no random draw after the start matters."""
    config = make_config(
        head=head, epochs=2, batch_size=57, learning_rate=3e-3, weight_decay=1e-2,
        model={"backbone": backbone, "condition": "film", "hidden": 16, "layers": 1, "heads": 2, "dropout": 0.0, "head_dropout": 0.0})
    run(config, panel, folder)
    found = {event["step"]: event["metrics"]["loss"] for event in events_of(folder, "step")}
    return tuple(found[step] for step in POINTS)


MULTI = {"gru": (2.123251, 2.152710, 1.848814, 2.137358), "tsf": (2.138940, 2.129596, 1.870268, 2.163134)}
"""The same with the head multi."""


def every_step(put):
    """A point of the curve after each step, however slow the machine is."""
    put(reporter, "POINT_SECONDS", 0.0)
    put(reporter, "POINTS", 10**9)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_twenty_steps(backbone, panel, tmp_path, monkeypatch):
    every_step(monkeypatch.setattr)
    assert losses(backbone, panel, tmp_path) == pytest.approx(GOLDEN[backbone], rel=2e-4)


@pytest.mark.parametrize("backbone", MULTI)
def test_twenty_steps_of_several_tasks(backbone, panel, tmp_path, monkeypatch):
    every_step(monkeypatch.setattr)
    assert losses(backbone, panel, tmp_path, "multi") == pytest.approx(MULTI[backbone], rel=2e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    every_step(setattr)
    with TemporaryDirectory() as folder:
        written = make_panel(Path(folder) / "panel")
        for name in BACKBONES:
            text = ", ".join(f"{loss:.6f}" for loss in losses(name, written, Path(folder) / name))
            sys.stdout.write(f'    "{name}": ({text}),\n')
        for name in MULTI:
            text = ", ".join(f"{loss:.6f}" for loss in losses(name, written, Path(folder) / f"multi-{name}", "multi"))
            sys.stdout.write(f'    multi "{name}": ({text}),\n')
