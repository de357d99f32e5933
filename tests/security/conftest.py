"""One live server with a market and a finished run, a secret beside its folders, and the ways an attacker has to talk to it."""

import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from financial_model.serving.experiment import run_training
from financial_model.ui import app
from tests.serving.builders import fill_store, tiny, workspace_in

SECRET = "TOP-SECRET-7c1e"


@dataclass(frozen=True)
class Target:
    served: app.Served
    folder: Path
    run: str
    uploads: Path

    @property
    def url(self) -> str:
        return self.served.url

    def http(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def target(tmp_path_factory):
    """Changed by the tests that attack it; they leave the finished run as it is."""
    folder = tmp_path_factory.mktemp("target")
    (folder / "secret.txt").write_text(SECRET)
    (folder / "secret.csv").write_text(f"date,open,high,low,close,volume\n2024-01-02,{SECRET},1,1,1,1\n")
    (folder / "data" / ".hidden").mkdir(parents=True)
    (folder / "data" / ".hidden" / "secret.csv").write_text(SECRET)
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "gradio")
    workspace = workspace_in(folder)
    fill_store(workspace, days=220)
    run = run_training(workspace, tiny("target", epochs=1))
    served = app.launch("127.0.0.1", free_port(), workspace=workspace, language="en")
    yield Target(served, folder, run.id, folder / "gradio")
    served.close()
    os.environ.pop("GRADIO_TEMP_DIR") if before is None else os.environ.update(GRADIO_TEMP_DIR=before)
    shutil.rmtree(folder, ignore_errors=True)
