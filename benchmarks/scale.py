"""Bytes, seconds and dollars of three markets, on paper: ``python -m benchmarks.scale [--write]``.

Every figure follows from the constants below. What is measured names its benchmark, what is assumed says so; docs/scale.md holds the same tables,
and a test compares them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- computed by python -m benchmarks.scale -->", "<!-- end -->"

FEATURES = 102
"""Columns of the default feature groups, when the constants were last measured."""
CONTEXT, HORIZON = 60, 5
FIXED_BYTES = 8 + 6 + 16 + 32 + 4 + 4 + 1 + 1
"""A row of a panel beside its features: time, conditions, style ranks, prices, volatility, amount, valid, tradable."""
LABEL_BYTES = 4 * HORIZON
"""A row of the places among the stocks of its date, in memory while training with the unit ``rank``."""


@dataclass(frozen=True)
class Constant:
    value: float
    unit: str
    source: str


CONSTANTS = {
    "bar_bytes": Constant(91, "bytes a bar", "measured: CSV of the store, demo market"),
    "import_us": Constant(0.35, "us of CPU a bar", "measured: benchmark ingest, 2.09 ms a file of 6,000 rows"),
    "feature_ns": Constant(36, "ns of CPU a bar and feature", "measured: benchmark feature table, 22 ms for 102 features of 6,000 rows"),
    "request_rate": Constant(75, "requests/s and connection", "measured: benchmark download, with the default pause of 12 ms"),
    "request_bars": Constant(800, "bars a request", "the server's own limit"),
    "cpu_windows": Constant(465, "windows/s and core", "measured: benchmark input share of a step, cnn_lstm, 256 windows in 550 ms"),
    "gpu_windows": Constant(123_800, "windows/s and GPU", "measured: benchmark step, cnn_lstm with concat, 1,934 steps/s of 64 windows, one H200"),
    "forward_share": Constant(3, "times a training step's windows", "assumed: a forward pass is a third of forward and backward"),
    "gpu_memory": Constant(80e9, "bytes", "assumed: one 80 GB card"),
    "gpu_share": Constant(0.4, "of its memory for the panel", "the loader's own limit"),
    "disk_rate": Constant(3e9, "bytes/s", "assumed: one NVMe disk, runs of 24 kB"),
    "connections": Constant(4, "connections", "default of the download"),
    "cores": Constant(16, "cores", "assumed: the host beside one card"),
    "gpu_dollars": Constant(3.0, "dollars an hour", "assumed: a rented 80 GB card with its host"),
    "core_dollars": Constant(0.05, "dollars an hour", "assumed: a rented core"),
    "disk_dollars": Constant(0.08, "dollars a GB and month", "assumed: block storage"),
}


@dataclass(frozen=True)
class Market:
    name: str
    instruments: int
    bars_a_day: int
    years: float
    windows_an_epoch: float
    """Share of all windows that an epoch draws: neighbours share all bars but one, so a fraction says the same."""

    @property
    def rows(self) -> float:
        return self.instruments * self.bars_a_day * 250 * self.years


MARKETS = (Market("5,500 stocks, daily", 5_500, 1, 15, 1.0), Market("5,500 stocks, minutes", 5_500, 240, 5, 0.02),
           Market("100,000 instruments, daily", 100_000, 1, 15, 0.2))
EPOCHS = 10


def value(name: str) -> float:
    return CONSTANTS[name].value


def figures(market: Market) -> dict[str, str]:
    """The rows of the table for one market."""
    rows = market.rows
    panel, row_numbers, labels = rows * (4 * FEATURES + FIXED_BYTES), 8 * rows, LABEL_BYTES * rows
    room = value("gpu_memory") * value("gpu_share")
    window = 4 * FEATURES * CONTEXT
    windows = rows * market.windows_an_epoch * EPOCHS
    download = max(rows / value("request_bars"), market.instruments) / (value("request_rate") * value("connections"))
    prepare = rows * (value("import_us") * 1e-6 + FEATURES * value("feature_ns") * 1e-9) / value("cores")
    streamed = value("disk_rate") / window
    on_device = panel <= room
    gpu_rate = value("gpu_windows") if on_device else min(value("gpu_windows"), streamed)
    gpu, cpu = windows / gpu_rate, windows / (value("cpu_windows") * value("cores"))
    ranking = market.instruments / (value("cpu_windows") * value("forward_share") * value("cores"))
    return {
        "bars": amount(rows, ""),
        "bar files": amount(market_bytes(rows), "B"),
        f"panel, {FEATURES} features": amount(panel, "B"),
        "all windows laid out instead": amount(rows * window, "B"),
        "row numbers and rank labels in memory while training": amount(row_numbers + labels, "B"),
        "first download": duration(download),
        f"import and features, {value('cores'):.0f} cores": duration(prepare),
        "panel on one card": "whole, shuffled there" if on_device else f"no: {panel / room:.0f} times its share; streamed",
        f"{EPOCHS} epochs of {market.windows_an_epoch:.0%} of the windows": amount(windows, " windows"),
        "... one card": duration(gpu),
        f"... {value('cores'):.0f} cores": duration(cpu),
        "... dollars, one card": dollars(gpu / 3600 * value("gpu_dollars")),
        f"... dollars, {value('cores'):.0f} cores": dollars(cpu / 3600 * value("cores") * value("core_dollars")),
        f"one ranking, {value('cores'):.0f} cores": duration(ranking),
        "disk for files and panel, dollars a month": dollars((market_bytes(rows) + panel) / 1e9 * value("disk_dollars")),
    }


def market_bytes(rows: float) -> float:
    return rows * value("bar_bytes")


def amount(number: float, unit: str) -> str:
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {prefix}{unit}" if unit == "B" else f"{number / size:.3g} {_WORDS[prefix]}{unit}"
    return f"{number:.3g}{unit}"


_WORDS = {"T": "trillion", "G": "billion", "M": "million", "k": "thousand"}


def duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def dollars(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"


def tables() -> str:
    """Both tables as Markdown: the markets, and what they follow from."""
    columns = [figures(market) for market in MARKETS]
    labels = list(columns[0])
    lines = ["| | " + " | ".join(market.name for market in MARKETS) + " |", "|---" * (len(MARKETS) + 1) + "|"]
    for place, label in enumerate(labels):
        shown = label if all(list(column)[place] == label for column in columns) else f"{EPOCHS} epochs, share of the windows " + ", ".join(
            f"{market.windows_an_epoch:.0%}" for market in MARKETS)
        lines.append(f"| {shown} | " + " | ".join(list(column.values())[place] for column in columns) + " |")
    lines += ["", "| constant | value | where from |", "|---|---|---|"]
    lines += [f"| {name} | {entry.value:,.6g} {entry.unit} | {entry.source} |" for name, entry in CONSTANTS.items()]
    lines.append(f"| bytes a row | {4 * FEATURES + FIXED_BYTES} | {FEATURES} features of 4 bytes and {FIXED_BYTES} beside them |")
    lines.append(f"| years, bars a day | {', '.join(f'{market.years:g} x {market.bars_a_day}' for market in MARKETS)} | assumed; 250 days a year |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description="Bytes, seconds and dollars of three markets.")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    if parser.parse_args(arguments).write:
        text = DOCUMENT.read_text("utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        DOCUMENT.write_text(f"{before}{BEGIN}\n{tables()}\n{END}{after}", "utf-8")
    sys.stdout.write(tables() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
