"""A process is known by its id and its start, so that a reused id is not mistaken for a run that still lives."""

import subprocess
import sys
import threading
import time

from financial_model.serving.process import alive, exclusive, identity, is_mine


def test_this_process_lives_and_is_mine():
    assert alive(identity()) and is_mine(identity())


def test_a_dead_process_is_dead():
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    assert not alive({"pid": int(done.stdout), "started": "x"})


def test_a_reused_process_id_is_another_process():
    assert not alive({**identity(), "started": "another start"})


def test_a_killed_child_that_nobody_waited_for_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    from financial_model.serving.process import _started

    owner = {"pid": child.pid, "started": _started(child.pid)}
    assert alive(owner)
    child.kill()
    deadline = time.monotonic() + 10
    while alive(owner) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(owner)  # a zombie until wait(), but it trains nothing any more
    child.wait()


def test_rubbish_is_dead():
    for owner in ({}, {"pid": None}, {"pid": "1"}, {"pid": -1, "started": "x"}, {"pid": 0, "started": "x"}):
        assert not alive(owner)


def test_only_one_holds_the_lock(tmp_path):
    inside, most, lock = [], [], tmp_path / "lock"

    def enter() -> None:
        with exclusive(lock):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
