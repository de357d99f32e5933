"""The Triton kernels on a GPU: against the time the card needs to move the same bytes, and against what ``torch.compile`` writes by itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.table import Row, median_ratio
from financial_model import runtime
from financial_model.kernels import norms, reference, windows

GATHERS = ((1024, 500, 12), (4096, 60, 6))
PART_OF_BANDWIDTH, MOST_MICROSECONDS, COMPILER = 0.7, 7.0, 1.1
ROWS, WIDTH = 65_536, 512
METHOD = ("100 launches recorded as one CUDA graph, as in a training, so that Python's own time does not count; CUDA events around a replay, median "
          "of 9 turns taken side by side; every launch of windows has other end rows (of 16 sets in turn), every copy another source, so that "
          "none reads what the last one left in the cache; floor: copy_ of as many bytes as are read and written, on the same card in the same turns")
SETS = 16


def run(quick: bool) -> list[Row]:
    place = runtime.device()
    if place.type != "cuda" or not runtime.has_triton():
        return [Row(benchmark="kernels", case="gather + normalise and norms: no GPU with Triton here",
                    target=f"{PART_OF_BANDWIDTH:.0%} of the bandwidth at 1,024 x 500 x 12; {MOST_MICROSECONDS:g} us at 4,096 x 60 x 6")]
    torch.manual_seed(0)
    return [row for shape in GATHERS for row in _gather(place, *shape)] + [row for kind in ("rms_norm", "layer_norm", "dynamic_tanh")
                                                                           for row in _norm(place, kind)]


def timed(place: torch.device, *works: Callable[[], Any], rounds: int = 9, launches: int = 100) -> list[list[float]]:
    """Seconds of one call of each, one list per work, by the card's own clock; they take turns."""
    graphs = [_recorded(place, work, launches) for work in works]
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for taken, graph in zip(seconds, graphs, strict=True):
            first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            graph.replay()
            torch.cuda.synchronize(place)
            first.record()
            graph.replay()
            last.record()
            torch.cuda.synchronize(place)
            taken.append(first.elapsed_time(last) / 1e3 / launches)
    return seconds


def _recorded(place: torch.device, work: Callable[[], Any], launches: int) -> torch.cuda.CUDAGraph:
    """``launches`` calls as one graph, recorded once the kernels are compiled."""
    stream, graph = torch.cuda.Stream(place), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream(place))
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream(place).wait_stream(stream)
    with torch.cuda.graph(graph, stream=stream):
        for _ in range(launches):
            work()
    return graph


def copying(place: torch.device, size: int) -> Callable[[], Any]:
    """Reads and writes ``size`` bytes in all."""
    sources, target = torch.empty(SETS, size // 2, dtype=torch.uint8, device=place), torch.empty(size // 2, dtype=torch.uint8, device=place)
    return in_turn(list(sources), target.copy_)


def in_turn(given: list[Any], work: Callable[[Any], Any]) -> Callable[[], Any]:
    """``work`` of the next of these at every call."""
    turns = itertools.cycle(given)
    return lambda: work(next(turns))


def compiled(work: Callable[..., Any]) -> Callable[..., Any]:
    """What ``torch.compile`` makes of it for these very shapes."""
    torch._dynamo.reset()
    return torch.compile(work, dynamic=False)


def _gather(place: torch.device, batch: int, length: int, columns: int) -> list[Row]:
    values = torch.randn(4_000_000, columns, device=place)
    ends = list(torch.randint(length, len(values), (SETS, batch), device=place))
    out = windows.buffers(batch, length, columns, device=place)
    peer = compiled(lambda rows: reference.gather_windows(values, rows, length, "zscore"))
    size = batch * length * columns * 4
    ours, floor, theirs = timed(place, in_turn(ends, lambda rows: windows.gather_windows(values, rows, length, "zscore", out=out)),
                                copying(place, 2 * size), in_turn(ends, peer))
    reached, gain, microseconds = 1 / median_ratio(floor, ours), median_ratio(ours, theirs), 1e6 * sorted(ours)[4]
    large = (batch, length, columns) == GATHERS[0]
    case = f"gather + z-score, {batch:,} x {length} x {columns}"
    return [
        Row(benchmark="kernels", case=case, ours=microseconds, unit="us", peer=1e6 * sorted(floor)[4], against="copying the bytes", ratio=reached,
            ratio_of="of the bandwidth", target=f">= {PART_OF_BANDWIDTH:g}" if large else f"<= {MOST_MICROSECONDS:g} us",
            met=reached >= PART_OF_BANDWIDTH if large else microseconds <= MOST_MICROSECONDS, method=METHOD),
        Row(benchmark="kernels", case=case, ours=microseconds, unit="us", peer=1e6 * sorted(theirs)[4], against="torch.compile", ratio=gain,
            target=f">= {COMPILER:g}", met=gain >= COMPILER, method=METHOD),
    ]


def _norm(place: torch.device, kind: str) -> list[Row]:
    x = torch.randn(ROWS, WIDTH, device=place, dtype=torch.bfloat16)
    weight, bias, alpha = torch.randn(WIDTH, device=place), torch.randn(WIDTH, device=place), torch.tensor(0.5, device=place)
    learned = {"rms_norm": (weight,), "layer_norm": (weight, bias), "dynamic_tanh": (alpha, weight, bias)}[kind]
    peer = compiled(getattr(norms, f"reference_{kind}"))
    ours, floor, theirs = timed(place, lambda: getattr(norms, kind)(x, *learned), copying(place, 2 * x.nbytes), lambda: peer(x, *learned))
    case = f"{kind} forward, {ROWS:,} x {WIDTH} bf16"
    return [
        Row(benchmark="kernels", case=case, ours=1e6 * sorted(ours)[4], unit="us", peer=1e6 * sorted(floor)[4], against="copying the bytes",
            ratio=1 / median_ratio(floor, ours), ratio_of="of the bandwidth", method=METHOD),
        Row(benchmark="kernels", case=case, ours=1e6 * sorted(ours)[4], unit="us", peer=1e6 * sorted(theirs)[4], against="torch.compile",
            ratio=median_ratio(ours, theirs), method=METHOD),
    ]
