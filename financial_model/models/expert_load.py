"""Who does the work: the share of rows that each expert of a model is sent while it answers.

In: a model and a call that makes it answer. Out: shares by layer. An expert that gets nothing has learned nothing; one that gets everything leaves
the others idle. The model itself is not changed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from financial_model.models.experts import Experts


def has_experts(model: nn.Module) -> bool:
    return any(isinstance(part, Experts) for part in model.modules())


def expert_load(model: nn.Module, answer: Callable[[], object]) -> list[list[float]]:
    """``[layers][experts]``: of the rows that came through a layer during ``answer()``, the share each expert worked on; a layer's sum to one."""
    layers = [part for part in model.modules() if isinstance(part, Experts)]
    counts: dict[Experts, Tensor] = {}

    def note(part: Experts, given: tuple[Tensor, ...]) -> None:
        with torch.no_grad():
            chosen = part.route(given[0].flatten(0, -2))[1]
            counts[part] = counts.get(part, 0) + part.counts(chosen).cpu()

    hooks = [part.register_forward_pre_hook(note) for part in layers]
    try:
        answer()
    finally:
        for hook in hooks:
            hook.remove()
    return [(counts[part] / counts[part].sum()).tolist() for part in layers if part in counts]
