import pytest
import torch

from tests.training.builders import make_panel


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def panel(tmp_path_factory):
    return make_panel(tmp_path_factory.mktemp("training") / "panel")


@pytest.fixture
def folder_of_compiler(monkeypatch, tmp_path):
    """The folder torch's compiler works in, for this test."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "triton"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    return tmp_path
