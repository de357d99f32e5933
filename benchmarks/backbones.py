"""Every backbone against the plain PyTorch module it replaces: forward and backward of a batch of windows, fp32."""

from __future__ import annotations

import time

import torch
from torch import nn

from benchmarks.table import Row, median_ratio, side_by_side
from financial_model import config as settings
from financial_model.models.registry import backbone_class
from financial_model.runtime import device

FEATURES, LENGTH = 60, 60
METHOD = ("forward and backward of the backbone alone, fp32, one thread and CPU time on a CPU, in turns; the plain module has the same width, "
          "layers and heads and a feed-forward of four times the width, and reads inputs of its own width where it needs them")


class Plain(nn.Module):
    """nn.LSTM, nn.GRU or nn.TransformerEncoder on the same windows; the state at the last bar."""

    def __init__(self, kind: str, shape: dict[str, int]) -> None:
        super().__init__()
        size, layers = shape["hidden"], shape["layers"]
        self.kind = kind
        if kind == "nn.TransformerEncoder":
            self.embed = nn.Linear(FEATURES, size)
            layer = nn.TransformerEncoderLayer(size, shape["heads"], 4 * size, 0.0, batch_first=True, norm_first=True)
            self.body: nn.Module = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        elif kind == "nn.Sequential":
            widths = [FEATURES] + [size] * layers
            self.body = nn.Sequential(*(part for a, b in zip(widths, widths[1:], strict=False) for part in (nn.Linear(a, b), nn.GELU())))
        else:
            self.body = {"nn.LSTM": nn.LSTM, "nn.GRU": nn.GRU}[kind](FEATURES, size, layers, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "nn.Sequential":
            return self.body(x[:, -1])
        if self.kind == "nn.TransformerEncoder":
            return self.body(self.embed(x))[:, -1]
        return self.body(x)[0][:, -1]


def peer_of(name: str) -> str:
    """What somebody would write without us."""
    return {"mlp": "nn.Sequential", "gru": "nn.GRU", "lstm": "nn.LSTM", "lstm_tutorial": "nn.LSTM", "cnn_lstm": "nn.LSTM"}.get(
        name, "nn.TransformerEncoder")


def run(quick: bool) -> list[Row]:
    place, batch, threads = device(), 32 if quick else 128, torch.get_num_threads()
    if place.type == "cpu":
        torch.set_num_threads(1)
    try:
        return [_compare(name, batch, place, 3 if quick else 7) for name in settings.BACKBONES]
    finally:
        torch.set_num_threads(threads)


def _compare(name: str, batch: int, place: torch.device, rounds: int) -> Row:
    config = settings.build({"backbone": name, "dropout": 0.0})
    shape, peer = config.model.shape(), peer_of(name)
    torch.manual_seed(0)
    ours = backbone_class(name)(FEATURES, LENGTH, shape, config.model).to(place)
    plain = Plain(peer, shape).to(place)
    x = torch.randn(batch, LENGTH, FEATURES, device=place)

    def work(module: nn.Module) -> None:
        module.zero_grad(set_to_none=True)
        found = module(x)
        state = found[0] if isinstance(found, tuple) else found
        state.square().mean().backward()
        if place.type == "cuda":
            torch.cuda.synchronize(place)

    mine, theirs = side_by_side(lambda: work(ours), lambda: work(plain), rounds=rounds, budget=60,
                                 clock=time.process_time if place.type == "cpu" else None)
    sizes = [sum(part.numel() for part in module.parameters()) / 1e6 for module in (ours, plain)]
    return Row(
        benchmark="backbones", case=f"{name}, {batch} x {LENGTH} x {FEATURES}, {sizes[0]:.2f} M against {sizes[1]:.2f} M parameters",
        ours=1e3 * sorted(mine)[len(mine) // 2], unit="ms", peer=1e3 * sorted(theirs)[len(theirs) // 2], against=peer,
        ratio=median_ratio(mine, theirs), method=METHOD)
