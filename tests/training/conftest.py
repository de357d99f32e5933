import pytest
import torch

from tests.training.builders import make_panel


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def panel(tmp_path_factory):
    return make_panel(tmp_path_factory.mktemp("training") / "panel")
