"""How cost grows: experts by those that work and not by those that exist, local attention by bars and not by bars squared."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from benchmarks.table import Row, median_ratio, side_by_side
from financial_model.models.experts import ACTIVE, Experts
from financial_model.models.local import banded
from financial_model.runtime import device

FEW, MANY = 8, 32
WINDOW, LENGTHS = 20, (500, 1_000, 2_000, 4_000, 8_000)


def run(quick: bool) -> list[Row]:
    place, threads = device(), torch.get_num_threads()
    if place.type == "cpu":
        torch.set_num_threads(1)
    try:
        return [experts(place, quick), *local(place, quick)]
    finally:
        torch.set_num_threads(threads)


def _clock(place: torch.device) -> Callable[[], float] | None:
    return time.process_time if place.type == "cpu" else None


def _settled(place: torch.device) -> None:
    if place.type == "cuda":
        torch.cuda.synchronize(place)


def experts(place: torch.device, quick: bool) -> Row:
    """Forward and backward of one layer with 8 and with 32 experts, two at work on a row."""
    torch.manual_seed(0)
    rows = torch.randn(2_000 if quick else 8_000, 256, device=place)
    layers = [Experts(256, count, 512, gated=True, shared=False).to(place) for count in (FEW, MANY)]

    def work(layer: Experts) -> None:
        layer.zero_grad(set_to_none=True)
        answer, balance = layer(rows)
        (answer.square().mean() + balance).backward()
        _settled(place)

    few, many = side_by_side(lambda: work(layers[0]), lambda: work(layers[1]), rounds=5, budget=60, clock=_clock(place))
    size = [sum(part.numel() for part in layer.parameters()) for layer in layers]
    ratio = median_ratio(few, many)
    return Row(
        benchmark="growth", case=f"experts {FEW} -> {MANY}, {ACTIVE} at work: {size[1] / size[0]:.1f} times the parameters",
        ours=1e3 * sorted(many)[2], unit="ms", peer=1e3 * sorted(few)[2], against=f"{FEW} experts", ratio=ratio, ratio_of="times the time",
        target="<= 1.5", met=ratio <= 1.5,
        method=f"{len(rows):,} rows of 256, width 512, forward and backward, fp32, CPU time on a CPU; the gradient of every expert is "
               "written, whoever worked")


def local(place: torch.device, quick: bool) -> list[Row]:
    """Attention within 20 bars from 500 to 8,000 bars, and attention to all of them at both ends."""
    torch.manual_seed(0)
    batch = 1 if quick else 2
    parts = {length: torch.randn(3, batch, 4, length, 32, device=place) for length in LENGTHS}

    def near(length: int) -> Callable[[], None]:
        def work() -> None:
            banded(*parts[length], WINDOW)
            _settled(place)
        return work

    def every(length: int) -> Callable[[], None]:
        def work() -> None:
            F.scaled_dot_product_attention(*parts[length])
            _settled(place)
        return work

    with torch.inference_mode():
        *seconds, whole_short, whole_long = side_by_side(
            *(near(length) for length in LENGTHS), every(LENGTHS[0]), every(LENGTHS[-1]), rounds=7, budget=60, clock=_clock(place))
    method = (f"{batch} window(s), 4 heads of 32, attention within {WINDOW} bars, forward, fp32, CPU time on a CPU; for 16 times the bars 16 times "
              "the time is linear and 256 times square")
    rows = []
    for length, taken in zip(LENGTHS[1:], seconds[1:], strict=True):
        times, limit = median_ratio(seconds[0], taken), 1.25 * length / LENGTHS[0]
        rows.append(_grown(f"local attention, {LENGTHS[0]} -> {length:,} bars", seconds[0], taken, times, method, f"<= {limit:g}", times <= limit))
    whole = median_ratio(whole_short, whole_long)
    return [*rows, _grown(f"attention to all bars, {LENGTHS[0]} -> {LENGTHS[-1]:,}", whole_short, whole_long, whole, method)]


def _grown(case: str, before: list[float], after: list[float], times: float, method: str, target: str = "", met: bool | None = None) -> Row:
    return Row(benchmark="growth", case=case, ours=1e3 * sorted(after)[len(after) // 2], unit="ms", peer=1e3 * sorted(before)[len(before) // 2],
               against=f"{LENGTHS[0]} bars", ratio=times, ratio_of="times the time", target=target, met=met, method=method)
