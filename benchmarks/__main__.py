"""Run benchmarks, print one table, write it as JSON beside it. Adding a benchmark: a file with ``run(quick)``, and its name in BENCHMARKS."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from benchmarks.table import Row, as_json, machine, render

BENCHMARKS = ("panel_open", "input_pipeline", "neuralforecast", "step", "backbones", "growth", "ranking", "indicators", "feature_table", "bootstrap",
              "universe", "kernels", "precision", "ingest", "download", "page")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what the README claims, side by side with its peers.")
    parser.add_argument("--quick", action="store_true", help="smaller data and fewer rounds")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; may be repeated")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="where to write the figures (default: %(default)s)")
    options = parser.parse_args(arguments)
    facts, rows = machine(), []
    for name in options.only or BENCHMARKS:
        sys.stderr.write(f"{name} ...\n")
        found: list[Row] = importlib.import_module(f"benchmarks.{name}").run(options.quick)
        rows += found
        # after every benchmark: what was measured is kept when the next one is interrupted
        options.json.write_text(json.dumps(as_json(facts, rows, options.quick), indent=1, ensure_ascii=False) + "\n", "utf-8")
    sys.stdout.write(render(facts, rows, options.quick) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
