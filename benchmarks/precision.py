"""Which precision the probe chooses on this machine, and what it measured."""

from __future__ import annotations

from benchmarks.table import Row
from financial_model import runtime


def run(quick: bool) -> list[Row]:
    place = str(runtime.device())
    method = f"one step of a small LSTM and a matrix product on {place}, best of several turns; chosen: {runtime.best_precision(place)}"
    rows = []
    for name in runtime.candidates(place):
        trial = runtime.try_precision(place, name)
        rows.append(Row(benchmark="precision", case=name, ours=1e3 * trial["seconds"], unit="ms", peer=1e3 * trial["fp32_seconds"], against="fp32",
                        ratio=trial["speedup"], method=method))
    return rows or [Row(benchmark="precision", case="fp32", ours=1.0, unit="", against="the hardware has no other", method=method)]
