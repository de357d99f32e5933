"""One small market with one finished run, made once; tests that change something get a copy."""

import shutil

import pytest
import torch

from financial_model.datasets.panel import build_panel
from financial_model.serving.experiment import run_training
from tests.serving.builders import fill_store, tiny, workspace_in

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def market(tmp_path_factory):
    """A workspace with bars and their panel, without runs: read it, do not write into it."""
    workspace = workspace_in(tmp_path_factory.mktemp("market"))
    fill_store(workspace)
    build_panel(workspace, tiny())
    return workspace


@pytest.fixture
def filled(market, workspace):
    """The same to write into."""
    shutil.copytree(market.data_dir, workspace.data_dir)
    return workspace


@pytest.fixture(scope="session")
def finished(market, tmp_path_factory):
    """(workspace, run): read it, do not write into it."""
    workspace = workspace_in(tmp_path_factory.mktemp("finished"))
    shutil.copytree(market.data_dir, workspace.data_dir)
    return workspace, run_training(workspace, tiny("finished", condition="concat"))


@pytest.fixture
def copied(finished, tmp_path):
    """The same to write into."""
    workspace = workspace_in(tmp_path)
    shutil.copytree(finished[0].data_dir, workspace.data_dir)
    shutil.copytree(finished[0].checkpoint_dir, workspace.checkpoint_dir)
    return workspace
