"""Adapters of low rank on frozen weights (LoRA, Hu et al. 2021): W + (alpha / rank) B A, where only A and B learn.

In: a model with its weights. Out: the same model, its matrices frozen and each with an adapter that starts as zero; and from it an ordinary
model's weights. It knows no data and no training.

Adapted are the weights of every linear layer (attention, feed-forward, condition, head, shared experts) and the input and recurrent weights of
LSTM and GRU layers. Convolutions, embeddings, norms, biases, the stacked weights of routed experts and their routers stay as they are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

ROUTER = "router"
_PART = ".parametrizations."


class LowRank(nn.Module):
    """What is added to one weight [out, in]; the rank is at most its smaller side."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        rank = min(rank, *weight.shape)
        self.scale = alpha / rank
        self.down = nn.Parameter(torch.empty(rank, weight.shape[1], dtype=weight.dtype, device=weight.device))
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, dtype=weight.dtype, device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.up @ self.down)


def add_adapters(model: nn.Module, rank: int, alpha: float) -> None:
    """Freeze ``model`` and put an adapter on each of its matrices. The model's answers stay what they are until an adapter has learned."""
    model.requires_grad_(False)
    for module, weight in [found for path, part in model.named_modules() for found in _matrices(path, part)]:
        parametrize.register_parametrization(module, weight, LowRank(getattr(module, weight), rank, alpha))
        if isinstance(module, nn.RNNBase) and not hasattr(module, "adapted"):
            module.adapted = True
            module.register_forward_pre_hook(_renew)


def merged(model: nn.Module) -> dict[str, Tensor]:
    """The weights of an ordinary model of the same shape, adapters multiplied in; of a model without adapters its own."""
    modules, found = dict(model.named_modules()), {}
    for name, tensor in model.state_dict().items():
        if _PART not in name:
            found[name] = tensor
        elif name.endswith(".original"):
            owner, weight = name.removesuffix(".original").split(_PART)
            with torch.no_grad():
                found[f"{owner}.{weight}"] = getattr(modules[owner], weight).detach()
    return found


def _matrices(path: str, module: nn.Module) -> list[tuple[nn.Module, str]]:
    if isinstance(module, nn.Linear) and not path.endswith(ROUTER):
        return [(module, "weight")]
    if isinstance(module, nn.RNNBase):
        return [(module, name) for name in module._flat_weights_names if name.startswith("weight_")]
    return []


def _renew(module: nn.RNNBase, inputs: tuple[Tensor, ...]) -> None:
    """A recurrent layer hands its kernel a list made once; let it hold the weights as they are now."""
    module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]
