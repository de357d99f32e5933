"""The Dockerfile without Docker: what it copies exists, its health check compiles, and its command opens nothing without a password."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text("utf-8")
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").split()


def words(begin: str) -> list[str]:
    """The JSON list of the instruction that begins like this."""
    return json.loads(re.search(rf"^{begin} (\[.*\])$", TEXT, re.MULTILINE)[1])


HEALTH, COMMAND = words("HEALTHCHECK .*? CMD"), [*words("ENTRYPOINT"), *words("CMD")]


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KAIROS_")}
    return {**kept, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}


def start(folder: Path, port: int) -> subprocess.Popen:
    """The image's own command, by the module instead of the installed script."""
    assert COMMAND[0] == "kairos"
    line = [sys.executable, "-m", "financial_model", *COMMAND[1:], "--port", str(port)]
    return subprocess.Popen(line, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")


def test_everything_that_is_copied_exists_and_may_enter_the_build():
    copied = [name for line in re.findall(r"^COPY (.*)$", TEXT, re.MULTILINE) for name in line.split()[:-1]]
    assert set(copied) == {"requirements.txt", "pyproject.toml", "README.md", "LICENSE", "financial_model"}
    assert IGNORED.count("*") == 1 and all((ROOT / name).exists() and f"!{name}" in IGNORED for name in copied)


def test_the_image_is_slim_belongs_to_nobody_and_keeps_its_data_outside():
    assert re.search(r"^FROM python:3\.11-slim$", TEXT, re.MULTILINE)
    user = re.findall(r"^USER (\S+)$", TEXT, re.MULTILINE)[-1]
    assert user != "root" and TEXT.index(f"USER {user}") < TEXT.index("ENTRYPOINT")
    assert re.search(r"^VOLUME /data$", TEXT, re.MULTILINE) and re.findall(r"^WORKDIR (\S+)$", TEXT, re.MULTILINE)[-1] == "/data"
    assert re.search(r"^EXPOSE 7860$", TEXT, re.MULTILINE)
    pins = [line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert all("==" in line for line in pins)


def test_without_user_and_password_the_container_says_so_and_ends(tmp_path, port):
    done = start(tmp_path, port)
    _, said = done.communicate(timeout=300)
    assert done.returncode == 2 and "--auth" in said and "Traceback" not in said


def test_the_health_check_is_python_that_compiles_and_asks_the_port_that_is_exposed():
    assert HEALTH[:2] == ["python", "-c"] and "'127.0.0.1', 7860" in HEALTH[2] and "/api/v1/health" in HEALTH[2]
    compile(HEALTH[2], "HEALTHCHECK", "exec")
