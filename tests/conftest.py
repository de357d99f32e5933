"""What every test shares: a quiet machine, a temporary workspace, the real bars where they are present."""

import os
from importlib import metadata
from pathlib import Path

from financial_model import gpu

if _workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    # Before numpy and torch load, here and in what the tests start: threads that wait for a core another worker has spin, up to ten times the work.
    for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_pool, str(max(1, (os.cpu_count() or 1) // _workers)))
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("TRITON_INTERPRET", "1" if not gpu.first() or "+cpu" in metadata.version("torch") else "0")  # read when a kernel is decorated
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import pytest  # noqa: E402
from xdist.scheduler.loadscope import LoadScopeScheduling  # noqa: E402

from financial_model.paths import Workspace  # noqa: E402

REAL_DATA = Path(os.environ.get("KAIROS_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

TOGETHER = ("tests/e2e", "tests/cli", "tests/security")
"""Folders that one worker runs as a whole: they share a browser, a market with a run, a server."""
FIRST = (*TOGETHER, "tests/docs", "tests/endurance", "tests/training", "tests/serving", "tests/benchmarks")
"""Begun in this order, before all others, because they take longest: what ends a run of several workers should be short."""


def folder_of(nodeid: str) -> str:
    return nodeid.partition("::")[0].rpartition("/")[0]


def pytest_collection_modifyitems(items):
    ranks = {folder: rank for rank, folder in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(folder_of(item.nodeid), len(FIRST)))


class ByFile(LoadScopeScheduling):
    """A file is one worker's, and a folder of ``TOGETHER`` is."""

    def _split_scope(self, nodeid: str) -> str:
        folder = folder_of(nodeid)
        return folder if folder in TOGETHER else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # in the order above, instead of the number of tests
    return ByFile(config, log)


@pytest.fixture
def own_choices():
    """Backbones and labels that a test adds are gone after it."""
    from financial_model.config import flat

    shapes, labels = dict(flat.BACKBONE_SHAPES), list(flat.LABELS)
    yield
    flat.BACKBONE_SHAPES.clear()
    flat.BACKBONE_SHAPES.update(shapes)
    flat.LABELS[:] = labels
    flat.fields.cache_clear()


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(data_dir=tmp_path / "data", checkpoint_dir=tmp_path / "checkpoints")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real bars; a test that needs it skips, and says so, where it is absent."""
    if not (REAL_DATA / "README.md").exists():
        pytest.skip(f"real bars are not at {REAL_DATA} (set KAIROS_REAL_DATA to their folder)")
    return REAL_DATA
