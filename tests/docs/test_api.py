"""docs/api.md tells the truth: its blocks are run in order against a live server on this machine with the demo market."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from financial_model.paths import Workspace
from financial_model.serving import tools
from financial_model.ui import app

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "api.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)( auth)?\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
ADDRESS = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("guide")


def serve(folder: Path, auth: tuple[str, str] | None = None):
    return app.launch(port=47860, workspace=Workspace(data_dir=folder / "data", checkpoint_dir=folder / "runs"), auth=auth, language="en")


def run(kind: str, text: str, url: str, folder: Path) -> str:
    """One block as a reader would run it, with our server's port in place of the usual one."""
    text = text.replace(ADDRESS, url)
    command = ["bash", "-euo", "pipefail", "-c", text] if kind == "sh" else [sys.executable, "-c", text]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_guide_works_from_the_first_block_to_the_last(folder):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; the guide's shell blocks cannot be run")
    served = serve(folder)
    try:
        shell = "".join(text for kind, auth, text in BLOCKS if kind == "sh" and not auth)
        said = run("sh", shell, served.url, folder)
        assert '"status":"ok"' in said and '"expected_return"' in said and (folder / "first.safetensors").stat().st_size > 10_000
        printed = [run(kind, text, served.url, folder) for kind, _, text in BLOCKS if kind == "python"]
        assert len(printed) == 6 and all(text.strip() for text in printed)
        assert "P(up)" in printed[0] and "finished" in printed[0] and "(2, " in printed[1]
        assert all(function.__name__ in printed[-1] for function in tools.functions(served.services.abilities))
    finally:
        served.close()


def test_the_password_part_works_too(folder):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; the guide's shell blocks cannot be run")
    served = serve(folder, auth=("anna", "secret"))
    try:
        first = next(text for kind, _, text in BLOCKS if kind == "sh").splitlines()[0]
        text = next(text for kind, auth, text in BLOCKS if auth)
        assert '"runs"' in run("sh", f"{first}\n{text}", served.url, folder)
    finally:
        served.close()


def test_the_configurations_for_assistants_are_json_and_name_what_exists():
    first, second = (json.loads(text)["mcpServers"]["kairos"] for kind, _, text in BLOCKS if kind == "json")
    from financial_model.cli.main import COMMANDS

    assert first["args"][:2] == ["-m", "financial_model"] and first["args"][2] in COMMANDS
    assert second["url"] == f"{ADDRESS}/mcp"


def test_every_tool_is_named_in_the_guide():
    assert all(f"`{function.__name__}`" in GUIDE for function in tools.functions(None))
