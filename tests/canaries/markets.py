"""A small demo market and one quick training on it, for the canaries."""

from financial_model import config
from financial_model.market.sources.demo import write_demo
from financial_model.market.store import Store
from financial_model.paths import Workspace
from financial_model.serving.experiment import run_training
from financial_model.serving.judging import stored

QUICK = {"epochs": 2, "windows_per_epoch": 12_000, "hidden": 32, "layers": 1, "heads": 2, "context_length": 20, "batch_size": 256,
         "device": "cpu", "precision": "fp32", "train": 0.6, "validation": 0.15}


def market(folder, *, variant: str, kappa: float | None = None, stocks: int = 100, years: float = 4, seed: int = 11) -> Workspace:
    workspace = Workspace(data_dir=folder / "data", checkpoint_dir=folder / "checkpoints")
    write_demo(Store(workspace.data_dir), variant=variant, kappa=kappa, stocks=stocks, years=years, seed=seed)
    return workspace


def evaluation(workspace: Workspace, **settings) -> dict:
    """Train as a user would and return what the test says."""
    run = run_training(workspace, config.build({**QUICK, **settings}))
    return stored(run)["result"]


def standard_error(result: dict, name: str) -> float:
    """From the 95 % interval of the date-block bootstrap."""
    low, high = result[f"{name}_interval"]
    return (high - low) / (2 * 1.96)
