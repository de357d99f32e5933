"""Every backbone against the plain PyTorch module it replaces: forward and backward of a batch of windows, fp32."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from benchmarks.table import Row, median_ratio, side_by_side
from financial_model import config as settings
from financial_model.config import ModelConfig
from financial_model.models.backbones.multiscale import RANGES
from financial_model.models.experts import ACTIVE
from financial_model.models.registry import backbone_class
from financial_model.runtime import device

FEATURES, LENGTH = 60, 60
SLOWER = 0.95
"""A ratio from here on is not slower: two runs of the very same module differ by as much on a busy machine."""
TURN = 0.2
"""Seconds a turn takes at least; the passes of a small model are repeated."""
METHOD = ("forward and backward of the backbone alone, fp32, one thread and CPU time on a CPU, in turns; the plain module has the same width, "
          "layers and heads, and its feed-forward is four times as wide or, beside experts, as wide as the experts that work on a bar together; "
          "multiscale stands beside a block of three nn.MultiheadAttention with masks")


def feed_width(name: str, shape: dict[str, int]) -> int:
    """Width of a plain feed-forward (two matrices) that multiplies as much on a bar as the backbone's own."""
    if name.startswith("tsf"):
        return (ACTIVE + 1) * 3 * shape["expert_size"] // 2  # SwiGLU has three matrices, and one expert is shared
    return ACTIVE * shape["expert_size"] if name == "moe_transformer" else 4 * shape["hidden"]


class PlainEncoder(nn.Module):
    """nn.TransformerEncoder on the same windows; the state at the last bar."""

    def __init__(self, shape: dict[str, int], width: int) -> None:
        super().__init__()
        size = shape["hidden"]
        self.embed = nn.Linear(FEATURES, size)
        layer = nn.TransformerEncoderLayer(size, shape["heads"], width, 0.0, activation="gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, shape["layers"], enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.embed(x))[:, -1]


class PlainRanges(nn.Module):
    """Three attentions a layer, two of them masked to a range, in torch's own modules."""

    def __init__(self, shape: dict[str, int]) -> None:
        super().__init__()
        size, heads = shape["hidden"], shape["heads"]
        self.embed = nn.Linear(FEATURES, size)
        self.layers = nn.ModuleList(nn.ModuleDict({
            "before": nn.LayerNorm(size), "after": nn.LayerNorm(size),
            "ranges": nn.ModuleList(nn.MultiheadAttention(size, heads, batch_first=True) for _ in range(len(RANGES) + 1)),
            "feed": nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))}) for _ in range(shape["layers"]))

    def forward(self, x: Tensor) -> Tensor:
        x, place = self.embed(x), torch.arange(x.shape[1], device=x.device)
        distance = (place[:, None] - place).abs()
        masks = [distance >= reach for reach in RANGES] + [None]
        for layer in self.layers:
            seen = layer["before"](x)
            x = x + sum(part(seen, seen, seen, attn_mask=mask, need_weights=False)[0] for part, mask in zip(layer["ranges"], masks, strict=True)) / 3
            x = x + layer["feed"](layer["after"](x))
        return x[:, -1]


class PlainRecurrent(nn.Module):
    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], shape: dict[str, int]) -> None:
        super().__init__()
        self.body = kind(FEATURES, shape["hidden"], shape["layers"], batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)[0][:, -1]


class PlainLayers(nn.Module):
    def __init__(self, shape: dict[str, int]) -> None:
        super().__init__()
        widths = [FEATURES] + [shape["hidden"]] * shape["layers"]
        self.body = nn.Sequential(*(part for a, b in zip(widths, widths[1:], strict=False) for part in (nn.Linear(a, b), nn.GELU(), nn.Dropout(0.0))))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x[:, -1])


def plain(name: str, shape: dict[str, int]) -> tuple[str, nn.Module]:
    """What somebody would write without us: its name and the module."""
    if name == "mlp":
        return "nn.Sequential", PlainLayers(shape)
    if name == "gru":
        return "nn.GRU", PlainRecurrent(nn.GRU, shape)
    if name in ("lstm", "lstm_tutorial", "cnn_lstm"):
        return "nn.LSTM", PlainRecurrent(nn.LSTM, shape)
    if name == "multiscale":
        return "3 x nn.MultiheadAttention", PlainRanges(shape)
    width = feed_width(name, shape)
    return f"nn.TransformerEncoder, feed-forward {width:,}", PlainEncoder(shape, width)


def run(quick: bool) -> list[Row]:
    place, batch, threads = device(), 32 if quick else 128, torch.get_num_threads()
    if place.type == "cpu":
        torch.set_num_threads(1)
    try:
        return [_compare(name, batch, place) for name in settings.BACKBONES]
    finally:
        torch.set_num_threads(threads)


def _compare(name: str, batch: int, place: torch.device) -> Row:
    config: ModelConfig = settings.build({"backbone": name, "dropout": 0.0, "head_dropout": 0.0}).model
    torch.manual_seed(0)
    ours = backbone_class(name)(FEATURES, LENGTH, config.shape(), config).to(place)
    peer, theirs_module = plain(name, config.shape())
    theirs_module.to(place)
    x = torch.randn(batch, LENGTH, FEATURES, device=place)

    def work(module: nn.Module, repeats: int = 1) -> None:
        for _ in range(repeats):
            module.zero_grad(set_to_none=True)
            found = module(x)
            state = found[0] if isinstance(found, tuple) else found
            state.square().mean().backward()
        if place.type == "cuda":
            torch.cuda.synchronize(place)

    work(ours)
    began = time.perf_counter()
    work(ours)
    repeats = max(1, round(TURN / (time.perf_counter() - began)))
    mine, theirs = side_by_side(lambda: work(ours, repeats), lambda: work(theirs_module, repeats), rounds=9, budget=30,
                                 clock=time.process_time if place.type == "cpu" else None)
    sizes = [sum(part.numel() for part in module.parameters()) / 1e6 for module in (ours, theirs_module)]
    ratio = median_ratio(mine, theirs)
    return Row(
        benchmark="backbones", case=f"{name}, {batch} x {LENGTH} x {FEATURES}, {sizes[0]:.2f} M against {sizes[1]:.2f} M parameters",
        ours=1e3 * sorted(mine)[len(mine) // 2] / repeats, unit="ms", peer=1e3 * sorted(theirs)[len(theirs) // 2] / repeats, against=peer,
        ratio=ratio, target=f">= {SLOWER:g}", met=ratio >= SLOWER, method=METHOD)
