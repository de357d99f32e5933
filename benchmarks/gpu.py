"""Everything that needs a GPU, in one go: the tests of a card, the kernels natively, the benchmarks; one report and one JSON with all figures.

    ./start.sh gpu [--quick] [--out FOLDER]

Each part runs in a process of its own, so that one that fails or takes the card down leaves the others' figures. Exit code 0: every test passed and
every target was met; 1: not so; 2: there is no GPU that this torch can use.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from benchmarks.table import Row, machine, render

ROOT = Path(__file__).resolve().parents[1]
TESTS = ("tests/kernels", "tests/gpu", "tests/training/test_graph.py", "tests/training/test_step.py", "tests/test_runtime.py")
BENCHMARKS = ("precision", "kernels", "step", "input_pipeline")
LONGEST = 1800
"""Seconds a part may take."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Run every check and every benchmark that needs a GPU.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--out", type=Path, default=Path("gpu-report"), help="folder for report.md, figures.json and the logs (default: %(default)s)")
    options = parser.parse_args(arguments)
    facts = machine()
    if not str(facts["device"]).startswith("cuda"):
        sys.stderr.write(f"No GPU that this torch ({facts['torch']}) can use: nothing was run. `./start.sh run doctor` says what is missing.\n")
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    tests = run_tests(options.out)
    rows, failed = run_benchmarks(options.out, options.quick)
    text, good = report(facts, tests, rows, failed, options.quick)
    (options.out / "report.md").write_text(text + "\n", "utf-8")
    content = {"machine": facts, "card": card(), "tests": tests, "rows": rows, "failed": failed, "quick": options.quick}
    (options.out / "figures.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    sys.stdout.write(text + "\n")
    return 0 if good else 1


def card() -> dict[str, Any]:
    """What only torch knows of the GPU and what computes on it."""
    import torch

    from financial_model import runtime

    place = runtime.device()
    facts = torch.cuda.get_device_properties(place)
    return {"name": facts.name, "capability": f"{facts.major}.{facts.minor}", "memory": facts.total_memory, "cuda": torch.version.cuda,
            "multiprocessors": facts.multi_processor_count, "cudnn": torch.backends.cudnn.version(), "triton": runtime.has_triton(),
            "compile": runtime.can_compile(place), "attention": runtime.attention(place)}


def run_tests(out: Path) -> list[dict[str, str]]:
    """Every test with how it ended (passed, failed, skipped) and why; kernels run natively, not through the interpreter."""
    results = out.resolve() / "tests.xml"
    results.unlink(missing_ok=True)
    beside = str(max(1, min(8, (os.cpu_count() or 2) // 2)))  # most of their time is the compiler's
    done = call("tests", out, ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", beside, "--dist", "load", f"--junitxml={results}", *TESTS])
    if not results.exists():
        return [{"test": "pytest", "ended": "failed", "why": f"exit code {done}, see tests.log"}]
    return [_outcome(case) for case in ElementTree.parse(results).iter("testcase")]


def _outcome(case: ElementTree.Element) -> dict[str, str]:
    name = f"{case.get('classname')}.{case.get('name')}"
    for tag, ended in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        found = case.find(tag)
        if found is not None:
            return {"test": name, "ended": ended, "why": next(iter((found.get("message") or "").splitlines()), "")[:200]}
    return {"test": name, "ended": "passed", "why": ""}


def run_benchmarks(out: Path, quick: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of all benchmarks, and the names of those that did not come to their end."""
    rows: list[dict[str, Any]] = []
    failed = []
    for name in BENCHMARKS:
        figures = out.resolve() / f"{name}.json"
        figures.unlink(missing_ok=True)
        done = call(name, out, ["-m", "benchmarks", "--only", name, "--json", str(figures), *(["--quick"] if quick else [])])
        if done or not figures.exists():
            failed.append(name)
        if figures.exists():
            rows += json.loads(figures.read_text("utf-8"))["rows"]
    return rows, failed


def call(name: str, out: Path, arguments: list[str]) -> int:
    """One part in its own process, what it says in a log; its exit code, 124 when it took too long."""
    sys.stderr.write(f"{name} ...\n")
    with (out / f"{name}.log").open("wb") as log:
        try:
            return subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, timeout=LONGEST, check=False,
                                  env={**os.environ, "TRITON_INTERPRET": "0"}).returncode
        except subprocess.TimeoutExpired:
            return 124


def report(facts: dict[str, Any], tests: list[dict[str, str]], rows: list[dict[str, Any]], failed: list[str], quick: bool) -> tuple[str, bool]:
    """(Markdown, whether all is well): how many tests ended how, each one that did not pass, and the table of figures."""
    counts = {ended: sum(test["ended"] == ended for test in tests) for ended in ("passed", "failed", "skipped")}
    lines = [f"GPU: {facts.get('device_name', facts['device'])}", "", ", ".join(f"{count} tests {ended}" for ended, count in counts.items()) + "."]
    lines += [f"- {test['ended']}: {test['test']}: {test['why']}" for test in tests if test["ended"] != "passed"]
    lines += [f"- benchmark {name} did not come to its end, see {name}.log" for name in failed]
    missed = [row for row in rows if row["met"] is False]
    good = not counts["failed"] and counts["passed"] > 0 and not failed and not missed
    return "\n".join([*lines, "", render(facts, [Row(**row) for row in rows], quick)]), good


if __name__ == "__main__":
    sys.exit(main())
