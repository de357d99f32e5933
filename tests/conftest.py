"""What every test shares: a quiet machine, a temporary workspace, the real bars where they are present."""

import os
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("TRITON_INTERPRET", "1")  # read when a Triton kernel is decorated
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import pytest  # noqa: E402

from financial_model.paths import Workspace  # noqa: E402

REAL_DATA = Path(os.environ.get("KAIROS_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(data_dir=tmp_path / "data", checkpoint_dir=tmp_path / "checkpoints")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real bars; a test that needs it skips, and says so, where it is absent."""
    if not (REAL_DATA / "README.md").exists():
        pytest.skip(f"real bars are not at {REAL_DATA} (set KAIROS_REAL_DATA to their folder)")
    return REAL_DATA
