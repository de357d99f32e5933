"""Let numba compile once what nearly every worker of the tests needs: two that begin together would both compile it.

    python -m tests.warm

A small market is made, learned, judged and traded, and a file is read; what they compiled lies in numba's cache afterwards.
"""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import torch

from financial_model.cli.main import run

ROWS = "".join(f"2024-01-{day:02d},10,11,9,10.5,1000\n" for day in range(2, 30))
MODEL = ("--model", "gru", "--hidden", "8", "--layers", "1", "--context-length", "10", "--epochs", "1", "--windows-per-epoch", "500",
         "--device", "cpu", "--precision", "fp32", "--name", "warm")


def main() -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "600519.csv").write_text("date,open,high,low,close,volume\n" + ROWS)
        for data, command in (("market", ("download", "--source", "demo", "--count", "12", "--option", "years=2")), ("market", ("train", *MODEL)),
                              ("market", ("backtest", "warm")), ("market", ("analyze",)), ("files", ("import", str(folder / "600519.csv")))):
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = run([*command, "--data-dir", str(folder / data), "--checkpoint-dir", str(folder / "runs")])
            if code:
                sys.stderr.write(f"{' '.join(command)}: exit code {code}\n{said.getvalue()}")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
