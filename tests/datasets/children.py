"""A child process for the tests: does what its job says. Run as ``python -m tests.datasets.children``."""

import os
import sys
import time
from pathlib import Path

from financial_model.datasets import child
from financial_model.errors import StorageError


def work(job, progress):
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
    sys.exit(child.serve(work))
