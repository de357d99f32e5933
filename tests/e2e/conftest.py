"""One browser for all tests of this folder; they skip, and say why, where there is none.

It is closed after them: as long as it lives, nothing else in the process can run an event loop of its own.
"""

import pytest
import torch

from financial_model import config
from financial_model.paths import Workspace
from financial_model.serving.experiment import run_training
from financial_model.serving.market import download
from tests.e2e import browser as machine

TINY = {"name": "tiny", "backbone": "gru", "hidden": 8, "layers": 1, "context_length": 8, "epochs": 1, "windows_per_epoch": 500, "horizon": 3,
        "groups": "return", "device": "cpu", "precision": "fp32", "patience": 0}


@pytest.fixture(scope="package")
def chromium():
    path = machine.chromium()
    if path is None:
        pytest.skip("no Chromium is installed (Debian: apt install chromium; or name one with KAIROS_CHROMIUM)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
    with playwright.sync_playwright() as driver:
        instance = driver.chromium.launch(executable_path=path, args=list(machine.ARGUMENTS))
        yield instance
        instance.close()


@pytest.fixture(scope="package")
def address(tmp_path_factory):
    with machine.server(tmp_path_factory.mktemp("served")) as url:
        yield url


@pytest.fixture(scope="package")
def furnished(tmp_path_factory):
    """A server on a small demo market with one finished run; what a test adds, the ones after it find."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("furnished")
    workspace = Workspace(data_dir=folder / "data", checkpoint_dir=folder / "checkpoints")
    download(workspace, "demo", count=40, options={"years": 2})
    run_training(workspace, config.build(TINY))
    with machine.server(folder) as url:
        yield url, workspace
