"""The Dockerfile without Docker: what it copies exists, what it starts answers its own health check, and nothing opens without a password."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
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


def environment(**more: str) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if not name.startswith("KAIROS_")}, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **more}


def start(folder: Path, port: int, **more: str) -> subprocess.Popen:
    """The image's own command, by the module instead of the installed script."""
    assert COMMAND[0] == "kairos"
    line = [sys.executable, "-m", "financial_model", *COMMAND[1:], "--port", str(port)]
    return subprocess.Popen(line, cwd=folder, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")


def healthy(port: int, **more: str) -> bool:
    line = [sys.executable, *(word.replace("7860", str(port)) for word in HEALTH[1:])]
    return subprocess.run(line, env=environment(**more), capture_output=True, timeout=30).returncode == 0


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
    _, said = done.communicate(timeout=120)
    assert done.returncode == 2 and "--auth" in said and "Traceback" not in said


def test_the_command_of_the_image_serves_passes_its_health_check_and_ends_in_good_order(tmp_path, port):
    login = {"KAIROS_USER": "anna", "KAIROS_PASSWORD": "secret: with a colon"}
    assert not healthy(port, **login)
    served = start(tmp_path, port, **login)
    try:
        until = time.monotonic() + 120
        while not healthy(port, **login):
            assert served.poll() is None and time.monotonic() < until, served.stderr.read() if served.poll() is not None else "it never became healthy"
            time.sleep(0.5)
        served.send_signal(signal.SIGINT)
        _, said = served.communicate(timeout=60)
    finally:
        served.kill()
    assert served.returncode == 0 and "STOPSIGNAL SIGINT" in TEXT, said
    assert "secret" not in said
