"""A child process: its results, progress and errors arrive; stop kills it; it never outlives its parent."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from financial_model.datasets import child
from financial_model.errors import DataError, Stopped, StorageError

MODULE = "tests.datasets.children"


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def eventually(condition, seconds=30):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_result_and_progress_come_back():
    seen = []
    result = child.run(MODULE, {"do": "report", "text": "贵州茅台"}, progress=lambda *step: seen.append(step), abandoned=seen.append)
    assert result["echo"] == "贵州茅台" and result["pid"] != os.getpid()
    assert seen == [("panel", 1.0, 2.0), ("panel", 2.0, 2.0)]


def test_a_users_error_is_raised_as_it_was():
    with pytest.raises(StorageError) as caught:
        child.run(MODULE, {"do": "refuse"})
    assert caught.value.key == "paths.disk_full" and caught.value.fields == {"path": "values.npy", "folder": "/somewhere"}


def test_a_bug_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
        child.run(MODULE, {"do": "fail"})


def test_a_silent_death_is_explained():
    with pytest.raises(DataError) as caught:
        child.run(MODULE, {"do": "die"})
    assert caught.value.key == "panel.child_died" and caught.value.fields["code"] == 9


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_stop_kills_the_child(tmp_path):
    stop, pid_file = threading.Event(), tmp_path / "pid"

    def press():
        eventually(pid_file.exists)
        stop.set()

    presser = threading.Thread(target=press)
    presser.start()
    left = []
    with pytest.raises(Stopped):
        child.run(MODULE, {"do": "wait", "pid_file": str(pid_file)}, stop=stop, abandoned=left.append)
    presser.join()
    assert gone(int(pid_file.read_text())) and left == [int(pid_file.read_text())]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_child_ends_with_its_parent_even_when_that_is_killed(tmp_path):
    pid_file = tmp_path / "pid"
    code = f"from financial_model.datasets import child; child.run({MODULE!r}, {{'do': 'wait', 'pid_file': {str(pid_file)!r}}})"
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert eventually(lambda: pid_file.exists() and pid_file.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert eventually(lambda: gone(int(pid_file.read_text())))


def test_a_patient_stop_is_told_to_the_child_and_what_it_does_then_counts():
    stop = threading.Event()
    assert child.run(MODULE, {"do": "listen"}, progress=lambda *step: stop.set(), stop=stop, patient=True) == "in good order"
    with pytest.raises(Stopped):
        child.run(MODULE, {"do": "leave"}, stop=stop, patient=True)


def test_the_number_of_a_bug_is_the_same_on_both_sides():
    with pytest.raises(RuntimeError) as caught:
        child.run(MODULE, {"do": "number"})
    assert vars(caught.value)["error_id"] == "0123abcd"
