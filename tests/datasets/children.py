"""A child process for the tests: does what its job says. Run as ``python -m tests.datasets.children``."""

import os
import sys
import time
from pathlib import Path

from financial_model.datasets import child
from financial_model.errors import Stopped, StorageError


def work(job, progress, stop=None):
    if job["do"] == "listen":
        progress("train")
        return "in good order" if stop.wait(60) else "nobody said anything"
    if job["do"] == "leave":
        stop.wait(60)
        raise Stopped
    if job["do"] == "number":
        bug = ZeroDivisionError("a bug")
        bug.error_id = "0123abcd"
        raise bug
    if job["do"] == "report":
        print("a library that prints must not break the protocol")
        progress("panel", 1, 2)
        progress("panel", 2, 2)
        return {"pid": os.getpid(), "echo": job["text"]}
    if job["do"] == "refuse":
        raise StorageError("paths.disk_full", path="values.npy", folder="/somewhere")
    if job["do"] == "fail":
        raise ZeroDivisionError("a bug")
    if job["do"] == "die":
        os._exit(9)
    Path(job["pid_file"]).write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(child.serve(work, patient=True))
